package ratelimit

import (
	"strings"
	"time"
)

// trusted is the largest limit of headers that is used immediately, although no
// call has shown yet that it is true.
const trusted = 5

// shape is the bucket's name of a route whose numbers were seen at some
// top-level resource. It is a first guess for others.
type shape struct {
	hash      string
	limitSeen int // of the headers
	perSeen   time.Duration
	routes    int // known routes of this shape

	throttle         // of all calls of the shape; it only counts unless limits are, or may be, shared
	before   instant // start of the run before that of start
	sharing  sharing
	apart    bool
	inFlight int
	offered  int          // calls that the gate let through and that are not sent yet
	parked   list[bucket] // behind the gate, first come first
	opens    instant      // when the gate lets the first of them go, while in core.gates
	gateAt   int          // index there, or -1 if absent
}

type shapeKey struct{ method, template string }

func newShape(key routeKey) *shape {
	s := &shape{
		apart: key.countedApart(), gateAt: -1,
		parked: list[bucket]{links: func(b *bucket) *links[bucket] { return &b.behind }},
	}
	if s.apart {
		s.sharing.kind = separate
	}
	return s
}

// A call passes up to three throttles: that of its kind on its route, that of
// its bucket, and that of its shape, which is the route whatever its top-level
// resource.

// kindThrottle is the limit of one kind of calls of a route.
type kindThrottle struct {
	throttle
	kind     string
	inFlight int
}

// suspect reports whether a limit whose kind was found out may be one of
// the shape.
func (k *kindThrottle) suspect() bool { return k.kind == "" && k.pause == 0 }

// find returns the throttle of a kind, or nil if there is none.
func (r *route) find(kind string) *kindThrottle {
	for _, k := range r.kinds {
		if k.kind == kind {
			return k
		}
	}
	return nil
}

// countedApart reports whether Discord certainly counts a route for each of its
// top-level resources alone: routes that create messages, and those that carry
// their own credentials.
func (k routeKey) countedApart() bool {
	return k.method == "POST" && (k.template == "/channels/{channel_id}/messages" || strings.HasPrefix(k.template, "/webhooks/")) ||
		strings.HasPrefix(k.template, "/interactions/")
}

// gate returns the moment from which the route's own throttles and its
// bucket's let a call of a kind go; never if an answer must come first.
func (r *route) gate(kind string, now instant) instant {
	at, b := now, r.bucket
	suspect := r.shape.suspects(b)
	if k := r.find(kind); k != nil && (!suspect || !k.suspect()) {
		if t := k.next(now, k.inFlight); t > now {
			k.binding = now
			at = t
		}
	}
	switch t := b.throttle.next(now, b.inFlight); {
	case suspect: // what the bucket has learnt counts only if limits are separate
	case t > now:
		b.throttle.binding = now
		at = max(at, t)
	case r.crowded():
		at = never
	}
	return at
}

// crowded reports whether as many calls are in flight as may be before anything
// was refused.
func (r *route) crowded() bool {
	b := r.bucket
	return !b.throttle.learnt() && r.shape.sharing.kind == separate && b.inFlight >= b.throttle.flights() &&
		(b.kind == unlimited || b.kind != unknown && b.limit > trusted)
}

// gate returns the moment from which one more call of the shape may go to a
// bucket.
func (s *shape) gate(b *bucket, now instant) instant {
	k := s.inFlight + s.offered
	if s.learnt() {
		at := s.next(now, k)
		if at > now && k == 0 && s.probeable(b, now) {
			return now
		}
		if b != s.sharing.last.bucket && s.led() {
			return never // until the leader is refused again or has nothing left
		}
		if at > now {
			s.binding = now
		} else if s.offered > 0 && s.kind != unknown {
			at = never // the one that was let through comes first
		}
		return at
	}
	flights := s.flights()
	if len(s.sharing.signs) > 0 {
		flights = 1 // and its answer shows whether the limit is shared
	} else if b.kind != unknown && b.limit <= trusted && s.inFlight == b.inFlight {
		flights = max(flights, b.limit)
	}
	if !s.apart && k >= flights {
		return never
	}
	return now
}

// heldUntil returns the end of the waits that Discord has asked for, and before
// which no call of a kind can go; 0 if there is none.
func (r *route) heldUntil(kind string) instant {
	at := r.bucket.throttle.until
	if r.shape.sharing.kind == shared {
		at = max(at, r.shape.until)
	}
	if k := r.find(kind); k != nil {
		at = max(at, k.until)
	}
	return at
}

// park keeps a bucket until the gate of a shape opens.
func (c *core) park(b *bucket, s *shape) {
	b.parked = s
	s.parked.push(b)
}

// unpark takes a bucket from its shape's gate.
func (c *core) unpark(b *bucket) {
	s := b.parked
	b.parked = nil
	s.parked.remove(b)
	if s.parked.n == 0 && s.gateAt >= 0 {
		c.gates.remove(s.gateAt)
	}
}

