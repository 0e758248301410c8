package discord_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// TestJournal: each attempt of a call is recorded before it is sent, and again when it
// ends. Opening the direct message channel is not recorded.
func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		var sent int
		client := newClient(t, sb, func(next http.RoundTripper) upstream {
			return func(r *http.Request) (*http.Response, error) {
				if sent++; sent == 2 { // 1 opens the channel
					return nil, errors.New("the connection broke")
				}
				return next.RoundTrip(r)
			}
		})
		var steps []string
		journal := &discord.Journal{
			Begin: func(context.Context) error { steps = append(steps, "begin"); return nil },
			Ended: func(_ context.Context, o discord.Outcome) { steps = append(steps, o.String()) },
		}
		m := discord.Message{Fields: discord.Args{"content": "hi"}, Journal: journal}
		if _, err := client.SendDirectMessage(t.Context(), nil, uint64(sb.World().Users[0]), m); err != nil {
			t.Fatal(err)
		}
		if want := []string{"begin", "lost", "begin", "settled"}; !slices.Equal(steps, want) {
			t.Errorf("recorded %q, want %q", steps, want)
		}
		// Reading is not recorded.
		if _, err := client.Call(t.Context(), nil, discord.GetMyUser.Recorded(journal), nil); err != nil || len(steps) != 4 {
			t.Errorf("%v, recorded %q", err, steps)
		}
	})
}

// TestJournalFails: an attempt that cannot be recorded is not sent, and uses nothing up.
func TestJournalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, nil)
		full := errors.New("disk full")
		channel, m := sb.World().General, discord.Message{Fields: discord.Args{"content": "hi"}}
		broken := m
		broken.Journal = &discord.Journal{Begin: func(context.Context) error { return full }}
		before := len(sb.Messages(channel))
		for range 10 {
			_, err := client.CreateMessage(t.Context(), nil, uint64(channel), broken)
			if e, ok := errors.AsType[*discord.Error](err); !ok || e.OutcomeUnknown || !errors.Is(err, full) {
				t.Fatalf("%v", err)
			}
		}
		if n := len(sb.Messages(channel)); n != before {
			t.Errorf("%d messages were sent", n-before)
		}
		if _, err := client.CreateMessage(t.Context(), nil, uint64(channel), m); err != nil {
			t.Error(err)
		}
		if calls, _ := client.Queued(); calls != 0 {
			t.Errorf("%d calls wait", calls)
		}
	})
}

// TestResume: a call that an earlier process may have made counts as tried. A
// message is sent with its nonce only while Discord remembers that.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, nil)
		channel := sb.World().General
		since := func(d time.Duration) *discord.Journal { return &discord.Journal{Opened: time.Now().Add(-d)} }
		send := func(j *discord.Journal) (json.RawMessage, error) {
			m := discord.Message{Fields: discord.Args{"content": "hi", "nonce": "once"}, Journal: j}
			return client.CreateMessage(t.Context(), nil, uint64(channel), m)
		}
		id := func(j *discord.Journal) string {
			data, err := send(j)
			if err != nil {
				t.Fatal(err)
			}
			return idOf(t, data)
		}
		if first, again := id(nil), id(since(time.Minute)); first != again {
			t.Errorf("messages %s and %s", first, again)
		}
		_, err := send(since(3 * time.Minute))
		if e, ok := errors.AsType[*discord.Error](err); !ok || !e.OutcomeUnknown {
			t.Errorf("a message was sent again after 3 minutes: %v", err)
		}
		// What was deleted before is deleted.
		gone := discord.Args{"channel_id": uint64(channel), "message_id": uint64(12345)}
		if _, err := client.Call(t.Context(), nil, discord.DeleteMessage.Recorded(since(time.Hour)), gone); err != nil {
			t.Error(err)
		}
		if _, err := client.Call(t.Context(), nil, discord.DeleteMessage, gone); err == nil {
			t.Error("a message that never was is deleted")
		}
	})
}

// idOf returns the id in a message of Discord.
func idOf(t *testing.T, data []byte) string {
	t.Helper()
	var message struct{ ID string }
	if err := json.Unmarshal(data, &message); err != nil || message.ID == "" {
		t.Fatalf("%s, %v", data, err)
	}
	return message.ID
}
