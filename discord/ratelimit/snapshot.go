package ratelimit

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is the limiter's state at one moment.
type Snapshot struct {
	At           time.Time
	Waiting      int   // calls that wait
	WaitingBytes int64 // bytes of their bodies
	MaxWaiting   int   // calls that may wait
	MaxBytes     int64 // bytes that their bodies may have
	InFlight     int   // permits given and not ended
	Invalid      Invalid
	Ban          Ban
	Tokens       []TokenStatus // ordered by Token
}

// Invalid is the budget of invalid requests.
type Invalid struct {
	Count int // in the last ten minutes
	Limit int
	Open  bool // calls are being refused to save the rest
}

// Ban is a ban of this process's address by Discord's edge.
type Ban struct {
	Active  bool
	Until   time.Time // when the next probe may go
	Strikes int       // bans in a row
}

// TokenStatus is the state of one token's limits.
type TokenStatus struct {
	Token     string // as given in Request; empty also for routes with their own credentials
	Tokenless bool   // routes that carry their own credentials
	Refused   bool   // Discord answered 401
	Waiting   int
	Global    Global
	Buckets   []Bucket // ordered by Route, Major
}

// Global is the limit over all routes of a token.
type Global struct {
	Limit       int       // calls a second; 0 = unlimited
	Used        int       // units that are in use now
	PausedUntil time.Time // end of a pause after a global 429; zero if none
}

// Bucket is a set of routes that are limited together.
type Bucket struct {
	Routes        []string // "METHOD template", ordered
	Major         string   // top-level resource without secrets
	Hash          string   // Discord's name of the bucket; empty if unknown
	Window        string   // "sliding", "fixed", "unlimited", or "" while unknown
	Limit         int      // 0 if unknown
	Remaining     int      // calls that could go now
	Reset         time.Time
	BlockedUntil  time.Time // end of a wait after a 429, of some kind of calls at least; zero if none
	InFlight      int
	Waiting       int
	EstimatedWait time.Duration // until the last of the waiting calls may go, by this bucket alone
}

// Snapshot returns a copy of the limiter's state. Its cost grows with the
// number of known buckets, during which calls wait.
func (l *Limiter) Snapshot() Snapshot {
	l.mu.Lock()
	now := l.now()
	c := l.core
	c.advance(now)
	l.arm(now)
	s := Snapshot{
		At:           l.time(now),
		Waiting:      c.waiting,
		WaitingBytes: c.bytes,
		MaxWaiting:   c.maxQueue,
		MaxBytes:     c.maxQueueBytes,
		InFlight:     c.inFlight,
		Invalid:      Invalid{Count: c.budget.total, Limit: c.budget.limit, Open: c.budget.scarce()},
	}
	if c.ban.active {
		s.Ban = Ban{Active: true, Until: l.time(c.ban.until), Strikes: c.ban.strikes}
	}
	for _, a := range c.accounts {
		a.pool.release(now, &c.clock)
		t := TokenStatus{
			Token:     a.key.token,
			Tokenless: a.key.tokenless,
			Refused:   a.refusal.active,
			Waiting:   a.waiting,
			Global:    Global{Limit: a.pool.limit, Used: a.pool.used()},
		}
		if a.pool.pausedUntil > now {
			t.Global.PausedUntil = l.time(a.pool.pausedUntil)
		}
		seen := make(map[*bucket]bool, len(a.routes))
		for _, r := range a.routes {
			if !seen[r.bucket] {
				seen[r.bucket] = true
				t.Buckets = append(t.Buckets, l.bucket(r.bucket, now))
			}
		}
		s.Tokens = append(s.Tokens, t)
	}
	l.mu.Unlock()

	for _, t := range s.Tokens {
		for _, b := range t.Buckets {
			slices.Sort(b.Routes)
		}
		slices.SortFunc(t.Buckets, func(a, b Bucket) int {
			return cmp.Or(cmp.Compare(a.Routes[0], b.Routes[0]), cmp.Compare(a.Major, b.Major), cmp.Compare(a.Hash, b.Hash))
		})
	}
	slices.SortFunc(s.Tokens, func(a, b TokenStatus) int { return cmp.Compare(a.Token, b.Token) })
	return s
}

func (l *Limiter) bucket(b *bucket, now instant) Bucket {
	s := Bucket{
		Major:     b.major,
		Hash:      b.hash,
		Window:    b.kind.String(),
		Limit:     b.limit,
		Remaining: b.available(now, b.inFlight),
		InFlight:  b.inFlight,
		Waiting:   b.waiting,
	}
	blocked, held := b.blockedUntil, b.blockedUntil
	for _, r := range b.routes {
		s.Routes = append(s.Routes, r.key.String())
		for _, k := range r.blocks {
			blocked = max(blocked, k.until)
		}
	}
	for _, k := range b.classes {
		held = max(held, k.route.blockedUntil(k.kind))
	}
	if blocked > now {
		s.BlockedUntil = l.time(blocked)
	}
	if b.blockedUntil > now {
		s.Remaining = 0
	}
	if full := max(b.full, b.blockedUntil); full > now {
		s.Reset = l.time(full)
	}
	if b.waiting > 0 {
		s.EstimatedWait = max(b.window.drain(now, b.inFlight, b.waiting), held.sub(now), 0)
	}
	return s
}
