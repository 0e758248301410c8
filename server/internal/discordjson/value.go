package discordjson

import (
	"encoding/json"
	"errors"
	"fmt"

	"discordproxy/discord/rawjson"
)

type value = rawjson.Value

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
	v, ok := rawjson.Parse(data)
	if !ok {
		var document json.RawMessage
		if err := json.Unmarshal(data, &document); err != nil {
			return nil, fmt.Errorf("discordjson: %w", err)
		}
		return nil, errors.New("discordjson: the document is not JSON")
	}
	return v, nil
}
