package discord_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

// openingRig is a sandbox that lets few direct message channels be
// opened, with n more users of the guild.
func openingRig(t *testing.T, n, limit int, window time.Duration) (sb *sandbox.Sandbox, users []uint64) {
	t.Helper()
	sb = sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(100 * time.Millisecond)})
	w := sb.World()
	for i := range n {
		id := sb.AddUser(sandbox.User{Username: fmt.Sprint("user", i)})
		if err := sb.AddMember(w.Guild, id); err != nil {
			t.Fatal(err)
		}
		users = append(users, uint64(id))
	}
	sb.SetLimit(sandbox.Limit{
		Name: "open", Routes: []string{"POST /users/@me/channels"}, When: sandbox.WhenOpeningDM, Limit: limit, Window: window,
		Sub: true, Status: http.StatusForbidden, Code: 40003, Text: "You are opening direct messages too fast",
	})
	return sb, users
}

// TestHardCase12_OpeningTooFastHoldsOpeningsOnly: after 403 / 40003 new
// channels wait for each other, messages in known ones continue.
func TestHardCase12_OpeningTooFastHoldsOpeningsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb, users := openingRig(t, 12, 5, time.Minute)
		client := newClient(t, sb, nil)
		hi := discord.Message{Fields: discord.Args{"content": "hi"}}
		known := uint64(sb.World().Alice)
		if _, err := client.SendDirectMessage(t.Context(), nil, known, hi); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var sent sync.WaitGroup
		for _, user := range users {
			for range 2 { // one opening for both
				sent.Go(func() {
					if _, err := client.SendDirectMessage(t.Context(), nil, user, hi); err != nil {
						t.Error(err)
					}
				})
			}
		}
		for range 20 {
			time.Sleep(2 * time.Second)
			asked := time.Now()
			if _, err := client.SendDirectMessage(t.Context(), nil, known, hi); err != nil {
				t.Error(err)
			}
			if took := time.Since(asked); took > 200*time.Millisecond {
				t.Errorf("a message in a known channel took %v", took)
			}
		}
		sent.Wait()
		for _, user := range users {
			if n := len(sb.Messages(sb.DirectMessages(sandbox.ID(user)))); n != 2 {
				t.Errorf("user %d has %d messages", user, n)
			}
		}
		// 5 immediately and one in 12 s: 13 take 96 s.
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("the openings took %v", took)
		}
		if refused := sb.Stats().Statuses[http.StatusForbidden]; refused > 30 {
			t.Errorf("%d openings were refused", refused)
		} else {
			t.Logf("%v, %d refused", time.Since(began), refused)
		}
	})
}

// TestOpeningBeyondTheDeadline: a caller whom the limit on openings leaves no
// time gets Discord's answer and when to come back; one who shares the opening
// and has time waits on.
func TestOpeningBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb, users := openingRig(t, 2, 1, 20*time.Second)
		client := newClient(t, sb, nil)
		hi := discord.Message{Fields: discord.Args{"content": "hi"}}
		if _, err := client.SendDirectMessage(t.Context(), nil, users[0], hi); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var sent sync.WaitGroup
		sent.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := client.SendDirectMessage(ctx, nil, users[1], hi)
			e, ok := errors.AsType[*discord.Error](err)
			if !ok || e.Status != http.StatusForbidden || e.Code != 40003 || e.RetryAfter < 4*time.Second {
				t.Errorf("the impatient caller got %v", err)
			}
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("got its answer after %v", took)
			}
		})
		synctest.Wait()
		sent.Go(func() {
			if _, err := client.SendDirectMessage(t.Context(), nil, users[1], hi); err != nil {
				t.Errorf("the patient caller got %v", err)
			}
		})
		sent.Wait()
		if n := len(sb.Messages(sb.DirectMessages(sandbox.ID(users[1])))); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

// sendDM sends a message of a caller to a user, and returns when it waits or has ended.
func sendDM(ctx context.Context, client *discord.Client, by *discord.Caller, user uint64, content string) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := client.SendDirectMessage(ctx, by, user, discord.Message{Fields: discord.Args{"content": content}})
		ended <- err
	}()
	synctest.Wait()
	return ended
}

// reachOpeningLimit sends messages to users until one waits for the limit on openings.
func reachOpeningLimit(t *testing.T, client *discord.Client, users []uint64) {
	t.Helper()
	for _, user := range users {
		sendDM(t.Context(), client, &discord.Caller{Name: "first"}, user, "hi")
		time.Sleep(time.Second)
	}
	if waiting := client.WaitingCalls(); len(waiting) != 1 || waiting[0].Route != "POST /users/@me/channels" {
		t.Fatalf("%v wait", waiting)
	}
}

// TestCancelledOpening: when the call that opens a channel is cancelled, another one that
// waits for the channel opens it.
func TestCancelledOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb, users := openingRig(t, 3, 1, time.Minute)
		client := newClient(t, sb, nil)
		reachOpeningLimit(t, client, users[:2])
		shop := sendDM(t.Context(), client, &discord.Caller{Name: "shop"}, users[2], "cancelled")
		forum := sendDM(t.Context(), client, &discord.Caller{Name: "forum"}, users[2], "hi")
		client.CancelWaiting(func(c discord.WaitingCall) bool { return c.Caller == "shop" })
		if e, ok := errors.AsType[*discord.Error](<-shop); !ok || e.Reason != discord.Withdrawn {
			t.Errorf("the cancelled call ends with %v", e)
		}
		if err := <-forum; err != nil {
			t.Errorf("the other caller gets %v", err)
		}
		if sent := sb.Messages(sb.DirectMessages(sandbox.ID(users[2]))); len(sent) != 1 || sent[0].Content != "hi" {
			t.Errorf("the user gets %v", sent)
		}
	})
}

