package gatewayproxy_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"

	"github.com/coder/websocket"
)

const patience = 30 * time.Second

// rig is a proxy whose session at Discord is played by the test.
type rig struct {
	*gatewayproxy.Proxy
	t      *testing.T
	hub    *events.Hub
	guilds *gateway.Guilds
	disk   *disk // if it stores
	url    string
	sent   chan string // commands to Discord, as "op data"
}

// Send implements gatewayproxy.Upstream.
func (r *rig) Send(op wire.Opcode, data json.RawMessage) error {
	r.sent <- fmt.Sprint(int(op), " ", string(data))
	return nil
}

// Renew implements gatewayproxy.Upstream.
func (r *rig) Renew() { r.sent <- "renew" }

func newRig(t *testing.T, c gatewayproxy.Config, h events.Config) *rig {
	t.Helper()
	r := closedRig(t, c, h)
	r.Open(r, nil, nil)
	return r
}

// closedRig is newRig before Open.
func closedRig(t *testing.T, c gatewayproxy.Config, h events.Config) *rig {
	t.Helper()
	hub, err := events.New(h)
	if err != nil {
		t.Fatal(err)
	}
	c.Hub, c.Guilds, c.IsOwn = hub, gateway.NewGuilds(gateway.IntentsAll), func(string) bool { return false }
	c.Intents = gateway.IntentsAll
	r := &rig{t: t, hub: hub, guilds: c.Guilds, sent: make(chan string, 1000)}
	if r.Proxy, err = gatewayproxy.New(c); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = strings.Replace(server.URL, "http", "ws", 1) + "/gateway?v=10&encoding=json"
	return r
}

// connect begins the session at Discord, with guild 1 of member_count 3.
func (r *rig) connect() {
	r.Changed(gateway.Status{State: gateway.Connected, Since: time.Now(), Ready: json.RawMessage(`{"user":{"id":"9","username":"bot"},"application":{"id":"9","flags":0},"guilds":[{"id":"1","unavailable":true}]}`)})
	r.dispatch("GUILD_CREATE", `{"id":"1","name":"g","roles":[{"id":"1"}],"channels":[{"id":"3","type":0}],"members":[{"user":{"id":"9"}}],"member_count":3,"large":true}`)
}

func (r *rig) dispatch(kind, data string) {
	r.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data), Time: time.Now()})
}

type bot struct {
	t       *testing.T
	ws      *websocket.Conn
	session string
	seq     int64
}

type payload struct {
	Op   int             `json:"op"`
	Seq  int64           `json:"s"`
	Type string          `json:"t"`
	Data json.RawMessage `json:"d"`
}

// dial connects and takes HELLO.
func (r *rig) dial() *bot {
	r.t.Helper()
	b := r.upgrade()
	b.expect(10, "", "heartbeat_interval")
	return b
}

// upgrade is dial before HELLO.
func (r *rig) upgrade() *bot {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, r.url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	return &bot{t: r.t, ws: ws}
}

