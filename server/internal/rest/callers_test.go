package rest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/access"
	"discordproxy/test/proxytest"
)

// TestVersions: the version that the caller wrote, none included, is the one
// that Discord is asked for, and that answers of the proxy's own are in.
func TestVersions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Limits: []sandbox.Limit{
		{Name: "member", Routes: []string{"PATCH /guilds/{guild_id}/members/{user_id}"}, Limit: 2, Window: 4 * time.Minute, Kind: sandbox.Fixed},
	}})
	p := proxytest.Against(t, sb)
	w := sb.World()
	for _, tt := range []struct {
		version      string
		status       int
		form         string
		milliseconds bool
	}{
		{"", 204, `{"nick":["Must be 32 or fewer in length."]}`, true},
		{"/v6", 204, `{"nick":["Must be 32 or fewer in length."]}`, true},
		{"/v7", 204, `{"nick":["Must be 32 or fewer in length."]}`, true},
		{"/v8", 200, `{"message":"Invalid Form Body","code":50035,`, false},
		{"/v9", 200, `{"message":"Invalid Form Body","code":50035,`, false},
		{"/v10", 200, `{"message":"Invalid Form Body","code":50035,`, false},
	} {
		t.Run("version"+strings.TrimPrefix(tt.version, "/"), func(t *testing.T) {
			path := fmt.Sprintf("/api%s/guilds/%s/members/%s", tt.version, w.Guild, w.Bob)
			as := []string{"Authorization", "Bot version" + tt.version}
			if err := sb.AddToken(as[1], w.Bot); err != nil {
				t.Fatal(err)
			}
			if a := send(t, p, "PATCH", path, `{"nick":"`+strings.Repeat("x", 33)+`"}`, as...); a.status != 400 || !strings.HasPrefix(a.body, tt.form) {
				t.Errorf("a form error is %d %s", a.status, a.body)
			}
			if a := send(t, p, "PATCH", path, `{"nick":"bobby"}`, as...); a.status != tt.status {
				t.Errorf("a success is %d %s", a.status, a.body)
			}
			a := send(t, p, "PATCH", path, `{"nick":"bob"}`, append(as, "X-Proxy-Timeout", "5")...)
			var body limited
			if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != 429 {
				t.Fatalf("beyond the deadline: %d %s", a.status, a.body)
			}
			wait, err := strconv.ParseFloat(a.header.Get("Retry-After"), 64)
			if err != nil {
				t.Fatal(err)
			}
			const least, most = 120, 241 // seconds
			if tt.milliseconds {
				if body.RetryAfter < least*1000 || body.RetryAfter > most*1000 || body.RetryAfter != math.Trunc(body.RetryAfter) || wait != body.RetryAfter {
					t.Errorf("waits are %v and %v, want milliseconds", body.RetryAfter, wait)
				}
			} else if body.RetryAfter < least || body.RetryAfter > most || wait != math.Ceil(body.RetryAfter) {
				t.Errorf("waits are %v and %v, want seconds", body.RetryAfter, wait)
			}
		})
	}
}

// TestForms: forms are passed on unchanged, on every route.
func TestForms(t *testing.T) {
	type seen struct{ path, contentType, body string }
	var got []seen
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		got = append(got, seen{r.URL.Path, r.Header.Get("Content-Type"), string(body)})
		w.Header().Set("Via", "1.1 google")
		w.WriteHeader(http.StatusNoContent)
		return true
	})
	for _, want := range []seen{
		{"/api/webhooks/1/token", "application/x-www-form-urlencoded", "content=hello"},
		{"/api/webhooks/1/token/slack", "application/x-www-form-urlencoded", "payload=%7B%22text%22%3A%22hi%22%7D"},
		{"/api/v8/webhooks/1/token/github", "application/x-www-form-urlencoded; charset=UTF-8", "payload=%7b%7d"},
		{"/api/v10/channels/1/messages", "application/x-www-form-urlencoded", "content=a+b&content=%zz&;"},
		{"/api/v10/interactions/1/token/callback", "application/x-www-form-urlencoded", "payload_json=%7B%22type%22%3A5%7D"},
		{"/api/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials"},
	} {
		got = nil
		a := send(t, p, "POST", want.path, want.body, "Content-Type", want.contentType)
		if a.status != http.StatusNoContent || len(got) != 1 || got[0] != want {
			t.Errorf("%v is answered %d %s, and came as %v", want, a.status, a.body, got)
		}
	}
	for _, contentType := range []string{"text/plain", "application/xml", ""} {
		if a := send(t, p, "POST", "/api/webhooks/1/token", "x", "Content-Type", contentType); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q is answered %d %s", contentType, a.status, a.body)
		}
	}
}

