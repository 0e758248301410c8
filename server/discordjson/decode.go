package discordjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth bounds how deep messages may nest.
const maxDepth = 32

// Unmarshal fills m from one of Discord's objects. What the contract does not
// know and what has another form than expected is left out: an object of next
// year is read as far as it is understood. Only text that is not a JSON
// object is an error.
func Unmarshal(data []byte, m proto.Message) error {
	value, err := parse(data)
	if err != nil {
		return err
	}
	o, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("discordjson: expected an object, found %.40q", data)
	}
	fill(m.ProtoReflect(), o, 0)
	return nil
}

// UnmarshalAnswer fills the response of a method from what Discord answered. A
// response with one field has the whole answer in it, an object or an array;
// one with several fields is itself the object; one without takes nothing.
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
	f := fields.Get(0)
	_, isArray := value.([]any)
	_, isObject := value.(map[string]any)
	if isArray != f.IsList() || isObject == f.IsList() {
		return fmt.Errorf("discordjson: no %s, found %.40q", f.FullName(), data)
	}
	fill(m, map[string]any{objectOf(m.Descriptor()).fields[0].name: value}, 0)
	return nil
}

// UnmarshalList reads an array of Discord's objects, as Unmarshal does.
// Elements that are no objects are left out.
func UnmarshalList[M any, P interface {
	*M
	proto.Message
}](data []byte) ([]P, error) {
	value, err := parse(data)
	if err != nil {
		return nil, err
	}
	elements, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("discordjson: expected an array, found %.40q", data)
	}
	list := make([]P, 0, len(elements))
	for _, element := range elements {
		if o, ok := element.(map[string]any); ok {
			m := P(new(M))
			fill(m.ProtoReflect(), o, 0)
			list = append(list, m)
		}
	}
	return list, nil
}

// Limits of what one document may hold: in memory an empty object takes a
// hundred times its 2 bytes. Discord's largest have about a tenth of that.
const (
	maxValues  = 1 << 20
	maxObjects = 1 << 17
)

// checkSize refuses a document with too many values or objects. Of text that is
// not JSON it may say anything.
func checkSize(data []byte) error {
	values, objects := 0, 0
	inString := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{':
			objects++
			values++
		case c == '[' || c == ',':
			values++
		}
	}
	if values > maxValues || objects > maxObjects {
		return fmt.Errorf("discordjson: %d values in %d objects, more than the limits %d and %d", values, objects, maxValues, maxObjects)
	}
	return nil
}

// parse keeps numbers as they are written: ids have more digits than a float.
func parse(data []byte) (any, error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, fmt.Errorf("discordjson: %w", err)
	}
	// More would take a closing bracket for the end.
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("discordjson: text after the JSON value")
	}
	return value, nil
}

func fill(m protoreflect.Message, o map[string]any, depth int) {
	if depth > maxDepth {
		return
	}
	known := objectOf(m.Descriptor())
	for name, value := range o {
		f, ok := known.byName[name]
		if !ok {
			continue
		}
		if f.presence && value == nil {
			value = true
		}
		if value == nil {
			continue
		}
		if !f.IsList() {
			if v, ok := f.value(m.NewField(f.FieldDescriptor), value, depth); ok {
				m.Set(f.FieldDescriptor, v)
			}
			continue
		}
		elements := f.elements(value)
		list := m.Mutable(f.FieldDescriptor).List()
		for _, element := range elements {
			if v, ok := f.value(list.NewElement(), element, depth); ok {
				list.Append(v)
			}
		}
	}
}

// elements returns what a list of the contract is made of.
func (f *field) elements(value any) []any {
	if elements, ok := value.([]any); ok {
		return elements
	}
	o, ok := value.(map[string]any)
	lacks, isKeyed := keyed[f.FullName()]
	if !ok || !isKeyed {
		// Where Discord has one object the contract may have a list.
		return []any{value}
	}
	elements := make([]any, 0, len(o))
	for _, id := range slices.Sorted(maps.Keys(o)) {
		if element, ok := o[id].(map[string]any); ok && lacks != "" {
			element[lacks] = map[string]any{"id": id}
		}
		elements = append(elements, o[id])
	}
	return elements
}

// value converts one JSON value. blank is an empty value of the field's type.
func (f *field) value(blank protoreflect.Value, value any, depth int) (protoreflect.Value, bool) {
	none := protoreflect.Value{}
	switch f.Kind() {
	case protoreflect.MessageKind:
		o, ok := value.(map[string]any)
		if !ok {
			return none, false
		}
		if unions[f.Message().FullName()] {
			fillUnion(blank.Message(), o, depth+1)
		} else {
			fill(blank.Message(), o, depth+1)
		}
		return blank, true
	case protoreflect.BoolKind:
		b, ok := value.(bool)
		return protoreflect.ValueOfBool(b), ok
	case protoreflect.StringKind:
		switch s := value.(type) {
		case string:
			return protoreflect.ValueOfString(strings.ToValidUTF8(s, "\uFFFD")), true
		case json.Number:
			return protoreflect.ValueOfString(s.String()), true
		case bool:
			return protoreflect.ValueOfString(strconv.FormatBool(s)), true
		}
		return none, false
	case protoreflect.Uint64Kind:
		// Where Discord has an object the contract may have its id.
		if o, ok := value.(map[string]any); ok {
			value = o["id"]
		}
		n, err := strconv.ParseUint(text(value), 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	case protoreflect.Int64Kind:
		n, ok := integer(value)
		return protoreflect.ValueOfInt64(n), ok
	case protoreflect.Int32Kind:
		n, ok := integer(value)
		if n != int64(int32(n)) {
			// Larger numbers are sets of bits; the lower ones keep their meaning.
			n &= math.MaxInt32
		}
		return protoreflect.ValueOfInt32(int32(n)), ok
	case protoreflect.EnumKind:
		n, ok := integer(value)
		number := protoreflect.EnumNumber(n) + f.shift
		return protoreflect.ValueOfEnum(number), ok && n >= 0 && n < math.MaxInt32
	case protoreflect.DoubleKind:
		n, err := strconv.ParseFloat(text(value), 64)
		return protoreflect.ValueOfFloat64(n), err == nil
	default:
		// The contract has no fields of other kinds; a test holds it to that.
		return none, false
	}
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// integer reads a whole number, also one that is written with a fraction.
func integer(value any) (int64, bool) {
	s := text(value)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.Abs(x) >= 1<<62 {
		return 0, false
	}
	return int64(x), true
}
