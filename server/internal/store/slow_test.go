package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"modernc.org/sqlite"
)

func init() {
	sqlite.MustRegisterScalarFunction("wait_a_second", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		time.Sleep(time.Second)
		return int64(0), nil
	})
}

// slowly runs a test with a database whose statements that change rows of a table take a
// second for each, by the clock of the test.
func slowly(t *testing.T, table string, test func(*testing.T, *store.Store)) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t, store.Config{Folder: folder})
		for _, event := range []string{"INSERT", "UPDATE"} {
			s.Exec(t, fmt.Sprintf("CREATE TEMP TRIGGER %s_slowly BEFORE %s ON %s BEGIN SELECT wait_a_second(); END", event, event, table))
		}
		test(t, s)
	})
}

// TestSlowSweep: many deliveries whose time has come at one moment are moved by parts, if
// one transaction has no time for all.
func TestSlowSweep(t *testing.T) {
	slowly(t, "deliveries", func(t *testing.T, s *store.Store) {
		const count = 25
		o, err := s.Outbox(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * count {
			d := delivery(fmt.Sprint("due ", i), fmt.Sprint("channel ", i), 1)
			if d.State, d.NotBefore = store.Scheduled, noon.Add(time.Minute); i >= count {
				d.State, d.ExpiresAt = store.Waiting, noon.Add(time.Minute)
				d.NotBefore = time.Time{}
			}
			if _, err := o.Enqueue(t.Context(), limits, []store.Delivery{d}); err != nil {
				t.Fatal(err)
			}
		}
		var moved, expired int
		for more := true; more; {
			var callers []string
			var gone int
			callers, gone, more, err = o.Due(t.Context(), noon.Add(2*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			if len(callers) == 0 || len(callers) > 5 {
				t.Errorf("%d deliveries in one transaction", len(callers))
			}
			moved, expired = moved+len(callers), expired+gone
		}
		if heads, err := o.Heads(t.Context(), "shop", noon, 100); err != nil || len(heads) != count || moved != 2*count || expired != count {
			t.Errorf("%d moved, %d of them expired, %d heads, %v", moved, expired, len(heads), err)
		}
	})
}

// TestSlowGroup: many changes that wait at one moment are made one after the other, if one
// transaction has no time for all.
func TestSlowGroup(t *testing.T) {
	slowly(t, "state", func(t *testing.T, s *store.Store) {
		const count = 50
		errs, begun := make(chan error, count), time.Now()
		for i := range count {
			go func() {
				errs <- s.Write(context.Background(), func(ctx context.Context, tx *sql.Tx) error { return put(fmt.Sprint(i))(ctx, tx) })
			}()
		}
		for range count {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != count*time.Second { // none is undone and made again
			t.Errorf("it took %v", took)
		}
	})
}