func (b *bot) send(op int, data string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := b.ws.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"op":%d,"d":%s}`, op, data)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bot) read() (p payload, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	_, data, err := b.ws.Read(ctx)
	if err != nil {
		return p, err
	}
	err = json.Unmarshal(data, &p)
	b.seq = max(b.seq, p.Seq)
	return p, err
}

// expect takes the next payload, which must have this opcode, name and text in it.
func (b *bot) expect(op int, kind, text string) payload {
	b.t.Helper()
	p, err := b.read()
	if err != nil {
		b.t.Fatalf("%v, want %d %s %s", err, op, kind, text)
	}
	if p.Op != op || p.Type != kind || !strings.Contains(string(p.Data), text) {
		b.t.Fatalf("got %+v with %s, want %d %s with %s", p, p.Data, op, kind, text)
	}
	return p
}

// closed returns how the connection is closed, after any number of payloads.
func (b *bot) closed() websocket.CloseError {
	b.t.Helper()
	for {
		_, err := b.read()
		if c, ok := errors.AsType[websocket.CloseError](err); ok {
			return c
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

const allIntents = gateway.IntentsAll

func (b *bot) identify(intents gateway.Intents) {
	b.t.Helper()
	b.send(2, fmt.Sprintf(`{"token":"discordproxy","properties":{},"intents":%d}`, intents))
	b.began(b.expect(0, "READY", `"guilds":[{"id":"1"`))
	if intents&gateway.IntentGuilds != 0 {
		b.expect(0, "GUILD_CREATE", `"name":"g"`)
	}
}

// began takes the session from READY.
func (b *bot) began(p payload) {
	var ready struct {
		Session string `json:"session_id"`
	}
	_ = json.Unmarshal(p.Data, &ready)
	b.session = ready.Session
}

func (b *bot) resume(r *rig) *bot {
	b.t.Helper()
	again := r.dial()
	again.send(6, fmt.Sprintf(`{"token":"discordproxy","session_id":%q,"seq":%d}`, b.session, b.seq))
	return again
}

// TestWaits: a bot that connects before the server waits for the server's session, and
// gets INVALID_SESSION if there is none in time.
func TestWaits(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{ConnectWait: 50 * time.Millisecond}, events.Config{})
	b := r.dial()
	for range 2 { // over the same connection
		b.send(2, fmt.Sprintf(`{"token":"discordproxy","properties":{},"intents":%d}`, allIntents))
		b.expect(9, "", "false")
	}
	patient := newRig(t, gatewayproxy.Config{}, events.Config{})
	b = patient.dial()
	b.send(2, fmt.Sprintf(`{"token":"discordproxy","properties":{},"intents":%d}`, allIntents))
	b.send(1, "null")
	b.expect(11, "", "")
	patient.connect()
	b.expect(0, "READY", "")
	b.expect(0, "GUILD_CREATE", "")
}

// TestZombie: a bot that sends no heartbeats is closed, and can resume.
func TestZombie(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{HeartbeatInterval: 100 * time.Millisecond}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(allIntents)
	if c := b.closed(); c.Code != 4009 {
		t.Errorf("closed with %v", c)
	}
	again := b.resume(r)
	again.expect(0, "RESUMED", "")
}

// TestSlow: a bot that does not read falls behind the ring and is disconnected, and other
// bots are not delayed.
func TestSlow(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{MaxEvents: 10})
	r.connect()
	slow, quick := r.dial(), r.dial()
	slow.identify(allIntents)
	quick.identify(allIntents)
	text := strings.Repeat("x", 60<<10) // more than the buffers of sockets hold
	for i := range 400 {
		r.dispatch("MESSAGE_CREATE", fmt.Sprintf(`{"id":"%d","guild_id":"1","channel_id":"3","content":"%s"}`, i, text))
		quick.expect(0, "MESSAGE_CREATE", fmt.Sprintf(`"id":"%d"`, i))
	}
	if c := slow.closed(); c.Code != 4000 || !strings.Contains(c.Reason, "too slowly") {
		t.Errorf("closed with %v", c)
	}
	if s := r.Stats(); s.Slow != 1 || s.Identified != 2 {
		t.Errorf("the stats are %+v", s)
	}
	again := slow.resume(r)
	again.expect(9, "", "false")
}

// TestLost: a bot cannot resume if its position left the ring while it was away.
func TestLost(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{MaxEvents: 10})
	r.connect()
	b := r.dial()
	b.identify(allIntents)
	_ = b.ws.CloseNow()
	message := func(n int) {
		for range n {
			r.dispatch("MESSAGE_CREATE", `{"id":"1","guild_id":"1","channel_id":"3"}`)
		}
	}
	message(5)
	again := b.resume(r)
	for range 5 {
		again.expect(0, "MESSAGE_CREATE", "")
	}
	again.expect(0, "RESUMED", "")
	_ = again.ws.CloseNow()
	again.session = b.session
	message(11)
	again.resume(r).expect(9, "", "false")
}

// TestResumeWhileEventsFlow: RESUMED arrives after the missed events, also if events
// arrive without a pause.
func TestResumeWhileEventsFlow(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(allIntents)
	_ = b.ws.CloseNow()
	message := func(n int) {
		r.dispatch("MESSAGE_CREATE", fmt.Sprintf(`{"id":"%d","guild_id":"1","channel_id":"3"}`, n))
	}
	const missed = 3
	for n := range missed {
		message(n)
	}
	ended := make(chan struct{})
	var flow sync.WaitGroup
	flow.Go(func() {
		for n := missed; ; n++ {
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
				message(n)
			}
		}
	})
	defer flow.Wait()
	defer close(ended)
	again := b.resume(r)
	messages := 0
	for end := time.Now().Add(patience); ; messages++ {
		p, err := again.read()
		if err != nil {
			t.Fatal(err)
		}
		if p.Type == "RESUMED" {
			break
		}
		if want := fmt.Sprintf(`"id":"%d"`, messages); !strings.Contains(string(p.Data), want) {
			t.Fatalf("got %+v, want %s", p, want)
		}
		if time.Now().After(end) {
			t.Fatalf("no RESUMED among %d events", messages)
		}
	}
	if messages < missed {
		t.Errorf("RESUMED comes after %d of %d missed events", messages, missed)
	}
}

// TestLargeGuild: a guild that is too large for the ring is delivered anyway.
func TestLargeGuild(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(allIntents)
	topic := strings.Repeat("x", 2<<20)
	r.dispatch("GUILD_CREATE", `{"id":"2","name":"large","roles":[],"channels":[{"id":"30","topic":"`+topic+`"}],"members":[],"member_count":9}`)
	b.expect(0, "GUILD_CREATE", topic)
}

// TestMembers: requests for members at the same time are one at Discord; one that
// comes too late is answered afterwards; answers can be resumed.
func TestMembers(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	bots := []*bot{r.dial(), r.dial(), r.dial()}
	for _, b := range bots {
		b.identify(allIntents)
	}
	ask := func(b *bot, nonce string) { b.send(8, `{"guild_id":"1","query":"","limit":0,"nonce":"`+nonce+`"}`) }
	ask(bots[0], "a")
	request := <-r.sent
	var asked struct{ Nonce string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(request, "8 ")), &asked); err != nil || asked.Nonce == "" || asked.Nonce == "a" {
		t.Fatalf("asked Discord %s", request)
	}
	settle := func(b *bot) { // what it sent was read
		b.send(1, "null")
		b.expect(11, "", "")
	}
	ask(bots[1], "b")
	settle(bots[1])
	chunk := func(index int, members string) {
		r.dispatch("GUILD_MEMBERS_CHUNK", fmt.Sprintf(`{"guild_id":"1","members":[%s],"chunk_index":%d,"chunk_count":2,"nonce":%q,"presences":[]}`, members, index, asked.Nonce))
	}
	chunk(0, `{"user":{"id":"5"}}`)
	ask(bots[2], "c")
	settle(bots[2])
	chunk(1, `{"user":{"id":"6"}},{"user":{"id":"9"}}`)
	for i, nonce := range []string{"a", "b"} {
		bots[i].expect(0, "GUILD_MEMBERS_CHUNK", `"5"`)
		if p := bots[i].expect(0, "GUILD_MEMBERS_CHUNK", `"6"`); !strings.Contains(string(p.Data), `"nonce":"`+nonce+`"`) {
			t.Errorf("bot %d got %s", i, p.Data)
		}
	}
	if p := bots[2].expect(0, "GUILD_MEMBERS_CHUNK", `"5"`); !strings.Contains(string(p.Data), `"6"`) || !strings.Contains(string(p.Data), `"nonce":"c"`) {
		t.Errorf("the late bot got %s", p.Data)
	}
	if len(r.sent) > 0 {
		t.Errorf("asked Discord again: %s", <-r.sent)
	}
	// Without the first of its chunks, the bot resumes.
	bots[0].seq--
	_ = bots[0].ws.CloseNow()
	again := bots[0].resume(r)
	again.expect(0, "GUILD_MEMBERS_CHUNK", `"6"`)
	again.expect(0, "RESUMED", "")

	bots[1].send(8, `{"guild_id":"1","query":"u","limit":5}`)
	if request = <-r.sent; !strings.Contains(request, `"query":"u"`) || !strings.Contains(request, `"limit":5`) {
		t.Errorf("asked Discord %s", request)
	}
	_ = json.Unmarshal([]byte(strings.TrimPrefix(request, "8 ")), &asked)
	r.dispatch("RATE_LIMITED", fmt.Sprintf(`{"opcode":8,"retry_after":1.5,"meta":{"guild_id":"1","nonce":%q}}`, asked.Nonce))
	if p := bots[1].expect(0, "RATE_LIMITED", `"retry_after":1.5`); strings.Contains(string(p.Data), "nonce") {
		t.Errorf("got a nonce that is another's: %s", p.Data)
	}
	if n := r.hub.Stats().Published; len(n) > 2 {
		t.Errorf("answers were published: %v", n)
	}
}

// TestVoice: the credential for a voice connection reaches only the bot that joins.
func TestVoice(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	joins, other := r.dial(), r.dial()
	joins.identify(allIntents)
	other.identify(allIntents)
	joins.send(4, `{"guild_id":"1","channel_id":"3","self_mute":true,"self_deaf":false,"more":1}`)
	if got, want := <-r.sent, `4 {"guild_id":"1","channel_id":"3","self_mute":true,"self_deaf":false}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	r.dispatch("VOICE_SERVER_UPDATE", `{"guild_id":"1","token":"secret","endpoint":"x"}`)
	r.dispatch("VOICE_STATE_UPDATE", `{"guild_id":"1","channel_id":"3","user_id":"9"}`)
	got := map[string]bool{}
	for range 2 {
		p, err := joins.read()
		if err != nil {
			t.Fatal(err)
		}
		got[p.Type] = true
	}
	if !got["VOICE_SERVER_UPDATE"] || !got["VOICE_STATE_UPDATE"] {
		t.Errorf("got %v", got)
	}
	other.expect(0, "VOICE_STATE_UPDATE", "")
	joins.send(4, `{"guild_id":"1","channel_id":null}`)
	if got, want := <-r.sent, `4 {"guild_id":"1","channel_id":null,"self_mute":false,"self_deaf":false}`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// TestAnswersTooLarge: an answer that is too large to be kept with the session cannot
// be resumed before.
func TestAnswersTooLarge(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(allIntents)
	b.send(4, `{"guild_id":"1","channel_id":"3"}`)
	<-r.sent
	r.dispatch("VOICE_SERVER_UPDATE", `{"guild_id":"1","token":"`+strings.Repeat("x", 5<<20)+`"}`)
	b.expect(0, "VOICE_SERVER_UPDATE", "xxx")
	b.seq--
	_ = b.ws.CloseNow()
	b.resume(r).expect(9, "", "false")
}

// TestContents: without MESSAGE_CONTENT, messages have no content, except the bot's own,
// those that mention it, and direct messages.
func TestContents(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	b := r.dial()
	b.identify(gateway.IntentGuildMessages | gateway.IntentDirectMessages)
	for _, tt := range []struct{ message, want string }{
		{`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"5"},"content":"text","embeds":[{}]}`, `"content":"","embeds":[]`},
		{`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"9"},"content":"text"}`, `"content":"text"`},
		{`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"5"},"mentions":[{"id":"9"}],"content":"text"}`, `"content":"text"`},
		{`{"id":"1","channel_id":"4","author":{"id":"5"},"content":"text"}`, `"content":"text"`},
		{
			`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"5"},"content":"a","referenced_message":{"id":"2","author":{"id":"6"},"content":"b"}}`,
			`"referenced_message":{"author":{"id":"6"},"content":"","id":"2"}`,
		},
		{
			`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"9"},"content":"a","referenced_message":{"id":"2","author":{"id":"6"},"content":"b"}}`,
			`{"author":{"id":"9"},"channel_id":"3","content":"a","guild_id":"1","id":"1","referenced_message":{"author":{"id":"6"},"content":"","id":"2"}}`,
		},
		{
			`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"5"},"referenced_message":{"id":"2","author":{"id":"9"},"content":"mine"}}`,
			`"content":"mine"`,
		},
		{
			`{"id":"1","guild_id":"1","channel_id":"3","author":{"id":"5"},"referenced_message":null,"message_snapshots":[{"message":{"content":"b","embeds":[{}],"type":0}}]}`,
			`"message_snapshots":[{"message":{"content":"","embeds":[],"type":0}}],"referenced_message":null`,
		},
	} {
		r.dispatch("MESSAGE_CREATE", tt.message)
		b.expect(0, "MESSAGE_CREATE", tt.want)
	}
	r.dispatch("GUILD_MEMBER_UPDATE", `{"guild_id":"1","user":{"id":"5"}}`)
	r.dispatch("TYPING_START", `{"guild_id":"1","channel_id":"3"}`)
	r.dispatch("GUILD_MEMBER_UPDATE", `{"guild_id":"1","user":{"id":"9"},"roles":["7"]}`) // the bot's own needs no intent
	b.expect(0, "GUILD_MEMBER_UPDATE", `"roles":["7"]`)
}

// TestEndWhileGreeting: whatever the server sends first to a client that asked for a
// compressed stream, it is compressed.
func TestEndWhileGreeting(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.End()
	r.url += "&compress=zlib-stream"
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 50 {
		b := r.upgrade()
		if kind, data, err := b.ws.Read(ctx); err == nil && kind != websocket.MessageBinary {
			t.Errorf("got %s without compression", data)
		}
		_ = b.ws.CloseNow()
	}
}

// TestMany bots connect, resume and leave at the same time.
func TestMany(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	var bots sync.WaitGroup
	for range 50 {
		bots.Go(func() {
			b := r.dial()
			b.identify(allIntents)
			_ = b.ws.CloseNow()
			again := b.resume(r)
			for {
				p, err := again.read()
				if err != nil {
					t.Error(err)
					return
				}
				if p.Type == "RESUMED" {
					break
				}
			}
			_ = again.ws.Close(websocket.StatusNormalClosure, "")
		})
	}
	for i := range 200 {
		r.dispatch("MESSAGE_CREATE", fmt.Sprintf(`{"id":"%d","guild_id":"1","channel_id":"3"}`, i))
	}
	bots.Wait()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := r.Stats()
		if s.Connected == 0 && s.Resumable == 0 && r.hub.Stats().Subscribers == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left over: %+v", s)
		}
	}
}

