package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
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

// books are what a client of the soak has to account for.
type books struct {
	first, last    uint64 // numbers that are to be accounted for: first < n <= last
	received, gone uint64
	position       *pb.EventPosition
	streams        int

	// Of the messages, which are numbered too. Some may be missing after a gap,
	// and before a session that began.
	message, missing int
	excused          bool
}

// account checks that no message is missing of which that was not told.
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
	stream, err := client.SubscribeEvents(ctx, connect.NewRequest(&pb.SubscribeEventsRequest{After: b.position}))
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for stream.Receive() {
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

// TestEventSoak disturbs the gateway and its subscribers at random. In the end
// every subscriber has received each event or was told that it is gone, and each
// message that was sent unless a gap or a new session was told; nothing is left
// over. DISCORDPROXY_TEST_SOAK says for how long.
func TestEventSoak(t *testing.T) {
	length := lasting(t, "DISCORDPROXY_TEST_SOAK", 3*time.Second)
	before, heapBefore := runtime.NumGoroutine(), heap()
	sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 10})
	limits := sb.GatewayLimits()
	limits.HeartbeatInterval, limits.Sends, limits.Starts = 2*time.Second, 0, 100_000
	sb.SetGatewayLimits(limits)
	p := online(t, sb, "--event-buffer", "500", "--intents", "default,MESSAGE_CONTENT")
	clients := []discordapiconnect.DiscordApiClient{p.Clients()["gRPC"], p.Clients()["Connect"], p.Clients()["gRPC-Web"]}

	ctx, cancel := context.WithTimeout(t.Context(), length+2*patience)
	defer cancel()
	var goal atomic.Uint64
	all := make([]*books, 12)
	errs := make([]error, len(all))
	var following sync.WaitGroup
	for i := range all {
		all[i] = new(books)
		pause := []time.Duration{0, 50 * time.Millisecond, time.Second}[i%3]
		following.Go(func() { errs[i] = all[i].follow(ctx, clients[i%len(clients)], pause, &goal) })
	}
	disturbances := []func() error{
		func() error { return sb.DropGateway(0) },
		func() error { return sb.SendGateway(0, 7) },
		func() error { return sb.CloseGateway(0, 4000, "") },
		func() error { return sb.InvalidateSessions(0, false) },
		func() error { return sb.InvalidateSessions(0, true) },
		func() error { return sb.SetGatewayFaults(sandbox.GatewayFaults{NoAcks: true}) }, // a zombie
		func() error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, First: []int{7}}), sb.DropGateway(0))
		},
		func() error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, Refuse: sandbox.RefuseReset}), sb.DropGateway(0))
		},
	}
	sent, disturbed := 0, 0
	began := time.Now()
	for next := began.Add(time.Second); time.Since(began) < length; {
		for range 5 {
			sent++
			post(t, sb, sb.World().General, strconv.Itoa(sent))
		}
		time.Sleep(10 * time.Millisecond)
		if time.Now().After(next) {
			next = time.Now().Add(rand.N(10 * time.Second))
			if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
				t.Fatal(err)
			}
			if err := disturbances[rand.N(len(disturbances))](); err != nil {
				t.Fatal(err)
			}
			disturbed++
		}
	}
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
		t.Fatal(err)
	}
	// A message that comes through ends the soak. Who waits for it may be too
	// slow for what is replayed before it.
	for goal.Load() == 0 && ctx.Err() == nil {
		end := follow(t, clients[0], &pb.SubscribeEventsRequest{})
		last := post(t, sb, sb.World().General, "the end")
		for late := time.After(2 * time.Second); late != nil; {
			select {
			case e := <-end.events:
				if e.GetMessage().GetId() == uint64(last) {
					goal.Store(e.GetSequence())
					late = nil
				}
			case <-late:
				late = nil // the connection was lost, or is being made
			}
		}
		end.stop()
	}
	if goal.Load() == 0 {
		t.Fatalf("no event comes any more; %+v", sb.GatewayConnections())
	}
	following.Wait()
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
	// What is left is the pretend Discord, whose messages are bounded.
	if left := heap() - heapBefore; left > 64<<20 {
		t.Errorf("%d MiB of memory are left", left>>20)
	} else {
		t.Logf("%d KiB of memory are left", left>>10)
	}
	for began := time.Now(); runtime.NumGoroutine() > before+20; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
		}
	}
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
