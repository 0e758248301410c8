package discordjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// value is one JSON value as it was written, without space around it. It is
// valid: parse has checked the document that it is a part of. Numbers stay as
// they are written, because ids have more digits than a float.
type value []byte

// Limits of what one document may contain: in memory an empty object takes a
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

// parse checks that a document is one JSON value.
func parse(data []byte) (value, error) {
	if err := checkSize(data); err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		var document json.RawMessage
		if err := json.Unmarshal(data, &document); err != nil {
			return nil, fmt.Errorf("discordjson: %w", err)
		}
		return nil, errors.New("discordjson: the document is not JSON")
	}
	return bytes.TrimRight(space(data), " \t\r\n"), nil
}

func (v value) isObject() bool { return v[0] == '{' }
func (v value) isList() bool   { return v[0] == '[' }
func (v value) isNull() bool   { return v[0] == 'n' }
func (v value) isBool() bool   { return v[0] == 't' || v[0] == 'f' }

// members visits the members of an object in their order.
func (v value) members(yield func(name []byte, member value) bool) {
	for rest := space(v[1:]); rest[0] != '}'; {
		name, after := cut(rest)
		member, after := cut(space(space(after)[1:])) // behind the colon
		if !yield(name.unquoted(), member) {
			return
		}
		rest = next(after)
	}
}

// elements visits the elements of a list.
func (v value) elements(yield func(element value) bool) {
	for rest := space(v[1:]); rest[0] != ']'; {
		element, after := cut(rest)
		if !yield(element) {
			return
		}
		rest = next(after)
	}
}

// member returns the member of an object with a name, or nil without one.
func (v value) member(name string) (found value) {
	for n, member := range v.members {
		if string(n) == name {
			found = member // the last one counts, as with encoding/json
		}
	}
	return found
}

// text returns the text of a string, and a number as it is written. Of any
// other value it is empty.
func (v value) text() []byte {
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
func (v value) unquoted() []byte {
	text := v[1 : len(v)-1]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return text
	}
	var s string
	_ = json.Unmarshal(v, &s) // it is a valid string
	return []byte(s)
}

// decoded returns the value as encoding/json decodes it, for what is written
// again.
func (v value) decoded() (decoded any) {
	d := json.NewDecoder(bytes.NewReader(v))
	d.UseNumber()
	_ = d.Decode(&decoded) // it is valid
	return decoded
}

// cut returns the value at the beginning of a text, and what follows.
func cut(text value) (v, after value) {
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
func stringEnd(text value) int {
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
func next(text value) value {
	if text = space(text); text[0] == ',' {
		text = space(text[1:])
	}
	return text
}

// space skips space.
func space(text value) value {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}
