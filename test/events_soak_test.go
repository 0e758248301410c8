package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// lasting returns how long a long test lasts: what the variable says, else
// little.
func lasting(t *testing.T, variable string, little time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return little
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// maxResponse is what clients of gRPC take by default, in bytes.
const maxResponse = 4 << 20

// books are what a client of the soak has to account for.
type books struct {
	first, last    uint64 // numbers that are to be accounted for: first < n <= last
	received, gone uint64
	position       *pb.EventPosition
	streams        int
	raw            bool // events come with their JSON

	// Of the messages, which are numbered too. Some may be missing after a gap,
	// and before a session that began.
	message, missing int
	excused          bool
}

// account checks that no message is missing without a report of it.
func (b *books) account(e *pb.Event) error {
	if e.GetGatewayState().GetState() == pb.Event_GatewayState_CONNECTED || e.GetGap() != nil {
		b.excused = true
	}
	n, err := strconv.Atoi(e.GetMessage().GetContent())
	if err != nil {
		return nil
	}
	if missing := n - b.message - 1; b.message > 0 && missing != 0 {
		if missing < 0 || !b.excused {
			return fmt.Errorf("after message %d came %d", b.message, n)
		}
		b.missing += missing
	}
	b.message, b.excused = n, false
	return nil
}

// follow reads streams, each from where the last one ended, until everything up
// to goal, once it is known, is accounted for.
func (b *books) follow(ctx context.Context, client discordapiconnect.DiscordApiClient, pause time.Duration, goal *atomic.Uint64) error {
	for {
		read, cancel := context.WithTimeout(ctx, time.Second+rand.N(2*time.Second))
		err := b.stream(read, client, pause, goal)
		cancel()
		switch code := connect.CodeOf(err); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case code != connect.CodeDeadlineExceeded && code != connect.CodeCanceled && code != connect.CodeResourceExhausted:
			return err
		}
	}
}

func (b *books) stream(ctx context.Context, client discordapiconnect.DiscordApiClient, pause time.Duration, goal *atomic.Uint64) error {
	b.streams++
	stream, err := client.SubscribeEvents(ctx, &pb.SubscribeEventsRequest{After: b.position, IncludeRaw: b.raw})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
		if size := proto.Size(stream.Msg()); size > maxResponse {
			return fmt.Errorf("a response of %d bytes", size)
		}
		if b.position == nil {
			b.first = stream.Msg().GetPosition().GetSequence()
			b.last = b.first
		}
		for _, e := range stream.Msg().GetEvents() {
			if err := b.account(e); err != nil {
				return err
			}
			if gap := e.GetGap(); gap != nil {
				if gap.GetFirst() != b.last+1 {
					return fmt.Errorf("after %d the gap %v", b.last, gap)
				}
				b.gone += gap.GetLast() - gap.GetFirst() + 1
				b.last = gap.GetLast()
			} else if n := e.GetSequence(); n > 0 && b.position != nil {
				if n != b.last+1 {
					return fmt.Errorf("after %d the event %d", b.last, n)
				}
				b.received++
				b.last = n
			}
		}
		b.position = stream.Msg().GetPosition()
		if b.last != b.position.GetSequence() {
			return fmt.Errorf("after %d the position %v", b.last, b.position)
		}
		if end := goal.Load(); end > 0 && b.last >= end {
			return nil
		}
		if pause > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(pause)):
			}
		}
	}
	return stream.Err()
}

// disturbance makes something go wrong, and returns how long it lasts at least.
type disturbance func(sb *sandbox.Sandbox) (time.Duration, error)

func at(once func(sb *sandbox.Sandbox) error) disturbance {
	return func(sb *sandbox.Sandbox) (time.Duration, error) { return 0, once(sb) }
}

// faulty lets the next connections meet faults, and makes one necessary.
func faulty(f sandbox.GatewayFaults, lasts time.Duration) disturbance {
	return func(sb *sandbox.Sandbox) (time.Duration, error) {
		return lasts, errors.Join(sb.SetGatewayFaults(f), sb.DropGateway(0))
	}
}

