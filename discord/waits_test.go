package discord_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestCancelWaiting: calls that wait are listed, and those that are cancelled end
// immediately and are never sent. All others continue.
func TestCancelWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Unlimited: true})
		sb.SetLimit(perTenMinutes(1))
		client := newClient(t, sb, nil)
		channel := uint64(sb.World().General)
		send := func(caller, content string) error {
			_, err := client.CreateMessage(t.Context(), &discord.Caller{Name: caller}, channel, discord.Message{Fields: discord.Args{"content": content}})
			return err
		}
		if err := send("shop", "first"); err != nil {
			t.Fatal(err)
		}
		if waiting := client.WaitingCalls(); len(waiting) > 0 {
			t.Errorf("after the end of a call there are %v", waiting)
		}
		results := make(map[string]chan error)
		began := time.Now()
		for _, caller := range []string{"shop", "forum"} {
			results[caller] = make(chan error, 1)
			go func() { results[caller] <- send(caller, caller) }()
			synctest.Wait()
		}
		waiting := client.WaitingCalls()
		if len(waiting) != 2 || waiting[0].Caller != "shop" || waiting[1].Number <= waiting[0].Number ||
			waiting[0].Resource != fmt.Sprint("channel ", channel) || waiting[0].Route != "POST /channels/{channel_id}/messages" || !waiting[0].Since.Equal(began) {
			t.Errorf("%v wait", waiting)
		}
		cancelled := client.CancelWaiting(func(c discord.WaitingCall) bool { return c.Caller == "shop" })
		if len(cancelled) != 1 || cancelled[0].Number != waiting[0].Number {
			t.Errorf("%v are cancelled", cancelled)
		}
		err := <-results["shop"]
		e, ok := errors.AsType[*discord.Error](err)
		if !ok || e.Reason != discord.Withdrawn || e.OutcomeUnknown || !time.Now().Equal(began) {
			t.Errorf("the call that was cancelled ends after %s with %v", time.Since(began), err)
		}
		if again := client.CancelWaiting(func(c discord.WaitingCall) bool { return c.Caller == "shop" }); len(again) > 0 {
			t.Errorf("%v are cancelled again", again)
		}
		if err := <-results["forum"]; err != nil {
			t.Errorf("another call ends with %v", err)
		}
		for _, m := range sb.Messages(sb.World().General) {
			if m.Content == "shop" {
				t.Error("the call that was cancelled was sent")
			}
		}
	})
}

// TestCancelWaitingBeforeItsWaitEnds: a call that gets its permit while it is being
// cancelled is not sent, and lets the next one of its caller go.
func TestCancelWaitingBeforeItsWaitEnds(t *testing.T) {
	p := newPausing(t, sandbox.New(sandbox.Config{Unlimited: true}))
	p.pause("ann")
	send := func(content string) error {
		_, err := p.CreateMessage(t.Context(), &discord.Caller{Name: "shop"}, p.channel, discord.Message{Fields: discord.Args{"content": content}})
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- send("cancelled") }()
	waitUntil(t, func() bool { return len(p.Pauses()) == 1 && p.Pauses()[0].Waiting == 1 })
	// No wait ends while this runs.
	cancelled := p.CancelWaiting(func(discord.WaitingCall) bool {
		p.ResumeChannel(p.channel)
		waitUntil(t, func() bool { return p.RateLimits().InFlight == 1 })
		return true
	})
	e, ok := errors.AsType[*discord.Error](<-ended)
	if len(cancelled) != 1 || !ok || e.Reason != discord.Withdrawn || e.OutcomeUnknown {
		t.Errorf("%v are cancelled, and the call ends with %v", cancelled, e)
	}
	if n := p.RateLimits().InFlight; n != 0 {
		t.Errorf("%d permits were not given back", n)
	}
	if err := send("next"); err != nil {
		t.Error(err)
	}
	p.want("next")
}

func waitUntil(t *testing.T, reached func() bool) {
	t.Helper()
	for began := time.Now(); !reached(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("not reached in a minute")
		}
	}
}
