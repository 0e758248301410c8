package store_test

import (
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
		wantState(t, s, "one", map[string]store.Saved{"limits": {Data: []byte("newer"), At: first.Add(time.Second)}, "session": {Data: []byte("s"), At: first}})
		wantState(t, s, "two", map[string]store.Saved{"limits": {Data: []byte("other bot"), At: first}})
		wantState(t, s, "three", map[string]store.Saved{})
		save("one", first.Add(time.Minute), map[string][]byte{"session": nil, "nothing": nil, "empty": {}})
		wantState(t, s, "one", map[string]store.Saved{"limits": {Data: []byte("newer"), At: first.Add(time.Second)}, "empty": {Data: []byte{}, At: first.Add(time.Minute)}})
		if err := s.PurgeState(t.Context(), "l", "m", first.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		wantState(t, s, "one", map[string]store.Saved{"limits": {Data: []byte("newer"), At: first.Add(time.Second)}, "empty": {Data: []byte{}, At: first.Add(time.Minute)}})
		wantState(t, s, "two", map[string]store.Saved{})
	})
}

func wantState(t *testing.T, s *store.Store, bot string, want map[string]store.Saved) {
	t.Helper()
	got, err := s.State(t.Context(), bot)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("the state of bot %s: %v, %s", bot, err, diff)
	}
}
