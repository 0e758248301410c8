package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// fill adds deliveries of the bot "bot" with the numbers n from 1 to count. The other
// arguments are expressions of n.
func fill(t testing.TB, s *store.Store, count int, state, caller, enqueued string) {
	t.Helper()
	if _, err := s.Outbox(t.Context(), "bot"); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, fmt.Sprintf(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %d)
		INSERT INTO deliveries (seq, bot, caller, keyed, id, digest, method, target, state, priority, head, resend, replace_key,
			enqueued_at, not_before, expires_at, position, finished_at, bytes)
		SELECT n, 'bot', %s, 1, 'delivery ' || n, '', 'SendChannelMessage', 'channel 1', %s, 1, 0, 0, '', %s, 0, 0,
			CASE WHEN %s > 3 THEN n ELSE 0 END, n, 0 FROM numbers`, count, caller, state, enqueued, state))
	s.Exec(t, "ANALYZE") // as autovacuum does in PostgreSQL
}

// TestList compares pages of lists with what is in a list without a filter.
func TestList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		const count = 5000
		// Times are not always those of the order: deliveries that are queued again keep theirs.
		fill(t, s, count, "1 + n * 7919 % 8", "'caller ' || (n * 31 % 5)", "1790000000000 + (n + n * 104729 % 50 * 20) * 1000")
		s.Exec(t, "UPDATE deliveries SET state = 4 WHERE seq % 3 <> 0")
		s.Exec(t, "UPDATE deliveries SET caller = 'caller 0' WHERE seq % 7 <> 0")
		o, err := s.Outbox(t.Context(), "bot")
		if err != nil {
			t.Fatal(err)
		}
		all, err := o.List(t.Context(), store.DeliveryFilter{}, 0, count)
		if err != nil || len(all) != count {
			t.Fatal(len(all), err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			f, limit := randomFilter(rng), []int{1, 7, 50, 1000, 3000}[rng.IntN(5)]
			var want, got []int64
			for _, d := range all {
				if matches(f, d) {
					want = append(want, d.Seq)
				}
			}
			want = want[:min(len(want), 20*limit)]
			for before := int64(0); len(got) < len(want); {
				listed, err := o.List(t.Context(), f, before, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range listed {
					got = append(got, d.Seq)
				}
				if len(listed) < limit {
					break
				}
				before = got[len(got)-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%+v, pages of %d: %s", f, limit, diff)
			}
			if len(want) > 0 && len(want) < 20*limit { // the page after the last one
				if listed, err := o.List(t.Context(), f, want[len(want)-1], limit); err != nil || len(listed) > 0 {
					t.Fatalf("%+v: %d deliveries after the last one, %v", f, len(listed), err)
				}
			}
		}
	})
}

func randomFilter(rng *rand.Rand) (f store.DeliveryFilter) {
	for rng.IntN(2) == 0 {
		f.States = append(f.States, store.DeliveryState(1+rng.IntN(8))) // some of them twice
	}
	if rng.IntN(3) == 0 {
		f.Caller = fmt.Sprint("caller ", rng.IntN(6)) // there is no caller 5
	}
	at := func() time.Time { return time.UnixMilli(1_790_000_000_000 + int64(rng.IntN(6500))*1000) }
	if rng.IntN(2) == 0 {
		f.Since = at()
	}
	if rng.IntN(2) == 0 {
		f.Until = at()
	}
	return f
}

func matches(f store.DeliveryFilter, d store.Delivery) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, d.State)) && (f.Caller == "" || f.Caller == d.Caller) &&
		(f.Since.IsZero() || !d.EnqueuedAt.Before(f.Since)) && (f.Until.IsZero() || d.EnqueuedAt.Before(f.Until))
}

// rareLists are lists of few of many deliveries, and the index that each needs. The
// deliveries are the oldest ones, so that all others would be read before them.
var rareLists = map[string]struct {
	filter store.DeliveryFilter
	index  string
	count  int
}{
	"state":             {store.DeliveryFilter{States: []store.DeliveryState{store.Failed}}, "deliveries_undelivered", 10},
	"states":            {store.DeliveryFilter{States: []store.DeliveryState{store.Waiting, store.Sending, store.Failed}}, "deliveries_undelivered", 20},
	"caller":            {store.DeliveryFilter{Caller: "rare"}, "deliveries_by_caller", 30},
	"caller and state":  {store.DeliveryFilter{Caller: "rare", States: []store.DeliveryState{store.Delivered}}, "deliveries_by_caller", 10},
	"time":              {store.DeliveryFilter{Until: time.UnixMilli(1_790_000_000_030)}, "deliveries_by_time", 29},
	"time and state":    {store.DeliveryFilter{Until: time.UnixMilli(1_790_000_000_050), States: []store.DeliveryState{store.Delivered}}, "deliveries_by_time", 29},
	"state at any time": {store.DeliveryFilter{Since: time.UnixMilli(1), States: []store.DeliveryState{store.Failed}}, "deliveries_undelivered", 10},
}

// fillRare adds many deliveries. The lists above contain few of them.
func fillRare(t testing.TB, s *store.Store, count int) {
	t.Helper()
	fill(t, s, count, "CASE WHEN n <= 10 THEN 5 WHEN n <= 20 THEN 2 ELSE 4 END", "CASE WHEN n <= 30 THEN 'rare' ELSE 'frequent' END",
		"1790000000000 + n")
}

// manyRemoved matches a plan of PostgreSQL that has read at least 100 rows without success.
var manyRemoved = regexp.MustCompile(`Rows Removed by Filter: \d{3}`)

// TestRareLists: no list reads all deliveries to find few.
func TestRareLists(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		fillRare(t, s, 30_000)
		explain, db := "EXPLAIN (ANALYZE, COSTS OFF) ", openDatabase(t, "pgx", c.PostgreSQL)
		if c.PostgreSQL == "" {
			explain, db = "EXPLAIN QUERY PLAN ", openDatabase(t, "sqlite", filepath.Join(c.Folder, "discordproxy.db"))
		}
		o, err := s.Outbox(t.Context(), "bot")
		if err != nil {
			t.Fatal(err)
		}
		for name, list := range rareLists {
			query, args := store.ListQuery(list.filter, 50)
			rows, err := db.QueryContext(context.WithoutCancel(t.Context()), explain+query, args...)
			if err != nil {
				t.Fatal(name, err)
			}
			var plan []string
			for rows.Next() {
				var line string
				var ids [3]int
				to := []any{&line}
				if c.PostgreSQL == "" {
					to = []any{&ids[0], &ids[1], &ids[2], &line}
				}
				if err := rows.Scan(to...); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, line)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			if !strings.Contains(text, list.index) || strings.Contains(text, "Seq Scan") || strings.Contains(text, "SCAN deliveries") ||
				manyRemoved.MatchString(text) {
				t.Errorf("%s does not use %s alone:\n%s", name, list.index, text)
			}
			if listed, err := o.List(t.Context(), list.filter, 0, 50); err != nil || len(listed) != list.count {
				t.Errorf("%s: %d deliveries, %v", name, len(listed), err)
			}
		}
	})
}

// BenchmarkList is what the first page of few of 1,000,000 deliveries costs, and of many.
func BenchmarkList(b *testing.B) {
	for name, c := range map[string]func(*testing.B) store.Config{
		"SQLite":     func(b *testing.B) store.Config { return store.Config{Folder: b.TempDir()} },
		"PostgreSQL": func(b *testing.B) store.Config { return store.Config{PostgreSQL: storetest.Database(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			s := storetest.Open(b, c(b))
			fillRare(b, s, 1_000_000)
			o, err := s.Outbox(b.Context(), "bot")
			if err != nil {
				b.Fatal(err)
			}
			list := func(name string, f store.DeliveryFilter) {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						if _, err := o.List(b.Context(), f, 0, 50); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			for name, rare := range rareLists {
				list("rare "+name, rare.filter)
			}
			list("the older half", store.DeliveryFilter{Until: time.UnixMilli(1_790_000_500_000)})
			list("the newer half", store.DeliveryFilter{Since: time.UnixMilli(1_790_000_500_000)})
			list("frequent caller", store.DeliveryFilter{Caller: "frequent"})
		})
	}
}
