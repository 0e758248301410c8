package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonOf writes a message as JSON, its fields in the order of the API.
func jsonOf(m protoreflect.Message) (string, error) {
	var members []string
	for field := range each(m.Descriptor().Fields()) {
		if !m.Has(field) {
			continue
		}
		value, err := valueOf(field, m.Get(field), jsonValue)
		if err != nil {
			return "", err
		}
		members = append(members, fmt.Sprintf("%q: %s", field.JSONName(), value))
	}
	return "{" + strings.Join(members, ", ") + "}", nil
}

// pythonOf writes the call that makes a message in Python.
func pythonOf(m protoreflect.Message) (string, error) {
	var arguments []string
	for field := range each(m.Descriptor().Fields()) {
		if !m.Has(field) {
			continue
		}
		value, err := valueOf(field, m.Get(field), pythonValue)
		if err != nil {
			return "", err
		}
		arguments = append(arguments, fmt.Sprintf("%s=%s", field.Name(), value))
	}
	return fmt.Sprintf("%s.%s(%s)", pythonModule(m.Descriptor()), shortName(m.Descriptor()), strings.Join(arguments, ", ")), nil
}

// pythonModule is the name by which intro.md imports the module of a type.
func pythonModule(d protoreflect.Descriptor) string {
	if file := d.ParentFile().Path(); file != apiFiles[0] {
		return strings.TrimSuffix(path.Base(file), ".proto") + "_pb2"
	}
	return "pb"
}

// pythonStub is the name of the stub that intro.md makes for a service.
func pythonStub(s protoreflect.Descriptor) string {
	if s.ParentFile().Path() != apiFiles[0] {
		return strings.ToLower(string(s.Name()))
	}
	return "stub"
}

type single func(protoreflect.FieldDescriptor, protoreflect.Value) (string, error)

func valueOf(field protoreflect.FieldDescriptor, value protoreflect.Value, one single) (string, error) {
	if !field.IsList() {
		return one(field, value)
	}
	var elements []string
	for i := range value.List().Len() {
		element, err := one(field, value.List().Get(i))
		if err != nil {
			return "", err
		}
		elements = append(elements, element)
	}
	return "[" + strings.Join(elements, ", ") + "]", nil
}

func jsonValue(field protoreflect.FieldDescriptor, value protoreflect.Value) (string, error) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return jsonOf(value.Message())
	case protoreflect.EnumKind:
		return strconv.Quote(string(field.Enum().Values().ByNumber(value.Enum()).Name())), nil
	case protoreflect.Uint64Kind, protoreflect.Int64Kind:
		return strconv.Quote(value.String()), nil
	case protoreflect.BytesKind:
		return strconv.Quote(base64.StdEncoding.EncodeToString(value.Bytes())), nil
	}
	data, err := json.Marshal(value.Interface())
	return string(data), err
}

func pythonValue(field protoreflect.FieldDescriptor, value protoreflect.Value) (string, error) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return pythonOf(value.Message())
	case protoreflect.EnumKind:
		return fmt.Sprintf(
			"%s.%s.%s",
			pythonModule(field.Enum()),
			shortName(field.Enum().Parent()),
			field.Enum().Values().ByNumber(value.Enum()).Name(),
		), nil
	case protoreflect.BoolKind:
		if value.Bool() {
			return "True", nil
		}
		return "False", nil
	case protoreflect.BytesKind:
		return fmt.Sprintf("b%+q", value.Bytes()), nil
	}
	data, err := json.Marshal(value.Interface())
	return string(data), err
}
