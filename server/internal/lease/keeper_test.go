package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/lease"
)

// TestKeeper: a keeper may act while the database answers, for 5 s after the last
// renewal that it sent, again when the database is back, and never after another server.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type response func(ctx context.Context) (bool, error)
		var answer atomic.Pointer[response]
		var renewed atomic.Pointer[time.Time]
		note := func() { now := time.Now(); renewed.Store(&now) }
		note()
		set := func(r response) { answer.Store(&r) }
		well := func(context.Context) (bool, error) { note(); return true, nil }
		set(well)
		var term lease.Term
		term.Granted(time.Now(), 7)
		k := lease.Keep(term, func(ctx context.Context, epoch int64) (bool, error) {
			if epoch != 7 {
				t.Errorf("it renews epoch %d", epoch)
			}
			return (*answer.Load())(ctx)
		}, slog.New(slog.DiscardHandler))
		defer k.Stop()
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		for range 60 {
			if wait(time.Second); k.Check() != nil || time.Since(*renewed.Load()) > lease.Interval {
				t.Fatalf("%v, renewed %v ago", k.Check(), time.Since(*renewed.Load()))
			}
		}
		for name, broken := range map[string]func(context.Context) (bool, error){
			"refuses": func(context.Context) (bool, error) { return false, errors.New("away") },
			"hangs":   func(ctx context.Context) (bool, error) { <-ctx.Done(); return false, ctx.Err() },
		} {
			set(broken)
			wait(time.Until(renewed.Load().Add(lease.Length - lease.Margin - time.Millisecond)))
			if err := k.Check(); err != nil {
				t.Errorf("a database that %s, before the end: %v", name, err)
			}
			if wait(time.Millisecond); !errors.Is(k.Check(), lease.ErrNotHeld) {
				t.Errorf("a database that %s, at the end: %v", name, k.Check())
			}
			wait(time.Minute)
			set(well)
			if wait(2 * lease.Interval); k.Check() != nil {
				t.Errorf("when the database is back: %v", k.Check())
			}
		}
		// A response that takes long counts from the request on.
		set(func(context.Context) (bool, error) {
			note()
			time.Sleep(1500 * time.Millisecond)
			set(func(context.Context) (bool, error) { return false, errors.New("away") })
			return true, nil
		})
		wait(2 * lease.Interval)
		wait(time.Until(renewed.Load().Add(lease.Length - lease.Margin)))
		if !errors.Is(k.Check(), lease.ErrNotHeld) {
			t.Errorf("5 s after a request whose response took long: %v", k.Check())
		}
		set(func(context.Context) (bool, error) { return false, nil })
		<-k.Lost()
		set(well)
		if wait(time.Minute); !errors.Is(k.Check(), lease.ErrLost) {
			t.Errorf("after another server: %v", k.Check())
		}
	})
}

// TestStop: a keeper that was stopped may not act, so that the lease can be released.
func TestStop(t *testing.T) {
	var term lease.Term
	term.Granted(time.Now(), 1)
	k := lease.Keep(term, func(context.Context, int64) (bool, error) { return true, nil }, slog.New(slog.DiscardHandler))
	if err := k.Check(); err != nil || k.Epoch() != 1 {
		t.Errorf("%v, epoch %d", err, k.Epoch())
	}
	if k.Stop(); k.Check() == nil {
		t.Error("it may act after its end")
	}
	var none *lease.Keeper
	if none.Stop(); none.Check() != nil {
		t.Errorf("without a lease: %v", none.Check())
	}
}

// TestRenewalTime: renewals that succeed and that fail count with the time that they take.
func TestRenewalTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term lease.Term
		term.Granted(time.Now(), 1)
		calls := 0
		k := lease.Keep(term, func(context.Context, int64) (bool, error) {
			if calls++; calls%2 == 0 {
				time.Sleep(time.Second)
				return false, errors.New("away")
			}
			time.Sleep(300 * time.Millisecond)
			return true, nil
		}, slog.New(slog.DiscardHandler))
		defer k.Stop()
		if took := k.RenewalTime(); took != 0 {
			t.Errorf("%v before the first", took)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		renewed, failed := k.Renewals()
		want := time.Duration(renewed)*300*time.Millisecond + time.Duration(failed)*time.Second
		if took := k.RenewalTime(); took != want || renewed == 0 || failed == 0 {
			t.Errorf("%d and %d took %v, want %v", renewed, failed, took, want)
		}
	})
}