// disturbances are those that are over within seconds.
var disturbances = []disturbance{
	at(func(sb *sandbox.Sandbox) error { return sb.DropGateway(0) }),
	at(func(sb *sandbox.Sandbox) error { return sb.SendGateway(0, 7) }),
	at(func(sb *sandbox.Sandbox) error { return sb.CloseGateway(0, 4000, "") }),
	at(func(sb *sandbox.Sandbox) error { return sb.InvalidateSessions(0, false) }),
	at(func(sb *sandbox.Sandbox) error { return sb.InvalidateSessions(0, true) }),
	at(func(sb *sandbox.Sandbox) error { return sb.SetGatewayFaults(sandbox.GatewayFaults{NoAcks: true}) }),
	at(func(sb *sandbox.Sandbox) error { return sb.SetGatewayFaults(sandbox.GatewayFaults{Backwards: true}) }),
	faulty(sandbox.GatewayFaults{Count: 1, First: []int{7}}, 0),
	faulty(sandbox.GatewayFaults{Count: 1, Refuse: sandbox.RefuseReset}, 0),
	at(func(sb *sandbox.Sandbox) error {
		for range 200 {
			if err := sb.SendGateway(0, 1); err != nil {
				return err
			}
		}
		return nil
	}),
	at(func(sb *sandbox.Sandbox) error {
		return sb.DispatchGateway("GUILD_CREATE", json.RawMessage(fmt.Sprintf(`{"id":"%d","unavailable":true}`, sb.World().Guild)), 0)
	}),
	at(func(sb *sandbox.Sandbox) error {
		return sb.DispatchGateway("GUILD_CREATE", json.RawMessage(`{"id":"9","name":"large"}`), 1+rand.N(5<<20))
	}),
	at(func(sb *sandbox.Sandbox) error {
		return sb.DispatchGateway("SANDBOX_LARGE", json.RawMessage(`{}`), 1+rand.N(2<<20))
	}),
}

// lastingDisturbances are those that keep events away for longer. hung is an
// address that takes connections and says nothing.
func lastingDisturbances(hung string) []disturbance {
	few := 990 // fewer make the last wait long
	all := []disturbance{
		faulty(sandbox.GatewayFaults{Life: rand.N(3 * time.Second), Resume: sandbox.ResumeRefuse}, 20*time.Second),
		faulty(sandbox.GatewayFaults{Count: 2, ReadyDelay: 5 * time.Second, Resume: sandbox.ResumeRefuse}, 20*time.Second),
		faulty(sandbox.GatewayFaults{Count: 2, Refuse: sandbox.RefuseHang}, 15*time.Second),
		faulty(sandbox.GatewayFaults{Count: 3, NoHello: true}, 15*time.Second),
		faulty(sandbox.GatewayFaults{Remaining: &few, Resume: sandbox.ResumeRefuse, Count: 1}, 10*time.Second),
		faulty(sandbox.GatewayFaults{NoStartLimit: true, Resume: sandbox.ResumeRefuse, Count: 1, ResumeURL: hung}, 10*time.Second),
		func(sb *sandbox.Sandbox) (time.Duration, error) {
			return 10 * time.Second, errors.Join(
				sb.SetGatewayFaults(sandbox.GatewayFaults{NoAcks: true, BytesPerSecond: 512 << 10}),
				sb.DispatchGateway("GUILD_CREATE", json.RawMessage(`{"id":"9","name":"large"}`), 3<<20))
		},
	}
	for _, how := range sandbox.Resumes {
		all = append(all, faulty(sandbox.GatewayFaults{Resume: how}, 10*time.Second), faulty(sandbox.GatewayFaults{Resume: how, Count: 5}, 40*time.Second))
	}
	return all
}

// maxIdentifies bounds the sessions of the bot that begin within a time: two
// after one of a minute cost 10 and 20 seconds, and none cost less than that on
// the average.
func maxIdentifies(d time.Duration) int { return 4 + int(d/(30*time.Second)) }

// witness compares what the proxy shows with what the sandbox sees, until ctx
// ends, and returns the first difference that lasts longer than the proxy may
// need: a dead line shows after two heartbeats, and events show after ten seconds
// that the session continues.
func witness(ctx context.Context, p *proxytest.Proxy, sb *sandbox.Sandbox) error {
	const allowed = 20 * time.Second
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(250 * time.Millisecond):
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		page, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("/readyz: %d %s, %w", response.StatusCode, page, err)
		}
		shown := !strings.Contains(string(page), "no events arrive")
		connected := slices.ContainsFunc(sb.GatewayConnections(), func(c sandbox.GatewayConnection) bool { return c.Session != "" })
		if shown == connected {
			since = time.Now()
		}
		if time.Since(since) > allowed {
			return fmt.Errorf("for %s the proxy has shown %q, and the sandbox sees %+v", allowed, page, sb.GatewayConnections())
		}
	}
}

