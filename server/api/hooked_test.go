package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/hooks"

	pb "discordproxy/gen/discord_api"
)

func parsedHooks(t *testing.T, file string) *hooks.Hooks {
	t.Helper()
	parsed, err := hooks.Parse([]byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// hookAnswer is what a hook answers.
type hookAnswer struct {
	Status     int
	Sent       bool
	Queued     bool
	Duplicate  bool
	DeliveryID string `json:"delivery_id"`
	Message    any    // of a refusal or a preview
}

func (q *queue) hook(path, body string, header ...string) (a hookAnswer) {
	q.Helper()
	req, err := http.NewRequestWithContext(q.Context(), http.MethodPost, "http://proxy/hooks/"+path, strings.NewReader(body))
	if err != nil {
		q.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := q.transport.RoundTrip(req)
	if err != nil {
		q.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		q.Fatal(err)
	}
	a.Status = res.StatusCode
	return a
}

// of returns a delivery of a hook.
func (q *queue) of(hook, id string) *pb.Delivery {
	q.Helper()
	res, err := q.GetDelivery(q.Context(), &pb.GetDeliveryRequest{DeliveryId: id, Caller: "hook " + hook})
	if err != nil {
		q.Fatal(err)
	}
	return res.GetDelivery()
}

// endsOf waits until a delivery of a hook has ended, and checks how.
func (q *queue) endsOf(hook, id string, state pb.Delivery_State) {
	q.Helper()
	for range 24 * 3600 {
		if d := q.of(hook, id); d.GetPosition() > 0 {
			if d.GetState() != state {
				q.Errorf("%s is %v, want %s", id, d, state)
			}
			return
		}
		time.Sleep(time.Second)
	}
	q.Fatalf("%s has not ended: %v", id, q.of(hook, id))
}

// TestQueuedHook: a hook with queue: true answers as soon as its message is on disk. A
// sender that names its deliveries gets one message for each, also over a restart and
// when the message reads otherwise the second time.
func TestQueuedHook(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		c := queueConfig{folder: t.TempDir(), idle: true, hooks: fmt.Sprintf("hooks: [{name: ops, channel: %d, queue: true}]", w.General)}
		q := openQueue(t, sb, c)
		id := []string{"X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
		first := q.hook("ops", "disk is full at 9:00", id...)
		again := q.hook("ops", "disk is full at 9:01", id...)
		if first.Status != http.StatusOK || !first.Queued || first.Sent || first.Duplicate || first.DeliveryID == "" {
			t.Errorf("%+v", first)
		}
		if again.DeliveryID != first.DeliveryID || !again.Duplicate || !again.Queued {
			t.Errorf("again %+v, first %+v", again, first)
		}
		other := q.hook("ops", "disk is full at 9:00", "X-GitHub-Delivery", "another")
		unnamed := q.hook("ops", "unnamed")
		if preview := q.hook("ops?preview", "nothing"); preview.Queued || preview.Status != http.StatusOK {
			t.Errorf("%+v", preview)
		}
		if got := contents(sb, w.General); len(got) != 0 {
			t.Errorf("%q before it runs", got)
		}
		q.stop()
		c.idle = false
		q = openQueue(t, sb, c)
		for _, id := range []string{first.DeliveryID, other.DeliveryID, unnamed.DeliveryID} {
			q.endsOf("ops", id, pb.Delivery_DELIVERED)
		}
		if late := q.hook("ops", "disk is full at 9:02", id...); !late.Duplicate {
			t.Errorf("%+v", late)
		}
		time.Sleep(time.Minute)
		if got := contents(sb, w.General); len(got) != 3 || got[0] != "disk is full at 9:00" || got[1] != got[0] || got[2] != "unnamed" {
			t.Errorf("%q", got)
		}
	})
}

// TestQueuedHookAgain: a delivery that failed or expired is made when its sender
// repeats it; one that was cancelled is not.
func TestQueuedHookAgain(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), hooks: fmt.Sprintf("hooks: [{name: dm, user: %d, queue: true}]", w.Alice)})
		if err := sb.RefuseDMs(w.Alice, true); err != nil {
			t.Fatal(err)
		}
		d := q.hook("dm", "hello", "Idempotency-Key", "1")
		q.endsOf("dm", d.DeliveryID, pb.Delivery_FAILED)
		if err := sb.RefuseDMs(w.Alice, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if again := q.hook("dm", "hello", "Idempotency-Key", "1"); again.DeliveryID != d.DeliveryID {
			t.Errorf("%+v", again)
		}
		q.endsOf("dm", d.DeliveryID, pb.Delivery_DELIVERED)
	})
}

