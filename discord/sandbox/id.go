package sandbox

import (
	"fmt"
	"strconv"
	"time"
)

// epoch is the first millisecond of 2015, from which snowflakes count.
const epoch = 1420070400000

// ID is a snowflake. It is written to JSON as a string, as Discord does, and
// read from a string or a number. The zero ID means "none".
//
// See https://discord.com/developers/docs/reference#snowflakes.
type ID uint64

// ParseID reads a decimal snowflake.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse snowflake: %w", err)
	}
	return ID(n), nil
}

// String returns the decimal form.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// Time returns when the id was made, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id>>22) + epoch) }

// MarshalJSON writes the id as a string.
func (id ID) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 22)
	b = append(b, '"')
	b = strconv.AppendUint(b, uint64(id), 10)
	return append(b, '"'), nil
}

// UnmarshalJSON reads the id from a string or a number; null is zero.
func (id *ID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*id = 0
		return nil
	}
	raw := b
	if len(b) >= 2 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return &snowflakeError{string(raw)}
	}
	*id = ID(n)
	return nil
}

// MarshalText and UnmarshalText let an ID be the key of a JSON object.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (id *ID) UnmarshalText(b []byte) error {
	n, err := ParseID(string(b))
	*id = n
	return err
}

// snowflakeError is what a request's JSON that has no snowflake where one
// belongs ends in. encoding/json does not say which field it was.
type snowflakeError struct{ raw string }

func (e *snowflakeError) Error() string { return "Value " + e.raw + " is not snowflake." }

// timestamp writes a time as Discord does: Python's isoformat, which leaves
// out the fraction of a whole second.
func timestamp(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond() < 1000 {
		return t.Format("2006-01-02T15:04:05+00:00")
	}
	return t.Format("2006-01-02T15:04:05.000000+00:00")
}

func ptr[T any](v T) *T { return &v }
