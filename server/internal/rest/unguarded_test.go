package rest

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

// TestUnguarded: without a guard in front, no request is passed on.
func TestUnguarded(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(Config{Discord: client, Logger: slog.New(slog.DiscardHandler)})
	for name, tt := range map[string]struct {
		handler http.Handler
		status  int
		calls   int
	}{
		"no guard":           {h, http.StatusForbidden, 0},
		"a guard, no rules":  {(*access.Guard)(nil).Handler(h, nil), http.StatusOK, 1},
		"open for everybody": {access.Everyone(h), http.StatusOK, 1},
	} {
		for _, r := range []*http.Request{
			httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v10/users/@me", nil),
			httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v10/channels/"+sb.World().General.String()+"/messages", strings.NewReader(`{"content":"x"}`)),
		} {
			sb.ResetStats()
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, r)
			if w.Code != tt.status || sb.Stats().Calls != tt.calls {
				t.Errorf("%s: %s is answered with %d %s after %d calls", name, r.URL.Path, w.Code, w.Body, sb.Stats().Calls)
			}
		}
	}
}
