package message

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Bounds for what is read into memory, far above what the server takes.
const (
	maxTextBytes  = 1 << 20
	maxUsersBytes = 16 << 20
	maxFileBytes  = 512 << 20
)

// input reads files and, once, standard input.
type input struct {
	in   io.Reader
	user string // what standard input was read for
}

// read returns the contents of a file, of standard input for "-". What names
// them in errors.
func (i *input) read(path, what string, most int64) ([]byte, error) {
	from := i.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", what, err)
		}
		defer f.Close()
		from = f
	} else {
		if i.user != "" {
			return nil, fmt.Errorf("standard input is %s and cannot be %s too", i.user, what)
		}
		if i.user = what; i.in == nil {
			return nil, errors.New("there is no standard input")
		}
	}
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", what, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("cannot read %s: more than %d bytes", what, most)
	}
	return data, nil
}
