package ratelimit

import "time"

// permitLife is how long a permit may stay open before it counts as lost.
const permitLife = 15 * time.Minute

// Of what nothing is known is taken for the most common bucket when it comes
// to how long its queue takes.
const (
	guessLimit     = 5
	guessPer       = time.Second
	guessRoundTrip = 100 * time.Millisecond
)

// settle finds out which call of a bucket goes next and when, and lists the
// bucket accordingly.
func (c *core) settle(b *bucket, now instant) {
	defer c.schedule(b.account, now)
	defer c.watch(b, now)
	c.detach(b)
	defer c.rank(b, now)
	if b.waiting == 0 {
		return
	}
	b.refresh(&c.clock)
	head, at, gate := b.pick(now)
	if head != nil {
		at = b.next(now, b.inFlight)
	} else if gate != nil {
		c.park(b, gate)
	}
	b.head = head
	switch {
	case at == never: // until an answer comes
	case at > now:
		b.wake = at
		c.wakes.push(b)
	case head.exempt:
		c.exempt.push(b)
	default:
		b.drain = b.backlog(now, c.roundTrip)
		b.payer = head.lane.queue.share.caller
		b.account.offer(b)
		b.offered = head.route.shape
		b.offered.offered++
	}
}

// detach takes a bucket off all lists of those that have something to do.
func (c *core) detach(b *bucket) {
	if b.owner != nil {
		b.account.withdraw(b)
	}
	if b.wakeAt >= 0 {
		c.wakes.remove(b.wakeAt)
	}
	if b.exemptAt >= 0 {
		c.exempt.remove(b.exemptAt)
	}
	if b.parked != nil {
		c.unpark(b)
	}
	if b.offered != nil {
		b.offered.offered--
		b.offered = nil
	}
	b.head = nil
}

// backlog returns how long the bucket's queue takes by its own limit, or by the
// way of each of its calls to Discord and back if they go one after another.
func (b *bucket) backlog(now instant, roundTrip time.Duration) time.Duration {
	lined, lanes := b.lined()
	if lanes > 0 {
		lined = (lined + lanes - 1) / lanes
	}
	if b.head != nil && b.head.lane.line != nil {
		lined = max(lined, b.head.lane.calls.n)
	}
	chain := time.Duration(lined) * roundTrip
	if b.window.kind != unknown || b.throttle.learnt() {
		return max(b.window.drain(now, b.inFlight, b.waiting), b.throttle.drain(now, b.waiting), chain)
	}
	limit, per := guessLimit, guessPer
	if s := b.routes[0].shape; s.limitSeen > 0 {
		limit, per = s.limitSeen, s.perSeen
	}
	left := max(time.Duration(b.waiting-limit)*per, 0)
	if b.waiting > 1 {
		left += roundTrip
	}
	return max(left, chain)
}

// open reports whether anything may be sent at all.
func (c *core) open(now instant) bool {
	if c.ban.active && (now < c.ban.until || c.ban.probe != nil) {
		return false
	}
	return !c.budget.spent(c.sent.n)
}

// advance does what is due: it looks again at buckets whose time has come and
// sends what can go.
func (c *core) advance(now instant) {
	c.budget.advance(now)
	for c.sent.n > 0 && now.sub(c.sent.first.sentAt) >= permitLife {
		x := c.sent.first
		c.lose(x, now)
		c.done(x, now)
	}
	for c.wakes.len() > 0 && c.wakes.top().wake <= now {
		c.settle(c.wakes.top(), now)
	}
	c.dispatch(now)
	for range retireAtOnce {
		b := c.used.first
		if b == nil || now.sub(b.idleSince) < idleLife {
			break
		}
		c.retire(b, now)
	}
}

// schedule lists an account by the moment at which its pool lets the next call
// go, if any waits for that alone. It is called whenever either may have
// changed.
func (c *core) schedule(a *account, now instant) {
	switch {
	case a.ready.len() > 0:
		a.wake = c.room(a, a.ready.top().byAge.top().head, now)
		if a.dueAt < 0 {
			c.due.push(a)
		} else {
			c.due.fix(a.dueAt)
		}
	case a.dueAt >= 0:
		c.due.remove(a.dueAt)
	}
}

// dispatch sends all that may go.
func (c *core) dispatch(now instant) {
	c.flush(now)
	for c.pass(now) {
		c.flush(now)
	}
}

// flush sends what may go and is behind no gate.
func (c *core) flush(now instant) {
	c.follow(now)
	for c.exempt.len() > 0 && c.open(now) {
		c.next(c.exempt.top(), now)
	}
	for c.due.len() > 0 && c.due.top().wake <= now && c.open(now) {
		a := c.due.top()
		if c.schedule(a, now); a.wake > now { // what was learnt meanwhile forbids it
			continue
		}
		b, at := c.choose(a, now)
		if b == nil {
			a.wake = at
			c.due.fix(a.dueAt)
			continue
		}
		a.served(b.owner)
		c.next(b, now)
	}
}

// next sends a bucket's next call.
func (c *core) next(b *bucket, now instant) {
	x := b.head
	b.served(x.lane.queue.share)
	c.detach(b)
	x.begin()
	c.unqueue(x)
	c.send(x, now)
	c.settle(b, now)
}

// look returns when advance has something to do next; never if an answer or a
// call has to come first.
func (c *core) look(now instant) instant {
	at := never
	if c.wakes.len() > 0 {
		at = c.wakes.top().wake
	}
	if c.ban.active && now < c.ban.until && c.queued.n > 0 {
		at = min(at, c.ban.until)
	}
	if c.due.len() > 0 && c.open(now) { // else an answer or the end of the ban comes first
		at = min(at, c.due.top().wake)
	}
	if c.gates.len() > 0 {
		at = min(at, c.gates.top().opens)
	}
	if c.sent.n > 0 {
		at = min(at, c.sent.first.sentAt.add(permitLife))
	}
	if c.used.n > 0 {
		at = min(at, c.used.first.idleSince.add(idleLife))
	}
	return at
}
