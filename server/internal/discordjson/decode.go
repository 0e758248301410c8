package discordjson

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth bounds how deep messages may nest.
const maxDepth = 32

// Unmarshal fills m from one of Discord's objects. Unknown fields and values of an
// unexpected form are left out, so that objects of future versions can be read. Only text
// that is not a JSON object is an error.
func Unmarshal(data []byte, m proto.Message) error {
	value, err := parse(data)
	if err != nil {
		return err
	}
	if !value.IsObject() {
		return fmt.Errorf("discordjson: expected an object, found %.40q", data)
	}
	fill(m.ProtoReflect(), value, 0)
	return nil
}

// UnmarshalAnswer fills the response of a method from what Discord answered. If the
// response has one field, that field receives the whole document, an object or an array.
// If it has several fields, the response itself is the object. A response without fields
// ignores the document.
func UnmarshalAnswer(data []byte, response proto.Message) error {
	m := response.ProtoReflect()
	fields := m.Descriptor().Fields()
	switch fields.Len() {
	case 0:
		return nil
	case 1:
	default:
		return Unmarshal(data, response)
	}
	value, err := parse(data)
	if err != nil {
		return err
	}
	f := &objectOf(m.Descriptor()).fields[0]
	if value.IsList() != f.IsList() || value.IsObject() == f.IsList() {
		return fmt.Errorf("discordjson: no %s, found %.40q", f.FullName(), data)
	}
	f.fill(m, value, 0)
	return nil
}

// UnmarshalList reads an array of Discord's objects, as Unmarshal does.
// Elements that are not objects are left out.
func UnmarshalList[M any, P interface {
	*M
	proto.Message
}](data []byte) ([]P, error) {
	value, err := parse(data)
	if err != nil {
		return nil, err
	}
	if !value.IsList() {
		return nil, fmt.Errorf("discordjson: expected an array, found %.40q", data)
	}
	list := []P{}
	for element := range value.Elements {
		if element.IsObject() {
			m := P(new(M))
			fill(m.ProtoReflect(), element, 0)
			list = append(list, m)
		}
	}
	return list, nil
}

// fill sets the fields of a message from an object. Of several members with
// one name the last one counts.
func fill(m protoreflect.Message, o value, depth int) {
	if depth > maxDepth {
		return
	}
	known := objectOf(m.Descriptor())
	for name, member := range o.Members {
		if f, ok := known.byName[string(name)]; ok {
			f.fill(m, member, depth)
		}
	}
}

// fill sets the field of a message, whatever it was before. A value that the field
// cannot have leaves it unset.
func (f *field) fill(m protoreflect.Message, v value, depth int) {
	if v.IsNull() && f.presence {
		v = value("true")
	}
	if v.IsNull() || v.IsList() && v.IsEmpty() {
		f.unset(m)
		return
	}
	if !f.IsList() {
		if v, ok := f.value(m, nil, v, depth); ok {
			m.Set(f.FieldDescriptor, v)
		} else {
			f.unset(m)
		}
		return
	}
	f.unset(m)
	list := m.Mutable(f.FieldDescriptor).List()
	add := func(element value) bool {
		if v, ok := f.value(m, list, element, depth); ok {
			list.Append(v)
		}
		return true
	}
	switch {
	case v.IsList():
		v.Elements(add)
	case v.IsObject() && f.keyed:
		for _, element := range keyedElements(v, f.lacks) {
			add(element)
		}
	default:
		// Where Discord has one object the API may have a list.
		add(v)
	}
}

// unset is Clear for a field that most often is not set, which costs less to find out.
func (f *field) unset(m protoreflect.Message) {
	if m.Has(f.FieldDescriptor) {
		m.Clear(f.FieldDescriptor)
	}
}

// keyedElements returns the members of an object, in the order of their names. An
// object among them gets one with its name as the id, unless lacks is empty.
func keyedElements(v value, lacks string) (elements []value) {
	byID := make(map[string]value)
	for id, element := range v.Members {
		byID[string(id)] = element
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		element := byID[id]
		if lacks != "" && element.IsObject() {
			if o, ok := element.Decoded().(map[string]any); ok {
				o[lacks] = map[string]any{"id": id}
				element, _ = json.Marshal(o) // it was JSON before
			}
		}
		elements = append(elements, element)
	}
	return elements
}

// value converts one JSON value for the field of a message, or for its list.
func (f *field) value(m protoreflect.Message, list protoreflect.List, v value, depth int) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	switch f.Kind() {
	case protoreflect.MessageKind:
		if !v.IsObject() {
			return none, false
		}
		var blank protoreflect.Value
		if list != nil {
			blank = list.NewElement()
		} else {
			blank = m.NewField(f.FieldDescriptor)
		}
		if f.union {
			fillUnion(blank.Message(), v, depth+1)
		} else {
			fill(blank.Message(), v, depth+1)
		}
		return blank, true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v[0] == 't'), v.IsBool()
	case protoreflect.StringKind:
		if v.IsBool() {
			return protoreflect.ValueOfString(string(v)), true
		}
		return protoreflect.ValueOfString(string(v.Text())), v.Text() != nil
	case protoreflect.Uint64Kind:
		// Where Discord has an object the API may have its id.
		if v.IsObject() {
			v = v.Member("id")
		}
		n, err := strconv.ParseUint(string(v.Text()), 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	case protoreflect.Int64Kind:
		n, ok := integer(v)
		return protoreflect.ValueOfInt64(n), ok
	case protoreflect.Int32Kind:
		n, ok := integer(v)
		if n != int64(int32(n)) {
			// Larger numbers are sets of bits; the lower ones keep their meaning.
			n &= math.MaxInt32
		}
		return protoreflect.ValueOfInt32(int32(n)), ok
	case protoreflect.EnumKind:
		n, ok := integer(v)
		number := protoreflect.EnumNumber(n) + f.shift
		return protoreflect.ValueOfEnum(number), ok && n >= 0 && n < math.MaxInt32
	case protoreflect.DoubleKind:
		n, err := strconv.ParseFloat(string(v.Text()), 64)
		return protoreflect.ValueOfFloat64(n), err == nil
	default:
		// The API has no fields of other kinds; a test holds it to that.
		return none, false
	}
}

// integer reads a whole number, also one that is written with a fraction.
func integer(v value) (int64, bool) {
	if n, err := strconv.ParseInt(string(v.Text()), 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(string(v.Text()), 64)
	if err != nil || math.IsNaN(x) || math.Abs(x) >= 1<<62 {
		return 0, false
	}
	return int64(x), true
}