// watch lists the shapes of a bucket's routes by the moments at which their
// gates open, those alone behind which a bucket is parked. It is called
// whenever such a moment may have come nearer.
func (c *core) watch(b *bucket, now instant) {
	for _, r := range b.routes {
		s := r.shape
		if s.parked.n == 0 {
			continue
		}
		s.opens = s.gate(s.foremost(now), now)
		if s.gateAt < 0 {
			c.gates.push(s)
		} else {
			c.gates.fix(s.gateAt)
		}
	}
}

// pass looks again at parked buckets whose gate is open. It reports whether
// there were any.
func (c *core) pass(now instant) (passed bool) {
	for c.gates.len() > 0 && c.gates.top().opens <= now {
		s := c.gates.top()
		b := s.foremost(now)
		if at := s.gate(b, now); at > now { // what was sent meanwhile forbids it
			s.opens = at
			c.gates.fix(s.gateAt)
			continue
		}
		c.settle(b, now)
		passed = true
	}
	return passed
}

// depart counts a call that is sent with the throttles that it passes.
func (c *core) depart(x *call, now instant) {
	r := x.route
	if k := r.find(x.kind); k != nil {
		k.send(now, k.inFlight)
		k.inFlight++
		x.throttle = k
	}
	if s := r.shape; s.learnt() && r.bucket != s.sharing.last.bucket && s.next(now, s.inFlight) > now {
		x.closed = s.closed()
		if s.ahead(now) {
			x.closed = max(x.closed, s.next(now, 0).add(-s.per/2))
		}
	}
	r.bucket.throttle.send(now, r.bucket.inFlight)
	r.shape.send(now, r.shape.inFlight)
	r.bucket.inFlight++
	r.shape.inFlight++
	r.inFlight++
}

// arrive takes a call that is in flight no more out of the counts.
func (c *core) arrive(x *call) {
	x.route.bucket.inFlight--
	x.route.shape.inFlight--
	x.route.inFlight--
	if x.throttle != nil {
		x.throttle.inFlight--
	}
}

// each calls f with the throttles that a call has passed.
func (x *call) each(f func(*throttle)) {
	if x.throttle != nil {
		f(&x.throttle.throttle)
	}
	f(&x.route.bucket.throttle)
	f(&x.route.shape.throttle)
}

// accepted counts a success with the throttles.
func (c *core) accepted(x *call, now instant) {
	r := x.route
	if k := x.throttle; k != nil {
		k.accepted(now, x.sentAt)
		if !k.learnt() {
			r.kinds = drop(r.kinds, k)
		}
	}
	r.bucket.throttle.accepted(now, x.sentAt)
	before := r.shape.start
	if r.shape.accepted(now, x.sentAt); r.shape.start != before {
		r.shape.before = before
	}
	r.grant()
	c.confirm(x, now)
}

// refusedBy takes a 429 into account, and returns how long calls like the
// refused one wait.
func (c *core) refusedBy(x *call, limit Limit, wait time.Duration, waitKnown bool, h hint, now instant) time.Duration {
	r := x.route
	b, s := r.bucket, r.shape
	t := &b.throttle
	if waitKnown && b.major != "" && !x.account.key.tokenless {
		c.compare(x, wait, h, now)
	}
	share := s.sharing.kind
	if waitKnown && (share == shared || share == suspected && x.kind == "") {
		s.refused(now, x.sentAt, wait, waitKnown, h)
	}
	switch {
	case waitKnown && share == shared:
		b.rejected = false
		c.recheck(b, now)
		return s.until.sub(now)
	case limit == SubLimit:
		k := r.find(x.kind)
		if k == nil {
			k = &kindThrottle{kind: x.kind}
			k.taken, k.got, k.start, k.first, k.last, k.sent = t.taken, t.got, t.start, t.first, t.last, t.sent
			r.kinds = append(r.kinds, k)
		}
		t = &k.throttle
	}
	if t.refused(now, x.sentAt, wait, waitKnown, h) {
		if h.own && t == &b.throttle && (s.limitSeen == 0 || s.limitSeen == h.limit) {
			t.claimed = now
		} else {
			t.claimed = 0
		}
	}
	c.recheck(b, now)
	return t.until.sub(now)
}

// pardon undoes what a 429 taught when its headers and those of the success
// after it agree that the bucket was used up: then the window says it all.
func (b *bucket) pardon(x *call, a answer) {
	t := &b.throttle
	if t.claimed == 0 || x.sentAt < t.until || b.limit != a.limit {
		return
	}
	back := 1
	switch {
	case b.window.kind == fixed:
		back = a.limit
	case b.perLow > 0:
		back += int(a.heard.sub(t.claimed) / b.perLow)
	}
	if t.claimed = 0; a.remaining <= back && t.pardons < maxPardons {
		*t = throttle{pardons: t.pardons + 1}
		if s := x.route.shape; s.sharing.kind == suspected && s.sharing.last.bucket == b {
			s.sharing, s.throttle = sharing{}, throttle{}
		}
	}
}
