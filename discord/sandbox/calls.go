package sandbox

import (
	"maps"
	"net/http"
	"time"
)

// Call is one call that arrived.
type Call struct {
	At           time.Time `json:"at"` // when it arrived, by the sandbox's clock
	Method       string    `json:"method"`
	Path         string    `json:"path"`            // with the version
	Route        string    `json:"route,omitempty"` // method and template; empty when there is none
	Caller       ID        `json:"caller,omitzero"`
	IP           string    `json:"ip"`
	Reason       string    `json:"reason,omitempty"` // for the audit log
	Status       int       `json:"status"`
	Limited      LimitKind `json:"limited,omitempty"` // why it is a 429
	Fault        string    `json:"fault,omitempty"`
	Deduplicated bool      `json:"deduplicated,omitempty"` // answered with the message of the same nonce
}

// Stats counts what arrived since the start, Reset or ResetStats.
type Stats struct {
	Calls        int               `json:"calls"`
	Routes       map[string]int    `json:"routes"`   // by method and template
	Statuses     map[int]int       `json:"statuses"` // by status
	Limited      map[LimitKind]int `json:"limited"`  // 429s by kind
	Faults       int               `json:"faults"`
	Deduplicated int               `json:"deduplicated"`
	Invalid      int               `json:"invalid"` // answers that count towards a ban

	// Unsupported counts calls of routes that Discord has and the sandbox lacks,
	// by method and template. They were answered 501.
	Unsupported map[string]int `json:"unsupported,omitempty"`

	// MaxPerSecond is the largest number of calls that arrived within one
	// second, wherever it starts, of those that count against the global
	// limit, all tokens together.
	MaxPerSecond int `json:"max_per_second"`
}

// record is the log of calls, a ring, and what is counted.
type record struct {
	calls  []Call
	next   int // where the oldest call is once the ring is full
	stats  Stats
	recent []time.Time // arrivals within the last second, oldest first
}

func newRecord() record {
	return record{stats: Stats{Routes: map[string]int{}, Statuses: map[int]int{}, Limited: map[LimitKind]int{}}}
}

// arrive counts an arrival against the busiest second.
func (r *record) arrive(now time.Time) {
	gone := 0
	for gone < len(r.recent) && now.Sub(r.recent[gone]) >= time.Second {
		gone++
	}
	r.recent = append(r.recent[gone:], now)
	r.stats.MaxPerSecond = max(r.stats.MaxPerSecond, len(r.recent))
}

// note writes a call into the log.
func (s *Sandbox) note(c *call, a *answer) {
	entry := Call{
		At: c.at, Method: c.r.Method, Path: c.r.URL.Path, IP: c.ip, Status: a.status,
		Limited: c.limited, Fault: c.fault, Deduplicated: c.deduplicated,
	}
	entry.Reason = c.reason()
	st := &s.stats
	st.Calls++
	if c.route != nil {
		entry.Route = c.route.key
		st.Routes[entry.Route]++
	}
	if c.user != nil {
		entry.Caller = c.user.ID
	}
	st.Statuses[a.status]++
	if c.limited != "" {
		st.Limited[c.limited]++
	}
	if c.fault != "" {
		st.Faults++
	}
	if c.deduplicated {
		st.Deduplicated++
	}
	switch {
	case c.limited == LimitedShared, c.limited == LimitedCloudflare:
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden, a.status == http.StatusTooManyRequests:
		s.blame(c)
	}
	if len(s.calls) < s.config.MaxCalls {
		s.calls = append(s.calls, entry)
		return
	}
	s.calls[s.next] = entry
	s.next = (s.next + 1) % len(s.calls)
}

// Calls returns the calls that arrived, oldest first, as far as they are kept.
func (s *Sandbox) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append(make([]Call, 0, len(s.calls)), s.calls[s.next:]...), s.calls[:s.next]...)
}

// Stats returns what was counted.
func (s *Sandbox) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Unsupported = maps.Clone(out.Unsupported)
	out.Routes, out.Statuses, out.Limited = maps.Clone(out.Routes), maps.Clone(out.Statuses), maps.Clone(out.Limited)
	return out
}

// ResetStats forgets the calls and what was counted of them.
func (s *Sandbox) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = newRecord()
}
