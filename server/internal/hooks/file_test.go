package hooks_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"discordproxy/server/internal/hooks"
)

// TestFileErrors: an error names the hook and the field, and shows no secret.
func TestFileErrors(t *testing.T) {
	for _, tt := range []struct{ file, text string }{
		{``, "hooks"},
		{`hooks: []`, "line 1"},
		{`hooks: [{name: a, channel: 1, secret: }]`, "line 1"},
		{`hooks: [{name: a, channel: 1, secret: ""}]`, "line 1"},
		{`hooks: [{name: a, channel: 1, colour: red}]`, "colour"},
		{`hooks: [{name: a/b, channel: 1}]`, `hook 1, "a/b": name:`},
		{`hooks: [{name: a, channel: 1}, {name: a, channel: 2}]`, `hook 2, "a": name:`},
		{`hooks: [{name: a}]`, "one of channel, user and webhook, not 0"},
		{`hooks: [{name: a, channel: 1, user: 2}]`, "not 2"},
		{`hooks: [{name: a, channel: x}]`, `channel: "x"`},
		{`hooks: [{name: a, user: 0}]`, `user: "0"`},
		{`hooks: [{name: a, webhook: "https://discord.com/api/webhooks/1"}]`, "webhook: it must be"},
		{`hooks: [{name: a, webhook: "https://discord.com/api/webhooks/x/hush"}]`, `webhook: "x"`},
		{`hooks: [{name: a, channel: 1, thread: 2}]`, "thread: it needs webhook"},
		{`hooks: [{name: a, channel: 1, username: x}]`, "username"},
		{`hooks: [{name: a, channel: 1, secret: hush}]`, "secret: use at least 20"},
		{`hooks: [{name: a, channel: 1, secret: hushhushhushhushhushhush}]`, "secret: use at least 20"},
		{`hooks: [{name: a, channel: 1, secret: hush/efghijklmnopqrstuvwxyz}]`, "secret: use letters"},
		{`hooks: [{name: a, channel: 1, secret: dpkey_hushefghijklmnopqrstuvwxyz}]`, "secret: it is a client key"},
		{`hooks: [{name: a, channel: 1, mentions: [here]}]`, `mentions: "here"`},
		{`hooks: [{name: a, channel: 1, format: xml}]`, `format: "xml"`},
		{`hooks: [{name: a, channel: 1, template: nope}]`, `template: there is no "nope" among alertmanager`},
	} {
		_, err := hooks.Parse([]byte(tt.file), nil)
		if err == nil || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", tt.file, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	h, err := hooks.Parse([]byte(`
hooks:
  - {name: a, channel: 1}
  - {name: b, user: 2, secret: abcdefghijklmnopqrstuvwx, mentions: [users, roles]}
  - {name: c, webhook: "https://discord.com/api/v10/webhooks/3/hush", thread: 4, format: slack, queue: true}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"hook a: channel 1; open to anyone who can reach the server; mentions nobody",
		"hook b: user 2; for its secret; may mention users, roles",
		"hook c: webhook 3, thread 4; open to anyone who can reach the server; mentions nobody; format slack; queued in the outbox",
	}
	if got := h.Describe(false); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	if got := h.Describe(true); !strings.Contains(got[0], "; for clients that may call hooks;") {
		t.Errorf("%s", got[0])
	}
}

const secret = "abcdefghijklmnopqrstuvwx"

// TestSecrets: the secret gives access to its hook in every accepted place, and nothing
// else does. The limit on guesses locks nobody out.
func TestSecrets(t *testing.T) {
	s := serve(t, `hooks: [{name: sec, channel: 7, secret: `+secret+`}, {name: open, channel: 7}]`, nil)
	open := func(when string) {
		t.Helper()
		for _, tt := range [][]string{
			{"/hooks/sec/" + secret},
			{"/hooks//sec/" + secret},
			{"/hooks/sec/" + secret + "/slack"},
			{"/hooks/sec/" + secret + "/github"},
			{"/hooks/sec", "Authorization", "Bearer " + secret},
			{"/hooks/sec", "Authorization", "Basic eDphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3g="},
			{"/hooks/sec", "X-Gitlab-Token", secret},
			{"/hooks/sec", "X-Gotify-Key", secret},
		} {
			if got := s.post(tt[0]+"?preview", "hi", tt[1:]...); got.status != http.StatusOK {
				t.Errorf("%s, %v is answered %d %s", when, tt, got.status, got.body)
			}
		}
	}
	open("first")
	for _, tt := range []struct {
		path   string
		status int
		header []string
	}{
		{"/hooks/sec", 401, nil},
		{"/hooks/sec/" + secret + "x", 401, nil},
		{"/hooks/sec/" + secret + "/x", 401, nil},
		{"/hooks/sec", 401, []string{"Authorization", "Bearer x"}},
		{"/hooks/nope/" + secret, 404, nil},
		{"/hooks/open/" + secret, 401, nil},
		{"/hooks/open", 200, nil},
		{"/hooks/open/slack", 200, nil},
	} {
		if got := s.post(tt.path+"?preview", "hi", tt.header...); got.status != tt.status || strings.Contains(got.body, secret) {
			t.Errorf("%s is answered %d %s", tt.path, got.status, got.body)
		}
	}
	for range 20 {
		s.post("/hooks/sec/guess", "hi")
	}
	if got := s.post("/hooks/sec/guess", "hi"); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("after many guesses: %d %s", got.status, got.body)
	}
	open("after guesses")
	if len(s.discord.sent) != 0 {
		t.Errorf("sent %v", s.discord.sent)
	}
}

