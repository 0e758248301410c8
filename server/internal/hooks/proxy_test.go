package hooks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/access"
	"discordproxy/test/proxytest"
)

// write writes a file that only this user reads.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// post posts to a running proxy.
func post(t *testing.T, p *proxytest.Proxy, path, body string, header ...string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", form)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// TestHookOfAServer: a text reaches the channel, and log, audit file and metrics
// name the hook. No secret is in any of them, however a request spells it.
func TestHookOfAServer(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	file := write(t, "hooks.yaml", fmt.Sprintf(`
hooks:
  - {name: ops, channel: %s}
  - {name: sec, user: %s, secret: %s}
  - {name: old, webhook: "http://127.0.0.1/api/webhooks/%s/%s", username: Backup}
`, w.General, w.Alice, secret, w.Webhook, w.WebhookToken))
	folder := t.TempDir()
	audit := filepath.Join(folder, "audit.jsonl")
	p := proxytest.Against(t, sb, "--hooks-file", file, "--audit-file", audit, "--log-file-path", folder, "--log-file-level", "DEBUG")
	for _, path := range []string{"/hooks/ops", "/hooks/sec/" + secret, "/hooks/old"} {
		if status, answer := post(t, p, path, "backup done"); status != 200 || !strings.Contains(answer, `"sent":true`) {
			t.Fatalf("%s: %d %s", path, status, answer)
		}
	}
	messages := sb.Messages(w.General)
	if len(messages) == 0 || messages[0].Content != "backup done" && messages[len(messages)-1].Content != "backup done" {
		t.Errorf("the channel has %+v", messages)
	}
	if direct := sb.Messages(sb.DirectMessages(w.Alice)); len(direct) == 0 {
		t.Error("no direct message")
	}
	for _, path := range []string{"/hooks/sec/" + secret + "x", "//hooks/sec/" + secret, "/hooks/nope/" + secret, "/Hooks/sec/" + secret, "/hooks/%73ec/" + secret} {
		post(t, p, path, "hi")
	}
	for _, header := range [][]string{{"Origin", "https://evil.example.org"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}} {
		for _, contentType := range []string{form, "text/plain", "application/json"} {
			// The log has a line for the first ten.
			for _, path := range []string{"/api/webhooks/" + w.Webhook.String() + "/" + w.WebhookToken, "/hooks/sec/" + secret, "/api/v10//webhooks/1/" + w.WebhookToken + "/slack", "/hooks/ops"} {
				if status, answer := post(t, p, path, "hi", append(header, "Content-Type", contentType)...); status != 403 || !strings.Contains(answer, "another site") {
					t.Errorf("a page of another site with %s for %s is answered %d %s", header, path, status, answer)
				}
			}
		}
	}
	resp, err := http.Get("http://" + p.Address + "/metrics") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(metrics), `method="POST /hooks/ops",protocol="hook"`) {
		t.Errorf("the metrics do not name the hook: %v", err)
	}
	p.Stop()
	all := p.Output() + string(metrics)
	files, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all += string(data)
	}
	if !strings.Contains(all, `"client":"hook ops"`) || !strings.Contains(all, `method="POST /hooks/sec"`) {
		t.Error("log and audit file do not name the hooks")
	}
	for _, hidden := range []string{secret, w.WebhookToken} {
		if at := strings.Index(all, hidden); at >= 0 {
			t.Errorf("the server writes a secret: %s", all[max(at-300, 0):at+len(hidden)])
		}
	}
}

