package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxListedFields bounds how many fields the error about an unknown one lists.
const maxListedFields = 30

var unknownField = regexp.MustCompile(`\((line \d+:\d+)\): unknown field ("(?:[^"\\]|\\.)*")`)

// explainJSON returns the text of an error with which protojson refused data as
// a message. Where its own is no help it says what to do.
func explainJSON(err error, data []byte, m protoreflect.MessageDescriptor) string {
	if !utf8.Valid(data) {
		return "the JSON is not encoded in UTF-8"
	}
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && text[0] != '{' {
		return fmt.Sprintf("the JSON begins with %.20q: an object such as {} is needed", text)
	}
	if half := loneSurrogate(data); half != "" {
		return fmt.Sprintf(`%s is half of a surrogate pair: send the character itself, or both halves such as \ud83d\ude00`, half)
	}
	if found := unknownField.FindStringSubmatch(err.Error()); found != nil {
		name := found[2]
		_ = json.Unmarshal([]byte(found[2]), &name) // protojson has read it
		return fmt.Sprintf("unknown field %.100q (%s): %s", name, found[1], fieldHint(name, m))
	}
	return err.Error()
}

// loneSurrogate returns the first escape in JSON that is half of a surrogate
// pair, or "" if there is none.
func loneSurrogate(data []byte) string {
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i+1 < len(data); {
		width := 2
		if r, ok := unicodeEscape(data[i:]); ok {
			width = 6
			if utf16.IsSurrogate(r) {
				second, ok := unicodeEscape(data[i+width:])
				if !ok || utf16.DecodeRune(r, second) == utf8.RuneError {
					return string(data[i : i+width])
				}
				width = 12
			}
		}
		next := bytes.IndexByte(data[i+width:], '\\')
		if next < 0 {
			return ""
		}
		i += width + next
	}
	return ""
}

// unicodeEscape reads an escape such as \u00e4 at the beginning of data.
func unicodeEscape(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}

// fieldHint names the field of a message, or of those within it, that an unknown
// name may stand for, else the fields that the message has.
func fieldHint(name string, m protoreflect.MessageDescriptor) string {
	var near string
	least := 3 // changes of a letter
	var names []string
	seen := make(map[protoreflect.FullName]bool)
	var visit func(protoreflect.MessageDescriptor)
	visit = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			if len(seen) == 1 {
				names = append(names, field.JSONName())
			}
			d := distance(fold(name), fold(field.JSONName()))
			if d >= least || len(seen) > 1 && d == 0 {
				continue
			}
			near, least = strconv.Quote(field.JSONName()), d
			if len(seen) > 1 {
				near += " of " + string(m.Name())
			}
		}
		for i := range m.Fields().Len() {
			if inner := m.Fields().Get(i).Message(); inner != nil {
				visit(inner)
			}
		}
	}
	visit(m)
	switch {
	case near != "":
		return fmt.Sprintf("did you mean %s?", near)
	case len(names) == 0:
		return string(m.Name()) + " has no fields"
	case len(names) > maxListedFields:
		names = append(names[:maxListedFields], "...")
	}
	return string(m.Name()) + " has " + strings.Join(names, ", ")
}

// fold removes what spellings of a name differ in.
func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// distance returns how many letters must change, go or come to make b of a,
// where neighbours in the wrong order count once. Names of very different length
// are 99 apart.
func distance(a, b string) int {
	if len(a) > len(b)+2 || len(b) > len(a)+2 || len(b) < 3 {
		return 99
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
