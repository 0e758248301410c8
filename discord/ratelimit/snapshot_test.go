package ratelimit_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// knowing returns a limiter with so many known buckets.
func knowing(t testing.TB, buckets int) *ratelimit.Limiter {
	l := newLimiter(t, ratelimit.Config{GlobalLimit: -1, InvalidRequestLimit: 1 << 20})
	for i := range buckets {
		p, err := l.Acquire(t.Context(), request("POST", messages(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		p.Complete(ratelimit.Response{Status: 200, Header: header("X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "4", "X-RateLimit-Reset-After", "0.05")})
	}
	return l
}

// TestStatusShowsTheBusiest: counts are of all buckets, numbers of the busiest.
func TestStatusShowsTheBusiest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		l := knowing(t, n)
		time.Sleep(time.Minute)
		if s := l.Status(10); s.Known != n || s.States != (ratelimit.States{Idle: n}) || len(s.Tokens[0].Buckets) != 10 {
			t.Errorf("of %d idle buckets: %d known, %+v, %d shown", n, s.Known, s.States, len(s.Tokens[0].Buckets))
		}
		var waiting sync.WaitGroup
		for i := range 3 { // buckets with i+1 waiting calls each
			full(t, l, i+1)
			for range i + 1 {
				waiting.Go(func() {
					p, err := l.Acquire(t.Context(), request("POST", messages(i+1)))
					if err != nil {
						t.Error(err)
						return
					}
					p.Complete(answered)
				})
			}
		}
		synctest.Wait()
		busy, err := l.Acquire(t.Context(), request("POST", messages(500)))
		if err != nil {
			t.Fatal(err)
		}
		blocked, err := l.Acquire(t.Context(), request("POST", messages(600)))
		if err != nil {
			t.Fatal(err)
		}
		blocked.Complete(ratelimit.Response{Status: 429, Header: header("Retry-After", "60", "X-RateLimit-Scope", "shared", "Via", "1.1 google"), Body: ratelimit.ParseBody([]byte(`{"retry_after":60}`))})

		s := l.Status(3)
		if want := (ratelimit.States{Idle: n - 5, Busy: 1, Waiting: 3, Blocked: 1}); s.Known != n || s.States != want {
			t.Errorf("%d known, %+v, want %+v", s.Known, s.States, want)
		}
		var shown []int
		for _, b := range s.Tokens[0].Buckets {
			shown = append(shown, b.Waiting)
		}
		slices.Sort(shown)
		if !slices.Equal(shown, []int{1, 2, 3}) {
			t.Errorf("shows buckets with %v waiting calls", shown)
		}
		longest := time.Duration(0)
		for _, b := range l.Snapshot().Tokens[0].Buckets {
			longest = max(longest, b.EstimatedWait)
		}
		if s.Drain == 0 || s.Drain != longest {
			t.Errorf("the longest queue takes %v, want %v", s.Drain, longest)
		}
		busy.Cancel()
		waiting.Wait()
		time.Sleep(2 * time.Minute)
		if s := l.Status(3); s.States != (ratelimit.States{Idle: n}) {
			t.Errorf("at the end: %+v", s.States)
		}
	})
}

// BenchmarkSnapshot measures snapshots of a limiter with many known buckets, all idle
// or all in use, and how long others wait for its lock meanwhile.
func BenchmarkSnapshot(b *testing.B) {
	for _, known := range []int{100, 50_000} {
		for _, state := range []string{"idle", "in use"} {
			b.Run(fmt.Sprintf("%d %s", known, state), func(b *testing.B) {
				l := knowing(b, known)
				if state == "idle" {
					time.Sleep(100 * time.Millisecond) // until all are full again
				} else {
					for i := range known {
						p, err := l.Acquire(b.Context(), request("POST", messages(i+1)))
						if err != nil {
							b.Fatal(err)
						}
						defer p.Cancel()
					}
				}
				waits := make(chan []time.Duration)
				end := make(chan struct{})
				go func() {
					var took []time.Duration
					for {
						select {
						case <-end:
							waits <- took
							return
						default:
							began := time.Now()
							_ = l.Barred("bot")
							took = append(took, time.Since(began))
						}
					}
				}()
				b.ReportAllocs()
				for b.Loop() {
					l.Status(500)
				}
				close(end)
				took := <-waits
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*999/1000].Nanoseconds())/1000, "µs/wait-p99.9")
			})
		}
	}
}