// TestQueuedHookHeld: the messages of a hook that was removed, or posts elsewhere,
// wait until it may post there again. The rights of who used it do not matter then.
func TestQueuedHookHeld(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		key, hash := access.NewKey()
		hashes := map[string]string{"shop": hash}
		quiet := slog.New(slog.DiscardHandler)
		guard := access.New(access.Config{Rules: rules(t, hashes, map[string]string{"shop": ", methods: [hooks], all_deliveries: true"}), Logger: quiet})
		const secret = "2c7a1f0e9b5d4c83a6f17e2d"
		file := func(channel sandbox.ID) string {
			return fmt.Sprintf("hooks: [{name: other, channel: 5}, {name: ops, channel: %d, queue: true, secret: %s}]", channel, secret)
		}
		c := queueConfig{folder: t.TempDir(), guard: guard, hooks: file(w.General), idle: true}
		q := openQueue(t, sb, c)
		bySecret := q.hook("ops", "by secret", "Authorization", "Bearer "+secret)
		byKey := q.hook("ops", "by key", "Authorization", "Bearer "+key)
		if !bySecret.Queued || !byKey.Queued {
			t.Fatalf("%+v, %+v", bySecret, byKey)
		}
		q.stop()
		c.idle = false
		for _, step := range []struct{ file, reason string }{
			{"hooks: [{name: other, channel: 5}]", "hook ops was removed"},
			{file(w.Random), fmt.Sprintf("hook ops no longer posts to channel %d", w.General)},
		} {
			c.hooks = step.file
			q = openQueue(t, sb, c)
			q.OutboxClient = q.withKey(key)
			time.Sleep(time.Minute)
			if d := q.of("ops", bySecret.DeliveryID); d.GetState() != pb.Delivery_WAITING || d.GetReason() != step.reason {
				t.Errorf("%v, want %s", d, step.reason)
			}
			q.stop()
		}
		c.hooks = file(w.General)
		q = openQueue(t, sb, c)
		q.OutboxClient = q.withKey(key)
		q.endsOf("ops", bySecret.DeliveryID, pb.Delivery_DELIVERED)
		q.endsOf("ops", byKey.DeliveryID, pb.Delivery_DELIVERED)
	})
}

// TestQueuedHookRefused: a message that cannot be queued is refused immediately.
func TestQueuedHookRefused(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		file := fmt.Sprintf("hooks: [{name: ops, channel: %d, queue: true}]", sb.World().General)
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), hooks: file, noData: true})
		if got := q.hook("ops", "x"); got.Status != http.StatusServiceUnavailable || !strings.Contains(fmt.Sprint(got.Message), "--data") || got.Queued {
			t.Errorf("without data: %+v", got)
		}
		q.stop()
		q = openQueue(t, sb, queueConfig{folder: t.TempDir(), hooks: file})
		for _, components := range []string{`{"type":1}`, `["x"]`, `[{}]`} {
			if got := q.hook("ops", `{"content":"x","components":`+components+`}`, "Content-Type", "application/json"); got.Status != http.StatusBadRequest || got.Queued {
				t.Errorf("%s: %+v", components, got)
			}
		}
	})
}

// recorded keeps the messages that Discord takes.
type recorded struct {
	http.RoundTripper
	mu       sync.Mutex
	messages []map[string]any
}

func (r *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || strings.HasSuffix(req.URL.Path, "/channels") {
		return r.RoundTripper.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	res, err := r.RoundTripper.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	message := make(map[string]any)
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	message["query"] = req.URL.RawQuery
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, message)
	return res, nil
}

// TestQueuedHookSendsTheSame: Discord gets the same message of a payload whether its
// hook queues or not.
func TestQueuedHookSendsTheSame(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		seen := &recorded{RoundTripper: sb.Transport()}
		file := func(queue string) string {
			return fmt.Sprintf("hooks: [{name: channel, channel: %d, mentions: [users, roles]%s}, {name: webhook, webhook: %q%s}]",
				w.General, queue, fmt.Sprintf("https://discord.com/api/webhooks/%d/%s", w.Webhook, w.WebhookToken), queue)
		}
		direct, queued := parsedHooks(t, file("")), parsedHooks(t, file(", queue: true"))
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), tries: seen, hooks: file("")})
		payloads := map[string]string{
			"components": `{"content":"press","components":[{"type":1,"id":7,"components":[{"type":2,"style":5,"label":"go","url":"https://example.com/","new_field":[1]}]}]}`,
			"flags":      `{"content":"quiet","flags":4100}`,
			"poll":       `{"poll":{"question":{"text":"Lunch?"},"answers":[{"poll_media":{"text":"yes"}},{"poll_media":{"text":"no"}}],"duration":24}}`,
			"v2":         `{"flags":32768,"components":[{"type":10,"content":"text"}]}`,
			"mentions":   `{"content":"<@5>","allowed_mentions":{"parse":["roles"],"users":["5"]}}`,
			"names":      `{"content":"x","username":"CI","avatar_url":"https://example.com/a.png","tts":true}`,
		}
		files, err := filepath.Glob("../internal/hooks/testdata/*/*.json")
		if err != nil || len(files) < 40 {
			t.Fatalf("%d payloads, %v", len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			payloads[file] = string(data)
		}
		compared := 0
		for name, payload := range payloads {
			header := []string{"Content-Type", "application/json"}
			format, event := filepath.Base(filepath.Dir(name)), strings.Split(filepath.Base(name), ".")[0]
			if forge := map[string]string{"github": "X-GitHub-Event", "gitlab": "X-Gitlab-Event", "gitea": "X-Gitea-Event"}[format]; forge != "" {
				header = append(header, forge, event)
			}
			for _, target := range []string{"channel", "webhook"} {
				seen.messages = nil
				q.useHooks(direct)
				now := q.hook(target, payload, header...)
				if !now.Sent {
					continue // an event that says nothing, or a refusal
				}
				q.useHooks(queued)
				later := q.hook(target, payload, header...)
				if !later.Queued {
					t.Errorf("%s: %+v", name, later)
					continue
				}
				q.endsOf(target, later.DeliveryID, pb.Delivery_DELIVERED)
				if len(seen.messages) != 2 {
					t.Fatalf("%s: %d messages", name, len(seen.messages))
				}
				for _, m := range seen.messages {
					maps.DeleteFunc(m, func(key string, _ any) bool { return key == "nonce" || key == "enforce_nonce" })
				}
				if !reflect.DeepEqual(seen.messages[0], seen.messages[1]) {
					t.Errorf("%s to a %s:\nnow   %v\nlater %v", name, target, seen.messages[0], seen.messages[1])
				}
				compared++
			}
		}
		if compared < 80 {
			t.Errorf("compared %d", compared)
		}
	})
}
