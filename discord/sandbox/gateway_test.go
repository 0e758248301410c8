package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"discordproxy/discord/sandbox"
)

// gatewayRig is a listening sandbox, for REST calls and the gateway.
type gatewayRig struct {
	*rig
	url string
}

func newGatewayRig(t *testing.T, config sandbox.Config) *gatewayRig {
	t.Helper()
	config.Unlimited = true
	r := newRig(t, config)
	l, err := r.Listen(context.WithoutCancel(t.Context()), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, goleak.IgnoreCurrent())
	})
	limits := r.GatewayLimits()
	limits.IdentifyWindow = 0
	r.SetGatewayLimits(limits)
	return &gatewayRig{r, strings.Replace(l.URL, "http", "ws", 1) + "/gateway"}
}

// payload is what the gateway sends.
type payload struct {
	Op   int             `json:"op"`
	Seq  *int64          `json:"s"`
	Type *string         `json:"t"`
	Data json.RawMessage `json:"d"`
}

// client speaks with the gateway as bots do, by hand.
type client struct {
	t  *testing.T
	ws *websocket.Conn
}

func (r *gatewayRig) dial(query string) *client {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, r.url+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(-1)
	r.t.Cleanup(func() { _ = ws.CloseNow() })
	return &client{r.t.(*testing.T), ws}
}

// refused dials and expects to be refused.
func (r *gatewayRig) refused(patience time.Duration) (status int, err error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	_, resp, err := websocket.Dial(ctx, r.url+"?v=10", nil)
	if err == nil {
		r.t.Fatal("not refused")
	}
	if resp != nil {
		_ = resp.Body.Close()
		status = resp.StatusCode
	}
	return status, err
}

// next reads one payload.
func (c *client) next() payload {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *client) read() (payload, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	var p payload
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, err
	}
	if p.Type != nil {
		checkEvent(c.t, *p.Type, p.Data)
	}
	return p, nil
}

// op reads on until there is a payload of an opcode.
func (c *client) op(op int) payload {
	c.t.Helper()
	for {
		if p := c.next(); p.Op == op {
			return p
		}
	}
}

const auditLogEntry = "GUILD_AUDIT_LOG_ENTRY_CREATE"

// event reads the next payload, which must be a certain event.
func (c *client) event(kind string) obj {
	c.t.Helper()
	p := c.next()
	// Entries of the audit log come with much that administrators do.
	for kind != auditLogEntry && p.Type != nil && *p.Type == auditLogEntry {
		p = c.next()
	}
	if p.Type == nil || *p.Type != kind {
		c.t.Fatalf("got opcode %d %s, want %s", p.Op, p.Data, kind)
	}
	var d obj
	if err := json.Unmarshal(p.Data, &d); err != nil {
		c.t.Fatal(err)
	}
	return d
}

func (c *client) send(op int, d any) {
	c.t.Helper()
	b, err := json.Marshal(obj{"op": op, "d": d})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.Write(c.t.Context(), websocket.MessageText, b); err != nil {
		c.t.Fatal(err)
	}
}

// closed reads on until the connection is closed with a code.
func (c *client) closed(code int) {
	c.t.Helper()
	for {
		_, err := c.read()
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); int(got) != code {
			c.t.Fatalf("closed with %d (%v), want %d", got, err, code)
		}
		return
	}
}

