package discord

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"discordproxy/discord/rawjson"
)

// Returns is the expected response of a successful operation. A success without it proves
// nothing about what Discord did, and counts as a lost response. The reader of the
// response ignores everything else that is unexpected.
type Returns int

const (
	// Anything is any response, or none.
	Anything Returns = iota
	// AnObject is a JSON object that is not empty.
	AnObject
	// AnIdentity is a JSON object with an id.
	AnIdentity
	// AList is a JSON array.
	AList
	// unread is an answer for another program, which reads it.
	unread
)

// String returns a description for errors.
func (r Returns) String() string {
	return [...]string{"anything", "an object", "an object with an id", "a list", "unread"}[r]
}

// check returns an error if the answer to a success is not what is returned.
func (r Returns) check(status int, body []byte) error {
	switch {
	case status >= http.StatusMultipleChoices || r == unread:
		return nil
	case r == Anything:
		if status <= http.StatusCreated && !json.Valid(body) {
			return errors.New("the answer is not JSON")
		}
		return nil
	case !r.in(body):
		return fmt.Errorf("the answer %d is not %s", status, r)
	}
	return nil
}

// in reports whether a body is what is returned.
func (r Returns) in(body []byte) bool {
	switch r {
	case AList:
		return bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) && json.Valid(body)
	case AnObject:
		v, ok := rawjson.Parse(body)
		return ok && v.IsObject() && !v.IsEmpty()
	case AnIdentity:
		v, ok := rawjson.Parse(body)
		if !ok || !v.IsObject() {
			return false
		}
		id, err := strconv.ParseUint(string(v.Member("id").Text()), 10, 64)
		return err == nil && id != 0
	}
	return false
}
