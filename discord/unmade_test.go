package discord_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestUnmade: a call that waits is taken away before anything of it is sent. One that has
// taken effect, or is at Discord, goes on.
func TestUnmade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		var sent counter
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sent.wrap(sb.Transport()), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		channel := uint64(sb.World().General)
		send := func(ctx context.Context, u *discord.Unmade) error {
			_, err := client.CreateMessage(ctx, &discord.Caller{Unmade: u}, channel, discord.Message{Fields: discord.Args{"content": "hi"}})
			return err
		}
		ctx, release := context.WithCancelCause(t.Context())
		defer release(nil)
		made := discord.NewUnmade(release, 0)
		if err := send(ctx, made); err != nil || !made.Keep() {
			t.Fatal(err)
		}
		if made.Take(); made.Taken() || ctx.Err() != nil {
			t.Error("a call that was made is taken away")
		}
		for range 4 { // the limit of the channel is used up
			if err := send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		ctx, release = context.WithCancelCause(t.Context())
		defer release(nil)
		waiting := discord.NewUnmade(release, 0)
		ended := make(chan error, 1)
		go func() { ended <- send(ctx, waiting) }()
		synctest.Wait()
		before := len(sent.list())
		began := time.Now()
		waiting.Take()
		err = <-ended
		e, ok := errors.AsType[*discord.Error](err)
		if !ok || e.Reason != discord.Canceled || e.OutcomeUnknown || !waiting.Taken() || waiting.Keep() || time.Since(began) > 0 {
			t.Errorf("a call that waits ended after %v with %v", time.Since(began), err)
		}
		if err := send(t.Context(), nil); err != nil || len(sent.list()) != before+1 {
			t.Errorf("%d requests instead of one, %v", len(sent.list())-before, err)
		}
	})
}

// TestUnmadeAtDiscord: whether a call is taken away whose try is at Discord depends on what
// Discord answers.
func TestUnmadeAtDiscord(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		taken  bool
	}{"a limit": {429, true}, "done": {200, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var u *discord.Unmade
				answers := 0
				client, err := discord.New(discord.Config{
					Token: "token", Logger: slog.New(slog.DiscardHandler),
					Upstream: upstream(func(r *http.Request) (*http.Response, error) {
						answers++
						u.Take()
						return &http.Response{
							StatusCode: test.status, Request: r,
							Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}, "X-Ratelimit-Scope": {"user"}},
							Body:   io.NopCloser(strings.NewReader(`{"id": "5", "message": "limited", "retry_after": 1}`)),
						}, nil
					}),
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, release := context.WithCancelCause(t.Context())
				defer release(nil)
				u = discord.NewUnmade(release, 0)
				_, err = client.CreateMessage(ctx, &discord.Caller{Unmade: u}, 5, discord.Message{Fields: discord.Args{"content": "hi"}})
				if (err != nil) != test.taken || u.Taken() != test.taken || answers != 1 {
					t.Errorf("%v, taken away: %v, %d requests", err, u.Taken(), answers)
				}
			})
		})
	}
}

// TestPassedOn: calls that other processes have passed on take their places by when they
// came there, ahead of those that came here.
func TestPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var sending sync.WaitGroup
		send := func(content string, before time.Duration) {
			ctx, release := context.WithCancelCause(t.Context())
			by := &discord.Caller{Unmade: discord.NewUnmade(release, before)}
			sending.Go(func() {
				defer release(nil)
				_, err := client.CreateMessage(ctx, by, uint64(sb.World().General), discord.Message{Fields: discord.Args{"content": content}})
				if err != nil {
					t.Errorf("%s: %v", content, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, content)
			})
			synctest.Wait()
		}
		for range 5 {
			send("limit", 0)
		}
		send("here 1", 0)
		send("there 2", 2*time.Second)
		send("here 2", -time.Second)
		send("there 3", 2*time.Second)
		send("there 1", 365*24*time.Hour)
		sending.Wait()
		if got := strings.Join(order[5:], ", "); got != "there 1, there 2, there 3, here 1, here 2" {
			t.Errorf("sent in the order %s", got)
		}
	})
}
