package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// writeJSON writes a message as a line in the JSON form of the contract.
// Fields that are not set are left out.
func (r *request) writeJSON(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	data, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	// The library varies its spaces from build to build.
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil {
		return err
	}
	line.WriteByte('\n')
	_, err = r.env.Out.Write(line.Bytes())
	return err
}

// oneLine makes a text of others safe for a terminal and one line.
func oneLine(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, text)
}
