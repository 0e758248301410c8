package store_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

const password = "correct-horse"

// TestAddress: what is shown of an address has no password, nor has an error.
func TestAddress(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://proxy:" + password + "@db.example:5433/discord?sslmode=require":           "postgres://proxy@db.example:5433/discord",
		"postgresql://db.example/discord?user=proxy&password=" + password:                     "postgres://proxy@db.example:5432/discord",
		"host=/run/postgresql user=proxy dbname=discord password=" + password:                 "postgres://proxy@/discord?host=%2Frun%2Fpostgresql",
		"host=db.example user=proxy dbname=discord port=5433 password='" + password + " x y'": "postgres://proxy@db.example:5433/discord",
	} {
		if got, err := store.DescribeAddress(address); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
	for _, address := range []string{
		password, "mysql://proxy:" + password + "@db/x", "postgres://proxy:" + password + "@db:port/x", "postgres://proxy:" + password + "%zz@db/x",
		"postgres://proxy:" + password + "@db/x?sslmode=nonsense", "host=db password=" + password + " port=x",
	} {
		_, err := store.DescribeAddress(address)
		if !errors.Is(err, store.ErrAddress) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", address, err)
		}
		if _, err := store.Open(t.Context(), store.Config{PostgreSQL: address}); !errors.Is(err, store.ErrAddress) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: opening: %v", address, err)
		}
	}
}

// TestPostgresAway: errors say that the database is away, and a store continues when it
// is back. A database that refuses is not away.
func TestPostgresAway(t *testing.T) {
	p := storetest.NewPostgres(t)
	s := storetest.Open(t, store.Config{PostgreSQL: p.Address()})
	save := func() error {
		return s.SaveState(t.Context(), "bot", time.UnixMilli(5), map[string][]byte{"part": []byte("x")})
	}
	if err := save(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.State(t.Context(), "bot"); err != nil {
		t.Fatal(err)
	}
	p.Stop(t)
	if err := save(); !errors.Is(err, store.ErrAway) || strings.Count(err.Error(), store.ErrAway.Error()) != 1 {
		t.Errorf("a change while it is away: %v", err)
	}
	if _, err := s.State(t.Context(), "bot"); !errors.Is(err, store.ErrAway) {
		t.Errorf("a look while it is away: %v", err)
	}
	if err := store.Check(t.Context(), p.Address()); !errors.Is(err, store.ErrAway) {
		t.Errorf("a check while it is away: %v", err)
	}
	p.Start(t)
	if err := save(); err != nil {
		t.Errorf("a change when it is back: %v", err)
	}
	if saved, err := s.State(t.Context(), "bot"); err != nil || len(saved) != 1 {
		t.Errorf("a look when it is back: %v, %v", saved, err)
	}
	_, err := store.Open(t.Context(), store.Config{PostgreSQL: strings.Replace(p.Address(), "dbname=postgres", "dbname=none password="+password, 1)})
	if err == nil || errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "does not exist") || strings.Contains(err.Error(), password) {
		t.Errorf("a database that does not exist: %v", err)
	}
}

// TestCheckPostgres: a check leaves an empty database empty, and finds a newer schema.
func TestCheckPostgres(t *testing.T) {
	address := storetest.Database(t)
	for range 2 {
		if err := store.Check(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	db := openDatabase(t, "pgx", address)
	var tables int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
	if err := storetest.Open(t, store.Config{PostgreSQL: address}).Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Check(t.Context(), address); err != nil {
		t.Error(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO schema_version (version_id, is_applied) VALUES (1000, true)"); err != nil {
		t.Fatal(err)
	}
	if err := store.Check(t.Context(), address); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer schema: %v", err)
	}
}

// TestPassingErrors: what PostgreSQL could do later is no reason to give up.
func TestPassingErrors(t *testing.T) {
	s := storetest.Open(t, store.Config{PostgreSQL: storetest.Database(t)})
	for code, want := range map[string]error{
		"08006": store.ErrAway, "25006": store.ErrAway, "25P03": store.ErrAway, "40001": store.ErrAway, "40P01": store.ErrAway,
		"53000": store.ErrAway, "53100": store.ErrFull, "53200": store.ErrAway, "53300": store.ErrAway, "55P03": store.ErrAway,
		"57014": store.ErrAway, "57P01": store.ErrAway, "57P05": store.ErrAway, "22012": nil, "42501": nil,
	} {
		err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '"+code+"'; END $$")
			return err
		})
		for _, reason := range []error{store.ErrAway, store.ErrFull} {
			if err == nil || errors.Is(err, reason) != errors.Is(want, reason) {
				t.Errorf("%s: %v, want %v", code, err, want)
			}
		}
	}
}

