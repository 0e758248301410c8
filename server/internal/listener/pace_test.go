package listener_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
)

// steady is a body that comes at a rate in bytes a second.
type steady struct{ left, rate int }

func (s *steady) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), s.left, s.rate)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	s.left -= n
	return n, nil
}

// TestSlowBodies: a body may take longer than the read timeout if enough of it comes
// in that time.
func TestSlowBodies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rate  int // bytes a second
		size  int
		after time.Duration // when it ends
		taken bool
	}{
		{"fast enough", 32 << 10, 200 * 32 << 10, 200 * time.Second, true},
		{"just fast enough", 16 << 10, 400 * 16 << 10, 400 * time.Second, true},
		{"too slow", 8 << 10, 400 * 8 << 10, 2 * time.Minute, false},
		{"small and slow", 10, 59 * 10, 59 * time.Second, true},
		{"small and too slow", 10, 100 * 10, time.Minute, false},
	} {
		for name, protocols := range map[string]func(*http.Protocols){
			"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
			"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
		} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				type result struct {
					n     int64
					after time.Duration
				}
				got := make(chan result, 1)
				handler := func(_ http.ResponseWriter, r *http.Request) {
					began := time.Now()
					n, _ := io.Copy(io.Discard, r.Body)
					got <- result{n, time.Since(began)}
				}
				withPipes(t, handler, func(t *testing.T, p *pipes) {
					transport := &http.Transport{
						DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil },
						Protocols:   new(http.Protocols),
					}
					protocols(transport.Protocols)
					defer transport.CloseIdleConnections()
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", &steady{tt.size, tt.rate})
					if err != nil {
						t.Fatal(err)
					}
					req.ContentLength = int64(tt.size)
					if res, err := transport.RoundTrip(req); err == nil {
						_ = res.Body.Close()
					}
					r := <-got
					if taken := r.n == int64(tt.size); taken != tt.taken || (r.after-tt.after).Abs() > 15*time.Second {
						t.Errorf("%d of %d bytes came in %v, want an end after %v", r.n, tt.size, r.after, tt.after)
					}
				})
			})
		}
	}
}

// TestStreamsHaveNoBound: a stream of messages may be longer than any body, and counts
// as one of the largest size.
func TestStreamsHaveNoBound(t *testing.T) {
	server := serve(t, listener.Config{
		MaxBodyBytes: 1000, MaxHeldBodyBytes: 3000,
		IsStream: func(r *http.Request) bool { return r.URL.Path == "/stream" },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		}),
	})
	for range 5 { // what a stream counted is given back
		for _, client := range []*http.Client{http.DefaultClient, newHTTP2Client(t)} {
			for path, want := range map[string]int{"/stream": 200, "/": 413} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(path), strings.NewReader(strings.Repeat("x", 100_000)))
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != want {
					t.Errorf("100,000 bytes to %s: %d, want %d", path, res.StatusCode, want)
				}
			}
		}
	}
}
