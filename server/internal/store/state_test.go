package store_test

import (
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

func TestState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		first := time.UnixMilli(1_790_000_000_123)
		s := storetest.Open(t, c)
		save := func(bot string, at time.Time, parts map[string][]byte) {
			t.Helper()
			if err := s.SaveState(t.Context(), bot, at, parts); err != nil {
				t.Fatal(err)
			}
		}
		save("one", first, map[string][]byte{"limits": {0, 1, 0xff}, "session": []byte("s")})
		save("two", first, map[string][]byte{"limits": []byte("other bot")})
		save("one", first.Add(time.Second), map[string][]byte{"limits": []byte("newer")})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = storetest.Open(t, c)
		for _, want := range []struct {
			bot, part, data string
			at              time.Time
		}{
			{"one", "limits", "newer", first.Add(time.Second)},
			{"one", "session", "s", first},
			{"two", "limits", "other bot", first},
			{"two", "session", "", time.Time{}},
		} {
			saved, found, err := s.State(t.Context(), want.bot, want.part)
			if err != nil || found != !want.at.IsZero() || string(saved.Data) != want.data || found && !saved.At.Equal(want.at) {
				t.Errorf("%s of bot %s: %q at %v, %v, %v", want.part, want.bot, saved.Data, saved.At, found, err)
			}
		}
	})
}
