package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

// put returns a change that saves a part.
func put(part string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO state (bot, part, saved_at, data) VALUES ('b', $1, 0, '')", part)
		return err
	}
}

func has(t *testing.T, s *store.Store, part string) bool {
	t.Helper()
	state, err := s.State(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	_, found := state[part]
	return found
}

// group has the store make changes in one transaction, and returns their errors. It
// holds the writer up with a change of its own until all of them wait.
func group(t *testing.T, s *store.Store, changes ...func(context.Context, *sql.Tx) error) []error {
	t.Helper()
	begun, release := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		_ = s.Write(t.Context(), func(context.Context, *sql.Tx) error {
			close(begun)
			<-release
			return nil
		})
	})
	<-begun
	errs := make([]error, len(changes))
	for i, change := range changes {
		calls.Go(func() { errs[i] = s.Write(t.Context(), change) })
	}
	for waiting() < len(changes)+1 {
		runtime.Gosched()
	}
	close(release)
	calls.Wait()
	return errs
}

// waiting counts the callers that wait for the writer.
func waiting() (callers int) {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if state, frames, _ := strings.Cut(stack, "\n"); strings.Contains(state, "[select") && strings.HasPrefix(frames, "discordproxy/server/internal/store.(*writer).write(") {
			callers++
		}
	}
	return callers
}

// TestGroups makes many changes in one transaction. Some fail in ways that
// a database answers differently.
func TestGroups(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		mine := errors.New("mine")
		var mu sync.Mutex
		transactions := make(map[*sql.Tx]bool)
		counted := func(change func(context.Context, *sql.Tx) error) func(context.Context, *sql.Tx) error {
			return func(ctx context.Context, tx *sql.Tx) error {
				mu.Lock()
				transactions[tx] = true
				mu.Unlock()
				return change(ctx, tx)
			}
		}
		bad := map[string]struct {
			change func(context.Context, *sql.Tx) error
			want   string
		}{
			"own error": {func(ctx context.Context, tx *sql.Tx) error { return errors.Join(put("own error")(ctx, tx), mine) }, "mine"},
			"constraint": {func(ctx context.Context, tx *sql.Tx) error {
				return errors.Join(put("constraint")(ctx, tx), put("constraint")(ctx, tx))
			}, "constraint"},
			"syntax": {func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "no SQL")
				return errors.Join(put("syntax")(ctx, tx), err)
			}, "syntax error"},
			"panic": {func(ctx context.Context, tx *sql.Tx) error {
				_ = put("panic")(ctx, tx)
				panic("at the disco")
			}, "at the disco"},
			"rollback": {func(ctx context.Context, tx *sql.Tx) error {
				_ = put("rollback")(ctx, tx)
				_, err := tx.ExecContext(ctx, "ROLLBACK")
				return errors.Join(err, mine)
			}, "mine"},
		}
		for name, b := range bad {
			t.Run(name, func(t *testing.T) {
				clear(transactions)
				var changes []func(context.Context, *sql.Tx) error
				for i := range 20 {
					changes = append(changes, counted(put(name+strconv.Itoa(i))))
				}
				changes = append(changes, counted(b.change))
				errs := group(t, s, changes...)
				if err := errs[20]; err == nil || !strings.Contains(err.Error(), b.want) {
					t.Errorf("the bad change: %v, want %q", err, b.want)
				}
				if has(t, s, name) {
					t.Error("the bad change left something behind")
				}
				for i, err := range errs[:20] {
					if err != nil || !has(t, s, name+strconv.Itoa(i)) {
						t.Errorf("change %d: %v", i, err)
					}
				}
				// The second one is for those that can be made.
				if name != "rollback" && len(transactions) > 2 {
					t.Errorf("%d transactions", len(transactions))
				}
			})
		}
	})
}

// TestBadChangeAlone: a change fails that is alone in its transaction.
func TestBadChangeAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		mine := errors.New("mine")
		for name, end := range map[string]func() error{"error": func() error { return mine }, "panic": func() error { panic(mine) }} {
			err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return errors.Join(put(name)(ctx, tx), end()) })
			if err == nil || !strings.Contains(err.Error(), "mine") || has(t, s, name) {
				t.Errorf("%s: %v, left behind: %v", name, err, has(t, s, name))
			}
		}
	})
}

// TestWriteContext cancels callers before their turn, and during it: a
// change that runs may use its caller's variables, so the caller stays for its
// outcome.
func TestWriteContext(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		middle, leaveMiddle := context.WithCancel(t.Context())
		early, leaveEarly := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		runs, leftEarly := make(chan struct{}), make(chan struct{})
		used := 0
		callers.Go(func() {
			if err := s.Write(middle, func(ctx context.Context, tx *sql.Tx) error {
				close(runs)
				<-leftEarly
				leaveMiddle()
				err := put("middle")(ctx, tx)
				used++
				return err
			}); err != nil || used != 1 {
				t.Errorf("a caller that left in the middle: %v, %d", err, used)
			}
		})
		<-runs
		callers.Go(func() {
			defer close(leftEarly)
			leaveEarly()
			if err := s.Write(early, put("early")); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that left before: %v", err)
			}
		})
		callers.Wait()
		if err := s.Write(t.Context(), put("next")); err != nil {
			t.Errorf("the next change: %v", err)
		}
		if !has(t, s, "middle") || has(t, s, "early") || !has(t, s, "next") {
			t.Errorf("middle %v, early %v, next %v", has(t, s, "middle"), has(t, s, "early"), has(t, s, "next"))
		}
	})
}

// TestClose closes a store under load: every change that succeeded is stored.
func TestClose(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		var made sync.Map
		var callers sync.WaitGroup
		for caller := range 8 {
			callers.Go(func() {
				for i := 0; ; i++ {
					part := fmt.Sprint(caller, "/", i)
					if err := s.Write(t.Context(), put(part)); errors.Is(err, store.ErrClosed) {
						return
					} else if err != nil {
						t.Error(err)
						return
					}
					made.Store(part, true)
				}
			})
		}
		for !has(t, s, "0/20") {
			runtime.Gosched()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		callers.Wait()
		s = storetest.Open(t, c)
		made.Range(func(part, _ any) bool {
			if !has(t, s, part.(string)) {
				t.Errorf("%s is missing", part)
			}
			return true
		})
	})
}