// TestAbandonedIsAway: a server that hung within a change for too long may try again.
func TestAbandonedIsAway(t *testing.T) {
	s := storetest.Open(t, store.Config{PostgreSQL: storetest.Database(t)})
	s = s.Fenced("bot", "server", acquire(t, s, "server", time.Hour))
	err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 1"); err != nil {
			return err
		}
		for {
			time.Sleep(100 * time.Millisecond)
			if _, err := tx.ExecContext(ctx, "SELECT 1"); err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, store.ErrAway) {
		t.Error(err)
	}
}

// TestConnectionEnds: a connection that ends within a transaction is a database that is away,
// whichever statement finds out.
func TestConnectionEnds(t *testing.T) {
	s := storetest.Open(t, store.Config{PostgreSQL: storetest.Database(t)})
	for _, statements := range []int{1, 2} {
		var last error
		err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			for range statements {
				_, last = tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
			}
			if last == nil {
				t.Error("the connection goes on")
			}
			return nil
		})
		if !errors.Is(err, store.ErrAway) {
			t.Errorf("after %d statements: %v", statements, err)
		}
	}
}

// TestReadHangs: a database that does not answer a read is away, unless the caller has
// waited for less. Reads work again when it answers.
func TestReadHangs(t *testing.T) {
	address := storetest.Database(t)
	s := storetest.Open(t, store.Config{PostgreSQL: address})
	o, err := s.Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string]func(context.Context) error{
		"State":     func(ctx context.Context) error { _, err := s.State(ctx, "bot"); return err },
		"StatePart": func(ctx context.Context) error { _, err := s.StatePart(ctx, "bot", "part"); return err },
		"Due":       func(ctx context.Context) error { _, _, _, err := o.Due(ctx, noon); return err },
		"NextDue":   func(ctx context.Context) error { _, err := o.NextDue(ctx); return err },
		"Callers":   func(ctx context.Context) error { _, err := o.Callers(ctx); return err },
		"Heads":     func(ctx context.Context) error { _, err := o.Heads(ctx, "shop", noon, 1); return err },
		"NextTry":   func(ctx context.Context) error { _, err := o.NextTry(ctx, "shop", noon); return err },
		"Claimed":   func(ctx context.Context) error { _, err := o.Claimed(ctx, []int64{1}); return err },
		"List":      func(ctx context.Context) error { _, err := o.List(ctx, store.DeliveryFilter{}, 0, 1); return err },
		"Results":   func(ctx context.Context) error { _, err := o.Results(ctx, store.DeliveryFilter{}, 0, 1); return err },
		"Counts":    func(ctx context.Context) error { _, err := o.Counts(ctx); return err },
	}
	lock, err := openDatabase(t, "pgx", address).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback() //nolint:errcheck // it fails when it was done
	if _, err := lock.ExecContext(t.Context(), "LOCK TABLE state, outbox, deliveries IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	limit, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := reads["Counts"](limit); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrAway) {
		t.Errorf("a caller that has waited for less: %v", err)
	}
	s.SetReadTime(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, read := range reads {
		if err := read(ctx); !errors.Is(err, store.ErrAway) || ctx.Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	s.SetReadTime(20 * time.Second)
	for name, read := range reads {
		if err := read(ctx); err != nil {
			t.Errorf("%s after it answers: %v", name, err)
		}
	}
}
