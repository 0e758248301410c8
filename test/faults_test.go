package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
)

// ledger compares the answers of callers with what the sandbox has stored.
type ledger struct {
	mu       sync.Mutex
	ok       map[string]bool // contents whose caller got OK
	unknown  map[string]bool // failed with outcome unknown
	failed   map[string]error
	channels []sandbox.ID
}

func newLedger(channels []sandbox.ID) *ledger {
	return &ledger{ok: map[string]bool{}, unknown: map[string]bool{}, failed: map[string]error{}, channels: channels}
}

func (l *ledger) note(content string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	status, isStatus := errors.AsType[*connect.Error](err)
	switch {
	case err == nil:
		l.ok[content] = true
	case isStatus && outcomeUnknown(status):
		l.unknown[content] = true
	default:
		l.failed[content] = err
	}
}

func outcomeUnknown(status *connect.Error) bool {
	for _, detail := range status.Details() {
		if value, err := detail.Value(); err == nil {
			if e, ok := value.(*pb.DiscordError); ok && e.GetOutcomeUnknown() {
				return true
			}
		}
	}
	return false
}

// judge prints the four numbers that must be 0, and fails when one is not.
func (l *ledger) judge(t *testing.T, sb *sandbox.Sandbox) {
	t.Helper()
	stored := make(map[string]int)
	for _, channel := range l.channels {
		for _, m := range sb.Messages(channel) {
			stored[m.Content]++
		}
	}
	duplicated, absent, present := 0, 0, 0
	for _, n := range stored {
		duplicated += n - 1
	}
	for content := range l.ok {
		if stored[content] == 0 {
			absent++
		}
	}
	for content := range l.failed {
		if stored[content] > 0 {
			present++
		}
	}
	t.Logf("%d OK, %d with unknown outcome, %d failed; %d faults, %d tries answered with the stored message",
		len(l.ok), len(l.unknown), len(l.failed), sb.Stats().Faults, sb.Stats().Deduplicated)
	t.Logf("duplicated %d, OK but absent %d, failed but present %d", duplicated, absent, present)
	if duplicated+absent+present > 0 {
		t.Error("a message was lost or doubled, or its caller got a wrong answer")
	}
}

// TestFaults sends messages while calls to Discord fail in every way, before
// and after they take effect. Within their deadlines all must arrive, once.
func TestFaults(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true, Seed: 1})
	w := sb.World()
	p := proxytest.Against(t, sb, "--global-rate-limit", "0", "--try-timeout", "500ms")
	const route = "POST /channels/{channel_id}/messages"
	for _, after := range []bool{false, true} {
		for _, f := range []sandbox.Fault{
			{Status: http.StatusInternalServerError},
			{Status: http.StatusBadGateway},
			{Status: http.StatusServiceUnavailable},
			{Status: http.StatusGatewayTimeout},
			{Status: 520},
			{Kind: sandbox.FaultReset},
			{Kind: sandbox.FaultTruncate},
			{Kind: sandbox.FaultHang},
			{Status: http.StatusOK, Body: "<html>"},
		} {
			f.Route, f.After, f.Probability = route, after, 0.02
			if f.Kind == sandbox.FaultHang {
				f.Count = 2 // each costs the time of a try
			}
			sb.InjectFault(f)
		}
	}
	const workers, each = 50, 10
	books := newLedger(w.Channels)
	client := p.Clients()["gRPC"]
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for i := range each {
				content := fmt.Sprintf("message %d of %d", i, worker)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				_, err := client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{
					ChannelId: uint64(w.Channels[(worker+i)%len(w.Channels)]), Content: content,
				})
				cancel()
				books.note(content, err)
			}
		})
	}
	working.Wait()
	books.judge(t, sb)
	if lost := workers*each - len(books.ok); lost > 0 {
		t.Errorf("%d messages did not arrive although there was time: %v", lost, books.failed)
	}
	if sb.Stats().Faults < workers {
		t.Errorf("only %d faults were met", sb.Stats().Faults)
	}
}

// TestImpatientCallers: with deadlines that are too short for some, every caller gets the
// right response.
func TestImpatientCallers(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true, Seed: 2})
	w := sb.World()
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	sb.SetLatency(sandbox.Latency{Request: sandbox.Delay{Max: 40 * time.Millisecond}, Response: sandbox.Delay{Max: 40 * time.Millisecond}})
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", After: true, Probability: 0.2, Kind: sandbox.FaultReset})
	books := newLedger(w.Channels)
	client := p.Clients()["Connect JSON"]
	var working sync.WaitGroup
	for worker := range 10 {
		working.Go(func() {
			for i := range 30 {
				content := fmt.Sprintf("message %d of %d", i, worker)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+5*i)*time.Millisecond)
				_, err := client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: content})
				cancel()
				if connect.CodeOf(err) == connect.CodeDeadlineExceeded || connect.CodeOf(err) == connect.CodeCanceled {
					// The client's own clock ended the call, so the outcome is unknown to it.
					if status, ok := errors.AsType[*connect.Error](err); !ok || !outcomeUnknown(status) {
						continue
					}
				}
				books.note(content, err)
			}
		})
	}
	working.Wait()
	p.Stop() // what is still under way ends
	books.judge(t, sb)
}

// TestShutdownReportsUnknownOutcome: a call that the end of the grace period cuts off gets an error
// that says both that the server shuts down and that the outcome is unknown.
func TestShutdownReportsUnknownOutcome(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--shutdown-grace", "100ms")
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", After: true, Kind: sandbox.FaultHang})
	answer := make(chan error, 1)
	go func() {
		_, err := p.Clients()["gRPC"].SendChannelMessage(context.WithoutCancel(t.Context()), &pb.SendChannelMessageRequest{
			ChannelId: uint64(sb.World().General), Content: "stored",
		})
		answer <- err
	}()
	for len(sb.Messages(sb.World().General)) == 0 {
		runtime.Gosched()
	}
	p.Stop()
	status, ok := errors.AsType[*connect.Error](<-answer)
	if !ok || status.Code() != connect.CodeUnavailable || !outcomeUnknown(status) || status.Message() != "the proxy is shutting down; outcome unknown: the call may have taken effect" {
		t.Errorf("the caller gets %v", status)
	}
}