// TestURL: bots get the address with which they reached the server.
func TestURL(t *testing.T) {
	for name, tt := range map[string]struct {
		configured, peer, proto, host string
		tls                           bool
		want                          string
	}{
		"plain":                    {peer: "10.0.0.1:1", want: "ws://proxy.test:50051/gateway"},
		"TLS":                      {peer: "10.0.0.1:1", tls: true, want: "wss://proxy.test:50051/gateway"},
		"a stranger's headers":     {peer: "10.0.0.1:1", proto: "https", host: "evil.test", want: "ws://proxy.test:50051/gateway"},
		"a reverse proxy":          {peer: "127.0.0.1:1", proto: "https", host: "public.test", want: "wss://public.test/gateway"},
		"one behind a Unix socket": {peer: "@", proto: "HTTPS", want: "wss://proxy.test:50051/gateway"},
		"an odd host":              {peer: "[::1]:1", host: "a/b", want: "ws://proxy.test:50051/gateway"},
		"configured":               {configured: "wss://bots.test/x/gateway", peer: "10.0.0.1:1", want: "wss://bots.test/x/gateway"},
	} {
		r := newRig(t, gatewayproxy.Config{URL: tt.configured}, events.Config{})
		request := httptest.NewRequestWithContext(t.Context(), "GET", "http://proxy.test:50051/api/v10/gateway", nil)
		request.RemoteAddr = tt.peer
		if tt.tls {
			request.TLS = new(tls.ConnectionState)
		}
		if tt.proto != "" {
			request.Header.Set("X-Forwarded-Proto", tt.proto)
		}
		if tt.host != "" {
			request.Header.Set("X-Forwarded-Host", tt.host)
		}
		if got := r.URL(request); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A presence that only grows too large by its encoding would end the session of
// everybody at Discord, again with each IDENTIFY.
func TestPresenceTooLarge(t *testing.T) {
	activity := fmt.Sprintf(`{"name":"%s","type":0}`, strings.Repeat("<", 500))
	for name, presence := range map[string]string{
		"several": `{"status":"idle","activities":[` + strings.Repeat(activity+",", 6) + activity + `]}`,
		"address": fmt.Sprintf(`{"status":"idle","activities":[{"name":"n","type":1,"url":"%s"}]}`, strings.Repeat("&", 3900)),
		"bytes":   fmt.Sprintf(`{"status":"idle","activities":[{"name":"n","type":1,"url":"%s"}]}`, strings.Repeat("a", 3700)),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, gatewayproxy.Config{}, events.Config{})
			r.connect()
			b := r.dial()
			b.identify(gateway.IntentGuilds)
			b.send(3, presence)
			if why := b.closed(); why.Code != wire.CloseDecodeError {
				t.Errorf("closed with %v", why)
			}
			select {
			case sent := <-r.sent:
				t.Errorf("Discord gets a presence of %d bytes", len(sent))
			default:
			}
		})
	}
}

