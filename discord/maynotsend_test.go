package discord_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestMayNotSend: a call waits while the process may not send, like one that cannot reach
// Discord. It fails like a call that was not sent, and uses nothing up.
func TestMayNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		var sent counter
		var may atomic.Bool
		reason := errors.New("another one may")
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sent.wrap(sb.Transport()), Logger: slog.New(slog.DiscardHandler), RetryFor: 10 * time.Second,
			MayNotSend: func() error {
				if may.Load() {
					return nil
				}
				return reason
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		var steps []string
		journal := &discord.Journal{
			Begin: func(context.Context) error { steps = append(steps, "begin"); return nil },
			Ended: func(_ context.Context, o discord.Outcome) { steps = append(steps, o.String()) },
		}
		channel, m := uint64(sb.World().General), discord.Message{Fields: discord.Args{"content": "hi"}}
		for range 10 { // more than the limit of a channel
			began := time.Now()
			_, err = client.CreateMessage(t.Context(), nil, channel, m)
			e, ok := errors.AsType[*discord.Error](err)
			if !ok || e.Reason != discord.MayNotSend || e.OutcomeUnknown || !errors.Is(err, reason) || len(sent.calls) > 0 {
				t.Fatalf("%v, sent %q", err, sent.calls)
			}
			if took := time.Since(began); took < time.Second || took > 20*time.Second {
				t.Errorf("it was retried for %v", took)
			}
		}
		time.AfterFunc(time.Second, func() { may.Store(true) })
		m.Journal = journal
		if _, err := client.CreateMessage(t.Context(), nil, channel, m); err != nil || len(sent.calls) != 1 {
			t.Errorf("when the process may send again: %v, sent %q", err, sent.calls)
		}
		if n := len(steps); n < 4 || !slices.Equal(steps[:2], []string{"begin", "unsent"}) || !slices.Equal(steps[n-2:], []string{"begin", "settled"}) {
			t.Errorf("recorded %q", steps)
		}
	})
}
