package history_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/history"
)

func sum(counts []int32) (n int32) {
	for _, c := range counts {
		n += c
	}
	return n
}

func end(h *history.History, code string, waited time.Duration) {
	h.Ended(context.Background(), &calls.Call{Method: "SendChannelMessage", Code: code, Waited: waited, Tries: 1})
}

// TestDay: a day of calls is there in steps of a minute, the last hour in steps of 10
// seconds, and what is older is forgotten.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history.New()
		for range 25 * 60 * 6 {
			end(h, "ok", 0)
			time.Sleep(history.FineStep)
		}
		end(h, "not_found", 0)
		for _, c := range []struct {
			length time.Duration
			step   time.Duration
			steps  int
			ok     int32
		}{
			{5 * time.Minute, history.FineStep, 30, 29},
			{time.Hour, history.FineStep, 360, 359},
			{2 * time.Hour, history.CoarseStep, 120, 119 * 6},
			{24 * time.Hour, history.CoarseStep, 1440, 1439 * 6},
			{48 * time.Hour, history.CoarseStep, 1440, 1439 * 6},
		} {
			r := h.Last(c.length)
			if r.Step != c.step || len(r.Calls["ok"]) != c.steps || sum(r.Calls["ok"]) != c.ok || sum(r.Calls["not_found"]) != 1 {
				t.Errorf("the last %s have %d steps of %s with %d calls, want %d of %s with %d", c.length, len(r.Calls["ok"]), r.Step, sum(r.Calls["ok"]), c.steps, c.step, c.ok)
			}
			if last := r.Start.Add(time.Duration(c.steps) * c.step); !last.After(time.Now()) || last.After(time.Now().Add(c.step)) {
				t.Errorf("the last %s end at %s, and it is %s", c.length, last, time.Now())
			}
			if !slices.Equal(r.Codes(), []string{"ok", "not_found"}) {
				t.Errorf("the codes are %v", r.Codes())
			}
		}
		time.Sleep(26 * time.Hour)
		if r := h.Last(24 * time.Hour); len(r.Calls) > 0 || len(r.Waiting) != 1440 {
			t.Errorf("a day later there is still %v", r.Calls)
		}
	})
}

// TestYoung: the time before the start has no values, instead of zeros.
func TestYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history.New()
		time.Sleep(history.FineStep)
		if r := h.Last(time.Hour); len(r.Waiting) != 2 {
			t.Errorf("after 10 s there are %d steps", len(r.Waiting))
		}
	})
}

// TestValues: percentiles, peaks and 429s, and NaN where nothing was measured.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := history.New()
		for i := range 100 {
			waited := 100 * time.Millisecond
			if i >= 98 {
				waited = time.Minute
			}
			end(h, "ok", waited)
			now := time.Now()
			h.Tried(t.Context(), discord.Try{Sent: now.Add(-40 * time.Millisecond), Ended: now, Status: 200})
		}
		now := time.Now()
		h.Tried(t.Context(), discord.Try{Sent: now, Ended: now, Status: 429, Limit: "shared"})
		h.Tried(t.Context(), discord.Try{Ended: now}) // was refused by the limits
		h.Waiting(7)
		h.Waiting(3)
		time.Sleep(history.FineStep)
		r := h.Last(2 * history.FineStep)
		near := func(what string, got float32, want float64) {
			if math.Abs(float64(got)/want-1) > 0.13 {
				t.Errorf("%s is %v, want about %v", what, got, want)
			}
		}
		near("the median wait", r.WaitedP50[0], 0.1)
		near("the longest wait", r.WaitedP99[0], 60)
		near("the median time at Discord", r.DiscordP50[0], 0.04)
		if r.Waiting[0] != 7 || r.Limited[0] != 1 || r.Busiest[0] != 101 {
			t.Errorf("%d waited, %d were limited, and the busiest second had %d", r.Waiting[0], r.Limited[0], r.Busiest[0])
		}
		if !math.IsNaN(float64(r.WaitedP50[1])) || !math.IsNaN(float64(r.DiscordP99[1])) {
			t.Errorf("a step without calls has %v", r.WaitedP50[1])
		}
	})
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	h := history.New()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				end(h, "ok", time.Duration(i)*time.Second)
				h.Tried(t.Context(), discord.Try{Sent: time.Now(), Ended: time.Now(), Status: 200})
				h.Waiting(i)
				h.Last(time.Minute)
			}
		})
	}
	all.Wait()
	if n := sum(h.Last(time.Hour).Calls["ok"]); n != 1600 {
		t.Errorf("there are %d calls", n)
	}
}

// TestMemory: a History takes the same memory however much happens.
func TestMemory(t *testing.T) {
	h := history.New()
	if n := h.Bytes(); n > 2<<20 {
		t.Errorf("a History takes %d bytes", n)
	}
	if n := testing.AllocsPerRun(1000, func() { end(h, "ok", time.Second) }); n > 1 { // the call itself
		t.Errorf("a call costs %v allocations", n)
	}
}

// BenchmarkEnded is the cost of a call; B/history is the memory of a History.
func BenchmarkEnded(b *testing.B) {
	h := history.New()
	call := &calls.Call{Method: "SendChannelMessage", Code: "ok", Tries: 1}
	for b.Loop() {
		h.Ended(b.Context(), call)
	}
	b.ReportMetric(float64(h.Bytes()), "B/history")
}

// BenchmarkLast reads an hour, or a day.
func BenchmarkLast(b *testing.B) {
	h := history.New()
	for _, length := range []time.Duration{time.Hour, 24 * time.Hour} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			for b.Loop() {
				h.Last(length)
			}
		})
	}
}