// TestSlowAnswers: a bot that asks again and again and does not read is closed before
// its answers fill the memory.
func TestSlowAnswers(t *testing.T) {
	r := newRig(t, gatewayproxy.Config{}, events.Config{})
	r.connect()
	r.dispatch("GUILD_CREATE", `{"id":"2","name":"h","channels":[],"members":[],"member_count":1,"soundboard_sounds":[{"sound_id":"5","name":"`+
		strings.Repeat("x", 1<<20)+`"}]}`)
	b := r.dial()
	b.send(2, fmt.Sprintf(`{"token":"discordproxy","properties":{},"intents":%d}`, gateway.IntentGuildMessages))
	b.expect(0, "READY", `"id":"2"`)
	b.send(31, `{"guild_ids":["2","2","2"]}`)
	b.send(1, "null")
	for answers := 0; ; {
		p, err := b.read()
		if err != nil {
			t.Fatal(err)
		}
		if p.Op == 11 {
			b.send(31, `{"guild_ids":["1"]}`) // a mark behind the answers
			continue
		}
		if strings.Contains(string(p.Data), `"guild_id":"1"`) {
			if answers != 1 {
				t.Errorf("one guild is answered %d times", answers)
			}
			break
		}
		answers++
	}
	for range 100 {
		b.send(31, `{"guild_ids":["2"]}`)
	}
	for deadline := time.Now().Add(patience); r.Stats().Slow != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the stats are %+v", r.Stats())
		}
	}
	if why := b.closed(); why.Code != 4000 || !strings.Contains(why.Reason, "too slowly") {
		t.Errorf("closed with %v", why)
	}
	if s := r.Stats(); s.Slow != 1 {
		t.Errorf("the stats are %+v", s)
	}
}
