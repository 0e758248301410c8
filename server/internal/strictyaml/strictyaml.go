// Package strictyaml reads YAML files that grant permissions. It is strict: anything that
// could grant more than its author intended is an error.
package strictyaml

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/xrash/smetrics"
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
	if err := refuseUnknown(&root, reflect.TypeOf(out)); err != nil {
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

// refuseUnknown names a field that the type does not have, and the likely one. What it
// does not follow, such as aliases, the package yaml refuses in its own words.
func refuseUnknown(n *yaml.Node, t reflect.Type) error {
	switch {
	case t.Kind() == reflect.Pointer:
		return refuseUnknown(n, t.Elem())
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return refuseUnknown(n.Content[0], t)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, element := range n.Content {
			if err := refuseUnknown(element, t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			if err := refuseUnknown(n.Content[i], t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := fieldsOf(t)
		for i := 1; i < len(n.Content); i += 2 {
			key := n.Content[i-1]
			if key.Value == "<<" { // merges the fields of an alias
				continue
			}
			j := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
			if j < 0 {
				return unknown(key, fields)
			}
			if err := refuseUnknown(n.Content[i], fields[j].of); err != nil {
				return err
			}
		}
	}
	return nil
}

type field struct {
	name string
	of   reflect.Type
}

func fieldsOf(t reflect.Type) (fields []field) {
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			fields = append(fields, field{name, f.Type})
		}
	}
	return fields
}

func unknown(key *yaml.Node, fields []field) error {
	const similar = 0.88 // of 1 for the same
	best, likely := similar, ""
	for _, f := range fields {
		if alike := smetrics.JaroWinkler(strings.ToLower(key.Value), f.name, 0.7, 4); alike > best {
			best, likely = alike, fmt.Sprintf("; did you mean %q?", f.name)
		}
	}
	return fmt.Errorf("line %d: unknown field %q%s", key.Line, key.Value, likely)
}
