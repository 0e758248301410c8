package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/discord/sandbox"
)

// journal notes what a Gateway says.
type journal struct {
	mu     sync.Mutex
	states []string
	events int
}

func (j *journal) Dispatch(gateway.Dispatch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events++
}

func (j *journal) Changed(s gateway.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.states = append(j.states, s.State.String())
}

// seen returns the states and the count of events so far.
func (j *journal) seen() (states string, events int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.states, " "), j.events
}

// pipes is a listener within the program, for simulated time.
type pipes struct {
	dials chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dials:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.IPAddr{} }

func (p pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if address != "discord.test:80" {
		return nil, errors.New("nobody listens")
	}
	here, there := net.Pipe()
	select {
	case p.dials <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestAgainstTheSandbox runs a Gateway for a simulated time against the sandbox
// with each of its faults. The bot is back soon after the fault has gone, and has
// not sent more IDENTIFYs than a fault is worth.
func TestAgainstTheSandbox(t *testing.T) {
	none, few := 0, 100
	for name, tt := range map[string]struct {
		fault      sandbox.GatewayFaults
		lasts      time.Duration
		identifies int           // at most, while the fault lasts and after it
		back       time.Duration // how long after the fault
		paused     bool
	}{
		"no ACKs":              {sandbox.GatewayFaults{NoAcks: true}, time.Hour, 1, time.Minute, false},
		"no HELLO":             {sandbox.GatewayFaults{NoHello: true}, time.Hour, 2, time.Minute, false},
		"hanging connections":  {sandbox.GatewayFaults{Refuse: sandbox.RefuseHang}, time.Hour, 2, time.Minute, false},
		"slow READY":           {sandbox.GatewayFaults{ReadyDelay: 20 * time.Second, Resume: sandbox.ResumeRefuse}, time.Hour, 2, time.Minute, false},
		"no READY":             {sandbox.GatewayFaults{NoReady: true, Resume: sandbox.ResumeRefuse}, 24 * time.Hour, 400, 5 * time.Minute, false},
		"short sessions":       {sandbox.GatewayFaults{Life: 6 * time.Second, Resume: sandbox.ResumeRefuse}, 24 * time.Hour, 400, 5 * time.Minute, false},
		"sessions of a minute": {sandbox.GatewayFaults{Life: time.Minute, Resume: sandbox.ResumeRefuse}, 24 * time.Hour, 400, 5 * time.Minute, false},
		"backwards":            {sandbox.GatewayFaults{Backwards: true}, time.Hour, 1, time.Minute, false},
		"a slow line":          {sandbox.GatewayFaults{BytesPerSecond: 64 << 10, NoAcks: true}, time.Hour, 1, time.Minute, false},
		"another resume URL":   {sandbox.GatewayFaults{ResumeURL: "ws://elsewhere.test"}, time.Hour, 1, time.Minute, false},
		"a dead resume URL":    {sandbox.GatewayFaults{ResumeURL: "ws://discord.test:2"}, time.Hour, 1, time.Minute, false},
		"another URL":          {sandbox.GatewayFaults{URL: "ws://elsewhere.test", Resume: sandbox.ResumeRefuse}, time.Hour, 2, 5 * time.Minute, false},
		"no start limit":       {sandbox.GatewayFaults{NoStartLimit: true, Life: time.Second, Resume: sandbox.ResumeRefuse}, 24 * time.Hour, 400, 5 * time.Minute, false},
		"nothing left":         {sandbox.GatewayFaults{Remaining: &none, Resume: sandbox.ResumeRefuse}, time.Hour, 2, 24 * time.Hour, true},
		"the reserve":          {sandbox.GatewayFaults{Remaining: &few, Resume: sandbox.ResumeRefuse}, time.Hour, 2, 24 * time.Hour, true},
		"RESUME: drop":         {sandbox.GatewayFaults{Resume: sandbox.ResumeDrop}, time.Hour, 2, time.Minute, false},
		"RESUME: close":        {sandbox.GatewayFaults{Resume: sandbox.ResumeClose}, time.Hour, 2, time.Minute, false},
		"RESUME: defer":        {sandbox.GatewayFaults{Resume: sandbox.ResumeDefer}, time.Hour, 2, time.Minute, false},
		"RESUME: refuse":       {sandbox.GatewayFaults{Resume: sandbox.ResumeRefuse}, time.Hour, 2, time.Minute, false},
		"RESUME: malformed":    {sandbox.GatewayFaults{Resume: sandbox.ResumeMalformed}, time.Hour, 2, time.Minute, false},
		"RESUME: silence":      {sandbox.GatewayFaults{Resume: sandbox.ResumeSilence}, time.Hour, 2, time.Minute, false},
		"RESUME: no RESUMED":   {sandbox.GatewayFaults{Resume: sandbox.ResumeNoResumed}, time.Hour, 2, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sb := sandbox.New(sandbox.Config{Unlimited: true})
				client, err := discord.New(discord.Config{Token: sandbox.DefaultToken, BaseURL: "http://discord.test/api", Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				p, j := pipes{make(chan net.Conn), make(chan struct{})}, new(journal)
				g, err := gateway.New(gateway.Config{
					Token: sandbox.DefaultToken, Discord: client, API: "http://discord.test/api", Handler: j, Dial: p.dial,
					Intents: gateway.IntentGuilds, Logger: slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				server := &http.Server{Handler: sb}
				running.Go(func() { _ = server.Serve(p) })
				running.Go(func() { _ = g.Run(ctx) })
				defer func() {
					cancel()
					sb.Close()
					close(p.done)
					_ = server.Close()
					running.Wait()
				}()
				time.Sleep(time.Minute)
				if s := g.Status(); s.State != gateway.Connected {
					t.Fatalf("at first the state is %s", s)
				}
				set := func(f sandbox.GatewayFaults) {
					if err := sb.SetGatewayFaults(f); err != nil {
						t.Fatal(err)
					}
				}
				set(tt.fault)
				// Events come while the fault begins, and the connection is lost.
				for range 10 {
					if err := sb.DispatchGateway("SANDBOX_ODD", json.RawMessage(`{"id":"1"}`), 1<<20); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
				}
				time.Sleep(3 * time.Minute)
				_ = sb.DropGateway(0)
				if tt.paused {
					time.Sleep(time.Minute)
					if s := g.Status(); s.State != gateway.Paused {
						t.Errorf("the state is %s", s)
					}
				}
				for range 10 {
					time.Sleep(tt.lasts / 10)
					// What is shown is what is: the sandbox has a session of the bot
					// over a connection, or has not.
					connected := false
					for _, c := range sb.GatewayConnections() {
						connected = connected || c.Session != ""
					}
					if s := g.Status(); (s.State == gateway.Connected) != connected {
						time.Sleep(15 * time.Second)
						if s := g.Status(); (s.State == gateway.Connected) != connected && len(sb.GatewayConnections()) > 0 {
							t.Errorf("the state is %s, connected: %t", s, connected)
						}
					}
				}
				set(sandbox.GatewayFaults{})
				time.Sleep(tt.back)
				states, events := j.seen()
				if s := g.Status(); s.State != gateway.Connected {
					t.Errorf("after the fault the state is %s, after %s", s, states)
				}
				if n := sb.GatewayCounts().Identifies; n > tt.identifies {
					t.Errorf("%d IDENTIFYs, after %s", n, states)
				}
				if events < 10 {
					t.Errorf("%d events came", events)
				}
			})
		})
	}
}
