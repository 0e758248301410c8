package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// decode reads the body into a struct or a list. Values of a neighbouring type
// are converted as Discord converts them: a number may be text, an integer a
// whole float, text a number. What does not fit is a form error at the place
// where it is.
func (c *call) decode(into any) error { return decodeForm(c.body, into) }

func decodeForm(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	var f formError
	if err := f.decode("", body, into); err != nil {
		return err
	}
	return f.err()
}

// decode reads JSON that is at a path of the form. Mistakes within it are added
// to the form; the error is that it is not JSON at all.
func (f *formError) decode(path string, body []byte, into any) error {
	target := reflect.ValueOf(into).Elem()
	before := reflect.New(target.Type()).Elem()
	before.Set(target)
	err := json.Unmarshal(body, into)
	if err == nil && !hasLongNumber(body) {
		return nil
	}
	if _, bad := errors.AsType[*json.SyntaxError](err); bad {
		return errInvalidJSON
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return errInvalidJSON
	}
	complaints := f.count
	value = f.convert(path, value, target.Type())
	if f.count > complaints {
		return nil
	}
	target.Set(before)
	if err := json.Unmarshal(mustJSON(value), into); err != nil {
		f.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
	}
	return nil
}

var (
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	numberType      = reflect.TypeFor[json.Number]()
)

// convert returns a value as JSON that fits a type, or complains of it.
func (f *formError) convert(path string, value any, t reflect.Type) any {
	switch {
	case value == nil:
		return nil
	case t == numberType:
		return f.number(path, value, "float", false)
	case reflect.PointerTo(t).Implements(unmarshalerType):
		probe := reflect.New(t).Interface()
		if err := json.Unmarshal(mustJSON(value), probe); err != nil {
			f.add(path, "NUMBER_TYPE_COERCE", "Value "+string(mustJSON(value))+" is not snowflake.")
		}
		return value
	}
	switch t.Kind() {
	case reflect.Pointer:
		return f.convert(path, value, t.Elem())
	case reflect.Struct:
		return f.convertStruct(path, value, t)
	case reflect.Map:
		object, ok := value.(map[string]any)
		if !ok {
			f.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
			return nil
		}
		for key, v := range object {
			object[key] = f.convert(at(path, key), v, t.Elem())
		}
		return object
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			f.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
			return nil
		}
		for i, v := range list {
			list[i] = f.convert(strings.TrimPrefix(join(path, i), "."), v, t.Elem())
		}
		return list
	case reflect.String:
		if number, ok := value.(json.Number); ok {
			if _, whole := wholeNumber(number.String()); whole {
				return number.String()
			}
		}
		if _, ok := value.(string); !ok {
			f.add(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
		}
	case reflect.Bool:
		return f.boolean(path, value)
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return f.number(path, value, "int", true)
	case reflect.Float64:
		return f.number(path, value, "float", false)
	case reflect.Interface:
		return exact(value)
	}
	return value
}

// longNumber is the number of digits from which a float64 may be inexact.
const longNumber = 16

// hasLongNumber reports whether JSON may contain a long number outside of strings.
func hasLongNumber(body []byte) bool {
	digits, quoted := 0, false
	for i, b := range body {
		if b < '0' || b > '9' {
			digits = 0
			continue
		}
		if digits++; digits == 1 {
			quoted = i > 0 && body[i-1] == '"'
		}
		if digits >= longNumber && !quoted {
			return true
		}
	}
	return false
}

// exact writes long whole numbers as text, as which Discord takes snowflakes,
// too: in an any they would become a float64, and name another object.
func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		if number, whole := wholeNumber(v.String()); whole && len(number) >= longNumber {
			return number
		}
	case map[string]any:
		for key := range v {
			v[key] = exact(v[key])
		}
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	}
	return value
}

func (f *formError) convertStruct(path string, value any, t reflect.Type) any {
	object, ok := value.(map[string]any)
	if !ok {
		f.add(path, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
		return nil
	}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if v, given := object[name]; given && name != "" && !field.Anonymous {
			object[name] = f.convert(at(path, name), v, field.Type)
		}
	}
	return object
}

func (f *formError) boolean(path string, value any) any {
	text := strings.Trim(string(mustJSON(value)), `"`)
	switch {
	case slices.Contains([]string{"true", "True", "1"}, text):
		return true
	case slices.Contains([]string{"false", "False", "0"}, text):
		return false
	}
	f.add(path, "BOOLEAN_TYPE_PARSE", "Must be either true or false.")
	return nil
}

// number returns a number that may have been written as text.
func (f *formError) number(path string, value any, kind string, whole bool) any {
	text := strings.Trim(string(mustJSON(value)), `"`)
	_, quoted := value.(string)
	if number, ok := wholeNumber(text); ok && (!whole || !quoted || !strings.ContainsAny(text, ".eE")) {
		return json.Number(number)
	}
	if _, _, err := big.ParseFloat(text, 10, 64, big.ToNearestEven); err == nil && !whole && json.Valid([]byte(text)) {
		return json.Number(text)
	}
	f.add(path, "NUMBER_TYPE_COERCE", `Value "`+text+`" is not `+kind+".")
	return nil
}

// wholeNumber writes a decimal number without a fraction as an integer of at
// most 64 bits.
func wholeNumber(text string) (string, bool) {
	if len(text) > 40 || strings.Trim(text, "+-.0123456789eE") != "" {
		return "", false
	}
	number, _, err := big.ParseFloat(text, 10, 128, big.ToNearestEven)
	if err != nil || !number.IsInt() || number.MantExp(nil) > 64 {
		return "", false
	}
	return number.Text('f', 0), true
}
