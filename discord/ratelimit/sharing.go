package ratelimit

import (
	"slices"
	"time"
)

const (
	// probeWait is how long a wait must be for a probe to be worth the first
	// 429 more.
	probeWait = 500 * time.Millisecond
	// probeScan is how many parked buckets are looked at for one to probe.
	probeScan = 16
	// firstProbePause is the number of 429s before the next probe after a refused one.
	// Each further one doubles it, at most maxProbeDoublings times.
	firstProbePause   = 8
	maxProbeDoublings = 16
	// leadCalls is how many calls the resource that was refused last may be ahead
	// of others after its wait.
	leadCalls = 8
	// spareRefusals is how many 429s more than limits explain do not show that they
	// are shared.
	spareRefusals = 2
	// steadyTrips is how many round trips must be known to say how they differ.
	steadyTrips = 5
	// signTime is how long a sign that separate limits are shared counts, and
	// wantedSigns is how many resources must show it.
	signTime    = time.Minute
	wantedSigns = 2
)

// sharing is what is known of whether the top-level resources of a route share
// the limits that headers do not show.
//
// A limit that refuses a resource may be its own or the route's. Until that is
// found out, the limit is suspected to be shared: the shape's throttle and that
// of the bucket both learn, and the shape's counts. Two things decide. While the
// refused resource waits, one call of another is let through as a probe: if it
// is accepted, limits are separate, as a shared one would have refused it. If a
// resource is refused that was granted clearly more or fewer calls than the one
// before, the limit is shared, as the same limit for each would have let one of
// them through. So that their numbers differ, the calls of the resource that was
// refused last go first after its wait, as long as there are any. What was
// decided is revised when calls contradict it.
type sharing struct {
	kind    sharingKind
	last    rejection
	refused []*bucket // suspected: those that were refused
	probes  bool      // whether another resource may be tried while one waits
	failed  int       // probes that were refused since limits are shared
	skip    int       // shared: 429s until the next probe
	signs   []sign    // that limits are shared although they are taken for separate
	cost    cost      // of taking them for separate
}

// cost is how many 429s it costs to take limits for separate. If it is more than
// several limits explain, they are shared.
type cost struct {
	since    instant // when the count began
	refused  int
	accepted int
	refusers int // resources that were refused
}

// begin starts a new count if the last one is old.
func (k *cost) begin(now instant) {
	if k.since == 0 || now.sub(k.since) >= throttleLife {
		*k = cost{since: now}
	}
}

// refuse counts a 429 of a route's call.
func (k *cost) refuse(r *route, now instant) {
	k.begin(now)
	k.refused++
	if r.costly != k.since {
		r.costly = k.since
		k.refusers++
	}
}

// high reports whether limits must be shared. One limit costs at most 3 429s and a
// tenth of its calls, and while it is found out, less than a third of those that are
// accepted.
func (k *cost) high() bool {
	return k.refusers > 1 && k.refused > max(3*k.refusers+k.accepted/10+spareRefusals, k.accepted/3)
}

type sharingKind uint8

const (
	untested sharingKind = iota // nothing was refused
	suspected
	shared
	separate
)

// rejection is a 429 of a call of a shape.
type rejection struct {
	bucket  *bucket
	granted int           // calls of the bucket in the run that it ended
	earlier int           // those of the run before
	at      instant       // when it came
	until   instant       // end of the wait that it asked for
	slack   time.Duration // by which that end may be too late
	again   bool          // whether it was not the first
}

// long reports whether the wait is long enough for a probe at the first 429.
func (g *rejection) long() bool { return g.until.sub(g.at) >= probeWait }

// sign is a refusal of a call to a resource that its own calls do not explain.
type sign struct {
	bucket *bucket
	at     instant
}

// of returns the bucket's route of a shape, or nil if it has none any more.
func (b *bucket) of(s *shape) *route {
	for _, r := range b.routes {
		if r.shape == s {
			return r
		}
	}
	return nil
}

// grant counts an accepted call of the route in the run of its shape.
func (r *route) grant() {
	if s := r.shape; r.run != s.start {
		if r.earlier = 0; r.run == s.before {
			r.earlier = r.granted
		}
		r.run, r.granted = s.start, 0
	}
	r.granted++
}