// guarded starts a server with the entries of an auth file.
func guarded(t *testing.T, sb *sandbox.Sandbox, clients string, args ...string) *proxytest.Proxy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, []byte("clients: ["+clients+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return proxytest.Against(t, sb, append([]string{"--auth-file", file}, args...)...)
}

// TestTimeouts: a caller that waits for a fixed time gets a 429 as soon as its
// turn is known to come later, whether or not it says how long it waits.
func TestTimeouts(t *testing.T) {
	key := func(entry string) (string, string) {
		key, hash := access.NewKey()
		return "Bearer " + key, fmt.Sprintf("{name: %s, hashes: [%q]%s}", key[6:16], hash, entry)
	}
	short, shortEntry := key(", timeout: 1s")
	seconds, secondsEntry := key(", timeout: 1.5")
	never, neverEntry := key(", timeout: 0")
	plain, plainEntry := key("")
	sb := slow(20 * time.Second)
	p := guarded(t, sb, strings.Join([]string{shortEntry, secondsEntry, neverEntry, plainEntry}, ", "), "--rest-timeout", "2s")
	path := messages(sb.World().General)
	for range 5 {
		send(t, p, "POST", path, `{"content":"x"}`, "Authorization", plain)
	}
	for name, as := range map[string][]string{
		"client's timeout":   {"Authorization", short},
		"in seconds":         {"Authorization", seconds},
		"server's timeout":   {"Authorization", plain},
		"the header's":       {"Authorization", never, "X-Proxy-Timeout", "1"},
		"the header's, long": {"Authorization", short, "X-Proxy-Timeout", "2.5"},
	} {
		a := send(t, p, "POST", path, `{"content":"y"}`, as...)
		var body limited
		err := json.Unmarshal([]byte(a.body), &body)
		if a.status != http.StatusTooManyRequests || err != nil || body.RetryAfter < 3 || a.header.Get("Retry-After") != fmt.Sprint(math.Ceil(body.RetryAfter)) {
			t.Errorf("%s: answered %d %s, %v", name, a.status, a.body, a.header)
		}
	}
	// Those wait for their turn.
	ended := make(chan answer, 2)
	for _, as := range [][]string{{"Authorization", never}, {"Authorization", short, "X-Proxy-Timeout", "60"}} {
		go func() {
			a, _ := try(t.Context(), p, "POST", path, `{"content":"waited"}`, as...)
			ended <- a
		}()
	}
	for range 2 {
		if a := <-ended; a.status != http.StatusOK {
			t.Errorf("who waits longer was answered %d %s", a.status, a.body)
		}
	}
	if got := sb.Stats().Statuses[http.StatusTooManyRequests]; got > 0 {
		t.Errorf("Discord was asked %d times too early", got)
	}
	for _, entry := range []string{"timeout: -1", "timeout: soon", "timeout: NaN", "timeout: 2000h", "timeout:"} {
		_, hash := access.NewKey()
		if _, err := access.Parse(fmt.Appendf(nil, "clients: [{name: a, hashes: [%q], %s}]", hash, entry), access.Defaults{}); err == nil {
			t.Errorf("%s passes", entry)
		}
	}
}

// TestLocations: a redirect to another address of Discord points to the proxy.
func TestLocations(t *testing.T) {
	var location string
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/old") {
			return false
		}
		w.Header()["Location"] = []string{strings.ReplaceAll(location, "HOST", r.Host)}
		w.WriteHeader(http.StatusMovedPermanently)
		return true
	})
	for _, tt := range []struct{ path, location, want string }{
		{"/api/v10/guilds/old", "https://discord.com/api/v10/guilds/1?a=b%20c#d", "/api/v10/guilds/1?a=b%20c#d"},
		{"/api/old", "https://discord.com/api/v10/guilds/1", "/api/v10/guilds/1"},
		{"/api/v10/old", "//canary.discord.com/api/v9/x%2Fy", "/api/v9/x%2Fy"},
		{"/api/webhooks/old/token", "https://DISCORDAPP.com/api/webhooks/1/token", "/api/webhooks/1/token"},
		{"/api/v10/guilds/old", "http://HOST/api/v10/guilds/1", "/api/v10/guilds/1"},
		{"/api/v10/guilds/old", "/api/v10/guilds/1", "/api/v10/guilds/1"},
		{"/api/old", "https://discord.com/api/name:3/x", "/api/name:3/x"},
		{"/api/v10/guilds/old", "https://cdn.discordapp.com/icons/1/2.png", "https://cdn.discordapp.com/icons/1/2.png"},
		{"/api/v10/guilds/old", "https://discord.com/login", "https://discord.com/login"},
		{"/api/v10/guilds/old", "https://discord.com.example/api/v10/x", "https://discord.com.example/api/v10/x"},
	} {
		location = tt.location
		a := send(t, p, "GET", tt.path, "")
		if a.status != http.StatusMovedPermanently {
			t.Errorf("%s is answered %d %s", tt.path, a.status, a.body)
			continue
		}
		if got := resolve(t, "http://proxy"+tt.path, a.header.Get("Location")); got != resolve(t, "http://proxy/", tt.want) {
			t.Errorf("%s from %s leads to %s (%s)", tt.location, tt.path, got, a.header.Get("Location"))
		}
	}
}

