package discordjson

import (
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Marshal writes m as one of Discord's objects. Fields that are not set are
// left out, and so are nested messages without any set field: an empty string
// is "not set" and never reaches Discord. It returns nil for an empty message.
func Marshal(m proto.Message) (json.RawMessage, error) {
	o := write(m.ProtoReflect())
	if len(o) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("discordjson: %w", err)
	}
	return data, nil
}

// Fields returns the set fields of m under Discord's names, as Marshal writes
// them: the arguments of a call, for a request. Ids are strings.
func Fields(m proto.Message) map[string]any { return write(m.ProtoReflect()) }

func write(m protoreflect.Message) map[string]any {
	o := make(map[string]any)
	fields := objectOf(m.Descriptor()).fields
	for i := range fields {
		f := &fields[i]
		if !m.Has(f.FieldDescriptor) {
			continue
		}
		value := m.Get(f.FieldDescriptor)
		if f.clears != nil {
			if value.Bool() {
				o[f.clears.name] = f.clears.empty()
			}
			continue
		}
		if !f.IsList() {
			if v, ok := f.json(value); ok {
				o[f.name] = v
			}
			continue
		}
		list := make([]any, 0, value.List().Len())
		for j := range value.List().Len() {
			if v, ok := f.json(value.List().Get(j)); ok {
				list = append(list, v)
			}
		}
		if len(list) > 0 {
			o[f.name] = list
		}
	}
	return o
}

func (f *field) json(value protoreflect.Value) (any, bool) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		if f.union {
			o := writeUnion(value.Message())
			return o, o != nil
		}
		o := write(value.Message())
		return o, len(o) > 0
	case protoreflect.Uint64Kind:
		return strconv.FormatUint(value.Uint(), 10), true
	case protoreflect.EnumKind:
		return value.Enum() - f.shift, true
	default:
		return value.Interface(), true
	}
}

// empty is what Discord takes as the order to remove the value of a field.
func (f *field) empty() any {
	if f.IsList() {
		return []any{}
	}
	return nil
}
