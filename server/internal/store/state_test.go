package store_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
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
		if err := s.PurgeState(t.Context(), "two", "limit", first.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		wantState(t, s, "one", map[string]store.Saved{"limits": {Data: []byte("newer"), At: first.Add(time.Second)}, "empty": {Data: []byte{}, At: first.Add(time.Minute)}})
		wantState(t, s, "two", map[string]store.Saved{})
	})
}

// TestManyParts: many parts are saved, and deleted, by few statements.
func TestManyParts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		if c.PostgreSQL != "" {
			s.Exec(t, "CREATE SEQUENCE statements")
			s.Exec(t, "CREATE FUNCTION counted() RETURNS trigger AS 'BEGIN PERFORM nextval(''statements''); RETURN NULL; END' LANGUAGE plpgsql")
			s.Exec(t, "CREATE TRIGGER counted BEFORE INSERT OR DELETE ON state FOR EACH STATEMENT EXECUTE FUNCTION counted()")
		}
		parts, want, deleted := make(map[string][]byte), make(map[string]store.Saved), make(map[string][]byte)
		for i := range 300 {
			name := fmt.Sprint("part ", i)
			parts[name] = []byte(name)
			if i%100 == 0 {
				parts[name] = make([]byte, 1<<20)
			}
			if want[name] = (store.Saved{Data: parts[name], At: noon}); i%2 == 0 {
				deleted[name] = nil
			}
		}
		save := func(parts map[string][]byte, limit int) {
			t.Helper()
			if err := s.SaveState(t.Context(), "bot", noon, parts); err != nil {
				t.Fatal(err)
			}
			if c.PostgreSQL == "" {
				return
			}
			var last int
			if err := openDatabase(t, "pgx", c.PostgreSQL).QueryRowContext(t.Context(), "SELECT nextval('statements')").Scan(&last); err != nil || last > limit {
				t.Errorf("%d statements, want at most %d: %v", last, limit, err)
			}
		}
		save(parts, 35)
		wantState(t, s, "bot", want)
		save(deleted, 45)
		for name := range deleted {
			delete(want, name)
		}
		wantState(t, s, "bot", want)
	})
}

// TestSavesMeet: two that save the same parts, a server and the one that it takes over from,
// do not wait for each other.
func TestSavesMeet(t *testing.T) {
	address := storetest.Database(t)
	one, two := storetest.Open(t, store.Config{PostgreSQL: address}), storetest.Open(t, store.Config{PostgreSQL: address})
	parts := make(map[string][]byte)
	for i := range 100 {
		parts[fmt.Sprint("part ", i)] = []byte("x")
	}
	var saves sync.WaitGroup
	for _, s := range []*store.Store{one, two} {
		saves.Go(func() {
			for range 20 {
				if err := s.SaveState(context.Background(), "bot", noon, parts); err != nil {
					t.Error(err)
				}
			}
		})
	}
	saves.Wait()
}

// TestPurgeState: names that only sort between others are kept, whatever the
// collation of the database, and so is what belongs to other bots, which other servers
// may lead.
func TestPurgeState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		at := time.UnixMilli(1_790_000_000_000)
		if err := s.SaveState(t.Context(), "one", at, map[string][]byte{
			"limits a": {1}, "limits Z": {1}, "limits": {1}, "LIMITS a": {1}, "limitsa": {1}, "limits!": {1},
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveState(t.Context(), "two", at, map[string][]byte{"limits a": {1}}); err != nil {
			t.Fatal(err)
		}
		if err := s.PurgeState(t.Context(), "one", "limits ", at.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		one := store.Saved{Data: []byte{1}, At: at}
		wantState(t, s, "two", map[string]store.Saved{"limits a": one})
		wantState(t, s, "one", map[string]store.Saved{"limits": one, "LIMITS a": one, "limitsa": one, "limits!": one})
	})
}

