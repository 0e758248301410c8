package sandbox

import (
	"context"
	"math/rand/v2"
	"time"
)

// Latency is the simulated network: how long a call takes before it arrives
// and is counted, and how long the answer takes back. A call whose caller
// leaves on the way there still arrives, as it would over a network.
type Latency struct {
	Request, Response Delay
}

// Delay is the latency in one direction. If Max is above Min, it is distributed evenly
// between them. Func, if set, decides alone. It must not block and gets a source of
// randomness that is seeded by [Config].Seed.
type Delay struct {
	Min, Max time.Duration
	Func     func(*rand.Rand) time.Duration
}

// SetLatency changes the latency of calls that start later.
func (s *Sandbox) SetLatency(l Latency) { s.latency.Store(&l) }

// RoundTrip is a fixed latency, half of it each way.
func RoundTrip(d time.Duration) Latency {
	return Latency{Request: Delay{Min: d / 2}, Response: Delay{Min: d - d/2}}
}

func (s *Sandbox) draw(d Delay) time.Duration {
	if d.Func == nil && d.Max <= d.Min {
		return d.Min
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Func != nil {
		return d.Func(s.rng)
	}
	return d.Min + time.Duration(s.rng.Int64N(int64(d.Max-d.Min)+1))
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
