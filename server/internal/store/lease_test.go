package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
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
		if err := s.ReleaseLease(t.Context(), "bot", "a", 1, store.LeaseHandedOver); err != nil || acquire(t, s, "c", time.Hour) != 0 {
			t.Errorf("a released the lease of b: %v", err)
		}
		if err := s.ReleaseLease(t.Context(), "bot", "b", 2, store.LeaseHandedOver); err != nil {
			t.Fatal(err)
		}
		if renew("b", 2, time.Hour) { // one that was sent before, and arrives after
			t.Error("b renewed the lease that it had released")
		}
		if acquire(t, s, "c", time.Hour) != 3 {
			t.Error("b did not release its lease")
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

// waitForLocks returns when a number of statements wait for locks in a database.
func waitForLocks(t *testing.T, db *sql.DB, count int) {
	t.Helper()
	for waiting, deadline := 0, time.Now().Add(20*time.Second); waiting < count; time.Sleep(10 * time.Millisecond) {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
		if err := db.QueryRowContext(t.Context(), query).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d statements wait for locks, want %d", waiting, count)
		}
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
	waitForLocks(t, db, 1)
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

// TestFrozenPurge: a server that freezes while it is to receive what many records hold does
// not keep others from taking over.
func TestFrozenPurge(t *testing.T) {
	address := storetest.Database(t)
	next, way := storetest.Open(t, store.Config{PostgreSQL: address}), newLink(t, address)
	fill(t, next, 1010, "5", "'shop'", "1")
	next.Exec(t, "UPDATE deliveries SET failure = convert_to(repeat('f', 2000), 'UTF8')")
	old := storetest.Open(t, store.Config{PostgreSQL: way.address})
	epoch := acquire(t, old, "old", 0)
	o, err := old.Fenced("bot", "old", epoch).Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	ended := store.DeliveryFilter{EndedBefore: noon}
	if n, err := o.Purge(t.Context(), ended, 1); n != 1 || err != nil { // which prepares the statements
		t.Fatal(n, err)
	}
	db := openDatabase(t, "pgx", address)
	before, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Rollback() //nolint:errcheck // it fails when it was done
	if _, err := before.ExecContext(t.Context(), "LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var purge sync.WaitGroup
	defer purge.Wait()
	defer way.thaw()
	purge.Go(func() { _, _ = o.Purge(context.Background(), ended, 1000) })
	waitForLocks(t, db, 1)
	way.freeze()
	if err := before.Rollback(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if got, err := next.AcquireLease(ctx, "bot", "next", time.Hour); err != nil || got != epoch+1 {
		t.Errorf("%d, %v", got, err)
	}
}

// TestLeaseReason: the database says how a lease came to its holder.
func TestLeaseReason(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		meet := func(id string) store.Fleet {
			t.Helper()
			fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: id, Bot: "bot", Address: id + ":1"})
			if err != nil {
				t.Fatal(err)
			}
			return fleet
		}
		if l := meet("a").Lease; l != (store.Lease{}) {
			t.Errorf("before the first: %+v", l)
		}
		want := func(holder string, epoch int64, previous string, reason store.Reason) {
			t.Helper()
			fleet := meet(holder)
			l := fleet.Lease
			if l.Holder != holder || l.Address != holder+":1" || l.Epoch != epoch || l.Previous != previous || l.Reason != reason {
				t.Errorf("%+v", l)
			}
			if ago := fleet.Now.Sub(l.Since); ago < 0 || ago > time.Minute {
				t.Errorf("since %v ago", ago)
			}
			if left := l.Until.Sub(fleet.Now); left < 50*time.Minute || left > time.Hour {
				t.Errorf("%v left", left)
			}
		}
		acquire(t, s, "a", time.Hour)
		want("a", 1, "", store.LeaseFirst)
		if acquire(t, s, "b", time.Hour) != 0 {
			t.Fatal("b got the lease of a")
		}
		want("a", 1, "", store.LeaseFirst)
		release := func(holder string, epoch int64, why store.Reason) {
			t.Helper()
			if err := s.ReleaseLease(t.Context(), "bot", holder, epoch, why); err != nil {
				t.Fatal(err)
			}
			if err := s.ForgetReplica(t.Context(), holder); err != nil {
				t.Fatal(err)
			}
			if l := meet("b").Lease; l.Holder != holder || !l.Until.IsZero() {
				t.Errorf("released: %+v", l)
			}
		}
		release("a", 1, store.LeaseHandedOver)
		acquire(t, s, "b", time.Hour)
		want("b", 2, "a:1", store.LeaseHandedOver)
		meet("c")
		release("b", 2, store.LeaseBalanced)
		acquire(t, s, "c", time.Hour)
		want("c", 3, "b:1", store.LeaseBalanced)
		s.Exec(t, "UPDATE leases SET until_at = 1")
		meet("d")
		acquire(t, s, "d", time.Hour)
		want("d", 4, "c:1", store.LeaseExpired)
	})
}

// old are the statements of servers with schema 4, with the clock as they have it.
type old struct {
	t   *testing.T
	db  *sql.DB
	now string
}

func (o old) exec(query string, args ...any) (rows int64) {
	o.t.Helper()
	result, err := o.db.ExecContext(o.t.Context(), strings.ReplaceAll(query, "NOW", o.now), args...)
	if err != nil {
		o.t.Fatal(err)
	}
	rows, err = result.RowsAffected()
	if err != nil {
		o.t.Fatal(err)
	}
	return rows
}