// granted returns how many calls of the run were the bucket's, and how many of the
// run before.
func (s *shape) granted(b *bucket) (n, earlier int) {
	r := b.of(s)
	switch {
	case r == nil:
	case r.run == s.start:
		return r.granted, r.earlier
	case r.run == s.before:
		return 0, r.granted
	}
	return 0, 0
}

// differ reports whether a bucket was granted so many more or fewer calls of the
// run than the one refused last that only a limit they share can refuse both.
func (s *shape) differ(b *bucket) bool {
	g := &s.sharing.last
	n, earlier := s.granted(b)
	m := g.granted
	if s.taken > 0 { // the next run has begun
		m, _ = s.granted(g.bucket)
		return n == 0 || 4*n < 3*m
	}
	if n == 0 { // that of the run before may have refused it
		n, m = earlier, m+g.earlier
	}
	return min(n, m) == 0 || 4*min(n, m) < 3*max(n, m)
}

// suspects reports whether what the bucket's own throttles have learnt counts
// only if limits turn out to be separate.
func (s *shape) suspects(b *bucket) bool {
	return s.sharing.kind == suspected && slices.Contains(s.sharing.refused, b) &&
		b.throttle.until <= s.until.add(b.throttle.extra) // else another route has taught it
}

// closed returns until when the limit that refused the last bucket certainly
// lets nothing through.
func (s *shape) closed() instant {
	at := s.sharing.last.until
	if s.sharing.kind == suspected && s.throttle.kind == fixed && s.used >= s.limit {
		at = max(at, s.ends.add(-s.per/4)) // inferred, so with some room
	}
	return at
}

// ahead reports whether another bucket may go ahead of a pace that was measured a
// moment ago, and so says when the next unit is there. On its way a call gains
// some time, so that only the second one may show that limits are separate. The
// time of a single unit is known less exactly, which matters if it is short.
func (s *shape) ahead(now instant) bool {
	return s.sharing.kind == suspected && s.throttle.kind == sliding && (s.limit > 1 || s.per >= probeWait) && s.anchor > 0 &&
		now >= s.until && s.taken >= 1 && s.taken <= 2
}

// probeable reports whether a call of the bucket can find out whether the limit
// that refused another is shared.
func (s *shape) probeable(b *bucket, now instant) bool {
	g := &s.sharing.last
	switch {
	case !s.sharing.probes, b == g.bucket:
		return false
	case s.sharing.kind == suspected && !s.differ(b):
		return false
	case s.ahead(now):
		return true
	case b.throttle.until > g.at: // it waits itself
		return false
	}
	return (g.again && s.anchor > 0 || g.long()) && now.add(s.fastest+g.slack) < s.closed()
}

// led reports whether the bucket that was refused last has calls that go first.
func (s *shape) led() bool {
	g := &s.sharing.last
	if s.sharing.kind != suspected || !s.sharing.probes || !g.long() || s.taken >= leadCalls {
		return false
	}
	r := g.bucket.of(s)
	return g.bucket.parked == s || g.bucket.offered == s || r != nil && r.inFlight > 0
}

// foremost returns the bucket behind the gate that goes next: one that can be
// probed, the leader, or the first.
func (s *shape) foremost(now instant) *bucket {
	g := &s.sharing
	if g.probes && s.inFlight+s.offered == 0 && s.next(now, 0) > now {
		b := s.parked.first
		for range probeScan {
			if b == nil {
				break
			}
			if s.probeable(b, now) {
				return b
			}
			b = b.behind.next
		}
	}
	if g.kind == suspected && g.last.bucket.parked == s && s.taken < leadCalls {
		return g.last.bucket
	}
	return s.parked.first
}

// confirm compares a success with what is thought of the shape's limits.
func (c *core) confirm(x *call, now instant) {
	s := x.route.shape
	g := &s.sharing
	switch g.kind {
	case suspected, shared:
		if !s.learnt() {
			*g = sharing{}
		} else if x.closed > 0 && now.add(g.last.slack) < x.closed {
			c.part(s, now)
		}
		return
	}
	g.cost.begin(now)
	g.cost.accepted++
	g.signs = slices.DeleteFunc(g.signs, func(g sign) bool {
		// The limit that refused the other is none of this one's.
		return now.sub(g.at) > signTime || g.bucket != x.route.bucket && x.sentAt > g.at && now < g.bucket.throttle.until
	})
}

