// Package strictyaml reads YAML files that decide about rights: anything that could
// mean more than its author wrote is an error.
package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// Load reads a single YAML document into out, a pointer to a struct. An unknown
// field, a second value for a field and an empty value are errors that name the
// line. A value is empty when it is null, an empty string or an empty list: what was
// commented out there would otherwise mean that nothing is limited.
func Load(data []byte, out any) error {
	var root yaml.Node
	if err := yaml.Load(data, &root); err != nil {
		return err
	}
	if err := refuseEmpty(&root); err != nil {
		return err
	}
	return yaml.Load(data, out, yaml.WithKnownFields())
}

func refuseEmpty(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Value == "") || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return fmt.Errorf("line %d: the value is empty: leave out the whole field instead", n.Line)
	}
	for _, child := range n.Content {
		if err := refuseEmpty(child); err != nil {
			return err
		}
	}
	return nil
}
