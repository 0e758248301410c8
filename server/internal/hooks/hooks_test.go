package hooks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"discordproxy/discord"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/rpc"
)

// sent is a message that reached Discord.
type sent struct {
	to     string
	fields map[string]any
}

// recorder is a Discord that keeps what it gets.
type recorder struct {
	mu   sync.Mutex
	sent []sent
	err  error
	hold chan struct{} // nil means that nothing waits
}

func (r *recorder) take(to string, fields discord.Args) (json.RawMessage, error) {
	if r.hold != nil {
		<-r.hold
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	if err := json.Unmarshal(data, &plain); err != nil {
		return nil, err
	}
	r.sent = append(r.sent, sent{to, plain})
	return json.RawMessage(`{"id":"99","channel_id":"7"}`), nil
}

func (r *recorder) CreateMessage(_ context.Context, _ *discord.Caller, id uint64, m discord.Message) (json.RawMessage, error) {
	return r.take(fmt.Sprint("channel ", id), m.Fields)
}

func (r *recorder) SendDirectMessage(_ context.Context, _ *discord.Caller, id uint64, m discord.Message) (json.RawMessage, error) {
	return r.take(fmt.Sprint("user ", id), m.Fields)
}

func (r *recorder) Call(_ context.Context, _ *discord.Caller, op discord.Operation, args discord.Args, _ ...discord.File) (json.RawMessage, error) {
	return r.take(op.Name, args)
}

type server struct {
	*testing.T
	handler http.Handler
	hooks   *hooks.Handler
	discord *recorder
}

// serve serves the hooks of a file; change, if not nil, changes the Config.
func serve(t *testing.T, file string, change func(*hooks.Config), templates ...map[string]string) *server {
	t.Helper()
	s := &server{T: t, discord: new(recorder)}
	var own *hooks.Templates
	for _, files := range templates {
		var err error
		if own, err = hooks.NewTemplates(files); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := hooks.Parse([]byte(file), own)
	if err != nil {
		t.Fatal(err)
	}
	c := hooks.Config{Discord: s.discord, Hooks: parsed}
	if change != nil {
		change(&c)
	}
	if s.hooks, err = hooks.New(c); err != nil {
		t.Fatal(err)
	}
	s.handler = hooks.PathSecrets(rpc.WithRequestID(s.hooks))
	return s
}

type response struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (s *server) do(method, path, body string, header ...string) response {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	out := response{status: w.Code, header: w.Header(), body: w.Body.String()}
	if method != http.MethodHead {
		if err := json.Unmarshal(w.Body.Bytes(), &out.json); err != nil {
			s.Fatalf("%s %s answered %d %q", method, path, w.Code, w.Body)
		}
	}
	return out
}

func (s *server) post(path, body string, header ...string) response {
	s.Helper()
	return s.do(http.MethodPost, path, body, header...)
}

// message returns the message of a preview.
func (r response) message() map[string]any {
	m, _ := r.json["message"].(map[string]any)
	return m
}

const form = "application/x-www-form-urlencoded"

// TestTexts: what curl -d sends is a text unless it is a form with a known field.
func TestTexts(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for _, tt := range []struct{ name, contentType, body, format, content string }{
		{"curl -d", form, "backup done", "text", "backup done"},
		{"an equals sign", form, "load=3 & rising", "text", "load=3 & rising"},
		{"a percent sign", form, "disk 100% full", "text", "disk 100% full"},
		{"a field content", form, "content=a+b%21&username=x", "discord", "a b!"},
		{"a field message", form, "message=a%20b", "generic", "a b"},
		{"a field text", form, "text=a", "generic", "a"},
		{"a document in a form", form, "payload=%7B%22text%22%3A%22a+*b*%22%7D", "slack", "a **b**"},
		{"JSON without a type", form, `{"content":"x"}`, "discord", "x"},
		{"JSON that is none", form, `{x`, "text", "{x"},
		{"no type", "", "hi", "text", "hi"},
		{"JSON as text", "text/plain", `{"content":"x"}`, "text", `{"content":"x"}`},
		{"text called JSON", "application/json", "hi", "text", "hi"},
		{"a number", "application/json", `{"content":5}`, "discord", "5"},
		{"lines", "text/plain; charset=utf-8", "a\nb\n", "text", "a\nb"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.post("/hooks/ops?preview", tt.body, "Content-Type", tt.contentType)
			if got.status != 200 || got.json["format"] != tt.format || got.message()["content"] != tt.content {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	got := s.post("/hooks/ops?preview", "done", "Title", "Backup", "Priority", "high", "Tags", "db1", "X-Click", "https://example.org")
	embed := got.message()["embeds"].([]any)[0].(map[string]any)
	if embed["title"] != "Backup" || embed["description"] != "done" || embed["url"] != "https://example.org" || embed["color"] != float64(0xE01E5A) {
		t.Errorf("ntfy's headers become %v", embed)
	}
	if len(s.discord.sent) != 0 {
		t.Errorf("previews sent %v", s.discord.sent)
	}
}

func TestMultipart(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	part := func(disposition, body string) string {
		return "--x\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + body + "\r\n--x--\r\n"
	}
	got := s.post("/hooks/ops?preview", part(`name="payload_json"`, `{"content":"a"}`), "Content-Type", "multipart/form-data; boundary=x")
	if got.message()["content"] != "a" {
		t.Errorf("%d %s", got.status, got.body)
	}
	got = s.post("/hooks/ops?preview", part(`name="files[0]"; filename="a.txt"`, "a"), "Content-Type", "multipart/form-data; boundary=x")
	if got.status != 415 || !strings.Contains(got.body, "files[0]") {
		t.Errorf("a file is answered %d %s", got.status, got.body)
	}
}

// TestTargets: a message is sent to the target of the hook.
func TestTargets(t *testing.T) {
	s := serve(t, `
hooks:
  - {name: c, channel: 7}
  - {name: u, user: 8}
  - {name: w, webhook: "https://discord.com/api/webhooks/9/tok", thread: 10, username: Bot}
`, nil)
	for _, name := range []string{"c", "u", "w"} {
		got := s.post("/hooks/"+name, `{"content":"hi","avatar_url":"https://example.org/a.png"}`, "Content-Type", "application/json", "Idempotency-Key", "k1")
		if got.status != 200 || got.json["sent"] != true || got.json["id"] != "99" || got.json["channel_id"] != "7" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	s.post("/hooks/c", "hi", "Idempotency-Key", "k1")
	s.post("/hooks/c", "hi", "Idempotency-Key", "k2")
	all := s.discord.sent
	if all[0].to != "channel 7" || all[1].to != "user 8" || all[2].to != "execute_webhook" {
		t.Errorf("sent to %v", all)
	}
	w := all[2].fields
	if w["webhook_id"] != 9.0 || w["webhook_token"] != "tok" || w["thread_id"] != 10.0 || w["wait"] != true || w["username"] != "Bot" || w["avatar_url"] != "https://example.org/a.png" {
		t.Errorf("the webhook got %v", w)
	}
	if all[0].fields["avatar_url"] != nil || all[0].fields["username"] != nil {
		t.Errorf("the channel got %v", all[0].fields)
	}
	first, again, other := all[0].fields["nonce"], all[3].fields["nonce"], all[4].fields["nonce"]
	if first == nil || first != again || first == other || len(first.(string)) > discord.MaxNonceLength {
		t.Errorf("the nonces are %v, %v and %v", first, again, other)
	}
}

// TestMentions: a payload can mention only what the hook allows.
func TestMentions(t *testing.T) {
	for _, tt := range []struct{ mentions, given, want string }{
		{"", ``, `{"parse":[]}`},
		{"", `{"parse":["everyone","users","roles"],"users":["1"]}`, `{"parse":[]}`},
		{"users", ``, `{"parse":["users"]}`},
		{"users", `{"parse":["everyone"]}`, `{"parse":[]}`},
		{"users", `{"users":["1","x"],"roles":["2"]}`, `{"parse":[],"users":["1"]}`},
		{"users, everyone", `{"parse":["users","everyone"],"users":["1"]}`, `{"parse":["users","everyone"]}`},
		{"roles", `{"parse":[],"roles":[2]}`, `{"parse":[],"roles":["2"]}`},
		{"roles", `{"parse":"everyone"}`, `{"parse":[]}`},
		{"users", `"everyone"`, `{"parse":["users"]}`},
	} {
		file := "hooks: [{name: ops, channel: 7}]"
		if tt.mentions != "" {
			file = "hooks: [{name: ops, channel: 7, mentions: [" + tt.mentions + "]}]"
		}
		body := `{"content":"@everyone"}`
		if tt.given != "" {
			body = `{"content":"@everyone","allowed_mentions":` + tt.given + `}`
		}
		got := serve(t, file, nil).post("/hooks/ops?preview", body)
		allowed, err := json.Marshal(got.message()["allowed_mentions"])
		if err != nil || string(allowed) != tt.want {
			t.Errorf("mentions %q and %s allow %s, want %s", tt.mentions, tt.given, allowed, tt.want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, func(c *hooks.Config) { c.MaxBodyBytes = 1000 })
	const js = "application/json"
	for _, tt := range []struct {
		name, method, path, contentType, body string
		status                                int
		text                                  string
	}{
		{"unknown hook", "POST", "/hooks/nope", js, "{}", 404, "no hook of this name"},
		{"no name", "POST", "/hooks/", js, "{}", 404, "no hook of this name"},
		{"GET", "GET", "/hooks/ops", "", "", 405, "use POST"},
		{"a thread", "POST", "/hooks/ops?wait=true&thread_id=5", js, "{}", 400, "?preview"},
		{"another query", "POST", "/hooks/ops?previews", js, "{}", 400, "?preview"},
		{"empty", "POST", "/hooks/ops", "text/plain", " \n", 400, "the body is empty"},
		{"broken JSON", "POST", "/hooks/ops", js, `{"a":`, 400, "at byte 5"},
		{"JSON and more", "POST", "/hooks/ops", js, `{} {}`, 400, "more follows"},
		{"not text", "POST", "/hooks/ops", "text/plain", "\xff", 400, "UTF-8"},
		{"a picture", "POST", "/hooks/ops", "image/png", "x", 415, "image/png"},
		{"an unreadable type", "POST", "/hooks/ops", "a/b/c", "x", 415, "a/b/c"},
		{"too large", "POST", "/hooks/ops", js, strings.Repeat(" ", 1001), 413, "at most 1000 bytes"},
		{"a broken document", "POST", "/hooks/ops", form, "payload=%7B", 400, "field payload"},
		{"embeds", "POST", "/hooks/ops", js, `{"embeds":{"title":"x"}}`, 400, "embeds must be a list"},
		{"an embed", "POST", "/hooks/ops", js, `{"embeds":["x"]}`, 400, "embeds.0 must be an object"},
		{"content", "POST", "/hooks/ops", js, `{"content":["x"]}`, 400, "content must be a text"},
		{"components", "POST", "/hooks/ops", js, `{"components":[{"type":1}]}`, 400, "webhook"},
		{"nothing to say", "POST", "/hooks/ops", js, `{"content":" "}`, 400, "no text"},
		{"an empty embed", "POST", "/hooks/ops", js, `{"embeds":[{}]}`, 400, "no text"},
		{"an embed of nothing but a color", "POST", "/hooks/ops", js, `{"content":" ","embeds":[{"color":1,"title":" "}]}`, 400, "no text"},
		{"a picture that Discord cannot reach", "POST", "/hooks/ops?preview", js, `{"embeds":[{"image":{"url":"http://grafana:3000/a.png"}}]}`, 400, "no text"},
		{"attachments", "POST", "/hooks/ops", js, `{"text":"a","attachments":[1]}`, 400, "attachments must be"},
		{"a template", "POST", "/hooks/ops", js, `{"object_kind":"issue","project":1,"object_attributes":"x"}`, 422, "template gitlab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.do(tt.method, tt.path, tt.body, "Content-Type", tt.contentType)
			if message, _ := got.json["message"].(string); got.status != tt.status || !strings.Contains(message, tt.text) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks/ops", iotest.ErrReader(io.ErrUnexpectedEOF))
	w := httptest.NewRecorder()
	if s.handler.ServeHTTP(w, r); w.Code != 400 || !strings.Contains(w.Body.String(), "cut off") {
		t.Errorf("half a body is answered %d %s", w.Code, w.Body)
	}
	if got := s.post("/hooks/ops", "x", "Content-Encoding", "gzip"); got.status != 415 {
		t.Errorf("gzip is answered %d %s", got.status, got.body)
	}
	if len(s.discord.sent) != 0 {
		t.Errorf("sent %v", s.discord.sent)
	}
}

// TestDiscordErrors: statuses make tools retry only what can succeed later.
func TestDiscordErrors(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for _, tt := range []struct {
		err    discord.Error
		status int
		text   string
	}{
		{discord.Error{Reason: discord.Answered, Status: 404, Code: 10003, Text: "Unknown Channel"}, 404, "Unknown Channel"},
		{discord.Error{Reason: discord.Answered, Status: 401}, 502, ""},
		{discord.Error{Reason: discord.Answered, Status: 500}, 502, ""},
		{discord.Error{Reason: discord.TokenRefused}, 503, ""},
		{discord.Error{Reason: discord.Unreachable}, 502, ""},
		{discord.Error{Reason: discord.Overloaded}, 503, ""},
		{discord.Error{Reason: discord.DeadlineExceeded, Limit: discord.ScopeUser, RetryAfter: 1500e6}, 429, ""},
		{discord.Error{Reason: discord.DeadlineExceeded, OutcomeUnknown: true}, 504, ""},
	} {
		s.discord.err = &tt.err
		got := s.post("/hooks/ops", "hi")
		if got.status != tt.status || !strings.Contains(got.body, tt.text) || got.json["code"] != float64(tt.err.Code) {
			t.Errorf("%+v is answered %d %s", tt.err, got.status, got.body)
		}
		if tt.err.RetryAfter > 0 && got.header.Get("Retry-After") != "2" {
			t.Errorf("Retry-After is %q", got.header.Get("Retry-After"))
		}
	}
}

// TestMaxCalls: a hook that waits holds a limited number of calls.
func TestMaxCalls(t *testing.T) {
	s := serve(t, `hooks: [{name: a, channel: 7}, {name: b, channel: 7}]`, func(c *hooks.Config) { c.MaxCalls = 1 })
	s.discord.hold = make(chan struct{})
	waiting := make(chan response)
	go func() { waiting <- s.post("/hooks/a", "hi") }()
	s.discord.hold <- struct{}{} // the first one is inside
	close(s.discord.hold)
	if got := <-waiting; got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.discord.hold = make(chan struct{})
	var all sync.WaitGroup
	answers := make(chan response, 2)
	for range 2 {
		all.Go(func() { answers <- s.post("/hooks/a", "hi") })
	}
	if got := <-answers; got.status != 429 || !strings.Contains(got.body, "hook a has 1 calls") || got.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", got.status, got.body)
	}
	close(s.discord.hold)
	all.Wait()
}

func TestOwnTemplates(t *testing.T) {
	s := serve(t, `
hooks:
  - {name: ops, channel: 7}
  - {name: pager, channel: 7, template: pager}
  - {name: loop, channel: 7, template: loop}
  - {name: bad, channel: 7, template: bad}
  - {name: forced, channel: 7, format: json}
`, nil, map[string]string{
		"alertmanager.txt": `{{len .Payload.alerts}} alerts for {{.Hook}}`,
		"pager.yaml":       "content: {{q .Payload.message}}\nembeds:\n  - title: {{q .Format}}\n    color: 255\nallowed_mentions: {parse: [everyone]}\n",
		"loop.txt":         `{{define "x"}}xxxxxxxx{{template "x"}}{{end}}{{template "x"}}`,
		"bad.yaml":         "{{.Payload.message}}",
		"part.txt":         `{{define "alert"}}not of this template{{end}}`,
	})
	if got := s.post("/hooks/ops?preview", `{"status":"firing","alerts":[{}]}`); got.message()["content"] != "1 alerts for ops" || got.message()["embeds"] != nil {
		t.Errorf("%d %s", got.status, got.body)
	}
	got := s.post("/hooks/pager?preview", "a: \"b\"\n- c")
	if embeds, _ := got.message()["embeds"].([]any); got.message()["content"] != "a: \"b\"\n- c" || len(embeds) != 1 || fmt.Sprint(got.message()["allowed_mentions"]) != "map[parse:[]]" {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, name := range []string{"loop", "bad"} {
		if got := s.post("/hooks/"+name+"?preview", "no map"); got.status != 422 || !strings.Contains(got.body, "template "+name) {
			t.Errorf("%d %.300s", got.status, got.body)
		}
	}
	if got := s.post("/hooks/forced?preview", `{"content":"x"}`); got.json["format"] != "json" || !strings.Contains(got.body, "```json") {
		t.Errorf("%d %s", got.status, got.body)
	}
	// It uses parts of the template that was replaced, as they were.
	if got := s.post("/hooks/ops?preview", `{"orgId":1,"alerts":[{"status":"firing","labels":{"alertname":"Disk"}}]}`); got.status != 200 || !strings.Contains(got.body, "**Disk**") {
		t.Errorf("%d %s", got.status, got.body)
	}
	for file, text := range map[string]string{"a.md": "x", "a b.txt": "x", "a.txt": "{{nope}}", "b.yaml": "{{if}}"} {
		if _, err := hooks.NewTemplates(map[string]string{file: text}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestEndlessTemplates: every template ends, whatever the payload, even if it writes nothing.
func TestEndlessTemplates(t *testing.T) {
	file, templates := "hooks:\n", make(map[string]string)
	for name, text := range map[string]string{
		"number": "{{range .Payload.n}}{{end}}x",
		"with":   "{{range .Payload.n}}{{with 1}}{{if 0}}{{else}}{{end}}{{end}}{{end}}x",
		"calls":  `{{define "x"}}{{if lt (len .) 40}}{{template "x" (printf "%sx" .)}}{{template "x" (printf "%sx" .)}}{{end}}{{end}}{{template "x" ""}}`,
		"own":    `{{define "alerts"}}{{range .Payload.n}}{{end}}{{end}}{{template "alerts" .}}`,
	} {
		file += "  - {name: " + name + ", channel: 7, template: " + name + "}\n"
		templates[name+".txt"] = text
	}
	s := serve(t, file, nil, templates)
	for name := range templates {
		name = strings.TrimSuffix(name, ".txt")
		if got := s.post("/hooks/"+name+"?preview", `{"n":9000000000000000000}`); got.status != 422 || !strings.Contains(got.body, "takes more than 200000 steps") {
			t.Errorf("%s: %d %.300s", name, got.status, got.body)
		}
	}
	if got := s.post("/hooks/number?preview", `{"n":3}`); got.message()["content"] != "x" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestMissingParts: a payload that lacks parts never shows how a template failed
// to find them.
func TestMissingParts(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for _, tt := range []struct{ header, event, payload string }{
		{"X-GitHub-Event", "member", `{"action":"added"}`},
		{"X-GitHub-Event", "push", `{"ref":"refs/heads/x","commits":[{}]}`},
		{"X-GitHub-Event", "issues", `{"action":"opened","issue":{}}`},
		{"X-GitHub-Event", "pull_request", `{"action":"opened","pull_request":{}}`},
		{"X-GitHub-Event", "workflow_run", `{"action":"completed","workflow_run":{}}`},
		{"X-GitHub-Event", "release", `{"action":"published","release":{}}`},
		{"X-Gitea-Event", "push", `{}`},
		{"X-Gitlab-Event", "Feature Flag Hook", `{"object_kind":"feature_flag","project":{}}`},
		{"X-Gitlab-Event", "Pipeline Hook", `{"object_kind":"pipeline","object_attributes":{}}`},
		{"X-Gitlab-Event", "Merge Request Hook", `{"object_kind":"merge_request","object_attributes":{"action":"open"}}`},
		{"X-Gitlab-Event", "Note Hook", `{"object_kind":"note","object_attributes":{}}`},
		{"X-Gitlab-Event", "Job Hook", `{"object_kind":"build"}`},
		{"", "", `{"orgId":1,"alerts":[{"status":"firing"}]}`},
		{"", "", `{"status":"firing","alerts":[{"status":"firing"}]}`},
		{"", "", `{"status":"resolved","alerts":[{"status":"resolved"}]}`},
	} {
		if got := s.post("/hooks/ops?preview", tt.payload, tt.header, tt.event); got.status != 200 || strings.Contains(got.body, "%!") || strings.Contains(got.body, "nil>") || strings.Contains(got.body, "no value") {
			t.Errorf("%s %s: %d %s", tt.event, tt.payload, got.status, got.body)
		}
	}
}

// TestQueriesOfWebhooks: what programs for webhooks of Discord add to a URL does
// not keep a message from being sent.
func TestQueriesOfWebhooks(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for query, isSent := range map[string]bool{"wait=true": true, "wait=True": true, "wait=false": true, "wait=true&preview": false, "preview&wait=1": false} {
		if got := s.post("/hooks/ops?"+query, "hi"); got.status != 200 || got.json["sent"] != isSent {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

// TestByteOrderMark: a byte order mark is not part of the text.
func TestByteOrderMark(t *testing.T) {
	s := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	for body, format := range map[string]string{`{"text":"hi"}`: "slack", "hi": "text"} {
		if got := s.post("/hooks/ops?preview", "\uFEFF"+body); got.json["format"] != format || got.message()["content"] != "hi" {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
}
