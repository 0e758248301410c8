package sandbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"discordproxy/discord/sandbox"
)

// TestGatewayCloseCodes: each cause closes a connection with its code.
func TestGatewayCloseCodes(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	limits := r.GatewayLimits()
	limits.Disallowed = sandbox.IntentGuildPresences
	limits.MinShards = 2
	r.SetGatewayLimits(limits)
	sharded := obj{"shard": []int{0, 2}}
	raw := func(text string) func(*client) {
		return func(c *client) {
			if err := c.ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Error(err)
			}
		}
	}
	send := func(op int, d any) func(*client) { return func(c *client) { c.send(op, d) } }
	with := func(more ...obj) func(*client) { return send(2, identify(0, append([]obj{sharded}, more...)...)) }
	then := func(steps ...func(*client)) func(*client) {
		return func(c *client) {
			for _, step := range steps {
				step(c)
			}
		}
	}
	const query = "?v=10&encoding=json"
	for _, test := range []struct {
		name, query string
		do          func(*client)
		code        int
	}{
		{"unknown opcode", query, send(5, nil), 4001},
		{"opcode of the server", query, send(0, obj{}), 4001},
		{"no JSON", query, raw("{"), 4002},
		{"no opcode", query, raw("{}"), 4002},
		{"payload too large", query, send(1, strings.Repeat("x", 5000)), 4002},
		{"heartbeat with text", query, send(1, "x"), 4002},
		{"identify without properties", query, send(2, obj{"token": sandbox.DefaultToken, "intents": 0}), 4002},
		{"large_threshold", query, with(obj{"large_threshold": 251}), 4002},
		{"presence", query, with(obj{"presence": obj{"status": "busy"}}), 4002},
		{"presence before identify", query, send(3, obj{}), 4003},
		{"members before identify", query, send(8, obj{}), 4003},
		{"wrong token", query, with(obj{"token": "nonsense"}), 4004},
		{"wrong token to resume", query, send(6, obj{"token": "nonsense", "session_id": "x", "seq": 1}), 4004},
		{"identify twice", query, then(with(), with()), 4005},
		{"resume after identify", query, then(with(), send(6, obj{"token": sandbox.DefaultToken})), 4005},
		{"shard beyond", query, with(obj{"shard": []int{2, 2}}), 4010},
		{"shard without count", query, with(obj{"shard": []int{0}}), 4010},
		{"too few shards", query, with(obj{"shard": []int{0, 1}}), 4011},
		{"no version", "?encoding=json", nil, 4012},
		{"old version", "?v=8&encoding=json", nil, 4012},
		{"no intents", query, send(2, obj{"token": sandbox.DefaultToken, "properties": obj{}, "shard": []int{0, 2}}), 4013},
		{"unknown intent", query, with(obj{"intents": 1 << 30}), 4013},
		{"disallowed intent", query, with(obj{"intents": sandbox.IntentGuildPresences}), 4014},
		{"encoding", "?v=10&encoding=etf", nil, 4002},
		{"compression", "?v=10&encoding=json&compress=lz4-stream", nil, 4002},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := r.dial(test.query)
			if c.t = t; test.do != nil {
				c.op(10)
				test.do(c)
			}
			c.closed(test.code)
		})
	}
}

func TestGatewayLimits(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	type start struct {
		Limit struct {
			Total, Remaining int
			ResetAfter       int `json:"reset_after"`
			MaxConcurrency   int `json:"max_concurrency"`
		} `json:"session_start_limit"`
		URL string
	}
	left := func() (s start) {
		r.do("GET", "/gateway/bot", nil).is(200).into(&s)
		return s
	}
	equal(t, "starts", left().Limit.Remaining, 1000)

	limits := sandbox.DefaultGatewayLimits()
	limits.Starts = 4
	r.SetGatewayLimits(limits)
	c, _ := r.login(0)
	for range 119 {
		c.send(1, nil)
	}
	c.send(1, nil)
	c.closed(sandbox.CloseRateLimited)

	c = r.dial("?v=9&encoding=json")
	c.op(10)
	c.send(2, identify(0))
	equal(t, "second within five seconds", string(c.op(9).Data), "false")
	r.Advance(5 * time.Second)
	c.send(2, identify(0))
	c.event("READY")
	equal(t, "starts", left().Limit.Remaining, 2)
	if ms := left().Limit.ResetAfter; ms < 86_000_000 || ms > 86_400_000 {
		t.Errorf("reset after %d ms", ms)
	}
	r.Advance(24 * time.Hour)
	equal(t, "starts", left().Limit.Remaining, 4)

	for range 4 {
		r.Advance(5 * time.Second)
		c, _ = r.login(0)
	}
	r.Advance(5 * time.Second)
	over := r.dial("?v=9&encoding=json")
	over.op(10)
	over.send(2, identify(0))
	over.closed(sandbox.CloseAuthenticationFailed)
	c.closed(sandbox.CloseAuthenticationFailed)
	r.do("GET", "/users/@me", nil).is(401)
}