// TestUse: new hooks apply from the next request.
func TestUse(t *testing.T) {
	s := serve(t, `hooks: [{name: a, channel: 7}]`, nil)
	other, err := hooks.Parse([]byte(`hooks: [{name: b, channel: 8}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.hooks.Use(other)
	if a, b := s.post("/hooks/a", "hi").status, s.post("/hooks/b", "hi").status; a != 404 || b != 200 || s.discord.sent[0].to != "channel 8" {
		t.Errorf("%d, %d, %v", a, b, s.discord.sent)
	}
	s.hooks.Use(nil)
	if got := s.post("/hooks/b", "hi").status; got != 404 {
		t.Errorf("%d", got)
	}
}

// TestLimits: whatever is in a payload, the message is within Discord's limits in
// UTF-16 code units, and what is cut is reported.
func TestLimits(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	long := strings.Repeat("😀", 5000) // two units each
	got := s.post("/hooks/ops?preview", long, "Content-Type", "text/plain")
	content := got.message()["content"].(string)
	if n := unitsOf(content); n > 2000 || n < 1998 || !strings.HasSuffix(content, "😀…") || got.json["shortened"] != true {
		t.Errorf("%d units, %v", n, got.json["shortened"])
	}
	var fields, embeds []string
	for range 30 {
		fields = append(fields, fmt.Sprintf(`{"name":%q,"value":%q}`, long[:400], long[:40]), `{"name":"","value":""}`)
	}
	embed := fmt.Sprintf(`{"title":%[1]q,"description":%[1]q,"author":{"name":%[1]q},"footer":{"text":%[1]q},"fields":[%s],"color":99999999,"timestamp":"soon","image":{"url":"file:///x"}}`, long, strings.Join(fields, ","))
	for range 12 {
		embeds = append(embeds, embed)
	}
	for _, payload := range []string{
		`{"embeds":[` + strings.Join(embeds, ",") + `]}`,
		`{"embeds":[{"title":"t","fields":[` + strings.Join(fields, ",") + `]}]}`,
		`{"embeds":[` + strings.Repeat(`{"title":"t"},`, 20) + `{}]}`,
		`{"embeds":[{"description":"` + strings.Repeat("a", 4096) + `"},{"description":"` + strings.Repeat("b", 1903) + `","fields":[{"name":"n","value":"v"}]}]}`,
	} {
		got := s.post("/hooks/ops?preview", payload)
		list, _ := got.message()["embeds"].([]any)
		total := 0
		count := func(v any, limit int, required bool) {
			text, _ := v.(string)
			if n := unitsOf(text); n > limit || required && n == 0 {
				t.Errorf("a text of %d units, of at most %d", n, limit)
			}
			total += unitsOf(text)
		}
		for _, e := range list {
			embed := e.(map[string]any)
			count(embed["title"], 256, false)
			count(embed["description"], 4096, false)
			author, _ := embed["author"].(map[string]any)
			count(author["name"], 256, false)
			footer, _ := embed["footer"].(map[string]any)
			count(footer["text"], 2048, false)
			fields, _ := embed["fields"].([]any)
			if len(fields) > 25 {
				t.Errorf("%d fields", len(fields))
			}
			for _, f := range fields {
				count(f.(map[string]any)["name"], 256, true)
				count(f.(map[string]any)["value"], 1024, true)
			}
			if embed["color"] != nil || embed["timestamp"] != nil || embed["image"] != nil {
				t.Errorf("kept %v, %v, %v", embed["color"], embed["timestamp"], embed["image"])
			}
		}
		if len(list) == 0 || len(list) > 10 || total > 6000 || got.json["shortened"] != true {
			t.Errorf("%d embeds of %d units, shortened %v, of %.80s", len(list), total, got.json["shortened"], payload)
		}
	}
}

func unitsOf(s string) (n int) {
	for _, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}
