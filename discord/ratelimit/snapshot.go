package ratelimit

import (
	"cmp"
	"math"
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
	Known        int   // buckets, also those that are not among those of Tokens
	States       States
	Drain        time.Duration // the longest EstimatedWait of all buckets
	Invalid      Invalid
	Ban          Ban
	GoneWebhooks int           // webhooks that are not used, because they are gone
	Tokens       []TokenStatus // ordered by Token
}

// States counts the known buckets, each once.
type States struct {
	Idle    int
	Busy    int // calls are in flight
	Waiting int // calls wait
	Blocked int // a 429 holds calls of some kind
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

// sliceSize is how many buckets are copied before the lock is released for
// others: some tens of microseconds.
const sliceSize = 100

// Snapshot returns a copy of the limiter's state with all known buckets. Calls
// wait for the list of them, some nanoseconds for each.
func (l *Limiter) Snapshot() Snapshot { return l.Status(math.MaxInt) }

// Status returns a copy of the limiter's state with at most so many buckets:
// those for which most calls wait first, then those in use, then those used
// last. Counts are of all buckets. It visits only those that have something
// to do or are not full, a few at a time, between which calls continue; what it
// returns of different buckets may be some milliseconds apart.
func (l *Limiter) Status(buckets int) Snapshot {
	l.snapshotting.Lock()
	defer l.snapshotting.Unlock()

	s, tokens := l.overview()
	type candidate struct {
		*bucket
		waiting, inFlight int
	}
	var shown []candidate
	l.inSlices(func(now instant) (more bool) {
		c := l.core
		for range sliceSize {
			if c.shown == 0 {
				return false
			}
			c.shown--
			b := c.lively[c.shown]
			if b.seen == c.snapshots {
				continue
			}
			b.seen = c.snapshots
			if !b.busy(now) {
				c.calm(b)
				continue
			}
			shown = append(shown, candidate{b, b.waiting, b.inFlight})
			s.Drain = max(s.Drain, b.estimate(now))
			switch {
			case b.blocked() > now:
				s.States.Blocked++
			case b.waiting > 0:
				s.States.Waiting++
			case b.inFlight > 0:
				s.States.Busy++
			}
		}
		return true
	})
	slices.SortStableFunc(shown, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.waiting, a.waiting), cmp.Compare(b.inFlight, a.inFlight))
	})
	shown = shown[:min(len(shown), buckets)]
	if len(shown) < buckets {
		l.mu.Lock()
		for b := l.core.used.last; b != nil && len(shown) < buckets; b = b.byUse.prev {
			if b.livelyAt < 0 {
				shown = append(shown, candidate{bucket: b})
			}
		}
		l.mu.Unlock()
	}
	place := make(map[*account]int, len(tokens))
	for i, a := range tokens {
		place[a] = i
	}
	l.inSlices(func(now instant) (more bool) {
		some := shown[:min(len(shown), sliceSize)]
		shown = shown[len(some):]
		for _, x := range some {
			i, known := place[x.bucket.account]
			if known && len(x.bucket.routes) > 0 { // else it was forgotten meanwhile
				s.Tokens[i].Buckets = append(s.Tokens[i].Buckets, l.bucket(x.bucket, now))
			}
		}
		return len(shown) > 0
	})
	s.States.Idle = max(s.Known-s.States.Blocked-s.States.Waiting-s.States.Busy, 0)
	sortBuckets(s.Tokens)
	return s
}

// Queued returns how many calls wait, and the bytes of their bodies.
func (l *Limiter) Queued() (calls int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.queued.n + l.core.entered, l.core.bytes + l.core.enteredBytes
}

// inSlices calls do with the lock held until it returns false, and releases the
// lock in between.
func (l *Limiter) inSlices(do func(now instant) (more bool)) {
	for more := true; more; {
		l.mu.Lock()
		more = do(l.now())
		l.mu.Unlock()
	}
}

// overview begins a snapshot: it copies everything but the buckets.
func (l *Limiter) overview() (s Snapshot, tokens []*account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.core
	c.advance(now)
	l.arm(now)
	c.snapshots++
	c.shown = len(c.lively)
	s = Snapshot{
		At:           l.time(now),
		Waiting:      c.queued.n + c.entered,
		WaitingBytes: c.bytes + c.enteredBytes,
		MaxWaiting:   c.maxQueue,
		MaxBytes:     c.maxQueueBytes,
		InFlight:     c.sent.n,
		Known:        c.known,
		Invalid:      Invalid{Count: c.budget.total, Limit: c.budget.limit, Open: c.budget.scarce()},
		GoneWebhooks: len(c.gone.known),
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
		s.Tokens, tokens = append(s.Tokens, t), append(tokens, a)
	}
	return s, tokens
}

// sortBuckets puts tokens and their buckets into the order of their names.
func sortBuckets(tokens []TokenStatus) {
	for _, t := range tokens {
		for _, b := range t.Buckets {
			slices.Sort(b.Routes)
		}
		slices.SortFunc(t.Buckets, func(a, b Bucket) int {
			return cmp.Or(cmp.Compare(a.Routes[0], b.Routes[0]), cmp.Compare(a.Major, b.Major), cmp.Compare(a.Hash, b.Hash))
		})
	}
	slices.SortFunc(tokens, func(a, b TokenStatus) int { return cmp.Compare(a.Token, b.Token) })
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
	for _, r := range b.routes {
		s.Routes = append(s.Routes, r.key.String())
	}
	if blocked := b.blocked(); blocked > now {
		s.BlockedUntil = l.time(blocked)
	}
	if b.throttle.until > now {
		s.Remaining = 0
	}
	if full := max(b.full, b.throttle.until); full > now {
		s.Reset = l.time(full)
	}
	s.EstimatedWait = b.estimate(now)
	return s
}

// blocked returns the end of the last block of calls of any kind.
func (b *bucket) blocked() instant {
	until := b.throttle.until
	for _, r := range b.routes {
		for _, k := range r.kinds {
			until = max(until, k.until)
		}
	}
	for _, k := range b.classes {
		until = max(until, k.route.heldUntil(k.kind)) // also by a limit over several buckets
	}
	return until
}

// estimate returns when the last of the waiting calls may go, by this bucket
// alone.
func (b *bucket) estimate(now instant) time.Duration {
	if b.waiting == 0 {
		return 0
	}
	held := b.throttle.until
	for _, k := range b.classes {
		held = max(held, k.route.heldUntil(k.kind))
	}
	return max(b.window.drain(now, b.inFlight, b.waiting), b.throttle.drain(now, b.waiting), held.sub(now), 0)
}

// busy reports whether a bucket has something to do, holds calls or is not
// full.
func (b *bucket) busy(now instant) bool {
	return b.inFlight > 0 || b.waiting > 0 || b.full > now || b.blocked() > now
}

// rouse adds a bucket to those that a snapshot copies.
func (c *core) rouse(b *bucket) {
	if b.livelyAt < 0 {
		b.livelyAt = len(c.lively)
		c.lively = append(c.lively, b)
	}
}

// calm removes a bucket from that list. The last one takes its place: a snapshot,
// which goes from the end to the beginning, has seen that one.
func (c *core) calm(b *bucket) {
	if b.livelyAt < 0 {
		return
	}
	last := len(c.lively) - 1
	moved := c.lively[last]
	c.lively[b.livelyAt], moved.livelyAt = moved, b.livelyAt
	c.lively[last] = nil
	c.lively = c.lively[:last]
	c.shown = min(c.shown, last)
	b.livelyAt = -1
}
