package discord_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// watcher records what an observer receives.
type watcher []discord.Try

func (w *watcher) Tried(_ context.Context, t discord.Try) { *w = append(*w, t) }

func TestObserversGetEveryTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		const route = "POST /channels/{channel_id}/messages"
		sb.InjectFault(sandbox.Fault{Route: route, Count: 1, Status: 502, After: true})
		var tries watcher
		client, err := discord.New(discord.Config{
			Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler), Observers: []discord.Observer{&tries},
		})
		if err != nil {
			t.Fatal(err)
		}
		channel := uint64(sb.World().General)
		stats := new(discord.Stats)
		if _, err := client.CreateMessage(t.Context(), &discord.Caller{Stats: stats}, channel, discord.Message{Fields: discord.Args{"content": "hi"}}); err != nil {
			t.Fatal(err)
		}
		sb.BanGlobally(time.Minute)
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.CreateMessage(hurried, nil, channel, discord.Message{Fields: discord.Args{"content": "hi"}}); err == nil {
			t.Fatal("a banned call succeeded")
		}

		resource := "channel " + sb.World().General.String()
		want := watcher{
			{Route: route, Resource: resource, Number: 1, Once: true, Outcome: discord.Failed, Status: 502},
			{Route: route, Resource: resource, Number: 2, Once: true, Before: discord.Failed, Outcome: discord.Settled, Status: 200},
			{Route: route, Resource: resource, Number: 1, Once: true, Outcome: discord.Limited, Status: 429, Limit: "global"},
			{Route: route, Resource: resource, Number: 2, Once: true, Before: discord.Limited, Outcome: discord.Refused},
		}
		if diff := cmp.Diff(want, tries, cmpopts.IgnoreFields(discord.Try{}, "Began", "Sent", "Ended", "Err")); diff != "" {
			t.Error(diff)
		}
		for i, try := range tries {
			if try.Sent.IsZero() != (try.Outcome == discord.Refused) || (try.Err == nil) != (try.Outcome != discord.Refused) {
				t.Errorf("try %d was sent %v, %v", i, try.Sent, try.Err)
			}
		}
		if stats.Tries() != 2 {
			t.Errorf("%d tries were counted for the first call", stats.Tries())
		}
	})
}

// TestRoutesOfTriesAreBounded: an unknown route has no name of its own until
// Discord accepts a request, whatever else happens to the request.
func TestRoutesOfTriesAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		path, want string
		status     int // 0 for none
	}{
		"unreachable":     {"/api/v10/no/route", "POST /{other}", 0},
		"failed":          {"/api/v10/no/route", "POST /{other}", 502},
		"unauthorized":    {"/api/v10/no/route", "POST /{other}", 401},
		"not found":       {"/api/v10/no/route", "POST /{other}", 404},
		"below a guild":   {"/api/v10/guilds/1/route", "POST /{other}", 502},
		"accepted":        {"/api/v10/new/route", "POST /new/route", 200},
		"known":           {"/api/v10/channels/1/messages", "POST /channels/{channel_id}/messages", 502},
		"known, spelt so": {"/api/v10/channels/1/%6Dessages", "POST /channels/{channel_id}/messages", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var tries watcher
			client, err := discord.New(discord.Config{
				Token: "x", Logger: slog.New(slog.DiscardHandler), RetryFor: -1, Observers: []discord.Observer{&tries},
				Upstream: upstream(func(r *http.Request) (*http.Response, error) {
					if tt.status == 0 {
						return nil, errors.New("down")
					}
					return &http.Response{StatusCode: tt.status, Body: http.NoBody, Request: r}, nil
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = client.Forward(t.Context(), nil, request(t, "POST", tt.path, `{}`))
			if len(tries) == 0 || tries[0].Route != tt.want {
				t.Errorf("the tries are %+v", tries)
			}
		})
	}
}
