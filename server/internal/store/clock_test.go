package store_test

import (
	"database/sql"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

// TestDatabaseClock: the difference to the database's clock is known from the lease on, and
// again after the database's clock was set. A folder has this machine's clock.
func TestDatabaseClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		epoch, err := s.AcquireLease(t.Context(), "bot", "me", time.Minute)
		if err != nil || epoch != 1 {
			t.Fatal(epoch, err)
		}
		if ahead := s.Ahead(); ahead.Abs() > 10*time.Second {
			t.Errorf("%v ahead of the same clock", ahead)
		}
		if c.PostgreSQL == "" {
			return
		}
		// A schema that is searched first has another clock.
		db, err := sql.Open("pgx", c.PostgreSQL)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range []string{
			"CREATE SCHEMA skewed",
			`CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql
				AS 'SELECT pg_catalog.clock_timestamp() - interval ''5 minutes'''`,
			"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = skewed, pg_catalog, public', current_database()); END $$",
		} {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		other := storetest.Open(t, c)
		if epoch, err = other.AcquireLease(t.Context(), "another bot", "me", time.Minute); err != nil || epoch != 1 {
			t.Fatal(epoch, err)
		}
		if off := other.Ahead() - 5*time.Minute; off.Abs() > 10*time.Second {
			t.Errorf("%v ahead of a clock that is 5 minutes behind", other.Ahead())
		}
		// The clock is set while the store is open.
		if _, err := db.ExecContext(t.Context(), `CREATE OR REPLACE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql
			AS 'SELECT pg_catalog.clock_timestamp() + interval ''5 minutes'''`); err != nil {
			t.Fatal(err)
		}
		if ok, err := other.RenewLease(t.Context(), "another bot", "me", epoch, time.Minute); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if off := other.Ahead() + 5*time.Minute; off.Abs() > 10*time.Second {
			t.Errorf("%v ahead of a clock that is 5 minutes ahead", other.Ahead())
		}
	})
}
