package store_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// TestReplicas: replicas of a bot find each other, share one secret, and see who leads.
func TestReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		meet := func(id, bot string) store.Fleet {
			t.Helper()
			fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: id, Bot: bot, Address: id + ":1", Version: "v"})
			if err != nil {
				t.Fatal(err)
			}
			return fleet
		}
		alone := meet("first", "bot")
		if len(alone.Replicas) != 1 || len(alone.Secrets) == 0 || len(alone.Secrets[0].Secret) != 32 || alone.Now.IsZero() {
			t.Fatalf("alone: %+v", alone)
		}
		meet("other", "another bot")
		epoch, err := s.AcquireLease(t.Context(), "bot", "first", time.Hour)
		if err != nil || epoch == 0 {
			t.Fatal(epoch, err)
		}
		both := meet("second", "bot")
		if !bytes.Equal(both.Secrets[len(both.Secrets)-1].Secret, alone.Secrets[len(alone.Secrets)-1].Secret) {
			t.Errorf("the second has other secrets: %+v", both.Secrets)
		}
		if len(both.Replicas) != 2 {
			t.Fatalf("both: %+v", both.Replicas)
		}
		first, second := both.Replicas[0], both.Replicas[1]
		if first.ID == "second" { // both in one millisecond
			first, second = second, first
		}
		if first.ID != "first" || first.Epoch != epoch || first.Address != "first:1" || first.Version != "v" || second.ID != "second" || second.Epoch != 0 {
			t.Errorf("both: %+v", both.Replicas)
		}
		if leader, err := s.Leader(t.Context(), "bot"); err != nil || leader != (store.Leader{ID: "first", Address: "first:1", Epoch: epoch}) {
			t.Errorf("the leader: %+v, %v", leader, err)
		}
		if err := s.ForgetReplica(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		if leader, err := s.Leader(t.Context(), "bot"); err != nil || leader != (store.Leader{ID: "first", Address: "first:1", Epoch: epoch}) {
			t.Errorf("a leader that is no replica any more: %+v, %v", leader, err)
		}
		if err := s.ReleaseLease(t.Context(), "bot", "first", epoch, store.LeaseHandedOver); err != nil {
			t.Fatal(err)
		}
		if leader, err := s.Leader(t.Context(), "bot"); err != nil || leader != (store.Leader{}) {
			t.Errorf("without a leader: %+v, %v", leader, err)
		}
		if epoch, err = s.AcquireLease(t.Context(), "bot", "stranger", time.Hour); err != nil || epoch == 0 {
			t.Fatal(epoch, err)
		}
		if leader, err := s.Leader(t.Context(), "bot"); err != nil || leader != (store.Leader{ID: "stranger", Epoch: epoch}) {
			t.Errorf("a leader that was never a replica: %+v, %v", leader, err)
		}
		if left := meet("second", "bot"); len(left.Replicas) != 1 {
			t.Errorf("left: %+v", left.Replicas)
		}
	})
}

// TestReplicaGone: one that has been silent is forgotten, and secrets are replaced.
func TestReplicaGone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		me := store.Replica{ID: "me", Bot: "bot", Address: "me:1"}
		silent := store.Replica{ID: "silent", Bot: "bot", Address: "silent:1"}
		if _, err := s.MeetReplicas(t.Context(), silent); err != nil {
			t.Fatal(err)
		}
		before, err := s.MeetReplicas(t.Context(), me)
		if err != nil || len(before.Replicas) != 2 {
			t.Fatal(before, err)
		}
		s.Exec(t, "UPDATE replicas SET seen_at = seen_at - 16000 WHERE id = 'silent'")
		s.Exec(t, "UPDATE replica_secrets SET id = id - 1, created_at = created_at - 86400000")
		after, err := s.MeetReplicas(t.Context(), me)
		if err != nil || len(after.Replicas) != 1 || after.Replicas[0].ID != "me" {
			t.Errorf("after its time: %+v, %v", after.Replicas, err)
		}
		if len(after.Secrets) != 2 || after.Secrets[1].ID != before.Secrets[0].ID-1 {
			t.Fatalf("secrets after a day: %+v", after.Secrets)
		}
		s.Exec(t, "UPDATE replica_secrets SET created_at = created_at - 3600000")
		if last, err := s.MeetReplicas(t.Context(), me); err != nil || len(last.Secrets) != 1 || last.Secrets[0].ID != after.Secrets[0].ID {
			t.Errorf("secrets after another hour: %+v, %v", last.Secrets, err)
		}
	})
}

