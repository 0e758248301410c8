package ratelimit_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

var seeds = flag.Int("seeds", 20, "runs of each makespan with jitter")

func channels(n, each, from int) (jobs []job) {
	for i := range n {
		jobs = append(jobs, job{each, "POST", messages(from + i)})
	}
	return jobs
}

func TestMakespan(t *testing.T) {
	const ms = time.Millisecond
	hot := append(channels(450, 1, 2), channels(1, 50, 1)...) // behind single ones
	for _, c := range []struct {
		name      string
		limit     limit
		low, high time.Duration // round trip
		callers   int           // that share the calls to each channel
		warm      bool          // whether the clock and the way are known before
		jobs      []job
		bound     time.Duration // without the round trip
		chain     int           // calls that go one after another
		factor    float64
	}{
		{"one channel sliding 5 in 5 s", sliding("a", 5, 5*time.Second), 100 * ms, 100 * ms, 1, false, channels(1, 25, 1), 20 * time.Second, 25, 1.03},
		{"one channel 5 in 1 s, 250 ms", sliding("a", 5, time.Second), 250 * ms, 250 * ms, 5, false, channels(1, 50, 1), 9 * time.Second, 10, 1.03},
		{"one channel 5 in 1 s, 250 ms, in order", sliding("a", 5, time.Second), 250 * ms, 250 * ms, 1, false, channels(1, 50, 1), 9 * time.Second, 50, 1.03},
		{"one channel fixed 5 in 5 s", fixed("a", 5, 5*time.Second), 100 * ms, 100 * ms, 5, false, channels(1, 25, 1), 20 * time.Second, 5, 1.03},
		{"100 channels", sliding("a", 5, 5*time.Second), 100 * ms, 100 * ms, 1, false, channels(100, 5, 1), 9 * time.Second, 5, 1.10},
		{"hot channel behind single ones", sliding("a", 5, 5*time.Second), 100 * ms, 100 * ms, 1, false, hot, 45 * time.Second, 50, 1.005},
		{"10 hot channels behind single ones", sliding("a", 5, time.Second), 100 * ms, 100 * ms, 1, false, append(channels(450, 1, 20), channels(10, 50, 1)...), 18 * time.Second, 50, 1.08},
		{"2 hot channels behind single ones", sliding("a", 5, time.Second), 100 * ms, 100 * ms, 1, false, append(channels(400, 1, 20), channels(2, 50, 1)...), 9 * time.Second, 50, 1.09},
		{"5 hot channels behind single ones", sliding("a", 5, time.Second), 100 * ms, 100 * ms, 1, false, append(channels(250, 1, 20), channels(5, 50, 1)...), 9 * time.Second, 50, 1.13},
		{"40 hot channels", sliding("a", 5, 5*time.Second), 100 * ms, 100 * ms, 1, false, channels(40, 50, 1), 45 * time.Second, 50, 1.03},
		// Nothing is sent a second after a call until it is known how much faster
		// than the first calls others can be. That costs half a second in all.
		{"hot channel 5 in 1 s, 200 ms, cold", sliding("a", 5, time.Second), 200 * ms, 200 * ms, 5, false, hot, 9 * time.Second, 10, 1.11},
		{"hot channel 5 in 1 s, 200 ms", sliding("a", 5, time.Second), 200 * ms, 200 * ms, 5, true, hot, 9 * time.Second, 10, 1.05},
		{"hot channel 5 in 1 s, 200 ms, in order", sliding("a", 5, time.Second), 200 * ms, 200 * ms, 1, false, hot, 9 * time.Second, 50, 1.05},
		{"one channel sliding, jitter", sliding("a", 5, 5*time.Second), 10 * ms, 300 * ms, 1, false, channels(1, 25, 1), 20 * time.Second, 25, 1.03},
		{"one channel 5 in 1 s, jitter", sliding("a", 5, time.Second), 10 * ms, 300 * ms, 5, false, channels(1, 50, 1), 9 * time.Second, 10, 1.05},
		{"one channel fixed, jitter", fixed("a", 5, 5*time.Second), 10 * ms, 300 * ms, 5, false, channels(1, 25, 1), 20 * time.Second, 5, 1.035},
		// A unit of the global limit is free a second after the call arrived,
		// and the next call needs its own way: each second costs what ways
		// differ from the shortest one, here 72 ms on average, and the slowest
		// of fifty such chains ends the work. Less would risk a global 429.
		{"100 channels, jitter", sliding("a", 5, 5*time.Second), 10 * ms, 300 * ms, 1, false, channels(100, 5, 1), 9 * time.Second, 5, 1.15},
		{"hot channel 5 in 1 s, in order, jitter", sliding("a", 5, time.Second), 10 * ms, 300 * ms, 1, false, hot, 9 * time.Second, 50, 1.20},
		{"hot channel 5 in 1 s, jitter", sliding("a", 5, time.Second), 10 * ms, 300 * ms, 5, false, hot, 9 * time.Second, 10, 1.17},
		{"hot channel, jitter", sliding("a", 5, 5*time.Second), 10 * ms, 300 * ms, 1, false, hot, 45 * time.Second, 50, 1.03},
	} {
		t.Run(c.name, func(t *testing.T) {
			var worst, sum float64
			var over, limited, most int
			for seed := range uint64(*seeds) {
				synctest.Test(t, func(t *testing.T) {
					d := newDiscord(c.limit)
					d.delay = func() time.Duration { return c.low / 2 }
					if c.high > c.low {
						d.delay = jitter(rand.New(rand.NewPCG(seed, 1)), c.low, c.high)
					}
					s := sender{discord: d, limiter: newLimiter(t, ratelimit.Config{}), sharing: c.callers}
					for i := range 60 {
						if !c.warm {
							break
						}
						s.run(t, job{1, "POST", messages(1000 + i)})
						time.Sleep(time.Second)
					}
					took := s.run(t, c.jobs...)
					way := (c.low + c.high) / 2
					ratio := took.Seconds() / max(c.bound+way, time.Duration(c.chain)*way).Seconds()
					worst, sum, most = max(worst, ratio), sum+ratio, max(most, d.busiest())
					if ratio > c.factor {
						over++
					}
					if len(d.replies) > 1 {
						limited++
						t.Logf("seed %d: %v", seed, d.replies)
					}
				})
			}
			t.Logf("%.4f of the lower bound, %.4f at most; %d arrivals in a second", sum/float64(*seeds), worst, most)
			if over > 0 || limited > 0 || most > 50 {
				t.Errorf("of %d runs %d were over %g of the lower bound and %d met a 429", *seeds, over, c.factor, limited)
			}
		})
	}
}
