package discord

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Returns is what a successful operation answers with. A success without it
// says nothing about what Discord did, and counts as a lost answer. Whatever
// else is odd about an answer is for the reader of it to ignore.
type Returns int

const (
	// Anything may be the answer, or nothing.
	Anything Returns = iota
	// AnObject is a JSON object that is not empty.
	AnObject
	// AnIdentity is a JSON object with an id.
	AnIdentity
	// AList is a JSON array.
	AList
)

// String describes it for errors.
func (r Returns) String() string {
	return [...]string{"anything", "an object", "an object with an id", "a list"}[r]
}

// in reports whether a body is what is returned.
func (r Returns) in(body []byte) bool {
	switch r {
	case Anything:
		return true
	case AList:
		return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) && json.Valid(body)
	case AnObject:
		var fields map[string]json.RawMessage
		return json.Unmarshal(body, &fields) == nil && len(fields) > 0
	case AnIdentity:
		var object struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(body, &object) != nil {
			return false
		}
		id := strings.Trim(string(object.ID), `"`)
		return strings.Trim(id, "0") != "" && strings.Trim(id, "0123456789") == ""
	}
	return false
}
