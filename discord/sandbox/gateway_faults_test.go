package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

// TestGatewayFaults makes the gateway fail in each of the ways in which real sessions have failed.
func TestGatewayFaults(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fault := func(f sandbox.GatewayFaults) {
		t.Helper()
		must(r.SetGatewayFaults(f))
	}
	resume := func(ready obj) *client {
		c := r.dial("?v=10&encoding=json")
		c.op(10)
		c.send(6, obj{"token": sandbox.DefaultToken, "session_id": ready["session_id"], "seq": 1})
		return c
	}
	for _, how := range sandbox.Resumes {
		fault(sandbox.GatewayFaults{})
		_, ready := r.login(sandbox.IntentGuildMessages)
		must(r.DropGateway(0))
		eventually(t, "dropped", func() bool { return len(r.GatewayConnections()) == 0 })
		must(r.DispatchGateway("ODD", json.RawMessage(`{"n":1}`), 0))
		fault(sandbox.GatewayFaults{Resume: how})
		c := resume(ready)
		switch how {
		case sandbox.ResumeDrop:
			if _, err := c.read(); err == nil {
				t.Error("not dropped")
			}
		case sandbox.ResumeClose:
			c.closed(4000)
		case sandbox.ResumeDefer:
			equal(t, how, string(c.op(9).Data), "true")
		case sandbox.ResumeRefuse:
			equal(t, how, string(c.op(9).Data), "false")
		case sandbox.ResumeMalformed:
			if _, err := c.read(); err == nil || !strings.Contains(err.Error(), "unexpected end of JSON") {
				t.Errorf("malformed: %v", err)
			}
		case sandbox.ResumeSilence:
			c.send(1, 1)
			equal(t, "nothing but an ACK", c.next().Op, 11)
		case sandbox.ResumeNoResumed:
			equal(t, "the event", c.event("ODD")["n"], any(1.0))
			c.send(1, 1)
			equal(t, "no RESUMED", c.next().Op, 11)
		}
		_ = c.ws.CloseNow()
	}

	elsewhere, few := "ws://elsewhere.test", 3
	fault(sandbox.GatewayFaults{ReadyDelay: 50 * time.Millisecond, Life: 50 * time.Millisecond, ResumeURL: elsewhere, URL: elsewhere, Remaining: &few})
	var bot struct {
		URL   string                   `json:"url"`
		Limit *struct{ Remaining int } `json:"session_start_limit"`
	}
	r.do("GET", "/gateway/bot", nil).is(200).into(&bot)
	equal(t, "url", bot.URL, elsewhere)
	equal(t, "remaining", bot.Limit.Remaining, 3)
	before := time.Now()
	c, ready := r.login(0)
	if time.Since(before) < 50*time.Millisecond {
		t.Error("READY arrived immediately")
	}
	equal(t, "resume url", ready["resume_gateway_url"], any(elsewhere))
	if _, err := readAll(c); err == nil {
		t.Error("the session lives on")
	}
	fault(sandbox.GatewayFaults{})
	equal(t, "refused", string(resume(ready).op(9).Data), "false")

	fault(sandbox.GatewayFaults{Backwards: true, BytesPerSecond: 1 << 20})
	c, _ = r.login(0)
	equal(t, "backwards", *c.next().Seq, int64(1))
	before = time.Now()
	must(r.DispatchGateway("ODD", json.RawMessage(`{"id":"7"}`), 256<<10))
	equal(t, "padding", len(c.event("ODD")["padding"].(string)), 256<<10)
	if took := time.Since(before); took < 250*time.Millisecond {
		t.Errorf("256 KiB took %s", took)
	}
	if counts := r.GatewayCounts(); counts.Identifies != len(sandbox.Resumes)+2 || counts.Resumes != len(sandbox.Resumes)+1 {
		t.Errorf("counted are %+v", counts)
	}
	for _, err := range []error{
		r.SetGatewayFaults(sandbox.GatewayFaults{Resume: "perhaps"}),
		r.DispatchGateway("", json.RawMessage(`{}`), 0),
		r.DispatchGateway("X", json.RawMessage(`{`), 0),
		r.DispatchGateway("X", json.RawMessage(`[]`), 1),
		r.DispatchGateway("X", json.RawMessage(`{}`), -1),
	} {
		if err == nil {
			t.Error("nonsense was taken")
		}
	}
	remote := remote{t, "http" + strings.TrimSuffix(strings.TrimPrefix(r.url, "ws"), "/gateway")}
	remote.ok("PUT", "/sandbox/gateway/faults", `{"resume":"defer","life":"5s","ready_delay":2,"remaining":0,"bytes_per_second":10}`)
	if f := r.GatewayFaults(); f.Resume != sandbox.ResumeDefer || f.Life != 5*time.Second || f.ReadyDelay != 2*time.Second || *f.Remaining != 0 {
		t.Errorf("the faults are %+v", f)
	}
	remote.ok("PUT", "/sandbox/gateway/faults", `{}`)
	remote.ok("POST", "/sandbox/gateway/dispatch", `{"type":"GUILD_CREATE","data":{"id":"1","unavailable":true}}`)
	equal(t, "identifies", remote.ok("GET", "/sandbox/gateway", "")["counts"].(obj)["identifies"], any(float64(r.GatewayCounts().Identifies)))
}