// blur returns by how much longer than another an answer can have been on its
// way back.
func (c *core) blur(way time.Duration) time.Duration {
	if c.trips < steadyTrips {
		return way
	}
	return min(way, way-c.fastest+c.slowest-c.fastest)
}

// compare compares a 429 with those before.
func (c *core) compare(x *call, wait time.Duration, h hint, now instant) {
	s, b := x.route.shape, x.route.bucket
	g, t := &s.sharing, &b.throttle
	granted, earlier := s.granted(b)
	n := rejection{
		bucket: b, granted: granted, earlier: earlier, at: now, until: now.add(wait), again: g.kind != untested,
		slack: h.slack + 2*headerStep + c.blur(now.sub(x.sentAt)),
	}
	switch kind := g.kind; {
	case s.apart:
	case kind == shared && x.closed > 0:
		g.putOff()
	case kind == shared && x.sentAt >= s.until:
		g.skip--
		g.probes = g.probes || g.skip <= 0
		g.last = n
	case kind == shared:
	case kind == separate || x.kind != "": // other kinds of calls may go on
		if kind == separate && x.kind == "" {
			if g.cost.refuse(x.route, now); g.cost.high() {
				g.last = n
				c.join(s, now)
				return
			}
		}
		if t.taken > 0 || t.learnt() || slices.ContainsFunc(g.signs, func(o sign) bool { return o.bucket == b }) {
			return
		}
		g.signs = append(slices.DeleteFunc(g.signs, func(g sign) bool { return now.sub(g.at) > signTime }), sign{b, now})
		if len(g.signs) >= wantedSigns {
			g.last = n
			c.join(s, now)
		}
	case kind == untested:
		if t.taken == 0 || !h.own || s.limitSeen != h.limit { // else the headers explain it
			g.kind, g.refused, g.probes, g.last = suspected, []*bucket{b}, true, n
		}
	default:
		c.decide(x, n, now)
	}
}

// decide finds out from another 429 of a suspected limit whether it is shared.
func (c *core) decide(x *call, n rejection, now instant) {
	s, b := x.route.shape, x.route.bucket
	g := &s.sharing
	if closed := max(x.closed, g.last.until); b != g.last.bucket && now < closed {
		off := n.until.sub(closed).Abs()
		switch {
		case closed == g.last.until && off > g.last.slack+n.slack: // nothing has come between
			c.part(s, now)
		case s.differ(b):
			c.join(s, now)
			g.last = n
		}
		if g.kind != suspected {
			return
		}
	}
	if !slices.Contains(g.refused, b) {
		g.refused = append(g.refused, b)
	}
	if g.probes = x.closed == 0 || b == g.last.bucket; g.probes {
		g.last = n
	}
}

// putOff puts the next probe off after one was refused.
func (g *sharing) putOff() {
	g.probes = false
	g.skip = firstProbePause << min(g.failed, maxProbeDoublings)
	g.failed++
}

// part makes the limits of a shape separate.
func (c *core) part(s *shape, now instant) {
	g := s.sharing.last
	if s.sharing.kind == shared { // so that its own throttle was not taught
		g.bucket.throttle.refused(g.at, g.at, g.until.sub(g.at), true, hint{})
	}
	s.sharing, s.throttle = sharing{kind: separate, failed: s.sharing.failed}, throttle{}
	c.settle(g.bucket, now)
}

// join makes the limit of a shape one of all its resources. What those that
// were refused have learnt is their part of it, which says nothing.
func (c *core) join(s *shape, now instant) {
	g := &s.sharing
	freed := g.refused
	for _, o := range g.signs {
		freed = append(freed, o.bucket)
	}
	g.kind, g.refused, g.signs, g.cost = shared, nil, nil, cost{}
	g.putOff()
	for _, b := range freed {
		b.throttle, b.rejected = throttle{}, false
		for _, o := range b.routes {
			o.kinds = slices.DeleteFunc(o.kinds, func(k *kindThrottle) bool { return k.pause == 0 })
		}
	}
	for _, b := range freed {
		c.settle(b, now)
	}
}
