// Package rawjson provides JSON values as they were written. It finds what a caller
// asks for and decodes nothing else.
package rawjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Value is one JSON value as it was written, without space around it. It is valid
// because Parse checked the document that it is a part of. Numbers stay as they are
// written, because ids have more digits than a float.
type Value []byte

// Parse returns the value of a document. It reports false if the document is not one
// JSON value.
func Parse(document []byte) (Value, bool) {
	if !json.Valid(document) {
		return nil, false
	}
	return bytes.TrimRight(space(document), " \t\r\n"), true
}

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return v[0] == '{' }

// IsList reports whether the value is an array.
func (v Value) IsList() bool { return v[0] == '[' }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v[0] == 'n' }

// IsBool reports whether the value is true or false.
func (v Value) IsBool() bool { return v[0] == 't' || v[0] == 'f' }

// Members visits the members of an object in their order.
func (v Value) Members(yield func(name []byte, member Value) bool) {
	for rest := space(v[1:]); rest[0] != '}'; {
		name, after := cut(rest)
		member, after := cut(space(space(after)[1:])) // behind the colon
		if !yield(name.unquoted(), member) {
			return
		}
		rest = next(after)
	}
}

// Elements visits the elements of a list.
func (v Value) Elements(yield func(element Value) bool) {
	for rest := space(v[1:]); rest[0] != ']'; {
		element, after := cut(rest)
		if !yield(element) {
			return
		}
		rest = next(after)
	}
}

// Member returns the member of an object with a name, nil without one.
func (v Value) Member(name string) (found Value) {
	for n, member := range v.Members {
		if string(n) == name {
			found = member // the last one counts, as with encoding/json
		}
	}
	return found
}

// IsEmpty reports whether the value is an object or an array that contains nothing.
func (v Value) IsEmpty() bool {
	if !v.IsObject() && !v.IsList() {
		return false
	}
	first := space(v[1:])[0]
	return first == '}' || first == ']'
}

// Text returns the text of a string, and a number as it is written. Of any
// other value it is empty.
func (v Value) Text() []byte {
	switch {
	case len(v) == 0:
		return nil
	case v[0] == '"':
		return v.unquoted()
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return v
	}
	return nil
}

// unquoted returns the text of a string, in valid UTF-8.
func (v Value) unquoted() []byte {
	text := v[1 : len(v)-1]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return text
	}
	var s string
	_ = json.Unmarshal(v, &s) // it is a valid string
	return []byte(s)
}

// Snowflake is an id in JSON, written as a string or as a number. Anything else is read as 0.
type Snowflake uint64

// UnmarshalJSON implements json.Unmarshaler.
func (s *Snowflake) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(string(Value(data).Text()), 10, 64)
	if err != nil {
		n = 0 // where it is too large, too
	}
	*s = Snowflake(n)
	return nil
}

// Decoded returns the value as encoding/json decodes it, for what is written
// again.
func (v Value) Decoded() (decoded any) {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	_ = d.Decode(&decoded) // it is valid
	return decoded
}

// cut returns the value at the beginning of a text, and what follows.
func cut(text Value) (v, after Value) {
	n := 1
	switch text[0] {
	case '"':
		n = stringEnd(text)
	case '{', '[':
		for depth := 1; depth > 0; n++ {
			switch text[n] {
			case '"':
				n += stringEnd(text[n:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
		}
	default:
		for n < len(text) && !isDelimiter(text[n]) {
			n++
		}
	}
	return text[:n:n], text[n:]
}

// stringEnd returns the length of the string at the beginning of a text.
func stringEnd(text Value) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// isDelimiter reports whether a byte ends a number or a name such as true.
func isDelimiter(c byte) bool {
	switch c {
	case ',', ']', '}', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// next skips a comma and the space around it.
func next(text Value) Value {
	if text = space(text); text[0] == ',' {
		text = space(text[1:])
	}
	return text
}

// space skips space.
func space(text Value) Value {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}