// TestEventSoak disturbs the gateway and its subscribers at random. In the end
// every subscriber has received each event or a report that it is gone, and each
// message that was sent unless a gap or a new session was reported; no more sessions
// began than the budget allows, what the proxy showed was true, and nothing is
// left over. DISCORDPROXY_TEST_SOAK says for how long.
func TestEventSoak(t *testing.T) {
	length := lasting(t, "DISCORDPROXY_TEST_SOAK", 3*time.Second)
	before, heapBefore := runtime.NumGoroutine(), heap()
	sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 10})
	limits := sb.GatewayLimits()
	limits.HeartbeatInterval = 2 * time.Second
	sb.SetGatewayLimits(limits)
	hung, closeHung := silentListener(t)
	defer closeHung()
	choices := disturbances
	if length >= time.Minute {
		choices = slices.Concat(disturbances, lastingDisturbances("ws://"+hung+"/gateway"))
	}
	p := proxytest.Online(t, sb, "--event-buffer", "500", "--intents", "default,MESSAGE_CONTENT")
	clients := []discordapiconnect.DiscordApiClient{p.Clients()["gRPC"], p.Clients()["Connect"], p.Clients()["gRPC-Web"]}

	ctx, cancel := context.WithTimeout(t.Context(), length+10*time.Minute)
	defer cancel()
	var goal atomic.Uint64
	all := make([]*books, 12)
	errs := make([]error, len(all))
	var following sync.WaitGroup
	for i := range all {
		all[i] = &books{raw: i%4 == 0}
		pause := []time.Duration{0, 50 * time.Millisecond, time.Second}[i%3]
		following.Go(func() { errs[i] = all[i].follow(ctx, clients[i%len(clients)], pause, &goal) })
	}
	watching, endWatching := context.WithCancel(ctx)
	var untrue error
	var witnesses sync.WaitGroup
	witnesses.Go(func() { untrue = witness(watching, p, sb) })
	sent, disturbed := 0, 0
	began := time.Now()
	for next := began.Add(time.Second); time.Since(began) < length; {
		for range 5 {
			sent++
			proxytest.Post(t, sb, sb.World().General, strconv.Itoa(sent))
		}
		time.Sleep(10 * time.Millisecond)
		if time.Now().After(next) {
			if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
				t.Fatal(err)
			}
			lasts, err := choices[rand.N(len(choices))](sb)
			if err != nil {
				t.Fatal(err)
			}
			next = time.Now().Add(lasts + rand.N(10*time.Second))
			disturbed++
		}
	}
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
		t.Fatal(err)
	}
	// A message that comes through ends the soak. Who waits for it may be too
	// slow for what is replayed before it.
	for goal.Load() == 0 && ctx.Err() == nil {
		end := proxytest.Follow(t, clients[0], &pb.SubscribeEventsRequest{})
		last := proxytest.Post(t, sb, sb.World().General, "the end")
		for late := time.After(2 * time.Second); late != nil; {
			select {
			case e := <-end.Events:
				if e.GetMessage().GetId() == uint64(last) {
					goal.Store(e.GetSequence())
					late = nil
				}
			case <-late:
				late = nil // the connection was lost, or is being made
			}
		}
		end.Stop()
	}
	if goal.Load() == 0 {
		t.Fatalf("no event comes any more; %+v", sb.GatewayConnections())
	}
	following.Wait()
	endWatching()
	witnesses.Wait()
	if untrue != nil {
		t.Error(untrue)
	}
	counts, bound := sb.GatewayCounts(), maxIdentifies(time.Since(began))
	if counts.Identifies > bound {
		t.Errorf("%d IDENTIFYs, more than %d", counts.Identifies, bound)
	}
	t.Logf("%d IDENTIFYs of at most %d, %d RESUMEs", counts.Identifies, bound, counts.Resumes)
	for i, b := range all {
		if errs[i] != nil {
			t.Errorf("subscriber %d: %v", i, errs[i])
			continue
		}
		if b.received+b.gone != b.last-b.first {
			t.Errorf("subscriber %d received %d, %d are gone, of %d", i, b.received, b.gone, b.last-b.first)
		}
		t.Logf("subscriber %d: received %d, gone %d, in %d streams; %d messages missing at gaps and between sessions", i, b.received, b.gone, b.streams, b.missing)
	}
	t.Logf("%d messages in %s, disturbed %d times", sent, time.Since(began).Round(time.Second), disturbed)
	if code := p.Stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	// What is left is the sandbox, whose messages are bounded.
	if left := heap() - heapBefore; left > 64<<20 {
		t.Errorf("%d MiB of memory are left", left>>20)
	} else {
		t.Logf("%d KiB of memory are left", left>>10)
	}
	closeHung()
	http.DefaultClient.CloseIdleConnections() // the witness's
	for began := time.Now(); runtime.NumGoroutine() > before+20; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > proxytest.Patience {
			var stacks strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Fatalf("%d goroutines are left, there were %d:\n%s", runtime.NumGoroutine(), before, &stacks)
		}
	}
	t.Logf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
}

// silentListener takes connections and says nothing.
func silentListener(t *testing.T) (address string, end func()) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	return l.Addr().String(), sync.OnceFunc(func() {
		_ = l.Close()
		serving.Wait()
	})
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