func (o old) meet(id string) {
	o.t.Helper()
	o.exec(`INSERT INTO replicas (id, bot, address, version, since_at, seen_at) VALUES ($1, $2, $3, $4, NOW, NOW)
		ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at`, id, "bot", id+":1", "old")
}

func (o old) acquire(holder string) bool {
	o.t.Helper()
	return o.exec(`INSERT INTO leases (bot, holder, epoch, until_at) VALUES ($1, $2, 1, NOW + $3)
		ON CONFLICT (bot) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_at = excluded.until_at
		WHERE leases.until_at <= NOW RETURNING epoch`, "bot", holder, time.Hour.Milliseconds()) == 1
}

func (o old) release(holder string, epoch int64) {
	o.t.Helper()
	if o.exec("UPDATE leases SET until_at = 0 WHERE bot = $1 AND holder = $2 AND epoch = $3", "bot", holder, epoch) != 1 {
		o.t.Errorf("%s did not have the lease", holder)
	}
}

// sees checks whom a server with schema 4 finds, the leader first.
func (o old) sees(leader string, count int) {
	o.t.Helper()
	var found, address string
	err := o.db.QueryRowContext(o.t.Context(), strings.ReplaceAll(`SELECT l.holder, COALESCE(r.address, '') FROM leases l
		LEFT JOIN replicas r ON r.id = l.holder WHERE l.bot = $1 AND l.until_at > NOW`, "NOW", o.now), "bot").Scan(&found, &address)
	if err != nil || found != leader || address != leader+":1" {
		o.t.Errorf("%s at %s leads, %v", found, address, err)
	}
	var replicas int
	err = o.db.QueryRowContext(o.t.Context(), strings.ReplaceAll(`SELECT count(r.since_at) FROM replicas r
		LEFT JOIN leases l ON l.bot = r.bot AND l.holder = r.id AND l.until_at > NOW WHERE r.bot = $1`, "NOW", o.now), "bot").Scan(&replicas)
	if err != nil || replicas != count {
		o.t.Errorf("%d replicas, %v", replicas, err)
	}
}

// TestSchema4Runs: servers with schema 4 that still run during an upgrade and servers of
// this version find each other and take the lease over, by the old statements here and
// the new ones there. What only the new ones note is never said of an old one.
func TestSchema4Runs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		o := old{t, openDatabase(t, "pgx", c.PostgreSQL), "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"}
		if c.PostgreSQL == "" {
			o = old{t, openDatabase(t, "sqlite", filepath.Join(c.Folder, "discordproxy.db")), "CAST(unixepoch('subsec') * 1000 AS INTEGER)"}
		}
		want := func(l store.Lease) {
			t.Helper()
			fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: "new", Bot: "bot", Process: "process", Address: "new:1", Load: &store.Load{}})
			if err != nil || len(fleet.Replicas) != 2 {
				t.Fatalf("%+v, %v", fleet.Replicas, err)
			}
			for _, r := range fleet.Replicas {
				if (r.ID == "new") != (r.Load != nil) || (r.Epoch != 0) != (r.ID == l.Holder) {
					t.Errorf("%+v", r)
				}
			}
			if l.Holder == "old" && !fleet.Lease.Since.IsZero() {
				t.Errorf("since %v", fleet.Lease.Since)
			}
			fleet.Lease.Until, fleet.Lease.Since = time.Time{}, time.Time{}
			if fleet.Lease != l {
				t.Errorf("%+v instead of %+v", fleet.Lease, l)
			}
		}
		o.meet("old")
		if !o.acquire("old") {
			t.Fatal("the old server did not get the lease")
		}
		o.meet("old") // again
		want(store.Lease{Holder: "old", Address: "old:1", Epoch: 1})
		o.sees("old", 2)
		if acquire(t, s, "new", time.Hour) != 0 {
			t.Fatal("two have the lease")
		}
		o.release("old", 1)
		acquire(t, s, "new", time.Hour)
		want(store.Lease{Holder: "new", Address: "new:1", Epoch: 2, Previous: "old:1", Reason: store.LeaseHandedOver})
		o.sees("new", 2)
		if o.acquire("old") {
			t.Fatal("two have the lease")
		}
		if err := s.ReleaseLease(t.Context(), "bot", "new", 2, store.LeaseBalanced); err != nil {
			t.Fatal(err)
		}
		if !o.acquire("old") {
			t.Fatal("the old server did not get the lease")
		}
		want(store.Lease{Holder: "old", Address: "old:1", Epoch: 3})
		o.release("old", 3) // which leaves the new server's reason where it is
		acquire(t, s, "new", time.Hour)
		want(store.Lease{Holder: "new", Address: "new:1", Epoch: 4, Previous: "old:1", Reason: store.LeaseHandedOver})
		s.Exec(t, "UPDATE leases SET until_at = 1")
		o.acquire("old")
		s.Exec(t, "UPDATE leases SET until_at = 1")
		acquire(t, s, "new", time.Hour)
		want(store.Lease{Holder: "new", Address: "new:1", Epoch: 6, Previous: "old:1", Reason: store.LeaseExpired})
		if o.exec("DELETE FROM replicas WHERE id = $1", "old") != 1 {
			t.Error("the old server was not there")
		}
	})
}