func TestGatewayTimesOut(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(0)
	if err := r.CloseGateway(0, sandbox.CloseSessionTimedOut, ""); err != nil {
		t.Fatal(err)
	}
	c.closed(sandbox.CloseSessionTimedOut)
	equal(t, "sessions", len(r.GatewaySessions()), 0)

	limits := r.GatewayLimits()
	limits.HeartbeatInterval = 20 * time.Millisecond
	r.SetGatewayLimits(limits)
	r.dial("?v=10&encoding=json").closed(sandbox.CloseSessionTimedOut)
}

// TestGatewaySlowClient floods a client that does not read.
func TestGatewaySlowClient(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{MaxMessages: 10})
	limits := r.GatewayLimits()
	limits.MaxQueue, limits.ReplayEvents = 4<<20, 100
	r.SetGatewayLimits(limits)
	slow, ready := r.login(sandbox.IntentGuildMessages)
	quick, _ := r.login(sandbox.IntentGuildMessages)
	text := strings.Repeat("x", 1000)
	for rounds := 0; len(r.GatewayConnections()) > 1; rounds++ {
		if rounds == 40 {
			t.Fatal("the slow client is still connected")
		}
		if err := r.Burst(sandbox.Message{ChannelID: r.w.General, Content: text}, 1000); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			quick.event("MESSAGE_CREATE")
		}
	}
	if _, err := readAll(slow); err == nil {
		t.Error("the slow one is still there")
	}
	equal(t, "sessions, since it was not for its heartbeat", len(r.GatewaySessions()), 2)
	for _, s := range r.GatewaySessions() {
		if s.Buffered > 100 {
			t.Errorf("%d events are kept", s.Buffered)
		}
	}
	slow = r.dial("?v=10&encoding=json")
	slow.op(10)
	slow.send(6, obj{"token": sandbox.DefaultToken, "session_id": ready["session_id"], "seq": 1})
	equal(t, "too far behind", string(slow.op(9).Data), "false")
}

func readAll(c *client) (n int, err error) {
	for {
		if _, err = c.read(); err != nil {
			return n, err
		}
		n++
	}
}

func TestGatewayControlOverHTTP(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c := remote{t, "http" + strings.TrimSuffix(strings.TrimPrefix(r.url, "ws"), "/gateway")}
	one, _ := r.login(sandbox.IntentGuilds | sandbox.IntentGuildMembers)
	one.event("GUILD_CREATE")

	shown := c.ok("GET", "/sandbox/gateway", "")
	session := shown["sessions"].([]any)[0].(obj)
	equal(t, "intents", session["intents"], any(3.0))
	equal(t, "connection", session["connection"], shown["connections"].([]any)[0].(obj)["id"])
	id := fmt.Sprint(session["connection"])
	equal(t, "interval", c.ok("PATCH", "/sandbox/gateway/limits", `{"heartbeat_interval":"5s","sends":0}`)["heartbeat_interval"], any(5.0))
	equal(t, "payload", r.GatewayLimits().MaxPayload, 4096)
	equal(t, "sends", r.GatewayLimits().Sends, 0)

	c.ok("PUT", path("/sandbox/guilds/%d/availability", r.w.Guild), `{"available":false}`)
	equal(t, "outage", one.event("GUILD_DELETE")["unavailable"], any(true))
	c.ok("PUT", path("/sandbox/guilds/%d/availability", r.w.Guild), `{"available":true}`)
	one.event("GUILD_CREATE")
	c.ok("DELETE", path("/sandbox/guilds/%d/members/%d", r.w.Guild, r.w.Bob), "")
	equal(t, "left", one.event("GUILD_MEMBER_REMOVE")["user"].(obj)["username"], any("bob"))
	c.ok("PUT", path("/sandbox/users/%d/presence", r.w.Alice), `{"status":"idle"}`)
	equal(t, "presence", r.Presence(r.w.Alice).Status, "idle")
	c.ok("POST", "/sandbox/gateway/send", `{"op":7,"connection":`+id+`}`)
	equal(t, "reconnect", one.next().Op, 7)
	c.ok("POST", "/sandbox/gateway/invalidate", `{"resumable":true}`)
	equal(t, "invalid", string(one.op(9).Data), "true")
	c.ok("POST", "/sandbox/gateway/close", `{"code":4000,"reason":"because"}`)
	one.closed(4000)
	c.ok("POST", "/sandbox/gateway/drop", `{}`)
	c.ok("POST", "/sandbox/gateway/burst", path(`{"count":3,"message":{"channel_id":"%d","content":"n"}}`, r.w.General))
	equal(t, "burst", r.Messages(r.w.General)[2].Content, "n 3")
	c.ok("PUT", "/sandbox/gateway/faults", `{"hello_delay":"1h","no_acks":true}`)
	equal(t, "faults", r.GatewayFaults().HelloDelay, time.Hour)
	for path, body := range map[string]string{
		"POST close": `{"code":1006}`, "POST drop": `{"connection":99}`, "POST burst": `{"count":1}`,
		"PUT faults": `{"refuse":"nicely"}`, "PATCH limits": `{"sends":"many"}`,
	} {
		method, name, _ := strings.Cut(path, " ")
		if status, answer := c.do(method, "/sandbox/gateway/"+name, body); status != 400 || !json.Valid([]byte(answer)) {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}