// TestReplicasMeet: many that start at the same time share one secret.
func TestReplicasMeet(t *testing.T) {
	address := storetest.Database(t)
	s := storetest.Open(t, store.Config{PostgreSQL: address})
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		wg.Go(func() {
			if _, err := s.MeetReplicas(context.Background(), store.Replica{ID: id, Bot: "bot", Address: id + ":1"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: "a", Bot: "bot"})
	if err != nil || len(fleet.Replicas) != 6 || len(fleet.Secrets) > 2 { // the day may have ended
		t.Errorf("%+v, %v", fleet, err)
	}
}

// TestFrozenMeeting: a server that freezes when it has made the secret of the day does not
// keep the others from meeting.
func TestFrozenMeeting(t *testing.T) {
	address := storetest.Database(t)
	other, way := storetest.Open(t, store.Config{PostgreSQL: address}), newLink(t, address)
	frozen := storetest.Open(t, store.Config{PostgreSQL: way.address})
	db := openDatabase(t, "pgx", address)
	before, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Rollback() //nolint:errcheck // it fails when it was done
	if _, err := before.ExecContext(t.Context(), `INSERT INTO replica_secrets (id, secret, created_at)
		SELECT CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) / 86400 + day, '', 0 FROM generate_series(0, 1) AS day`); err != nil {
		t.Fatal(err)
	}
	var meeting sync.WaitGroup
	defer meeting.Wait()
	defer way.thaw()
	meeting.Go(func() { _, _ = frozen.MeetReplicas(context.Background(), store.Replica{ID: "frozen", Bot: "bot"}) })
	waitForLocks(t, db, 1)
	way.freeze()
	if err := before.Rollback(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := other.MeetReplicas(ctx, store.Replica{ID: "other", Bot: "bot"}); err != nil {
		t.Error(err)
	}
}

// TestReplicasReturn: replicas that were all silent for long, since their machine slept,
// meet again at the same time without one's being in another's way.
func TestReplicasReturn(t *testing.T) {
	s := storetest.Open(t, store.Config{PostgreSQL: storetest.Database(t)})
	meet := func(id string) {
		if _, err := s.MeetReplicas(context.Background(), store.Replica{ID: id, Bot: "bot", Address: id + ":1"}); err != nil {
			t.Error(id, err)
		}
	}
	for range 20 {
		var wg sync.WaitGroup
		for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
			wg.Go(func() { meet(id) })
		}
		wg.Wait()
		s.Exec(t, "UPDATE replicas SET seen_at = seen_at - 16000")
	}
}

// TestLoad: replicas see each other's process and load, which each meeting replaces.
func TestLoad(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		me := store.Replica{ID: "me", Bot: "bot", Process: "process", Address: "me:1"}
		for _, load := range []*store.Load{nil, {InProgress: 1, Waiting: 2, CallsPerSecond: 0.5}, {InProgress: 3, Leads: 2, Unfit: true}} {
			me.Load = load
			fleet, err := s.MeetReplicas(t.Context(), me)
			if err != nil || len(fleet.Replicas) != 1 || fleet.Replicas[0].Process != "process" {
				t.Fatalf("%+v, %v", fleet.Replicas, err)
			}
			if diff := cmp.Diff(load, fleet.Replicas[0].Load); diff != "" {
				t.Error(diff)
			}
		}
		s.Exec(t, "UPDATE replicas SET load = '[]'")
		other := store.Replica{ID: "other", Bot: "bot"}
		if fleet, err := s.MeetReplicas(t.Context(), other); err != nil || len(fleet.Replicas) != 2 || fleet.Replicas[0].Load != nil {
			t.Errorf("a load of another form: %+v, %v", fleet.Replicas, err)
		}
	})
}

// TestTwoBots: a server is a replica for each of its bots, and leaves each on its own.
func TestTwoBots(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		meet := func(id, bot string) []store.Replica {
			t.Helper()
			fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: id, Bot: bot, Process: "process", Address: "a:1"})
			if err != nil {
				t.Fatal(err)
			}
			return fleet.Replicas
		}
		meet("a one", "one")
		if all := meet("a two", "two"); len(all) != 1 || all[0].Bot != "two" || all[0].Process != "process" {
			t.Errorf("%+v", all)
		}
		if err := s.ForgetReplica(t.Context(), "a one"); err != nil {
			t.Fatal(err)
		}
		if all := meet("b one", "one"); len(all) != 1 || all[0].ID != "b one" {
			t.Errorf("the one: %+v", all)
		}
		if all := meet("b two", "two"); len(all) != 2 {
			t.Errorf("the two: %+v", all)
		}
	})
}
