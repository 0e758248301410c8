package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// together simulates limiters of one address.
func together(t *testing.T, n int, c ratelimit.Config, test func(t *testing.T, all []sender)) {
	t.Helper()
	if c.Address == nil {
		c.Address = new(ratelimit.Address)
	}
	simulate(t, limit{}, c, func(t *testing.T, s sender) {
		all := []sender{s}
		for i := range n - 1 {
			other := s
			var err error
			if other.limiter, err = ratelimit.New(c); err != nil {
				t.Fatal(err)
			}
			defer other.limiter.Close()
			other.caller = fmt.Sprint("caller of ", i)
			all = append(all, other)
		}
		test(t, all)
	})
}

var forbidden = reply{403, header(), `{"message":"Missing Access","code":50001}`}

// TestAddressCount: limiters of one address count the invalid requests of all of them, and
// take calls in flight for what they may become, so that they stay within the limit together.
func TestAddressCount(t *testing.T) {
	together(t, 3, ratelimit.Config{GlobalLimit: -1, InvalidRequestLimit: 100}, func(t *testing.T, all []sender) {
		all[0].Refuse = func(string, string) *reply { return &forbidden }
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() { _, _ = all[i%3].send(t.Context(), "POST", messages(i)) })
		}
		wg.Wait()
		sent := all[0].replies["403"]
		if sent < 99 || sent > 99+2 { // two may send one at the same moment
			t.Errorf("%d invalid requests were sent of a budget of 100", sent)
		}
		for i, s := range all {
			if got := s.limiter.Snapshot().Invalid; got.Count != sent || !got.Open {
				t.Errorf("limiter %d shows %+v", i, got)
			}
			if _, err := s.send(t.Context(), "POST", messages(1000)); reasonOf(err) != ratelimit.BudgetSpent {
				t.Errorf("limiter %d: %v", i, err)
			}
		}
		all[0].Refuse = nil
		time.Sleep(11 * time.Minute)
		for i, s := range all {
			if _, err := s.send(t.Context(), "POST", messages(1000)); err != nil {
				t.Errorf("limiter %d ten minutes later: %v", i, err)
			}
		}
	})
}

// TestAddressCountsApart: limiters of different addresses do not count each other's
// requests, and one that was closed does not hold its address up.
func TestAddressCountsApart(t *testing.T) {
	together(t, 2, ratelimit.Config{InvalidRequestLimit: 100}, func(t *testing.T, all []sender) {
		all[0].Refuse = func(string, string) *reply { return &forbidden }
		apart := all[0]
		var err error
		if apart.limiter, err = ratelimit.New(ratelimit.Config{Address: new(ratelimit.Address)}); err != nil {
			t.Fatal(err)
		}
		defer apart.limiter.Close()
		_, _ = all[0].send(t.Context(), "POST", messages(1))
		all[0].limiter.Close()
		_, _ = all[1].send(t.Context(), "POST", messages(2))
		if n := all[1].limiter.Snapshot().Invalid.Count; n != 2 {
			t.Errorf("the other limiter of the address has counted %d", n)
		}
		if n := apart.limiter.Snapshot().Invalid.Count; n != 0 {
			t.Errorf("the limiter of another address has counted %d", n)
		}
	})
}

// TestAddressBan: a ban that one limiter meets stops all of the address, also calls that
// wait. One limiter finds out for all whether it has ended.
func TestAddressBan(t *testing.T) {
	together(t, 3, ratelimit.Config{}, func(t *testing.T, all []sender) {
		began, banned := time.Now(), true
		all[0].Refuse = func(string, string) *reply {
			if banned {
				return &reply{429, header(), "error code: 1015"}
			}
			return nil
		}
		// Calls of another limiter wait for its global limit.
		var wg sync.WaitGroup
		refused := make([]error, 100)
		for i := range refused {
			p, err := all[1].limiter.Acquire(t.Context(), request("POST", messages(i)))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Lost()
			if i == 49 {
				break
			}
		}
		for i := range refused {
			wg.Go(func() { _, refused[i] = all[1].limiter.Acquire(t.Context(), request("POST", messages(i))) })
		}
		time.Sleep(time.Millisecond)
		if status, _ := sendOnce(t, all[0], messages(1)); status != 429 {
			t.Fatalf("status %d", status)
		}
		wg.Wait()
		for _, err := range refused {
			if reasonOf(err) != ratelimit.Banned {
				t.Fatalf("a call that waited: %v", err)
			}
		}
		for i, s := range all {
			if _, err := s.send(t.Context(), "POST", messages(1)); reasonOf(err) != ratelimit.Banned {
				t.Errorf("limiter %d: %v", i, err)
			}
		}
		// As soon as the first may probe, calls come to all of them.
		for _, ends := range []time.Duration{time.Minute, 3 * time.Minute, 7 * time.Minute} {
			before := len(all[0].arrivals)
			for time.Since(began) < ends+30*time.Second {
				for _, s := range all {
					wg.Go(func() { _, _ = s.send(t.Context(), "POST", messages(1)) })
				}
				time.Sleep(500 * time.Millisecond)
			}
			wg.Wait()
			if n := len(all[0].arrivals) - before; n != 1 {
				t.Errorf("%d calls probed around %v", n, ends)
			}
			for i, s := range all {
				if ban := s.limiter.Snapshot().Ban; !ban.Active {
					t.Errorf("limiter %d takes the ban for ended after %v", i, ends)
				}
			}
		}
		banned = false
		time.Sleep(15*time.Minute + 2*time.Second - time.Since(began))
		if _, err := all[2].send(t.Context(), "POST", messages(1)); reasonOf(err) != ratelimit.Banned {
			t.Errorf("another limiter did not leave the first one the time to probe: %v", err)
		}
		for i, s := range all {
			if _, err := s.send(t.Context(), "POST", messages(1)); err != nil {
				t.Errorf("limiter %d after the ban: %v", i, err)
			}
		}
	})
}