// resolve returns the address to which a Location leads.
func resolve(t *testing.T, from, location string) string {
	t.Helper()
	base, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	to, err := base.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return to.String()
}

// TestLocationsWithKeys: a key in the path stays there.
func TestLocationsWithKeys(t *testing.T) {
	key, hash := access.NewKey()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "clients: [{name: a, hashes: [%q]}]", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v10/guilds/old" {
			return false
		}
		w.Header().Set("Location", "https://discord.com/api/v10/guilds/1")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}, "--auth-file", file)
	a := send(t, p, "GET", "/k/"+key+"/api/v10/guilds/old", "")
	if got := resolve(t, "http://proxy/k/"+key+"/api/v10/guilds/old", a.header.Get("Location")); got != "http://proxy/k/"+key+"/api/v10/guilds/1" {
		t.Errorf("%d leads to %s", a.status, got)
	}
}

// TestLimitHeaders: they can be left out of Discord's answers. A 429 of the
// proxy's own names no scope that it does not know.
func TestLimitHeaders(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	names := []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset", "X-Ratelimit-Reset-After", "X-Ratelimit-Bucket"}
	for _, tt := range []struct {
		flags []string
		shown bool
	}{
		{nil, true},
		{[]string{"--rest-ratelimit-headers=true"}, true},
		{[]string{"--rest-ratelimit-headers=false"}, false},
	} {
		p := proxytest.Against(t, sb, tt.flags...)
		for path, status := range map[string]int{"/api/v10/channels/" + w.General.String(): 200, "/api/v10/channels/" + w.Forbidden.String(): 403} {
			a := send(t, p, "GET", path, "")
			if a.status != status || a.header.Get("Via") == "" {
				t.Errorf("%s is answered %d %s", path, a.status, a.body)
			}
			for _, name := range names {
				if _, shown := a.header[name]; shown != tt.shown {
					t.Errorf("with %v, an answer %d has %s: %t", tt.flags, status, name, shown)
				}
			}
		}
	}
	key, hash := access.NewKey()
	p := guarded(t, sb, fmt.Sprintf("{name: a, hashes: [%q], rate: 0.01}", hash))
	var last answer
	for range 2 {
		last = send(t, p, "GET", "/api/v10/users/@me", "", "Authorization", "Bearer "+key, "X-Proxy-Timeout", "5")
	}
	if _, scoped := last.header["X-Ratelimit-Scope"]; last.status != http.StatusTooManyRequests || scoped || last.header.Get("Retry-After") == "" {
		t.Errorf("the client's own rate answers %d %v", last.status, last.header)
	}
}

// TestBotTokenWithKeys: the bot's own token opens plain REST and nothing else.
func TestBotTokenWithKeys(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	_, hash := access.NewKey()
	p := guarded(t, sb, fmt.Sprintf("{name: a, hashes: [%q]}", hash))
	for _, tt := range []struct {
		authorization string
		status        int
	}{
		{"Bot " + w.Token, 200},
		{"bot " + w.Token, 200},
		{"Bearer " + w.Token, 401},
		{w.Token, 401},
		{"Bot " + w.Token + "x", 401},
		{"Bot " + w.Token[:len(w.Token)-1], 401},
		{"Bot discordproxy", 401},
		{"Bot ", 401},
	} {
		if a := send(t, p, "GET", "/api/v10/users/@me", "", "Authorization", tt.authorization); a.status != tt.status {
			t.Errorf("%q is answered %d %s", tt.authorization, a.status, a.body)
		}
	}
	if a := send(t, p, "POST", "/discord_api.DiscordApi/GetCurrentUser", "{}", "Authorization", "Bot "+w.Token); a.status != http.StatusUnauthorized {
		t.Errorf("a typed call is answered %d %s", a.status, a.body)
	}
	if a := send(t, p, "GET", "/metrics", "", "Authorization", "Bot "+w.Token); a.status != http.StatusUnauthorized {
		t.Errorf("/metrics is answered %d", a.status)
	}
	// An entry that knows the caller otherwise decides.
	q := guarded(t, sb, `{name: auth, addresses: ["127.0.0.0/8"], methods: ["GET /users/@me"]}`)
	for path, status := range map[string]int{"/api/users/@me": 200, "/api/gateway/bot": 403} {
		if a := send(t, q, "GET", path, "", "Authorization", "Bot "+w.Token); a.status != status {
			t.Errorf("%s is answered %d %s", path, a.status, a.body)
		}
	}
}
