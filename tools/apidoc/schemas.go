package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

// jsonSchema is a schema as the plugin makes it.
type jsonSchema struct {
	Type       string                `json:"type,omitempty"`
	Format     string                `json:"format,omitempty"`
	Pattern    string                `json:"pattern,omitempty"`
	Minimum    *json.Number          `json:"minimum,omitempty"`
	Maximum    *json.Number          `json:"maximum,omitempty"`
	AnyOf      []jsonSchema          `json:"anyOf,omitempty"`
	Items      *jsonSchema           `json:"items,omitempty"`
	Properties map[string]jsonSchema `json:"properties,omitempty"`
}

// schemas describes the JSON form of messages.
type schemas map[protoreflect.FullName]jsonSchema

// readSchemas asks protoc-gen-jsonschema for the schemas of all messages.
func readSchemas(c *definitions) (schemas, error) {
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: apiFiles, ProtoFile: c.set.GetFile(), Parameter: proto.String("target=json"),
	})
	if err != nil {
		return nil, err
	}
	plugin := exec.CommandContext(context.Background(), "go", "tool", "protoc-gen-jsonschema")
	plugin.Stdin, plugin.Stderr = bytes.NewReader(request), os.Stderr
	data, err := plugin.Output()
	if err != nil {
		return nil, fmt.Errorf("protoc-gen-jsonschema: %w", err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(data, &response); err != nil {
		return nil, fmt.Errorf("protoc-gen-jsonschema: %w", err)
	}
	if response.Error != nil {
		return nil, errors.New("protoc-gen-jsonschema: " + response.GetError())
	}
	all := make(schemas)
	for _, file := range response.GetFile() {
		var schema jsonSchema
		if err := json.Unmarshal([]byte(file.GetContent()), &schema); err != nil {
			return nil, fmt.Errorf("%s: %w", file.GetName(), err)
		}
		all[protoreflect.FullName(strings.TrimSuffix(file.GetName(), ".jsonschema.json"))] = schema
	}
	return all, nil
}

const schemaPrefix = "#/components/schemas/"

// component is the name of a type among the components of the document.
func component(d protoreflect.Descriptor) string {
	if own(d) {
		return string(shortName(d))
	}
	return string(d.FullName())
}

func reference(d protoreflect.Descriptor) object {
	return object{{"$ref", schemaPrefix + component(d)}}
}

// ofMessage returns the schema of a message, or nil if it is declared within
// another one and used nowhere.
func (s schemas) ofMessage(message protoreflect.MessageDescriptor) object {
	made, ok := s[message.FullName()]
	if !ok {
		return nil
	}
	if message.FullName() == "google.protobuf.Duration" {
		// The plugin's format, "duration", is that of ISO 8601.
		made.Format, made.Pattern = "", `^-?[0-9]+(\.[0-9]{1,9})?s$`
		return describe("Seconds, such as 1.5s.", made.object())
	}
	if !own(message) {
		return made.object()
	}
	var properties object
	for field := range each(message.Fields()) {
		properties = append(
			properties,
			member{field.JSONName(), describe(text(comment(field)), ofField(field, made.Properties[field.JSONName()]))},
		)
	}
	schema := object{{"type", made.Type}, {"description", text(commentOf(message))}}
	if len(properties) > 0 {
		schema = append(schema, member{"properties", properties})
	}
	if isUnion(message) {
		schema = append(schema, member{"maxProperties", 1})
	}
	return schema
}

// isUnion reports whether a message holds one of several things and nothing
// else.
func isUnion(message protoreflect.MessageDescriptor) bool {
	unions := message.Oneofs()
	return unions.Len() == 1 && !unions.Get(0).IsSynthetic() && unions.Get(0).Fields().Len() == message.Fields().Len()
}

// ofField returns the schema of a field, made from that of the plugin.
func ofField(field protoreflect.FieldDescriptor, made jsonSchema) object {
	one := made
	if field.IsList() {
		one = *made.Items
	}
	var schema object
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.EnumKind:
		schema = reference(typeOf(field))
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		// As strings first, which is how answers have them.
		schema = object{{"anyOf", []object{one.AnyOf[1].object(), one.AnyOf[0].object()}}}
	case protoreflect.BytesKind:
		schema = append(one.object(), member{"contentEncoding", "base64"})
	default:
		// Numbers are read from strings as well. That helps nobody.
		if len(one.AnyOf) > 0 {
			one = one.AnyOf[0]
		}
		schema = one.object()
	}
	if field.IsList() {
		schema = object{{"type", "array"}, {"items", schema}}
	}
	return schema
}

// ofEnum returns the schema of an enumeration, which the plugin has in each of
// its fields only. Values that this server does not know are numbers.
func ofEnum(enum protoreflect.EnumDescriptor) object {
	description := text(comment(enum)) + "\n"
	var names []string
	for value := range each(enum.Values()) {
		names = append(names, string(value.Name()))
		description += fmt.Sprintf("\n- `%s` (%d): %s", value.Name(), value.Number(), line(comment(value)))
	}
	return object{{"description", description}, {"anyOf", []object{
		{{"type", "string"}, {"enum", names}},
		{{"type", "integer"}},
	}}}
}

// object returns the schema with its members in a fixed order.
func (s jsonSchema) object() object {
	var out object
	for _, m := range []struct {
		key   string
		value any
		set   bool
	}{
		{"type", s.Type, s.Type != ""},
		{"format", s.Format, s.Format != ""},
		{"pattern", s.Pattern, s.Pattern != ""},
		{"minimum", s.Minimum, s.Minimum != nil},
		{"maximum", s.Maximum, s.Maximum != nil},
	} {
		if m.set {
			out = append(out, member{m.key, m.value})
		}
	}
	return out
}

// describe returns a schema that says first what it is.
func describe(description string, schema object) object {
	return append(object{{"description", description}}, schema...)
}
