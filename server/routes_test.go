package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestMistypedPaths: a path with a slash too many, or with the name
// of a method alone, gets a 404 that names the right one, and no redirect.
func TestMistypedPaths(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	const method = "/discord_api.DiscordApi/SendDirectMessage"
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range []struct {
		verb, path string
		status     int
		want       string
	}{
		{"POST", method + "/", 404, `"message":"there is no ` + method + `/: use ` + method + `"`},
		{"POST", "/" + method, 404, ": use " + method},
		{"POST", strings.ReplaceAll(method, "/", "//"), 404, ": use " + method},
		{"POST", "/SendDirectMessage", 404, ": use " + method},
		{"POST", "/discordproxy.DiscordApi/sendDirectMessage", 404, ": use " + method},
		{"POST", "/grpc.health.v1.Health/Check/", 404, ": use /grpc.health.v1.Health/Check"},
		{"POST", "/discord_api.DiscordApi/Nothing", 404, "there is no /discord_api.DiscordApi/Nothing"},
		{"POST", "/metrics", 405, "Method Not Allowed"},
		{"PUT", "/docs", 405, "Method Not Allowed"},
		{"POST", "/dashboard/app.js", 405, "Method Not Allowed"},
		{"GET", "/healthz/", 404, ": use /healthz"},
		{"GET", "//readyz", 404, ": use /readyz"},
		{"GET", "/metrics/", 404, ": use /metrics"},
		{"GET", "/openapi.json/", 404, ": use /openapi.json"},
		{"GET", "/docs//", 404, ": use /docs/"},
		{"GET", "//", 404, ": use /"},
		{"GET", "/dashboard//app.js", 404, ": use /dashboard/app.js"},
		{"GET", "/a/../healthz", 404, ": use /healthz"},
		{"GET", "/v10/users/@me", 404, ": use /api/v10/users/@me"},
		{"GET", "//api/v10/users/@me", 404, ": use /api/v10/users/@me\n"},
		{"POST", "//api/v10/users/@me/", 404, `: use /api/v10/users/@me"`},
		{"GET", "//api/users/@me", 404, ": use /api/users/@me\n"},
		{"GET", "/api//v10/users/@me", 404, `, use /api/v10/users/@me"`},
		{"GET", "/api/v10/users/@me/", 404, "use /api/v10/users/@me"},
		{"GET", "/api/v10//channels/5/messages", 404, "use /api/v10/channels/{channel_id}/messages"},
		{"GET", "/nothing", 404, "there is no /nothing"},
		{"GET", "/healthz", 200, "alive"},
		{"GET", "/docs/", 200, "<html"},
		{"GET", "/docs", 301, ""},
		{"GET", "/", 200, "<html"},
		{"GET", "/dashboard/app.js", 200, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.verb, p.URL()+tt.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if tt.verb == "POST" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
			t.Errorf("%s %s: %d %.300s %v", tt.verb, tt.path, resp.StatusCode, body, err)
		}
	}
}
