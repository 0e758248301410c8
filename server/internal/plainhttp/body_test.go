package plainhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"discordproxy/server/internal/plainhttp"

	"connectrpc.com/connect"
)

// TestUnreadableBodies: a body that cannot be read has the status that says whether a
// repetition can succeed.
func TestUnreadableBodies(t *testing.T) {
	tooLarge := errors.New("too large")
	for _, tt := range []struct {
		name string
		body io.Reader
		want int
	}{
		{"cut off", io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), http.StatusBadRequest},
		{"too slow", iotest.ErrReader(fmt.Errorf("read: %w", os.ErrDeadlineExceeded)), http.StatusRequestTimeout},
		{"too many bodies", iotest.ErrReader(connect.NewError(connect.CodeResourceExhausted, errors.New("later"))), http.StatusServiceUnavailable},
		{"larger than declared", strings.NewReader("abcde"), 0},
		{"larger than the listener allows", iotest.ErrReader(&http.MaxBytesError{Limit: 1}), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", tt.body)
			r.ContentLength = -1
			body, err := plainhttp.ReadBody(r, 4, tooLarge)
			refused, ok := errors.AsType[*plainhttp.Refusal](err)
			switch {
			case body != nil, ok && refused.Status != tt.want, !ok && (tt.want != 0 || !errors.Is(err, tooLarge)):
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := plainhttp.ReadBody(r, 4, tooLarge); connect.CodeOf(err) != connect.CodeCanceled {
		t.Errorf("when the caller has left: %v", err)
	}
	r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("abcd"))
	if body, err := plainhttp.ReadBody(r, 4, tooLarge); string(body) != "abcd" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("abcde"))
	if _, err := plainhttp.ReadBody(r, 4, tooLarge); !errors.Is(err, tooLarge) {
		t.Errorf("declared as too large: %v", err)
	}
}