// TestAddressLater: a limiter that joins later knows of the ban and the count, and what it
// restores of an earlier run, in which it had heard of the same, is not counted twice.
func TestAddressLater(t *testing.T) {
	c := ratelimit.Config{Address: new(ratelimit.Address)}
	together(t, 2, c, func(t *testing.T, all []sender) {
		all[0].Refuse = func(string, string) *reply { return &forbidden }
		for i := range 5 {
			_, _ = all[i%2].send(t.Context(), "POST", messages(i))
		}
		first, _ := all[0].limiter.Export(ratelimit.Mark{})
		second, _ := all[1].limiter.Export(ratelimit.Mark{})
		again := ratelimit.Config{Address: new(ratelimit.Address)}
		for i, saved := range [][]ratelimit.Saved{first, second} {
			l, err := ratelimit.New(again)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			l.Import(saved, true)
			if n := l.Snapshot().Invalid.Count; n != 5 {
				t.Errorf("limiter %d of the next run has counted %d", i, n)
			}
		}
		all[0].Refuse = func(string, string) *reply { return &reply{429, header(), "error code: 1015"} }
		_, _ = sendOnce(t, all[0], messages(1))
		late := all[0]
		var err error
		if late.limiter, err = ratelimit.New(c); err != nil {
			t.Fatal(err)
		}
		defer late.limiter.Close()
		if s := late.limiter.Snapshot(); s.Invalid.Count != 6 || !s.Ban.Active {
			t.Errorf("a limiter that joins later shows %+v, %+v", s.Invalid, s.Ban)
		}
	})
}

// TestAddressHearsOnce: the answers to calls that were on their way when a ban was met do not
// have limiters prolong it for each other.
func TestAddressHearsOnce(t *testing.T) {
	together(t, 3, ratelimit.Config{}, func(t *testing.T, all []sender) {
		var flights []*ratelimit.Permit
		for i := range 30 {
			p, err := all[i%3].limiter.Acquire(t.Context(), request("POST", messages(i)))
			if err != nil {
				t.Fatal(err)
			}
			flights = append(flights, p)
		}
		for _, p := range flights {
			p.Complete(ratelimit.Response{Status: 429, Header: http.Header{}, Body: ratelimit.ParseBody([]byte("error code: 1015"))})
		}
		for i, s := range all {
			if left := time.Until(s.limiter.Snapshot().Ban.Until); left < time.Minute || left > time.Minute+6*time.Second {
				t.Errorf("limiter %d: the ban of a minute ends in %v", i, left)
			}
		}
	})
}

// TestAddressOfACallThatLeaves: if a call gets its permit in the moment in which its
// caller gives up, the other limiters do not wait for its answer.
func TestAddressOfACallThatLeaves(t *testing.T) {
	for range 40 { // which of the two Acquire sees first is random
		synctest.Test(t, func(t *testing.T) {
			shared := ratelimit.Config{InvalidRequestLimit: 2, Address: new(ratelimit.Address)} // one call at a time
			first, other := newLimiter(t, shared), newLimiter(t, shared)
			sent, err := first.Acquire(t.Context(), request("POST", messages(1)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			leaving := request("POST", messages(2))
			leaving.Joined = func() {
				sent.Cancel()
				cancel()
			}
			if p, err := first.Acquire(ctx, leaving); err == nil {
				p.Cancel()
			}
			began := time.Now()
			if _, err := other.Acquire(t.Context(), request("POST", messages(1))); err != nil || time.Since(began) > 0 {
				t.Errorf("the other limiter's call waited for %s: %v", time.Since(began), err)
			}
		})
	}
}
