package discord_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

// pausing is a client with messages on their way to a channel.
type pausing struct {
	*discord.Client
	t       *testing.T
	sandbox *sandbox.Sandbox
	channel uint64
}

func newPausing(t *testing.T, sb *sandbox.Sandbox) *pausing {
	t.Helper()
	return &pausing{newClient(t, sb, nil), t, sb, uint64(sb.World().General)}
}

// send sends a message and returns when it waits or has ended.
func (p *pausing) send(ctx context.Context, caller, content string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := p.CreateMessage(ctx, &discord.Caller{Name: caller}, p.channel, discord.Message{Fields: discord.Args{"content": content}})
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// want checks which messages were posted, in their order.
func (p *pausing) want(contents ...string) {
	p.t.Helper()
	var got []string
	for _, m := range p.sandbox.Messages(sandbox.ID(p.channel)) {
		got = append(got, m.Content)
	}
	if !slices.Equal(got, contents) {
		p.t.Errorf("posted were %q, want %q", got, contents)
	}
}

func (p *pausing) pause(by string) discord.Pause {
	p.t.Helper()
	pause, err := p.PauseChannel(p.channel, by)
	if err != nil {
		p.t.Fatal(err)
	}
	return pause
}

// TestPauseChannel: the calls of a paused channel wait, their deadlines stay, others are
// not affected, and those of each caller continue in their order.
func TestPauseChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		p := newPausing(t, sb)
		began := time.Now()
		if got := p.pause("ann"); got != (discord.Pause{Channel: p.channel, By: "ann", Since: began}) {
			t.Errorf("the pause is %+v", got)
		}
		var ended []<-chan error
		for i := range 20 {
			ended = append(ended, p.send(t.Context(), []string{"shop", "forum"}[i%2], fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		late := p.send(ctx, "shop", "late")
		if _, err := p.CreateMessage(t.Context(), nil, uint64(sb.World().Random), discord.Message{Fields: discord.Args{"content": "x"}}); err != nil {
			t.Errorf("another channel: %v", err)
		}
		p.want()
		if again := p.pause("bob"); again.By != "ann" || again.Waiting != 21 || !again.Since.Equal(began) {
			t.Errorf("paused again it is %+v", again)
		}
		if waiting := p.WaitingCalls(); len(waiting) != 21 {
			t.Errorf("%d calls are listed", len(waiting))
		}
		err := <-late
		if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.DeadlineExceeded || e.OutcomeUnknown || time.Since(began) != time.Minute {
			t.Errorf("the call with a deadline ends after %s with %v", time.Since(began), err)
		}
		if pauses := p.Pauses(); len(pauses) != 1 || pauses[0].Waiting != 20 {
			t.Errorf("the pauses are %+v", pauses)
		}
		if was, ok := p.ResumeChannel(p.channel); !ok || was.By != "ann" || was.Waiting != 20 {
			t.Errorf("resumed is %+v, %v", was, ok)
		}
		for i, e := range ended {
			if err := <-e; err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		var posted [2][]int // by caller
		for _, m := range sb.Messages(sandbox.ID(p.channel)) {
			i, err := strconv.Atoi(m.Content)
			if err != nil {
				t.Fatal(err)
			}
			posted[i%2] = append(posted[i%2], i)
		}
		for _, numbers := range posted {
			if len(numbers) != 10 || !slices.IsSorted(numbers) {
				t.Errorf("a caller's messages came as %v", numbers)
			}
		}
		if _, ok := p.ResumeChannel(p.channel); ok || len(p.Pauses()) != 0 {
			t.Error("it is resumed twice")
		}
		if err := <-p.send(t.Context(), "shop", "after"); err != nil {
			t.Error(err)
		}
	})
}

// TestPauseOfWaitingCalls: calls that wait for a limit already wait for the end of the
// pause, too, and keep their places.
func TestPauseOfWaitingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.SetLimit(perTenMinutes(1))
		p := newPausing(t, sb)
		if err := <-p.send(t.Context(), "shop", "0"); err != nil {
			t.Fatal(err)
		}
		ended := []<-chan error{p.send(t.Context(), "shop", "1"), p.send(t.Context(), "shop", "2")}
		p.pause("ann")
		ended = append(ended, p.send(t.Context(), "shop", "3"))
		time.Sleep(time.Hour)
		synctest.Wait()
		p.want("0")
		p.ResumeChannel(p.channel)
		synctest.Wait()
		p.want("0", "1")
		p.pause("bob")
		time.Sleep(time.Hour)
		synctest.Wait()
		p.want("0", "1")
		p.ResumeChannel(p.channel)
		for i, e := range ended {
			if err := <-e; err != nil {
				t.Errorf("call %d: %v", i+1, err)
			}
		}
		p.want("0", "1", "2", "3")
	})
}

