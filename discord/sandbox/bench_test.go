package sandbox_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
)

// BenchmarkPostMessage is what a message costs here, without a network.
func BenchmarkPostMessage(b *testing.B) {
	for name, config := range map[string]sandbox.Config{
		"unlimited": {Unlimited: true, MaxMessages: 1000},
		"limited":   {MaxMessages: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			sb := sandbox.New(config)
			if !config.Unlimited {
				sb.SetGlobalLimit(sandbox.GlobalLimit{})
				sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{sendRoute}, Limit: 1e9, Window: 1e9})
			}
			const body = `{"content":"hello there","nonce":"123456789"}`
			target := path("/api/v10/channels/%d/messages", sb.World().General)
			b.ReportAllocs()
			for b.Loop() {
				r := &http.Request{
					Method: "POST", URL: &url.URL{Path: target}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
					Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bot " + sandbox.DefaultToken}},
				}
				w := httptest.NewRecorder()
				sb.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
