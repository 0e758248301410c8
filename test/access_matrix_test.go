package test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"discordproxy/discord"
	"discordproxy/server"
	"discordproxy/test/proxytest"
)

// The ids of the matrix: those that clients may use, and one of each kind that
// they may not.
const (
	matrixGuild, matrixChannel, matrixUser = "1100000000000000001", "1100000000000000002", "1100000000000000003"
	foreign                                = "1100000000000000009"
)

// matrixClients are the kinds of clients: what is in the entry, and what
// that means.
var matrixClients = map[string]struct {
	entry      string
	ids        string // kind and id of all that it may use
	untargeted bool
}{
	"channel":    {"channels: [" + matrixChannel + "]", "channel" + matrixChannel, false},
	"guild":      {"guilds: [" + matrixGuild + "]", "guild" + matrixGuild, false},
	"user":       {"users: [" + matrixUser + "]", "user" + matrixUser, false},
	"untargeted": {"channels: [" + matrixChannel + "], untargeted: true", "channel" + matrixChannel, true},
}

// matrixPlaces say where in a request an id is, by the name of its field. The
// header is a place that says nothing.
var matrixPlaces = map[string]func(r *http.Request, name, id string){
	"query": func(r *http.Request, name, id string) { r.URL.RawQuery = name + "=" + id },
	"body":  func(r *http.Request, name, id string) { setJSON(r, fmt.Sprintf(`{%q:%q}`, name, id)) },
	"number": func(r *http.Request, name, id string) {
		setJSON(r, fmt.Sprintf(`{%q:%s}`, name, id))
	},
	"nested": func(r *http.Request, name, id string) { setJSON(r, fmt.Sprintf(`{"x":[{"y":{%q:%q}}]}`, name, id)) },
	"list":   func(r *http.Request, name, id string) { setJSON(r, fmt.Sprintf(`[{%q:%q}]`, name, id)) },
	"payload": func(r *http.Request, name, id string) {
		setForm(r, "payload_json", fmt.Sprintf(`{%q:%q}`, name, id))
	},
	"form":   func(r *http.Request, name, id string) { setForm(r, name, id) },
	"header": func(r *http.Request, name, id string) { r.Header.Set("X-"+strings.ReplaceAll(name, "_", "-"), id) },
}

func setJSON(r *http.Request, body string) {
	r.Header.Set("Content-Type", "application/json")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

func setForm(r *http.Request, name, value string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField(name, value) // a buffer takes everything
	_ = w.Close()
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Body, r.ContentLength = io.NopCloser(&b), int64(b.Len())
}

// allowed is what the matrix expects, by rules of its own: about is what the
// path and, for the two routes that have their target there, the body say.
func allowed(client, route, place, name, id, inPath string) bool {
	c := matrixClients[client]
	var about, others []string
	own := func(kind, own string) string {
		if inPath == "foreign" {
			return kind + foreign
		}
		return kind + own
	}
	_, path, _ := strings.Cut(route, " ")
	if strings.Contains(path, "guilds/{guild_id}") {
		about = append(about, own("guild", matrixGuild))
	}
	if strings.HasPrefix(path, "/channels/{channel_id}") || strings.HasPrefix(path, "/stage-instances/{channel_id}") {
		about = append(about, own("channel", matrixChannel))
	}
	switch {
	case path == "/users/{user_id}":
		about = append(about, own("user", matrixUser))
	case strings.HasPrefix(path, "/lobbies/") && strings.Contains(path, "{user_id}"):
		others = append(others, own("user", matrixUser))
	case strings.HasPrefix(path, "/partner-sdk/dms/"):
		others = append(others, own("user", matrixUser))
	}
	kind := map[string]string{"channel_id": "channel", "guild_id": "guild", "recipient_id": "user"}[name]
	switch {
	case place == "" || place == "header":
	case (place == "body" || place == "number") && (route == "POST /users/@me/channels" && kind == "user" || route == "POST /stage-instances" && kind == "channel"):
		about = append(about, kind+id)
	default:
		others = append(others, kind+id)
	}
	if len(about) == 0 && !c.untargeted {
		return false
	}
	for _, named := range append(about, others...) {
		if named != c.ids {
			return false
		}
	}
	return true
}

// TestAccessMatrix sends a request to every route of Discord as every kind of
// client, with an id in every place, and looks at what gets to Discord.
func TestAccessMatrix(t *testing.T) {
	var arrived atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Audit-Log-Reason") == "matrix" {
			arrived.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"1","username":"bot","discriminator":"0","bot":true}`)
	}))
	t.Cleanup(upstream.Close)
	var rules strings.Builder
	rules.WriteString("clients:\n")
	keys := make(map[string]string)
	for name, c := range matrixClients {
		key, hash := server.NewKey()
		keys[name] = key
		fmt.Fprintf(&rules, "  - {name: %s, hashes: [%q], %s}\n", name, hash, c.entry)
	}
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proxytest.Start(t, "--no-gateway", "--token", "made.up.token", "--discord-api-url", upstream.URL+"/api", "--auth-file", file,
		"--global-rate-limit", "0", "--log-console-level", "ERROR", "--log-file-level", "ERROR")
	p.WaitReady(t)
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)

	other := regexp.MustCompile(`\{[^}]*\}`)
	check := func(kind, route, place, name, id, inPath string) {
		method, path, _ := strings.Cut(route, " ")
		ids := []string{"{guild_id}", matrixGuild, "{channel_id}", matrixChannel, "{user_id}", matrixUser, "{user_id_1}", matrixUser, "{user_id_2}", matrixUser}
		if inPath == "foreign" {
			for i := 1; i < len(ids); i += 2 {
				ids[i] = foreign
			}
		}
		path = other.ReplaceAllString(strings.NewReplacer(ids...).Replace(path), "7")
		req, err := http.NewRequestWithContext(t.Context(), method, p.URL()+"/api/v10"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Audit-Log-Reason", "matrix")
		req.Header.Set("Authorization", "Bot "+keys[kind])
		if place != "" {
			matrixPlaces[place](req, name, id)
		}
		before := arrived.Load()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		want := allowed(kind, route, place, name, id, inPath)
		if got := arrived.Load() > before; got != want || !got && resp.StatusCode != http.StatusForbidden {
			t.Errorf("client %s, %s (%s), %s %s in %q: got to Discord %v with status %d, want %v", kind, route, inPath, name, id, place, got, resp.StatusCode, want)
		}
	}
	for kind := range matrixClients {
		for _, r := range discord.Routes() {
			check(kind, r.Documented, "", "", "", "own")
			check(kind, r.Documented, "", "", "", "foreign")
			for place := range matrixPlaces {
				for name, own := range map[string]string{"channel_id": matrixChannel, "guild_id": matrixGuild, "recipient_id": matrixUser} {
					check(kind, r.Documented, place, name, own, "own")
				}
				check(kind, r.Documented, place, "channel_id", foreign, "own")
			}
		}
		for _, route := range []string{"GET /unknown", "GET /unknown/7", "POST /users/@me", "GET /channels", "GET /channels/{channel_id}/unknown", "GET /guilds/{guild_id}/unknown"} {
			if !matrixClients[kind].untargeted {
				for place := range matrixPlaces {
					check(kind, "GET /unknown", place, "channel_id", matrixChannel, "own")
				}
				method, path, _ := strings.Cut(route, " ")
				path = strings.NewReplacer("{guild_id}", matrixGuild, "{channel_id}", matrixChannel).Replace(path)
				check(kind, method+" "+path, "", "", "", "own")
			}
		}
	}
}