// TestHooksAndKeys: with an auth file a hook needs its secret or a key of a client
// that may call hooks and touch the target.
func TestHooksAndKeys(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	key := make(map[string]string)
	hash := make(map[string]string)
	for _, name := range []string{"any", "here", "elsewhere", "other"} {
		key[name], hash[name] = access.NewKey()
	}
	auth := write(t, "auth.yaml", fmt.Sprintf(`
clients:
  - {name: any, hashes: [%q]}
  - {name: here, hashes: [%q], methods: [hooks], channels: [%s]}
  - {name: elsewhere, hashes: [%q], methods: [hooks], channels: [1]}
  - {name: other, hashes: [%q], methods: [SendChannelMessage]}
`, hash["any"], hash["here"], w.General, hash["elsewhere"], hash["other"]))
	file := write(t, "hooks.yaml", fmt.Sprintf(`
hooks:
  - {name: ops, channel: %[1]s}
  - {name: sec, channel: %[1]s, secret: %[2]s}
  - {name: old, webhook: "https://discord.com/api/webhooks/%[3]s/%[4]s"}
`, w.General, secret, w.Webhook, w.WebhookToken))
	p := proxytest.Against(t, sb, "--hooks-file", file, "--auth-file", auth)
	bearer := func(name string) []string { return []string{"Authorization", "Bearer " + key[name]} }
	for _, tt := range []struct {
		path   string
		header []string
		status int
	}{
		{"/hooks/ops", nil, 401},
		{"/hooks/nope", nil, 401},
		{"/hooks/ops", bearer("any"), 200},
		{"/hooks/nope", bearer("any"), 404},
		{"/hooks/nope", bearer("other"), 403},
		{"/hooks/ops", bearer("here"), 200},
		{"/k/" + key["here"] + "/hooks/ops", nil, 200},
		{"/hooks/ops", bearer("elsewhere"), 403},
		{"/hooks/ops", bearer("other"), 403},
		{"/hooks/old", bearer("any"), 200},
		{"/hooks/old", bearer("here"), 403}, // a webhook is about no channel
		{"/hooks/sec", nil, 401},
		{"/hooks/sec/" + secret, nil, 200},
		{"/hooks/sec", []string{"Authorization", "Bearer " + secret}, 200},
		{"/hooks/sec/wrong", bearer("any"), 401},
		{"/hooks/sec", bearer("here"), 200},
	} {
		if status, answer := post(t, p, tt.path, "hi", tt.header...); status != tt.status || !json.Valid([]byte(answer)) {
			t.Errorf("%s with %.20q is answered %d %s, want %d", tt.path, tt.header, status, answer, tt.status)
		}
	}
}

// TestHooksFileIsReadAgain: changes of the file and of templates are applied, and an
// error keeps the previous contents.
func TestHooksFileIsReadAgain(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "own.txt"), []byte("first: {{.Payload.message}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, "hooks.yaml", `hooks: [{name: ops, channel: 7, template: own}]`)
	p := proxytest.Against(t, sb, "--hooks-file", file, "--hooks-templates", folder, "--log-console-level", "ERROR")
	until := func(path string, status int, text string) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			got, answer := post(t, p, path+"?preview", "hi")
			if got == status && strings.Contains(answer, text) {
				return
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%s is answered %d %s", path, got, answer)
			}
		}
	}
	until("/hooks/ops", 200, "first: hi")
	if err := os.WriteFile(filepath.Join(folder, "own.txt"), []byte("second: {{.Payload.message}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("/hooks/ops", 200, "second: hi")
	if err := os.WriteFile(file, []byte(`hooks: [{name: ops}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !strings.Contains(p.Output(), "there must be one of channel"); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the log does not say that the file has an error")
		}
	}
	until("/hooks/ops", 200, "second: hi")
	if err := os.WriteFile(file, []byte(`hooks: [{name: new, channel: 7}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	until("/hooks/new", 200, "hi")
	until("/hooks/ops", 404, "no hook")
}

// TestHooksWaitForLimits: more messages to one channel than Discord takes immediately
// all arrive, none twice, those of a sender in their order, and Discord never has
// to refuse one. A delivery that a sender repeats meanwhile arrives once.
func TestHooksWaitForLimits(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	p := proxytest.Against(t, sb, "--hooks-file", write(t, "hooks.yaml", fmt.Sprintf("hooks: [{name: a, channel: %[1]s}, {name: b, channel: %[1]s}]", w.General)))
	before := len(sb.Messages(w.General))
	const senders, each = 3, 4 // Discord takes 5 messages in 5 s
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := range each {
				for range 2 { // the second is a repetition
					text := fmt.Sprintf("%d:%d", sender, i)
					header := []string{"Idempotency-Key", text}
					if status, answer := post(t, p, "/hooks/"+string("ab"[sender%2]), text, header...); status != 200 || !strings.Contains(answer, `"sent":true`) {
						t.Errorf("%s: %d %s", text, status, answer)
					}
					if i > 0 {
						break
					}
				}
			}
		})
	}
	all.Wait()
	next := make(map[int]int)
	messages := sb.Messages(w.General)[before:]
	for _, m := range messages {
		var sender, i int
		if _, err := fmt.Sscanf(m.Content, "%d:%d", &sender, &i); err != nil || next[sender] != i {
			t.Errorf("message %q is not the next of its sender, %d", m.Content, next[sender])
		}
		next[sender]++
	}
	if len(messages) != senders*each {
		t.Errorf("%d messages arrived, want %d", len(messages), senders*each)
	}
	if refused := sb.Stats().Statuses[http.StatusTooManyRequests]; refused != 0 {
		t.Errorf("Discord refused %d requests", refused)
	}
}
