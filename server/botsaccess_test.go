package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/server"
	"discordproxy/server/internal/access"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestBotsAccess: clients can use the bots that the auth file gives them, whichever server
// they call and however they name the bot, and see nothing of others.
func TestBotsAccess(t *testing.T) {
	f := newFleet(t)
	first, second, third := addBot(t, f.sb, "first"), addBot(t, f.sb, "second"), addBot(t, f.sb, "third")
	folder := t.TempDir()
	keys := make(map[string]string)
	auth := "clients:\n"
	for name, bots := range map[string]string{"shop": "", "watch": "bots: [first, third]", "root": `bots: ["*"]`} {
		key, hash := server.NewKey()
		keys[name] = key
		auth += fmt.Sprintf("- name: %s\n  hashes: [%q]\n", name, hash)
		if bots != "" {
			auth += "  " + bots + "\n"
		}
	}
	hook := fmt.Sprintf("hooks: [{name: siege, bot: third, secret: 0123456789abcdef01234567, channel: %q}]", f.sb.World().General)
	for name, text := range map[string]string{"auth.yaml": auth, "hooks.yaml": hook} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.config.Token, f.config.Bots = "", []server.BotConfig{first, second, third}
	leader, entry := f.pair(t, func(c *server.Config) {
		c.AuthFile, c.HooksFile = filepath.Join(folder, "auth.yaml"), filepath.Join(folder, "hooks.yaml")
	})
	allowed := map[string][]string{"shop": {"first"}, "watch": {"first", "third"}, "root": {"first", "second", "third"}}
	for _, r := range []*running{leader, entry} {
		for _, bot := range []string{"first", "second", "third"} {
			within(t, func() error { return readyAt(r, "/bots/"+bot) })
		}
		for client, bots := range allowed {
			r.key = keys[client]
			for _, bot := range []string{"", "first", "second", "third"} {
				want := bot
				if want == "" {
					want = "first"
				}
				may := slices.Contains(bots, want)
				for kind, options := range map[string][]connect.ClientOption{
					"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}, "JSON": {connect.WithProtoJSON()},
				} {
					got, err := r.askAs(t.Context(), "", bot, options...)
					switch {
					case may && (got != want || err != nil):
						t.Errorf("%s asks %q by %s: %q %v", client, bot, kind, got, err)
					case !may && (connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "may not use bot "+bot)):
						t.Errorf("%s asks %q by %s: %q %v", client, bot, kind, got, err)
					}
				}
				path := "/api/v10/users/@me"
				if bot != "" {
					path = "/bots/" + bot + path
				}
				if code, text := r.get(path); may != (code == http.StatusOK) || !may && code != http.StatusForbidden {
					t.Errorf("%s asks %s: %d %s", client, path, code, text)
				}
			}
			if code, _ := r.get("/metrics"); (code == http.StatusOK) != (client == "root") {
				t.Errorf("%s asks for the metrics: %d", client, code)
			}
			_, err := r.askAs(t.Context(), "", "fourth")
			if want := `no bot named "fourth": this client may use ` + strings.Join(bots, ", "); connect.CodeOf(err) != connect.CodeNotFound ||
				!strings.HasSuffix(err.Error(), want) {
				t.Errorf("%s asks another bot: %v, want %s", client, err, want)
			}
			fleet, err := r.dashboard.GetFleet(t.Context(), new(pb.GetFleetRequest))
			var names []string
			for _, b := range fleet.GetBots() {
				names = append(names, b.GetName())
			}
			if err != nil || !slices.Equal(names, bots) {
				t.Errorf("%s sees the bots %v: %v", client, names, err)
			}
			for _, replica := range fleet.GetReplicas() {
				for _, led := range replica.GetLeads() {
					if !slices.Contains(bots, led) {
						t.Errorf("%s sees who leads %s", client, led)
					}
				}
			}
		}
		r.key = ""
		for _, bot := range []string{"first", "second", "fourth"} {
			if _, err := r.askAs(t.Context(), "", bot); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("a stranger asks %s: %v", bot, err)
			}
		}
		within(t, func() error { return postText(t.Context(), r, "/hooks/siege/0123456789abcdef01234567") })
		if err := postText(t.Context(), r, "/bots/second/hooks/siege/0123456789abcdef01234567"); err == nil {
			t.Error("a hook of one bot was taken for another one's")
		}
		// Else the limit would show that there is a hook, and of another bot than the first.
		began, tried := time.Now(), 0
		for range 15 {
			for _, path := range []string{"/hooks/siege/guess", "/hooks/unknown/guess"} {
				if err := postText(t.Context(), r, path); err != nil && strings.Contains(err.Error(), "401") {
					tried++
				}
			}
		}
		if more := int(time.Since(began) / access.AttemptInterval); tried == 0 || tried > 10+more {
			t.Errorf("an address tried %d secrets of hooks", tried)
		}
	}
	messages := f.sb.Messages(f.sb.World().General)
	if len(messages) != 2 {
		t.Errorf("%d messages of the hook", len(messages))
	}
	for _, m := range messages {
		if m.Author.Username != "third" {
			t.Errorf("the hook's message is by %s", m.Author.Username)
		}
	}
}

// postText posts a text to a path.
func postText(ctx context.Context, r *running, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address+path, strings.NewReader("hi"))
	if err != nil {
		return err
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}
