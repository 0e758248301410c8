package discord

import (
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
	if s == nil {
		return
	}
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

// AddWaited counts time that the call waited for a limit other than Discord's. A nil Stats
// counts nothing.
func (s *Stats) AddWaited(d time.Duration) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited += d
}
