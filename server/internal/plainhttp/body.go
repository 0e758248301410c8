package plainhttp

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"

	"connectrpc.com/connect"
)

// ReadBody reads the whole body of a request. It returns tooLarge for a body of more than
// limit bytes.
func ReadBody(r *http.Request, limit int64, tooLarge error) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	var body bytes.Buffer
	// What a client only says of its body must not take memory.
	body.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, 64<<10)))
	_, err := body.ReadFrom(io.LimitReader(r.Body, limit+1))
	switch {
	case int64(body.Len()) > limit:
		return nil, tooLarge
	case err == nil:
		return body.Bytes(), nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if errors.Is(err, access.ErrDenied) {
		return nil, err
	}
	if status, ok := errors.AsType[*connect.Error](err); ok {
		// The bodies of all requests together take too much.
		return nil, &Refusal{Status: http.StatusServiceUnavailable, Text: status.Message()}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &Refusal{Status: http.StatusRequestTimeout, Text: "the request body did not arrive in time"}
	}
	if r.Context().Err() != nil {
		return nil, calls.StatusOfBody(r.Context(), err)
	}
	return nil, &Refusal{Status: http.StatusBadRequest, Text: "the request body was cut off"}
}