// TestPauseBounds: too many calls that wait for a pause are refused, as are too many
// pauses; and calls that are cancelled leave.
func TestPauseBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPausing(t, sandbox.New(sandbox.Config{Unlimited: true}))
		p.pause("ann")
		ended := make(chan error, 10_001)
		for range cap(ended) {
			go func() {
				_, err := p.CreateMessage(t.Context(), nil, p.channel, discord.Message{Fields: discord.Args{"content": "x"}})
				ended <- err
			}()
		}
		synctest.Wait()
		err := <-ended
		if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Overloaded || len(ended) != 0 {
			t.Errorf("the call too many ends with %v, and %d others", err, len(ended))
		}
		if n := len(p.CancelWaiting(func(discord.WaitingCall) bool { return true })); n != 10_000 {
			t.Errorf("%d calls are cancelled", n)
		}
		for range 10_000 {
			err := <-ended
			if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Withdrawn {
				t.Fatalf("a cancelled call ends with %v", err)
			}
		}
		if pauses := p.Pauses(); len(pauses) != 1 || pauses[0].Waiting != 0 {
			t.Errorf("the pauses are %+v", pauses)
		}
		if n, bytes := p.Queued(); n != 0 || bytes != 0 {
			t.Errorf("%d calls of %d bytes still wait", n, bytes)
		}
		for channel := range uint64(99) {
			if _, err := p.PauseChannel(channel+1, "ann"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.PauseChannel(1000, "ann"); !errors.Is(err, discord.ErrTooManyPauses) {
			t.Errorf("one more channel: %v", err)
		}
	})
}

// TestPauseSharesTheQueue: calls that wait for the end of a pause are among those that
// wait, and have the same bound. Calls that waited for it are not refused when they continue
// because others have come meanwhile.
func TestPauseSharesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4
		limiter, err := ratelimit.New(ratelimit.Config{MaxQueue: most})
		if err != nil {
			t.Fatal(err)
		}
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.SetLimit(perTenMinutes(1))
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sb.Transport(), Limiter: limiter, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		p := &pausing{client, t, sb, uint64(sb.World().General)}
		if err := <-p.send(t.Context(), "shop", "0"); err != nil { // uses up the limit
			t.Fatal(err)
		}
		p.pause("ann")
		paused := []<-chan error{p.send(t.Context(), "shop", "1"), p.send(t.Context(), "shop", "2")}
		if status := p.RateLimits(); status.Waiting != 2 || status.WaitingBytes == 0 || status.MaxWaiting != most {
			t.Errorf("%d calls of %d bytes wait, of at most %d", status.Waiting, status.WaitingBytes, status.MaxWaiting)
		}
		other := &pausing{p.Client, t, sb, uint64(sb.World().Random)}
		if err := <-other.send(t.Context(), "forum", "0"); err != nil {
			t.Fatal(err)
		}
		others := []<-chan error{other.send(t.Context(), "forum", "1"), other.send(t.Context(), "forum", "2")}
		for _, channel := range []*pausing{p, other} {
			err := <-channel.send(t.Context(), "shop", "too many")
			if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Overloaded {
				t.Errorf("a call too many ends with %v", err)
			}
		}
		p.ResumeChannel(p.channel)
		synctest.Wait()
		if n, _ := p.Queued(); n != most {
			t.Errorf("%d calls wait after the pause", n)
		}
		for i, e := range slices.Concat(paused, others) {
			if err := <-e; err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if n, bytes := p.Queued(); n != 0 || bytes != 0 {
			t.Errorf("%d calls of %d bytes still wait", n, bytes)
		}
		p.want("0", "1", "2")
	})
}

// TestImportPauses: a pause of an earlier run is one like any other.
func TestImportPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPausing(t, sandbox.New(sandbox.Config{Unlimited: true}))
		since := time.Now().Add(-time.Hour)
		p.ImportPauses([]discord.Pause{{Channel: p.channel, By: "ann", Since: since, Waiting: 7}})
		ended := p.send(t.Context(), "shop", "0")
		if pauses := p.Pauses(); !slices.Equal(pauses, []discord.Pause{{Channel: p.channel, By: "ann", Since: since, Waiting: 1}}) {
			t.Errorf("the pauses are %+v", pauses)
		}
		p.want()
		p.ResumeChannel(p.channel)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p.want("0")
	})
}
