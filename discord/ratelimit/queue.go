package ratelimit

import (
	"cmp"
	"slices"
	"time"
)

// bucket is a set of routes of one top-level resource that Discord limits
// together, and the calls that wait for it.
type bucket struct {
	window
	account *account
	hash    string // Discord's name; empty until known
	major   string
	routes  []*route

	blockedUntil instant // after a 429
	strikes      int     // 429s in a row
	inFlight     int
	waiting      int

	shares []*share // of callers with waiting calls
	turn   uint64   // virtual time: turns of the caller served last

	head *call // which goes next, as of the last settle; nil if none may

	wake      instant // when to look again, while in core.wakes
	wakeAt    int     // index there, -1 if absent
	drain     time.Duration
	drainAt   int // index in owner.byDrain, -1 if absent
	ageAt     int // index in owner.byAge
	owner     *caller
	exempt    bool // in core.exempt
	idleSince instant
	older     *bucket // neighbours by last use
	newer     *bucket
}

// route is a route of one top-level resource.
type route struct {
	key      routeKey
	shape    *shape
	bucket   *bucket
	inFlight int
	waiting  int
	blocks   []block // after 429s of a limit within the bucket
	refused  instant // last answered 401 or 403
}

type routeKey struct{ method, template, major string }

func (k routeKey) String() string { return k.method + " " + k.template }

// share is what one caller has waiting in a bucket.
type share struct {
	caller  *caller
	turns   uint64 // calls sent, in the bucket's virtual time
	waiting int
	lanes   []*lane
}

// lane holds the calls of one caller, route and kind in the order of their
// numbers.
type lane struct {
	share *share
	route *route
	kind  string
	first *call
	last  *call
}

// insert adds a call to the bucket's queue. A call that comes back takes the
// place that its number gives it.
func (b *bucket) insert(c *call, who *caller) {
	i := slices.IndexFunc(b.shares, func(s *share) bool { return s.caller == who })
	if i < 0 {
		i = len(b.shares)
		b.shares = append(b.shares, &share{caller: who, turns: b.turn})
		who.shares++
	}
	s := b.shares[i]
	j := slices.IndexFunc(s.lanes, func(l *lane) bool { return l.route == c.route && l.kind == c.kind })
	if j < 0 {
		j = len(s.lanes)
		s.lanes = append(s.lanes, &lane{share: s, route: c.route, kind: c.kind})
	}
	l := s.lanes[j]
	c.lane = l
	after := l.last
	if after != nil && after.seq > c.seq { // comes back: nearer to the front
		after = nil
		for o := l.first; o.seq < c.seq; o = o.next {
			after = o
		}
	}
	c.prev = after
	if after == nil {
		c.next, l.first = l.first, c
	} else {
		c.next, after.next = after.next, c
	}
	if c.next == nil {
		l.last = c
	} else {
		c.next.prev = c
	}
	s.waiting++
	b.waiting++
	c.route.waiting++
}

// remove takes a call out of the bucket's queue.
func (b *bucket) remove(c *call) {
	l := c.lane
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next, c.lane = nil, nil, nil
	s := l.share
	if l.first == nil {
		s.lanes = drop(s.lanes, l)
	}
	if s.waiting--; s.waiting == 0 {
		b.shares = drop(b.shares, s)
		s.caller.shares--
		b.account.forget(s.caller)
	}
	b.waiting--
	c.route.waiting--
}

func drop[T comparable](list []T, item T) []T {
	i := slices.Index(list, item)
	if i < 0 {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// pick returns the call that goes next: the oldest of the caller that had the
// fewest turns. If all wait for the end of a block it returns nil and the
// first such end.
func (b *bucket) pick(now instant) (*call, instant) {
	var head *call
	var turns uint64
	until := never
	for _, s := range b.shares {
		if head != nil && s.turns > turns {
			continue
		}
		for _, l := range s.lanes {
			if t := l.route.heldUntil(l.kind); t > now {
				until = min(until, t)
				continue
			}
			if head == nil || cmp.Or(cmp.Compare(s.turns, turns), cmp.Compare(l.first.seq, head.seq)) < 0 {
				head, turns = l.first, s.turns
			}
		}
	}
	return head, until
}

// served moves the bucket's virtual time on after the caller of l had a turn.
func (b *bucket) served(s *share) {
	b.turn = max(b.turn, s.turns)
	s.turns++
}

// move takes route r with its calls, waiting and in flight, to another bucket.
// Each route has lanes of its own, and a lane's calls keep their numbers, so
// that the calls stay in the order in which they came.
func (b *bucket) move(r *route, to *bucket) {
	for _, s := range slices.Clone(b.shares) {
		for _, l := range slices.Clone(s.lanes) {
			if l.route != r {
				continue
			}
			n := 0
			for c := l.first; c != nil; c = c.next {
				n++
			}
			i := slices.IndexFunc(to.shares, func(o *share) bool { return o.caller == s.caller })
			if i < 0 {
				i = len(to.shares)
				to.shares = append(to.shares, &share{caller: s.caller, turns: to.turn})
				s.caller.shares++
			}
			o := to.shares[i]
			o.lanes = append(o.lanes, l)
			l.share = o
			o.waiting += n
			s.lanes = drop(s.lanes, l)
			if s.waiting -= n; s.waiting == 0 {
				b.shares = drop(b.shares, s)
				s.caller.shares--
			}
		}
	}
	b.waiting -= r.waiting
	to.waiting += r.waiting
	b.inFlight -= r.inFlight
	to.inFlight += r.inFlight
	b.routes = drop(b.routes, r)
	to.routes = append(to.routes, r)
	r.bucket = to
}
