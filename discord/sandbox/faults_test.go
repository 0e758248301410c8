package sandbox_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
)

// post sends a message to General and reads the answer.
func post(ctx context.Context, client *http.Client, base string, w sandbox.World) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", base+path("/api/v10/channels/%d/messages", w.General), strings.NewReader(`{"content":"hi"}`))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bot "+w.Token)
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// TestFaults injects faults in process and over a real connection.
func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		fault  sandbox.Fault
		status int
		body   string // that it begins with
		err    error
	}{
		{"status", sandbox.Fault{Status: 503, Body: "upstream connect error"}, 503, "upstream connect error", nil},
		{"page", sandbox.Fault{Status: 502}, 502, "<html>", nil},
		{"json", sandbox.Fault{Status: 403}, 403, `{"message":"Forbidden","code":0}`, nil},
		{"reset", sandbox.Fault{Kind: sandbox.FaultReset}, 0, "", syscall.ECONNRESET},
		{"hang for a while", sandbox.Fault{Kind: sandbox.FaultHang, Delay: time.Millisecond}, 0, "", syscall.ECONNRESET},
		{"truncated", sandbox.Fault{Kind: sandbox.FaultTruncate, Bytes: 10, After: true}, 200, `{"type":0,`, io.ErrUnexpectedEOF},
		{"slow", sandbox.Fault{Kind: sandbox.FaultSlow, Bytes: 1 << 20, After: true}, 200, `{"type":0,`, nil},
		{"huge", sandbox.Fault{Kind: sandbox.FaultHuge, Bytes: 1 << 20}, 200, strings.Repeat(" ", 1<<20), nil},
	}
	for _, test := range tests {
		for _, after := range []bool{false, true} {
			if test.fault.After && !after {
				continue
			}
			test.fault.After = after
			try := func(t *testing.T, sb *sandbox.Sandbox, client *http.Client, base string) {
				test.fault.Count = 1
				test.fault.Route = sendRoute
				id := sb.InjectFault(test.fault)
				status, body, err := post(t.Context(), client, base, sb.World())
				if !errors.Is(err, test.err) {
					t.Errorf("error %v, want %v", err, test.err)
				}
				equal(t, "status", status, test.status)
				if !strings.HasPrefix(body, test.body) {
					t.Errorf("body %.100q, want %.100q", body, test.body)
				}
				stored := len(sb.Messages(sb.World().General))
				equal(t, "stored", stored == 1, after)
				equal(t, "hits", sb.Faults()[0].Hits, 1)
				if status, _, err := post(t.Context(), client, base, sb.World()); status != 200 || err != nil {
					t.Errorf("afterwards: %d, %v", status, err)
				}
				sb.RemoveFault(id)
				equal(t, "faults", len(sb.Faults()), 0)
			}
			name := test.name + map[bool]string{false: " before", true: " after"}[after]
			t.Run(name+" in process", func(t *testing.T) {
				sb := sandbox.New(sandbox.Config{})
				try(t, sb, sb.Client(), "http://discord.com")
			})
			t.Run(name+" over a connection", func(t *testing.T) {
				sb := sandbox.New(sandbox.Config{})
				l, err := sb.Listen(t.Context(), "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				try(t, sb, client, l.URL)
			})
		}
	}
}

func TestFaultsMatch(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	r.client = r.Client()
	send := func(channel sandbox.ID) int { return r.sendTo(channel, obj{"content": "hi"}).status }
	r.InjectFault(sandbox.Fault{Name: "second", Path: path("/channels/%d/messages", r.w.General), Skip: 1, Count: 1, Status: 500})
	equal(t, "first", send(r.w.General), 200)
	equal(t, "elsewhere", send(r.w.Random), 200)
	equal(t, "second", send(r.w.General), 500)
	equal(t, "third", send(r.w.General), 200)
	calls := r.Calls()
	equal(t, "logged", calls[2].Fault, "second")

	r.RemoveFault(0)
	r.InjectFault(sandbox.Fault{Route: "/users/@me", Status: 500, Probability: 0.5})
	bad := 0
	for range 100 {
		if r.do("GET", "/users/@me", nil).status == 500 {
			bad++
		}
	}
	if bad < 30 || bad > 70 {
		t.Errorf("%d of 100 went wrong", bad)
	}
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		sb.InjectFault(sandbox.Fault{Kind: sandbox.FaultHang, After: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, _, err := post(ctx, sb.Client(), "http://discord.com", sb.World())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		equal(t, "waited", time.Since(start), time.Minute)
		equal(t, "stored", len(sb.Messages(sb.World().General)), 1)
	})
}

func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		sb.InjectFault(sandbox.Fault{Kind: sandbox.FaultSlow, Status: 200, Body: "0123456789"})
		start := time.Now()
		_, body, err := post(t.Context(), sb.Client(), "http://discord.com", sb.World())
		if body != "0123456789" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		equal(t, "took", time.Since(start), 10*time.Second)
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.Latency{
			Request: sandbox.Delay{Min: 30 * time.Millisecond}, Response: sandbox.Delay{Min: 70 * time.Millisecond},
		}})
		start := time.Now()
		if _, _, err := post(t.Context(), sb.Client(), "http://discord.com", sb.World()); err != nil {
			t.Fatal(err)
		}
		equal(t, "took", time.Since(start), 100*time.Millisecond)
		equal(t, "counted", sb.Calls()[0].At, start.Add(30*time.Millisecond))

		// A caller who leaves on the way there does not call back what it sent.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start = time.Now()
		if _, _, err := post(ctx, sb.Client(), "http://discord.com", sb.World()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		equal(t, "left after", time.Since(start), 10*time.Millisecond)
		equal(t, "arrived so far", len(sb.Calls()), 1)
		time.Sleep(21 * time.Millisecond)
		equal(t, "arrived", len(sb.Calls()), 2)

		sb.SetLatency(sandbox.Latency{Request: sandbox.Delay{Min: time.Second, Max: 2 * time.Second}})
		for range 5 {
			start = time.Now()
			_, _, _ = post(t.Context(), sb.Client(), "http://discord.com", sb.World())
			if took := time.Since(start); took < time.Second || took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		}
		sb.SetLatency(sandbox.Latency{Response: sandbox.Delay{Func: func(*rand.Rand) time.Duration { return 5 * time.Second }}})
		start = time.Now()
		_, _, _ = post(t.Context(), sb.Client(), "http://discord.com", sb.World())
		equal(t, "took", time.Since(start), 5*time.Second)
	})
}