// TestOpeningSharesTheQueue: messages that wait for a channel which another one opens are
// among those that wait, with their bodies, have the same bound, and keep their order.
func TestOpeningSharesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, size = 5, 1000
		limiter, err := ratelimit.New(ratelimit.Config{MaxQueue: most})
		if err != nil {
			t.Fatal(err)
		}
		sb, users := openingRig(t, 3, 1, time.Minute)
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sb.Transport(), Limiter: limiter, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		reachOpeningLimit(t, client, users[:2])
		content := func(i int) string { return fmt.Sprintf("%0*d", size, i) }
		var ended []<-chan error
		for i := range most - 1 { // the first one opens the channel
			ended = append(ended, sendDM(t.Context(), client, &discord.Caller{Name: "shop"}, users[2], content(i)))
		}
		if n, bytes := client.Queued(); n != most || bytes < (most-1)*size {
			t.Errorf("%d calls of %d bytes wait", n, bytes)
		}
		if waiting := client.WaitingCalls(); len(waiting) != most || waiting[most-1].Caller != "shop" ||
			waiting[most-1].Route != "POST /users/@me/channels" || !waiting[most-1].Since.Equal(time.Now()) {
			t.Errorf("%v are listed", waiting)
		}
		err = <-sendDM(t.Context(), client, &discord.Caller{Name: "shop"}, users[2], "too many")
		if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Overloaded {
			t.Errorf("a message too many ends with %v", err)
		}
		for i, e := range ended {
			if err := <-e; err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		for i, m := range sb.Messages(sb.DirectMessages(sandbox.ID(users[2]))) {
			if m.Content != content(i) {
				t.Errorf("message %d is %.20q", i, m.Content)
			}
		}
		if n, bytes := client.Queued(); n != 0 || bytes != 0 {
			t.Errorf("%d calls of %d bytes still wait", n, bytes)
		}
	})
}

// TestEndOfAWaitForAnOpening: a message that waits for a channel which another one opens
// ends immediately when it is cancelled and when its caller may no longer send it. Either
// way it is not sent, and the other one is.
func TestEndOfAWaitForAnOpening(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(client *discord.Client, revoke func())
		want discord.Reason
	}{
		"cancelled": {func(client *discord.Client, _ func()) {
			client.CancelWaiting(func(c discord.WaitingCall) bool { return c.Caller == "shop" })
		}, discord.Withdrawn},
		"revoked": {func(_ *discord.Client, revoke func()) { revoke() }, discord.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sb, users := openingRig(t, 3, 1, time.Minute)
				client := newClient(t, sb, nil)
				reachOpeningLimit(t, client, users[:2])
				forum := sendDM(t.Context(), client, &discord.Caller{Name: "forum"}, users[2], "hi")
				ctx := t.Context()
				revoked, revoke := context.WithCancel(ctx)
				began := time.Now()
				by := &discord.Caller{Name: "shop", Revoked: []context.Context{revoked}}
				shop := sendDM(ctx, client, by, users[2], "not sent")
				tt.end(client, revoke)
				e, ok := errors.AsType[*discord.Error](<-shop)
				if !ok || e.Reason != tt.want || e.OutcomeUnknown || !time.Now().Equal(began) {
					t.Errorf("after %v it ends with %v", time.Since(began), e)
				}
				if err := <-forum; err != nil {
					t.Error(err)
				}
				if n, bytes := client.Queued(); n != 0 || bytes != 0 {
					t.Errorf("%d calls of %d bytes still wait", n, bytes)
				}
				if sent := sb.Messages(sb.DirectMessages(sandbox.ID(users[2]))); len(sent) != 1 || sent[0].Content != "hi" {
					t.Errorf("the user gets %v", sent)
				}
			})
		})
	}
}

// TestExportOfForgottenChannels: a channel that is remembered no longer, because
// there are too many, is exported as such.
func TestExportOfForgottenChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb, users := openingRig(t, 2, 100, time.Second)
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler), DMChannels: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		send := func() {
			for _, user := range users {
				if _, err := client.SendDirectMessage(t.Context(), nil, user, discord.Message{Fields: discord.Args{"content": "hi"}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		send()
		if exported := client.ExportDMs(); len(exported) > 0 {
			t.Errorf("changes before the first export were kept: %v", exported)
		}
		send()
		exported := client.ExportDMs()
		if forgotten, known := exported[users[0]]; !known || forgotten != 0 || exported[users[1]] == 0 {
			t.Errorf("exported %v of %v", exported, users)
		}
		client.ImportDMs(map[uint64]uint64{users[0]: 1})
		if forgotten, known := client.ExportDMs()[users[1]]; !known || forgotten != 0 {
			t.Errorf("the channel that the imported one replaced is not exported as forgotten")
		}
	})
}
