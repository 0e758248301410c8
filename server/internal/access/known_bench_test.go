package access_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/server/internal/access"
)

// BenchmarkGuard lets requests in, by a key and by an address, past rules with more
// and more clients.
func BenchmarkGuard(b *testing.B) {
	for _, clients := range []int{1, 1_000, 20_000} {
		var file strings.Builder
		file.WriteString("clients:\n")
		var last string
		for i := range clients {
			key, hash := access.NewKey()
			fmt.Fprintf(&file, "- {name: client-%d, hashes: [%q], addresses: [10.%d.%d.0/24]}\n", i, hash, i>>8, i&255)
			last = key
		}
		rules, err := access.Parse([]byte(file.String()), defaults)
		if err != nil {
			b.Fatal(err)
		}
		guard := access.New(access.Config{Rules: rules, Logger: slog.New(slog.DiscardHandler)})
		served := 0
		handler := guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }),
			func(_ http.ResponseWriter, _ *http.Request, err error) { b.Error(err) })
		for by, change := range map[string]func(*http.Request){
			"key":     func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+last) },
			"address": func(r *http.Request) { r.RemoteAddr = fmt.Sprintf("10.%d.%d.7:1", (clients-1)>>8, (clients-1)&255) },
		} {
			b.Run(fmt.Sprintf("%d clients/%s", clients, by), func(b *testing.B) {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
				change(r)
				w := httptest.NewRecorder()
				b.ReportAllocs()
				for b.Loop() {
					again := *r // the guard changes it
					handler.ServeHTTP(w, &again)
				}
			})
		}
		if served == 0 {
			b.Error("nothing was served")
		}
	}
}
