package ratelimit_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// TestNoGlobal429UnderJitter sends a backlog over networks whose delays are
// distributed in ways that mislead an estimate of the shortest one.
func TestNoGlobal429UnderJitter(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		way  func(rng *rand.Rand, since time.Duration) time.Duration
	}{
		{"even", func(rng *rand.Rand, _ time.Duration) time.Duration {
			return 5*ms + time.Duration(rng.Int64N(int64(145*ms)))
		}},
		{"mostly slow, seldom fast", func(rng *rand.Rand, _ time.Duration) time.Duration {
			if rng.IntN(20) == 0 {
				return 5 * ms
			}
			return 150 * ms
		}},
		{"long tail", func(rng *rand.Rand, _ time.Duration) time.Duration {
			return 5*ms + time.Duration(math.Min(rng.ExpFloat64()*30, 1000)*float64(ms))
		}},
		{"slow at first", func(rng *rand.Rand, since time.Duration) time.Duration {
			if since < 300*ms {
				return 150 * ms
			}
			return 5*ms + time.Duration(rng.Int64N(int64(20*ms)))
		}},
		{"in waves", func(rng *rand.Rand, since time.Duration) time.Duration {
			return 80*ms + time.Duration(70*math.Sin(since.Seconds()*2)*float64(ms)) + time.Duration(rng.Int64N(int64(5*ms)))
		}},
	} {
		for _, kind := range []string{"sliding second", "fixed second"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				earned := 0
				for seed := range uint64(*seeds) {
					synctest.Test(t, func(t *testing.T) {
						rng, began := rand.New(rand.NewPCG(seed, 2)), time.Now()
						var mu sync.Mutex
						d := newDiscord(sliding("a", 5, 5*time.Second))
						d.FixedSecond = kind == "fixed second"
						d.delay = func() time.Duration {
							mu.Lock()
							defer mu.Unlock()
							return c.way(rng, time.Since(began))
						}
						s := sender{discord: d, limiter: newLimiter(t, ratelimit.Config{})}
						s.run(t, channels(80, 5, 1)...)
						earned += d.replies["429 global"]
					})
				}
				if earned > 0 {
					t.Errorf("%d global 429s in %d runs", earned, *seeds)
				}
			})
		}
	}
}
