package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// object is a JSON object whose members have an order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for i, m := range o {
		out.WriteByte("{,"[min(i, 1)])
		for j, part := range []any{m.key, m.value} {
			if j > 0 {
				out.WriteByte(':')
			}
			if err := encoder.Encode(part); err != nil {
				return nil, fmt.Errorf("%s: %w", m.key, err)
			}
		}
	}
	if len(o) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// at returns the object that a member holds.
func (o object) at(key string) *object {
	for i := range o {
		if o[i].key == key {
			if inner, ok := o[i].value.(*object); ok {
				return inner
			}
		}
	}
	panic("no object " + key) // in a file that is embedded
}

// text returns the text that a member holds.
func (o object) text(key string) string {
	for _, m := range o {
		if text, ok := m.value.(string); ok && m.key == key {
			return text
		}
	}
	panic("no text " + key) // in a file that is embedded
}

// fromYAML reads a document.
func fromYAML(data []byte) (*object, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	value, err := fromNode(document.Content[0])
	if err != nil {
		return nil, err
	}
	root, ok := value.(*object)
	if !ok {
		return nil, fmt.Errorf("the document is %T", value)
	}
	return root, nil
}

func fromNode(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.AliasNode:
		return fromNode(node.Alias)
	case yaml.MappingNode:
		out := new(object)
		for i := 0; i < len(node.Content); i += 2 {
			value, err := fromNode(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			*out = append(*out, member{node.Content[i].Value, value})
		}
		return out, nil
	case yaml.SequenceNode:
		out := []any{}
		for _, element := range node.Content {
			value, err := fromNode(element)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	}
	var value any
	err := node.Decode(&value)
	return value, err
}

// toYAML writes a document as YAML in its usual style.
func toYAML(o *object) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var document yaml.Node // JSON is YAML, too
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, err
	}
	restyle(&document)
	return yaml.Dump(&document, yaml.WithIndent(2), yaml.WithLineWidth(100))
}

// restyle takes the style of JSON off a node. The encoder quotes what needs it.
func restyle(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "\n") {
		node.Style = yaml.LiteralStyle
	}
	for _, inner := range node.Content {
		restyle(inner)
	}
}
