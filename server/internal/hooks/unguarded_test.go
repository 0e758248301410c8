package hooks

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/access"
)

// TestUnguarded: without a guard in front, a hook does nothing, not even show
// what it would send.
func TestUnguarded(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := Parse([]byte("hooks: [{name: alerts, channel: "+sb.World().General.String()+"}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Discord: client, Hooks: hooks, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	clients := http.HandlerFunc(h.serveClient)
	for name, tt := range map[string]struct {
		handler http.Handler
		served  bool
	}{
		"no guard":           {clients, false},
		"a guard, no rules":  {h, true},
		"open for everybody": {access.Everyone(clients), true},
	} {
		for path, status := range map[string]int{"/hooks/alerts": http.StatusOK, "/hooks/alerts?preview": http.StatusOK, "/hooks/other": http.StatusNotFound} {
			if !tt.served {
				status = http.StatusForbidden
			}
			sb.ResetStats()
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(`{"text":"x"}`)))
			if sent := sb.Stats().Calls > 0; w.Code != status || sent != (tt.served && path == "/hooks/alerts") {
				t.Errorf("%s: %s is answered with %d %s after %d calls", name, path, w.Code, w.Body, sb.Stats().Calls)
			}
		}
	}
}
