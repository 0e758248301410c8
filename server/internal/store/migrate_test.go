package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// dialect is what differs between the databases that TestOldSchemas fills.
type dialect struct{ driver, columns, indexes string }

var dialects = map[string]dialect{
	"sqlite": {
		"sqlite",
		"SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || coalesce(c.dflt_value, '') || ' ' || c.pk FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT IN ('schema_version', 'sqlite_sequence')",
		"SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
	},
	"postgres": {
		"pgx",
		"SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_version'",
		"SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'schema_version'",
	},
}

// TestOldSchemas opens databases as servers with each released schema left them: the
// schema becomes that of a new database, and what was in it stays.
func TestOldSchemas(t *testing.T) {
	for name, d := range dialects {
		files, err := filepath.Glob(filepath.Join("testdata", name, "schema-*.sql"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%d schemas, %v", len(files), err)
		}
		for _, file := range files {
			t.Run(file, func(t *testing.T) {
				dump, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				old, source := emptyDatabase(t, name)
				db := openDatabase(t, d.driver, source)
				if _, err := db.ExecContext(t.Context(), string(dump)); err != nil {
					t.Fatal(err)
				}
				s := storetest.Open(t, old)
				fresh, freshSource := emptyDatabase(t, name)
				storetest.Open(t, fresh)
				if diff := cmp.Diff(schemaOf(t, d, freshSource), schemaOf(t, d, source)); diff != "" {
					t.Errorf("the schema differs from that of a new database: %s", diff)
				}
				wantState(t, s, "bot", map[string]store.Saved{"part": {Data: []byte("save"), At: time.UnixMilli(1_790_000_000_000)}})
				wantOldDeliveries(t, s)
				if !strings.HasSuffix(file, "schema-2.sql") {
					wantOldFleet(t, s)
				}
			})
		}
	}
}

// wantOldDeliveries checks that the deliveries of a dump are still to be made.
func wantOldDeliveries(t *testing.T, s *store.Store) {
	t.Helper()
	o, err := s.Outbox(t.Context(), "bot")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1_790_000_000_000)
	heads, err := o.Heads(t.Context(), "shop", now, 10)
	if err != nil || len(heads) != 1 || heads[0].ID != "waiting" || !heads[0].ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Fatalf("%+v, %v", heads, err)
	}
	if request, err := o.Request(t.Context(), heads[0].Seq); err != nil || string(request) != "request" {
		t.Errorf("%q, %v", request, err)
	}
	if next, err := o.NextDue(t.Context()); err != nil || !next.Equal(now.Add(30*time.Minute)) {
		t.Errorf("due at %v, %v", next, err)
	}
	heads[0].State, heads[0].FinishedAt = store.Delivered, now
	if done, err := o.Finish(t.Context(), heads[0]); !done || err != nil {
		t.Errorf("%v, %v", done, err)
	}
	if counts, err := o.Counts(t.Context()); err != nil || counts != (store.OutboxCounts{Position: 2, Unfinished: 1, Finished: 2, Bytes: 4}) {
		t.Errorf("%+v, %v", counts, err)
	}
	if d, err := o.Delivery(t.Context(), "127.0.0.1", "delivered"); err != nil || d.Message != 6 || d.Channel != 5 || d.Keyed {
		t.Errorf("%+v, %v", d, err)
	}
}

// wantOldFleet checks that the replica and the lease of a dump are still there.
func wantOldFleet(t *testing.T, s *store.Store) {
	t.Helper()
	fleet, err := s.MeetReplicas(t.Context(), store.Replica{ID: "new", Bot: "bot"})
	if err != nil || len(fleet.Replicas) != 2 {
		t.Fatalf("%+v, %v", fleet.Replicas, err)
	}
	since := time.UnixMilli(1_790_000_000_000)
	old := store.Replica{ID: "holder", Bot: "bot", Address: "holder:1", Version: "old", Since: since, Seen: time.UnixMilli(4_000_000_000_000)}
	if fleet.Replicas[0] != old && fleet.Replicas[1] != old {
		t.Errorf("%+v", fleet.Replicas)
	}
	if want := (store.Lease{Holder: "holder", Address: "holder:1", Epoch: 7, Until: time.UnixMilli(1_600_000_006_000)}); fleet.Lease != want {
		t.Errorf("%+v instead of %+v", fleet.Lease, want)
	}
	if got, err := s.AcquireLease(t.Context(), "bot", "new", time.Hour); err != nil || got != 8 {
		t.Errorf("epoch %d, %v", got, err)
	}
}

// emptyDatabase returns an empty database and its address for database/sql.
func emptyDatabase(t *testing.T, name string) (c store.Config, source string) {
	t.Helper()
	if name == "postgres" {
		source = storetest.Database(t)
		return store.Config{PostgreSQL: source}, source
	}
	folder := t.TempDir()
	return store.Config{Folder: folder}, filepath.Join(folder, "discordproxy.db")
}

func openDatabase(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// schemaOf returns columns and indexes.
func schemaOf(t *testing.T, d dialect, source string) map[string]bool {
	t.Helper()
	db := openDatabase(t, d.driver, source)
	schema := make(map[string]bool)
	for _, query := range []string{d.columns, d.indexes} {
		rows, err := db.QueryContext(context.WithoutCancel(t.Context()), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			schema[line] = true
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if len(schema) < 40 {
		t.Fatalf("the schema has %d lines", len(schema))
	}
	return schema
}