// TestPurgeBots: what another bot has left is deleted when it is old, unless a
// delivery is still to be made or a server leads the bot.
func TestPurgeBots(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		old := noon.Add(-time.Hour)
		saved := map[string]store.Saved{"part": {Data: []byte{1}, At: old}}
		for _, bot := range []string{"own", "second", "gone", "queued", "recent", "led"} {
			at := old
			if bot == "recent" {
				at = noon
			}
			if err := s.SaveState(t.Context(), bot, at, map[string][]byte{"part": {1}}); err != nil {
				t.Fatal(err)
			}
			if bot == "led" {
				if _, err := s.AcquireLease(t.Context(), bot, "a server", time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			o, err := s.Outbox(t.Context(), bot)
			if err != nil {
				t.Fatal(err)
			}
			d := delivery("a", "channel 1", 1)
			d.EnqueuedAt = old.Add(-time.Hour)
			if d.ExpiresAt = old; bot == "queued" {
				d.ExpiresAt = noon.Add(time.Hour)
			}
			if _, err := o.Enqueue(t.Context(), limits, []store.Delivery{d}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PurgeBots(t.Context(), noon, "own", "second"); err != nil {
			t.Fatal(err)
		}
		wantState(t, s, "own", saved)
		wantState(t, s, "second", saved)
		wantState(t, s, "led", saved)
		wantState(t, s, "queued", saved)
		wantState(t, s, "gone", nil)
		wantState(t, s, "recent", map[string]store.Saved{"part": {Data: []byte{1}, At: noon}})
		for bot, want := range map[string]int{"own": 1, "second": 1, "gone": 0, "queued": 1, "recent": 1, "led": 1} {
			o, err := s.Outbox(t.Context(), bot)
			if err != nil {
				t.Fatal(err)
			}
			if all, err := o.List(t.Context(), store.DeliveryFilter{}, 0, 10); err != nil || len(all) != want {
				t.Errorf("%s has %d deliveries, want %d: %v", bot, len(all), want, err)
			}
		}
	})
}

// oldBot adds a bot with one delivery, which no server has used for long.
func oldBot(t *testing.T, s *store.Store) *store.Outbox {
	t.Helper()
	acquire(t, s, "before", time.Hour)
	s.Exec(t, "UPDATE leases SET until_at = 1")
	o, err := s.Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	d := delivery("old", "channel 1", 1)
	d.EnqueuedAt, d.ExpiresAt = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	if _, err := o.Enqueue(t.Context(), limits, []store.Delivery{d}); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestPurgedBotBegins: a server that begins to use a bot while another server purges it waits
// for that, and has the bot then.
func TestPurgedBotBegins(t *testing.T) {
	address := storetest.Database(t)
	other, s := storetest.Open(t, store.Config{PostgreSQL: address}), storetest.Open(t, store.Config{PostgreSQL: address})
	oldBot(t, s)
	db := openDatabase(t, "pgx", address)
	lock, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()                                                                           //nolint:errcheck // it fails when it was done
	if _, err := lock.ExecContext(t.Context(), "SELECT 1 FROM deliveries FOR UPDATE"); err != nil { // so that the purge takes long
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if err := other.PurgeBots(context.Background(), noon, "another"); err != nil {
			t.Error(err)
		}
	})
	waitForLocks(t, db, 1)
	begun := make(chan struct{})
	var o *store.Outbox
	both.Go(func() {
		defer close(begun)
		epoch, err := s.AcquireLease(context.Background(), "bot", "server", time.Hour)
		if err == nil {
			o, err = s.Fenced("bot", "server", epoch).Outbox(context.Background(), "bot")
		}
		if err != nil {
			t.Error(err)
		}
	})
	waitForLocks(t, db, 2)
	select {
	case <-begun:
		t.Error("the server does not wait for the purge")
	default:
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	results, err := o.Enqueue(t.Context(), limits, []store.Delivery{delivery("old", "channel 1", 1)})
	if err != nil || results[0].Err != nil || results[0].Duplicate {
		t.Errorf("%+v, %v", results, err)
	}
}

// TestBotBeginsBeforePurge: a bot is not purged that a server has begun to use just before.
func TestBotBeginsBeforePurge(t *testing.T) {
	address := storetest.Database(t)
	s := storetest.Open(t, store.Config{PostgreSQL: address})
	o := oldBot(t, s)
	db := openDatabase(t, "pgx", address)
	begins, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer begins.Rollback() //nolint:errcheck // it fails after Commit
	if _, err := begins.ExecContext(t.Context(), "UPDATE leases SET epoch = epoch + 1, until_at = $1", noon.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	var purge sync.WaitGroup
	purge.Go(func() {
		if err := s.PurgeBots(context.Background(), noon); err != nil {
			t.Error(err)
		}
	})
	waitForLocks(t, db, 1)
	if err := begins.Commit(); err != nil {
		t.Fatal(err)
	}
	purge.Wait()
	if _, err := o.Delivery(t.Context(), "shop", "old"); err != nil {
		t.Error(err)
	}
}

// quickly compares data of megabytes, for which cmp itself needs seconds.
var quickly = cmp.FilterValues(func(a, b []byte) bool { return len(a) > 0 || len(b) > 0 }, cmp.Comparer(bytes.Equal))

func wantState(t *testing.T, s *store.Store, bot string, want map[string]store.Saved) {
	t.Helper()
	got, err := s.State(t.Context(), bot)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), quickly); err != nil || diff != "" {
		t.Errorf("the state of bot %s: %v, %s", bot, err, diff)
	}
}