func identify(intents sandbox.Intents, more ...obj) obj {
	out := obj{"token": sandbox.DefaultToken, "intents": intents, "properties": obj{"os": "linux", "browser": "test", "device": "test"}}
	for _, m := range more {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// login connects, identifies and reads READY.
func (r *gatewayRig) login(intents sandbox.Intents, more ...obj) (*client, obj) {
	r.t.Helper()
	c := r.dial("?v=10&encoding=json")
	equal(r.t, "first opcode", c.next().Op, 10)
	c.send(2, identify(intents, more...))
	return c, c.event("READY")
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

func TestGatewayLogin(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c := r.dial("/?v=10&encoding=json")
	hello := c.next()
	equal(t, "HELLO", hello.Op, 10)
	if !strings.Contains(string(hello.Data), `"heartbeat_interval":41250`) {
		t.Errorf("HELLO has %s", hello.Data)
	}
	c.send(1, nil)
	equal(t, "ACK before IDENTIFY", c.next().Op, 11)

	c.send(2, identify(sandbox.IntentGuilds|sandbox.IntentGuildMessages, obj{
		"token": "Bot " + sandbox.DefaultToken, "shard": []int{0, 1},
		"presence": obj{"status": "dnd", "activities": []obj{{"name": "chess", "type": 0}}, "afk": false, "since": nil},
	}))
	ready := c.event("READY")
	equal(t, "user", ready["user"].(obj)["id"], any(r.w.Bot.String()))
	equal(t, "guilds", fmt.Sprint(ready["guilds"]), fmt.Sprintf("[map[id:%d unavailable:true]]", r.w.Guild))
	equal(t, "url for resuming", ready["resume_gateway_url"], any(r.url))
	equal(t, "shard", fmt.Sprint(ready["shard"]), "[0 1]")
	equal(t, "application", ready["application"].(obj)["id"], any(r.w.Bot.String()))
	guild := c.event("GUILD_CREATE")
	equal(t, "guild", guild["id"], any(r.w.Guild.String()))
	equal(t, "channels", len(guild["channels"].([]any)), 9)
	equal(t, "roles", len(guild["roles"].([]any)), 5)
	equal(t, "emojis", len(guild["emojis"].([]any)), 1)
	equal(t, "members", len(guild["members"].([]any)), 1)
	equal(t, "number of members", guild["member_count"], any(6.0))

	c.send(1, 2)
	equal(t, "ACK", c.next().Op, 11)
	equal(t, "bot", r.Presence(r.w.Bot).Status, "dnd")
	equal(t, "activity", r.Presence(r.w.Bot).Activities[0].Name, "chess")
	c.send(3, obj{"status": "invisible", "activities": []obj{}, "afk": false, "since": nil})
	eventually(t, "invisible", func() bool { return r.GatewaySessions()[0].Presence.Status == "invisible" })
	equal(t, "bot", r.Presence(r.w.Bot).Status, "offline")

	connections := r.GatewayConnections()
	equal(t, "connections", len(connections), 1)
	equal(t, "heartbeats", connections[0].Heartbeats, 2)
	equal(t, "session", connections[0].Session, ready["session_id"].(string))

	_ = c.ws.Close(1000, "")
	eventually(t, "session given up", func() bool { return len(r.GatewaySessions()) == 0 })
}

func TestGatewayResume(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, ready := r.login(sandbox.IntentGuildMessages)
	say := func(text string) {
		r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": text}).is(200)
	}
	say("one")
	equal(t, "content", c.event("MESSAGE_CREATE")["content"], any("one"))
	if err := r.DropGateway(0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.read(); err == nil || websocket.CloseStatus(err) != -1 {
		t.Fatalf("dropped: %v", err)
	}
	say("two")
	say("three")

	resume := obj{"token": sandbox.DefaultToken, "session_id": ready["session_id"], "seq": 2}
	c = r.dial("?v=10&encoding=json")
	c.op(10)
	c.send(6, resume)
	equal(t, "missed", c.event("MESSAGE_CREATE")["content"], any("two"))
	equal(t, "missed", c.event("MESSAGE_CREATE")["content"], any("three"))
	last := c.next()
	equal(t, "resumed", *last.Type, "RESUMED")
	equal(t, "sequence number", *last.Seq, int64(5))
	say("four")
	equal(t, "seen", c.event("MESSAGE_CREATE")["content"], any("four"))

	// Somebody else takes the session over.
	other := r.dial("?v=10&encoding=json")
	other.op(10)
	other.send(6, resume)
	c.closed(sandbox.CloseUnknownError)
	for _, want := range []string{"two", "three"} {
		equal(t, "replayed", other.event("MESSAGE_CREATE")["content"], any(want))
	}

	// What is not kept cannot be replayed.
	limits := r.GatewayLimits()
	limits.ReplayEvents = 2
	r.SetGatewayLimits(limits)
	say("five")
	c = r.dial("?v=10&encoding=json")
	c.op(10)
	c.send(6, resume)
	equal(t, "lost", string(c.op(9).Data), "false")
	c.send(2, identify(0))
	c.event("READY")

	// A number of the future ends the session, time does too.
	c = r.dial("?v=10&encoding=json")
	c.op(10)
	c.send(6, obj{"token": sandbox.DefaultToken, "session_id": ready["session_id"], "seq": 99})
	c.closed(sandbox.CloseInvalidSeq)
	equal(t, "sessions", len(r.GatewaySessions()), 1)
	if err := r.DropGateway(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "dropped", func() bool { return len(r.GatewayConnections()) == 0 })
	equal(t, "sessions", len(r.GatewaySessions()), 1)
	r.Advance(limits.ResumeWindow + time.Second)
	equal(t, "sessions", len(r.GatewaySessions()), 0)
}

func TestGatewayOrders(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, ready := r.login(0)
	must(r.SendGateway(0, 7))
	equal(t, "reconnect", c.next().Op, 7)
	must(r.SendGateway(0, 1))
	equal(t, "heartbeat", c.next().Op, 1)
	must(r.InvalidateSessions(0, true))
	equal(t, "resumable", string(c.op(9).Data), "true")
	c.send(6, obj{"token": sandbox.DefaultToken, "session_id": ready["session_id"], "seq": 1})
	c.event("RESUMED")
	must(r.InvalidateSessions(0, false))
	equal(t, "not resumable", string(c.op(9).Data), "false")
	equal(t, "sessions", len(r.GatewaySessions()), 0)
	must(r.CloseGateway(0, 4014, "Disallowed intent(s)."))
	c.closed(4014)
	if r.CloseGateway(99, 4000, "") == nil || r.CloseGateway(0, 1005, "") == nil || r.CloseGateway(0, 4000, strings.Repeat("x", 124)) == nil {
		t.Error("closed what cannot be")
	}

	must(r.SetGatewayFaults(sandbox.GatewayFaults{First: []int{7}, BeforeReady: []int{11, 7}, NoAcks: true, Count: 1}))
	c = r.dial("?v=10&encoding=json")
	equal(t, "before HELLO", c.next().Op, 7)
	equal(t, "HELLO", c.next().Op, 10)
	c.send(1, nil)
	c.send(2, identify(0))
	equal(t, "no ACK to the heartbeat but one before READY", c.next().Op, 11)
	equal(t, "before READY", c.next().Op, 7)
	c.event("READY")
	must(r.SetGatewayFaults(sandbox.GatewayFaults{NoHello: true, NoReady: true}))
	c = r.dial("?v=10&encoding=json")
	c.send(2, identify(0))
	c.send(1, nil)
	equal(t, "nothing but the ACK", c.next().Op, 11)

	must(r.SetGatewayFaults(sandbox.GatewayFaults{Refuse: sandbox.RefuseStatus}))
	if status, err := r.refused(time.Minute); status != http.StatusServiceUnavailable {
		t.Errorf("refused with %v", err)
	}
	must(r.SetGatewayFaults(sandbox.GatewayFaults{Refuse: sandbox.RefuseReset}))
	if _, err := r.refused(time.Minute); !strings.Contains(err.Error(), "reset") {
		t.Errorf("refused with %v", err)
	}
	must(r.SetGatewayFaults(sandbox.GatewayFaults{Refuse: sandbox.RefuseHang}))
	if _, err := r.refused(50 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hung with %v", err)
	}
}
