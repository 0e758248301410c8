package discord

import (
	"context"
	"sync"
	"time"
)

// Stats counts what a call cost. One Stats may serve several requests to
// Discord, also at the same time.
type Stats struct {
	mu        sync.Mutex
	waited    time.Duration
	atDiscord time.Duration
	tries     int
}

// Waited returns how long the call waited for rate limits.
func (s *Stats) Waited() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waited
}

// AtDiscord returns the time spent on requests to Discord.
func (s *Stats) AtDiscord() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.atDiscord
}

// Tries returns the number of requests sent to Discord, including retries.
func (s *Stats) Tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

func (s *Stats) add(t Try) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Sent.IsZero() {
		s.waited += t.Ended.Sub(t.Began)
		return
	}
	s.waited += t.Sent.Sub(t.Began)
	s.atDiscord += t.Ended.Sub(t.Sent)
	s.tries++
}

type (
	statsKey  struct{}
	callerKey struct{}
)

// WithStats returns a context whose calls are counted in s.
func WithStats(ctx context.Context, s *Stats) context.Context {
	return context.WithValue(ctx, statsKey{}, s)
}

// AddWaited counts time that the call of ctx waited for a limit other than Discord's.
func AddWaited(ctx context.Context, d time.Duration) {
	if s := statsFrom(ctx); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waited += d
	}
}

func statsFrom(ctx context.Context) *Stats {
	s, _ := ctx.Value(statsKey{}).(*Stats)
	return s
}

// WithCaller returns a context whose calls belong to the named caller. Each caller gets a
// fair share of the rate limits.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// Caller returns the name that WithCaller gave the context, or "".
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}
