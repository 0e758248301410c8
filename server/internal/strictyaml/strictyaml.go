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
	err := yaml.Load(data, out, yaml.WithKnownFields())
	if err != nil {
		if mismatch := explain(&root, reflect.TypeOf(out), ""); mismatch != nil {
			return mismatch
		}
	}
	return err
}

// explain returns an error for the first value that its type cannot hold, or nil if there
// is none. The error of package yaml would name Go's types and the value, which may be a
// secret in the wrong place. name is the field of the value.
func explain(n *yaml.Node, t reflect.Type, name string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.AliasNode:
		return nil
	case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
		return explain(n.Content[0], t, name)
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		fields := fieldsOf(t)
		for i := 1; i < len(n.Content); i += 2 {
			key := n.Content[i-1].Value
			if j := slices.IndexFunc(fields, func(f field) bool { return f.name == key }); j >= 0 {
				if err := explain(n.Content[i], fields[j].of, key); err != nil {
					return err
				}
			}
		}
		return nil
	case t.Kind() == reflect.Map && n.Kind == yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			if err := explain(n.Content[i], t.Elem(), n.Content[i-1].Value); err != nil {
				return err
			}
		}
		return nil
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, element := range n.Content {
			if err := explain(element, t.Elem(), name); err != nil {
				return err
			}
		}
		return nil
	}
	expected, fits := expects(n, t)
	if fits {
		return nil
	}
	if name != "" {
		name += ": "
	}
	return fmt.Errorf("line %d: %sexpected %s, found %s", n.Line, name, expected, found(n))
}

// expects describes the values of a type, and reports whether n is one of them.
func expects(n *yaml.Node, t reflect.Type) (description string, fits bool) {
	isScalar := n.Kind == yaml.ScalarNode
	switch t.Kind() {
	case reflect.Struct:
		description = "fields"
		if fields := fieldsOf(t); len(fields) > 0 {
			description = fmt.Sprintf("fields such as %q", fields[0].name+":")
		}
		return description, false
	case reflect.Slice:
		return "a list", false
	case reflect.String:
		return "text", isScalar
	case reflect.Bool:
		return "true or false", isScalar && n.Tag == "!!bool"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "a whole number", isScalar && n.Tag == "!!int"
	case reflect.Float64:
		return "a number", isScalar && (n.Tag == "!!int" || n.Tag == "!!float")
	default:
		return "", true
	}
}

// found describes a value without showing it.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "fields"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	case n.Tag == "!!bool":
		return "true or false"
	default:
		return "text"
	}
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
