package api_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/server/api"
)

// TestOneLineForEachRequest: a request that never becomes a call is logged too, without
// its message.
func TestOneLineForEachRequest(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var lines bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&lines, nil))
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := api.New(api.Config{Discord: client, Logger: logger, MaxMessageBytes: 1000, MaxUploadBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	const send = "/discord_api.DiscordApi/SendChannelMessage"
	good := `{"channelId":"` + sb.World().General.String() + `","content":"contents"}`
	for _, tt := range []struct {
		name, path, contentType, body string
		status                        int
		want                          map[string]any
	}{
		{"call", send, "application/json", good, 200, map[string]any{"level": "INFO", "msg": "call", "method": "SendChannelMessage", "channel_id": float64(sb.World().General), "code": "ok", "tries": 1.0, "protocol": "connect"}},
		{"refused call", send, "application/json", `{"channelId":"5","content":"contents"}`, 404, map[string]any{"level": "WARN", "msg": "call", "code": "not_found", "error": "Discord answered 404 (code 10003): Unknown Channel"}},
		{"not JSON", send, "application/json", `{"content":contents}`, 400, map[string]any{"level": "WARN", "msg": "refused a request that cannot be read", "path": send, "bytes": 20.0}},
		{"too large", send, "application/json", `{"content":"` + strings.Repeat("contents", 200) + `"}`, 429, map[string]any{"level": "WARN", "path": send}},
		{"form", send, "application/x-www-form-urlencoded", "content=contents", 415, map[string]any{"level": "WARN", "content_type": "application/x-www-form-urlencoded"}},
		{"unknown method", "/discord_api.DiscordApi/Nonsense", "application/json", good, 404, map[string]any{"level": "WARN", "path": "/discord_api.DiscordApi/Nonsense"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines.Reset()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader(tt.body))
			req.Header.Set("Content-Type", tt.contentType)
			req.Header.Set("X-Request-Id", "r1")
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if rec.Code != tt.status || rec.Body.Len() == 0 {
				t.Errorf("the answer is %d %q, not %d with a reason", rec.Code, rec.Body, tt.status)
			}
			var line map[string]any
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil { // two lines are no JSON
				t.Fatalf("%v in %q", err, lines.String())
			}
			tt.want["peer"], tt.want["request_id"] = "192.0.2.1:1234", "r1"
			for name, want := range tt.want {
				if line[name] != want {
					t.Errorf("%s is %v, want %v", name, line[name], want)
				}
			}
			if strings.Contains(lines.String(), "contents") {
				t.Errorf("contents are logged: %s", lines.String())
			}
		})
	}
}
