package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// spendDays lets sessions live as long as life says, one after the other, and
// returns the times of their IDENTIFYs.
func spendDays(b *budget, days int, life func() time.Duration) []time.Time {
	var begun []time.Time
	for now := midnight; now.Before(midnight.Add(time.Duration(days) * budgetWindow)); {
		at, _ := b.next(now)
		if at.After(now) {
			now = at
			continue
		}
		b.identified(now)
		begun = append(begun, now)
		lived := life()
		now = now.Add(max(lived, time.Second))
		b.ended(lived, now)
	}
	return begun
}

// most returns the largest number of times within 24 hours.
func most(times []time.Time) int {
	n, first := 0, 0
	for i, t := range times {
		for t.Sub(times[first]) >= budgetWindow {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// TestBudgetHolds: however long sessions live, never more than nine tenths of
// the budget are used in 24 hours, and never two in five seconds.
func TestBudgetHolds(t *testing.T) {
	for name, life := range map[string]func() time.Duration{
		"none begins":      func() time.Duration { return 0 },
		"six seconds":      func() time.Duration { return 6 * time.Second },
		"a minute":         func() time.Duration { return time.Minute },
		"just long enough": func() time.Duration { return thriftyWait },
		"at random":        func() time.Duration { return rand.N(20 * time.Minute) },
		"a good one at times": func() time.Duration {
			if rand.N(6) == 0 {
				return thriftyWait
			}
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(BudgetCount{}, midnight)
			begun := spendDays(&b, 3, life)
			if n := most(begun); n > 900 {
				t.Errorf("%d IDENTIFYs in 24 hours", n)
			}
			for i := range begun[1:] {
				if gap := begun[i+1].Sub(begun[i]); gap < identifyGap {
					t.Fatalf("two IDENTIFYs within %s", gap)
				}
			}
			t.Logf("%d IDENTIFYs in 24 hours at most", most(begun))
		})
	}
}

// TestWaitsGrowNearTheReserve: the longest wait is a minute at first and nearly 15 when
// the reserve comes near, and a session that lived longer costs no wait.
func TestWaitsGrowNearTheReserve(t *testing.T) {
	b := newBudget(BudgetCount{}, midnight)
	now := midnight
	var gaps []time.Duration
	for range 6 {
		b.identified(now)
		b.ended(0, now)
		at, paused := b.next(now)
		if paused {
			t.Fatal("paused")
		}
		gaps = append(gaps, at.Sub(now).Round(time.Second))
		now = at
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 64 * time.Second, 65 * time.Second, 66 * time.Second}
	if !reflect.DeepEqual(gaps, want) {
		t.Errorf("the waits are %v, want %v", gaps, want)
	}
	b.identified(now)
	now = now.Add(70 * time.Second)
	b.ended(70*time.Second, now)
	if at, _ := b.next(now); !at.Equal(now) {
		t.Errorf("after a session of 70 s the next waits %s", at.Sub(now))
	}
	b.setStartLimit(1000, 101, time.Hour, now)
	b.ended(70*time.Second, now)
	for range 10 {
		b.ended(0, now)
	}
	at, paused := b.next(now)
	if gap := at.Sub(now.Add(-70 * time.Second)).Round(time.Minute); paused || gap != 15*time.Minute {
		t.Errorf("the last session before the reserve waits %s, paused %t", gap, paused)
	}
}

// TestBudgetReserve: what either side counts leads to the pause, and the pause
// ends when enough is back.
func TestBudgetReserve(t *testing.T) {
	spread := func(n int) BudgetCount {
		c := BudgetCount{}
		for i := range n {
			c.Begun = append(c.Begun, midnight.Add(time.Duration(i)*time.Minute-budgetWindow+time.Second))
		}
		return c
	}
	for _, tt := range []struct {
		name             string
		own              int
		total, remaining int
		resetAfter       time.Duration
		pause            time.Duration // 0: none
	}{
		{"nothing known", 0, 0, -1, 0, 0},
		{"nothing used", 0, 1000, 1000, 0, 0},
		{"one above the reserve", 0, 1000, 101, time.Hour, 0},
		{"the reserve", 0, 1000, 100, time.Hour, time.Hour},
		{"nothing left", 0, 1000, 0, 3 * time.Hour, 3 * time.Hour},
		{"no time of the reset", 0, 1000, 0, 0, resetUnknown},
		{"a reset in a year", 0, 1000, 0, 365 * budgetWindow, budgetWindow},
		{"own count, one above the reserve", 899, 1000, 1000, 0, 0},
		{"own count, Discord says all are left", 900, 1000, 1000, time.Hour, time.Second},
		{"own count, Discord says nothing", 900, 0, -1, 0, time.Second},
		{"own count, over", 902, 1000, -1, 0, 2*time.Minute + time.Second},
		{"Discord says more than there are", 900, 1_000_000, 999_999, 0, time.Second},
		{"both", 900, 1000, 50, time.Hour, time.Hour},
		{"a small budget", 0, 10, 1, time.Hour, time.Hour},
		{"a small budget, one above", 0, 10, 2, time.Hour, 0},
		{"the smallest budget", 0, 1, 1, time.Hour, 0},
		{"the smallest budget, used", 0, 1, 0, time.Hour, time.Hour},
		{"only remaining", 0, 0, 7, time.Hour, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBudget(spread(tt.own), midnight)
			b.setStartLimit(tt.total, tt.remaining, tt.resetAfter, midnight)
			at, paused := b.next(midnight)
			if got := at.Sub(midnight); got != tt.pause || paused != (tt.pause > 0) {
				t.Fatalf("the pause is %s, %t; want %s", got, paused, tt.pause)
			}
			if !paused {
				return
			}
			if at, paused := b.next(at); paused {
				t.Errorf("paused again until %s", at)
			}
		})
	}
}

// TestBudgetCountsDown: the last ten sessions that Discord reports are not all used.
func TestBudgetCountsDown(t *testing.T) {
	b := newBudget(BudgetCount{}, midnight)
	now, remaining, used := midnight, 110, 0
	for range 1000 {
		b.setStartLimit(1000, remaining, 10*time.Hour, now)
		at, paused := b.next(now)
		if paused {
			break
		}
		now = at
		b.identified(now)
		remaining--
		used++
		now = now.Add(time.Second)
		b.ended(0, now)
	}
	if used != 10 || remaining != 100 {
		t.Errorf("%d used, %d left", used, remaining)
	}
	if took := now.Sub(midnight); took < 45*time.Minute {
		t.Errorf("they went in %s", took)
	}
}

// TestBudgetCountIsKept: a count survives as JSON, without what is too old or
// impossible.
func TestBudgetCountIsKept(t *testing.T) {
	b := newBudget(BudgetCount{}, midnight)
	for i := range 3 {
		b.identified(midnight.Add(time.Duration(i) * time.Hour))
		b.ended(0, midnight)
	}
	data, err := json.Marshal(b.count(midnight.Add(2 * time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	var kept BudgetCount
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	now := midnight.Add(budgetWindow + 90*time.Minute)
	kept.Begun = append(kept.Begun, now.Add(time.Hour))
	kept.Begun[0], kept.Begun[2] = kept.Begun[2], kept.Begun[0]
	later := newBudget(kept, now)
	want := BudgetCount{Begun: []time.Time{midnight.Add(2 * time.Hour)}, Short: 3}
	if got := later.count(now); !reflect.DeepEqual(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if at, _ := newBudgetAt(kept, midnight.Add(2*time.Hour)).next(midnight.Add(2 * time.Hour)); at.Sub(midnight.Add(2*time.Hour)) != 40*time.Second {
		t.Errorf("the next may begin after %s", at.Sub(midnight.Add(2*time.Hour)))
	}
}

func newBudgetAt(c BudgetCount, now time.Time) *budget {
	b := newBudget(c, now)
	return &b
}

// TestSends: never more than 120 payloads in a minute, and heartbeats are never delayed.
func TestSends(t *testing.T) {
	var s sends
	var sent []time.Time
	answers := 0
	for tick := range 3000 {
		now := midnight.Add(time.Duration(tick) * 100 * time.Millisecond)
		spare := 4
		if tick%300 == 299 { // a regular heartbeat every 30 seconds
			spare = 0
			if s.next(now, 0).After(now) {
				t.Fatalf("no place for a heartbeat at %s", now)
			}
		}
		if !s.next(now, spare).After(now) {
			s.sent(now)
			sent = append(sent, now)
			answers++
		}
	}
	first := 0
	for i, at := range sent {
		for at.Sub(sent[first]) >= time.Minute {
			first++
		}
		if i-first+1 > 120 {
			t.Fatalf("%d frames in a minute", i-first+1)
		}
	}
	if answers < 500 {
		t.Errorf("only %d frames in five minutes", answers)
	}
}
