package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

// acquire asks for the lease of a bot.
func acquire(t *testing.T, s *store.Store, holder string, length time.Duration) (epoch int64) {
	t.Helper()
	epoch, err := s.AcquireLease(t.Context(), "bot", holder, length)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// TestLease: one holder at a time has the lease, and each new one a higher epoch.
func TestLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		renew := func(holder string, epoch int64, length time.Duration) bool {
			t.Helper()
			held, err := s.RenewLease(t.Context(), "bot", holder, epoch, length)
			if err != nil {
				t.Fatal(err)
			}
			return held
		}
		if renew("a", 1, time.Hour) {
			t.Error("a renewal before the first grant")
		}
		if epoch := acquire(t, s, "a", time.Hour); epoch != 1 {
			t.Fatalf("the first epoch is %d", epoch)
		}
		if epoch, err := s.AcquireLease(t.Context(), "other", "b", time.Hour); err != nil || epoch != 1 {
			t.Errorf("the lease of another bot: %d, %v", epoch, err)
		}
		for _, holder := range []string{"a", "b"} {
			if epoch := acquire(t, s, holder, time.Hour); epoch != 0 {
				t.Errorf("%s got epoch %d while a has the lease", holder, epoch)
			}
		}
		if renew("b", 1, time.Hour) || renew("a", 2, time.Hour) || !renew("a", 1, time.Millisecond) {
			t.Error("the wrong one renews")
		}
		var epoch int64
		for deadline := time.Now().Add(20 * time.Second); epoch == 0 && time.Now().Before(deadline); {
			epoch = acquire(t, s, "b", time.Hour) // when a's millisecond is over
		}
		if epoch != 2 || renew("a", 1, time.Hour) || !renew("b", 2, time.Hour) {
			t.Fatalf("b got epoch %d", epoch)
		}
		if err := s.ReleaseLease(t.Context(), "bot", "a", 1); err != nil || acquire(t, s, "c", time.Hour) != 0 {
			t.Errorf("a released the lease of b: %v", err)
		}
		if err := s.ReleaseLease(t.Context(), "bot", "b", 2); err != nil || acquire(t, s, "c", time.Hour) != 3 {
			t.Errorf("b did not release its lease: %v", err)
		}
	})
}

// TestFence: a server that has lost its lease can change nothing any more.
func TestFence(t *testing.T) {
	address := storetest.Database(t)
	old, next := storetest.Open(t, store.Config{PostgreSQL: address}), storetest.Open(t, store.Config{PostgreSQL: address})
	old = old.Fenced("bot", "old", acquire(t, old, "old", 0))
	save := func(s *store.Store, data string) error {
		return s.SaveState(t.Context(), "bot", time.UnixMilli(5), map[string][]byte{"part": []byte(data)})
	}
	if err := save(old, "old"); err != nil {
		t.Fatalf("before the takeover: %v", err)
	}
	outbox, err := old.Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	next = next.Fenced("bot", "next", acquire(t, next, "next", time.Hour))
	if err := save(next, "next"); err != nil {
		t.Fatal(err)
	}
	if err := save(old, "old"); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the state: %v", err)
	}
	if _, err := outbox.BeginTry(t.Context(), 1, time.UnixMilli(5)); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the outbox: %v", err)
	}
	if saved, err := next.State(t.Context(), "bot"); err != nil || string(saved["part"].Data) != "next" {
		t.Errorf("%s, %v", saved["part"].Data, err)
	}
}

// TestFencesApart: a change whose lease has ended fails, and others in its transaction
// do not.
func TestFencesApart(t *testing.T) {
	s := storetest.Open(t, store.Config{PostgreSQL: storetest.Database(t)})
	lost := s.Fenced("bot", "old", acquire(t, s, "old", 0))
	kept := s.Fenced("bot", "next", acquire(t, s, "next", time.Hour))
	var saving sync.WaitGroup
	for i := range 40 {
		to, want := kept, error(nil)
		if i%2 == 0 {
			to, want = lost, store.ErrFenced
		}
		saving.Go(func() {
			err := to.SaveState(t.Context(), "bot", time.UnixMilli(5), map[string][]byte{fmt.Sprint(i): []byte("x")})
			if !errors.Is(err, want) {
				t.Errorf("change %d: %v, want %v", i, err, want)
			}
		})
	}
	saving.Wait()
	if saved, err := s.State(t.Context(), "bot"); err != nil || len(saved) != 20 {
		t.Errorf("%d changes were made, %v", len(saved), err)
	}
}

// TestTakeoverWaits: the next holder gets the lease when what the one before has begun
// to change can be seen, and renewals do not wait for changes.
func TestTakeoverWaits(t *testing.T) {
	address := storetest.Database(t)
	old, next := storetest.Open(t, store.Config{PostgreSQL: address}), storetest.Open(t, store.Config{PostgreSQL: address})
	db := openDatabase(t, "pgx", address)
	epoch := acquire(t, old, "old", 0)
	old = old.Fenced("bot", "old", epoch)
	begun, goOn, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		written <- old.Write(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
			close(begun)
			for going := false; !going; {
				select {
				case <-goOn:
					going = true
				default: // the transaction is never idle for long
					if _, err := tx.ExecContext(ctx, "SELECT pg_sleep(0.01)"); err != nil {
						return err
					}
				}
			}
			_, err := tx.ExecContext(ctx, "INSERT INTO state (bot, part, saved_at, data) VALUES ('bot', 'last', 1, 'x')")
			return err
		})
	}()
	<-begun
	if held, err := old.RenewLease(t.Context(), "bot", "old", epoch, 0); err != nil || !held {
		t.Errorf("a renewal during a change: %v, %v", held, err)
	}
	got := make(chan int64, 1)
	go func() {
		epoch, err := next.AcquireLease(context.Background(), "bot", "next", time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- epoch
	}()
	for waiting, deadline := 0, time.Now().Add(20*time.Second); waiting == 0; time.Sleep(10 * time.Millisecond) {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
		if err := db.QueryRowContext(t.Context(), query).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 || time.Now().After(deadline) {
			t.Fatal("the takeover does not wait for the change")
		}
	}
	close(goOn)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if got := <-got; got != epoch+1 {
		t.Errorf("epoch %d after the change", got)
	}
	if saved, err := next.State(t.Context(), "bot"); err != nil || len(saved) != 1 {
		t.Errorf("the next holder reads %v, %v", saved, err)
	}
}

// TestAbandonedTransaction: a server that hangs within a change does not keep others
// from taking over.
func TestAbandonedTransaction(t *testing.T) {
	address := storetest.Database(t)
	old, next := storetest.Open(t, store.Config{PostgreSQL: address}), storetest.Open(t, store.Config{PostgreSQL: address})
	epoch := acquire(t, old, "old", 0)
	old = old.Fenced("bot", "old", epoch)
	begun, goOn, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		written <- old.Write(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
			close(begun)
			<-goOn
			_, err := tx.ExecContext(ctx, "INSERT INTO state (bot, part, saved_at, data) VALUES ('bot', 'last', 1, 'x')")
			return err
		})
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if got, err := next.AcquireLease(ctx, "bot", "next", time.Hour); err != nil || got != epoch+1 {
		t.Errorf("%d, %v", got, err)
	}
	close(goOn)
	if err := <-written; err == nil {
		t.Error("the change was made after the takeover")
	}
}
