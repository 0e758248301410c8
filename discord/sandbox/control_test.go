package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

// remote controls a sandbox over HTTP.
type remote struct {
	t   *testing.T
	url string
}

func (c remote) do(method, path, body string, edit ...func(*http.Request)) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range edit {
		f(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// ok wants success and decodes the answer.
func (c remote) ok(method, path, body string) map[string]any {
	c.t.Helper()
	status, answer := c.do(method, path, body)
	if status/100 != 2 {
		c.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	out := map[string]any{}
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &out); err != nil && answer[0] == '{' {
			c.t.Fatal(err)
		}
	}
	return out
}

func TestControlOverHTTP(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Now: standing()})
	l, err := sb.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer http.DefaultClient.CloseIdleConnections()
	c := remote{t, l.URL}
	r := &rig{Sandbox: sb, t: t, w: sb.World(), client: sb.Client(), auth: "Bot " + sandbox.DefaultToken}

	world := c.ok("GET", "/sandbox/world", "")
	equal(t, "general", world["general"], any(r.w.General.String()))
	id := func(m map[string]any) string { return m["id"].(string) }

	guild := id(c.ok("POST", "/sandbox/guilds", `{"name":"G","owner_id":"1"}`))
	user := id(c.ok("POST", "/sandbox/users", `{"username":"u","bot":true,"token":"second","refuses_dms":true}`))
	role := id(c.ok("POST", "/sandbox/guilds/"+guild+"/roles", `{"name":"r","permissions":"8"}`))
	c.ok("POST", "/sandbox/guilds/"+guild+"/members", fmt.Sprintf(`{"user":"%s","roles":["%s"]}`, user, role))
	channel := id(c.ok("POST", "/sandbox/channels", fmt.Sprintf(`{"name":"c","guild_id":"%s","type":0}`, guild)))
	r.as("Bot second").do("POST", "/channels/"+channel+"/messages", obj{"content": "hi"}).is(200)
	c.ok("PUT", "/sandbox/channels/"+channel+"/overwrites", fmt.Sprintf(`{"id":"%s","type":1,"deny":"1024"}`, user))
	c.ok("POST", "/sandbox/channels/"+channel+"/messages", `{"content":"seeded"}`)
	_, messages := c.do("GET", "/sandbox/channels/"+channel+"/messages", "")
	equal(t, "messages", strings.Count(messages, `"content"`), 2)
	used := c.ok("POST", fmt.Sprintf("/sandbox/channels/%d/interactions", r.w.General), "")
	equal(t, "no answer yet", c.ok("GET", "/sandbox/interactions/"+id(used), "")["answer"], nil)
	r.as("").do("POST", "/interactions/"+id(used)+"/"+used["token"].(string)+"/callback", obj{"type": 4, "data": obj{"content": "pong"}}).is(204)
	answered := c.ok("GET", "/sandbox/interactions/"+id(used), "")
	equal(t, "answer", answered["answer"], any(4.0))
	equal(t, "message", answered["original"], any(r.Messages(r.w.General)[0].ID.String()))
	if status, text := c.do("GET", "/sandbox/interactions/5", ""); status != 404 {
		t.Errorf("an unknown interaction: %d %s", status, text)
	}
	c.ok("GET", "/sandbox/channels", "")
	c.ok("DELETE", "/sandbox/channels/"+channel, "")
	r.do("GET", "/channels/"+channel, nil).is(404, 10003)

	c.ok("PUT", "/sandbox/limits", `{"name":"send","routes":["POST /channels/{channel_id}/messages"],"limit":1,"window":"1m","kind":"fixed","hash":"beef"}`)
	equal(t, "bucket", r.sendTo(r.w.General, obj{"content": "x"}).is(200).header.Get("X-RateLimit-Bucket"), "beef")
	r.sendTo(r.w.General, obj{"content": "x"}).is(429)
	c.ok("POST", "/sandbox/clock", `{"advance":60}`)
	r.sendTo(r.w.General, obj{"content": "x"}).is(200)
	_, limits := c.do("GET", "/sandbox/limits", "")
	if !strings.Contains(limits, `"window":60`) {
		t.Errorf("no window of a minute: %s", limits)
	}
	c.ok("DELETE", "/sandbox/limits/send", "")
	c.ok("DELETE", "/sandbox/limits", "")
	c.ok("PUT", "/sandbox/limits/global", `{"limit":1}`)
	r.do("GET", "/users/@me", nil).is(200)
	r.do("GET", "/users/@me", nil).is(429)
	c.ok("PUT", "/sandbox/limits/global", `{"limit":0}`)
	c.ok("PUT", "/sandbox/limits/invalid", `{"limit":2,"window":"10m","ban":{"for":"1h","shape":"html"}}`)
	c.ok("POST", "/sandbox/bans", `{"for":60,"shape":"json"}`)
	r.do("GET", "/users/@me", nil).is(429)
	c.ok("DELETE", "/sandbox/bans", "")
	c.ok("POST", "/sandbox/bans/global", `{"for":"5s"}`)
	r.do("GET", "/users/@me", nil).is(429)
	c.ok("DELETE", "/sandbox/bans", "")

	fault := c.ok("POST", "/sandbox/faults", `{"route":"/users/@me","status":503,"count":1,"delay":0.001}`)
	r.do("GET", "/users/@me", nil).is(503)
	_, faults := c.do("GET", "/sandbox/faults", "")
	if !strings.Contains(faults, `"hits":1`) {
		t.Errorf("no hit: %s", faults)
	}
	c.ok("DELETE", fmt.Sprintf("/sandbox/faults/%v", fault["id"]), "")
	c.ok("DELETE", "/sandbox/faults", "")
	c.ok("PUT", "/sandbox/latency", `{"request":{"min":0.001},"response":{"min":"1ms","max":"2ms"}}`)
	r.do("GET", "/users/@me", nil).is(200)

	_, calls := c.do("GET", "/sandbox/calls", "")
	if !strings.Contains(calls, `"limited":"global"`) {
		t.Errorf("no global 429 in the log: %s", calls)
	}
	if n := c.ok("GET", "/sandbox/stats", "")["calls"].(float64); n < 10 {
		t.Errorf("%v calls", n)
	}
	c.ok("DELETE", "/sandbox/stats", "")
	c.ok("POST", "/sandbox/reset", "")
	equal(t, "calls after reset", len(sb.Calls()), 0)

	for _, bad := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/sandbox/channels", `{"guild_id":"5"}`, 404, ""},
		{"POST", "/sandbox/channels", `{`, 400, ""},
		{"GET", "/sandbox/channels/x/messages", ``, 400, ""},
		{"POST", "/sandbox/faults", `{"delay":"soon"}`, 400, "soon"},
		{"POST", "/sandbox/faults", `{"cuont":1}`, 400, "cuont"},
		{"PUT", "/sandbox/limits", `{"name":"send","limits":1}`, 400, "limits"},
		{"PUT", "/sandbox/latency", `{"answer":{"min":1}}`, 400, "answer"},
		{"DELETE", "/sandbox/faults/0", ``, 400, "positive"},
		{"GET", "/sandbox/nonsense", ``, 404, "no control GET /sandbox/nonsense"},
	} {
		if status, answer := c.do(bad.method, bad.path, bad.body); status != bad.status || !strings.Contains(answer, `{"error":`) || !strings.Contains(answer, bad.says) {
			t.Errorf("%s %s %s: %d %s", bad.method, bad.path, bad.body, status, answer)
		}
	}
	host := func(r *http.Request) { r.Host = "evil.example" }
	origin := func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }
	for _, edit := range []func(*http.Request){host, origin} {
		if status, _ := c.do("POST", "/sandbox/reset", "", edit); status != http.StatusForbidden {
			t.Errorf("a web page gets %d", status)
		}
	}
}

// TestConcurrency is for the race detector.
func TestConcurrency(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true, Latency: sandbox.Latency{Response: sandbox.Delay{Min: time.Microsecond, Max: time.Millisecond}}})
	w := sb.World()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 50 {
				if status, _, err := post(t.Context(), sb.Client(), "http://discord.com", w); status != 200 || err != nil {
					t.Errorf("%d, %v", status, err)
				}
				switch i {
				case 0:
					_ = sb.Messages(w.General)
				case 1:
					_, _ = sb.Calls(), sb.Stats()
				case 2:
					sb.SetLatency(sandbox.Latency{})
				case 3:
					_ = sb.Channels()
				}
			}
		})
	}
	wg.Wait()
	equal(t, "messages", len(sb.Messages(w.General)), 1000)
}
