package listener_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"discordproxy/server/internal/listener"
)

// TestLargeBody: only the requests that may have a large body can have one.
func TestLargeBody(t *testing.T) {
	server := serve(t, listener.Config{
		MaxBodyBytes: 10,
		LargeBody: func(r *http.Request) int64 {
			if r.URL.Path == "/large" {
				return 20
			}
			return 5
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		}),
	})
	for _, client := range []*http.Client{http.DefaultClient, newHTTP2Client(t)} {
		for _, tt := range []struct {
			path string
			size int
			want int
		}{{"/", 10, 200}, {"/", 11, 413}, {"/large", 20, 200}, {"/large", 21, 413}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(tt.path), strings.NewReader(strings.Repeat("x", tt.size)))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != tt.want {
				t.Errorf("%d bytes to %s: %d, want %d", tt.size, tt.path, res.StatusCode, tt.want)
			}
		}
	}
}
