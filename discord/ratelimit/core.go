package ratelimit

import (
	"cmp"
	"time"
)

// ordinaryLimit is the calls a second that Discord takes of a token with no
// known limit of its own, and of an address without a token.
const ordinaryLimit = 50

// core is the state of all limits. Its methods decide; they take the time as
// an argument, which never goes back, wait for nothing and start nothing. They
// are not safe for concurrent use.
type core struct {
	globalLimit   int
	maxQueue      int
	maxQueueBytes int64
	entered       int   // calls that wait elsewhere; see Limiter.Enter
	enteredBytes  int64 // of their bodies
	maxOthers     int

	accounts map[accountKey]*account
	others   list[account] // those of other tokens, the one used longest ago first
	recent   *account      // of the newest call, most often that of the next one too
	clock    clock
	budget   budget
	ban      ban
	address  *Address  // that of other limiters, too, or nil
	found    []finding // that they are to hear
	landed   int64     // permits that have ended, which Address.flights still counts
	fine     instant   // when another limiter sent a call that Discord's edge has let pass
	gone     goneWebhooks
	closed   bool
	seq      uint64 // of the last call that came here
	passed   uint64 // calls that came elsewhere before
	sends    uint64
	changes  uint64            // grows with each change that Export returns
	changed  func(urgent bool) // see Config
	// supposed are windows, as they may be now, of buckets that an earlier run
	// did not save.
	supposed map[*shape]window
	// roundTrip is about how long calls take to Discord and back.
	roundTrip time.Duration
	fastest   time.Duration // of all round trips
	slowest   time.Duration
	trips     int
	wants     []instant // scratch space of spares
	back      []instant // the same

	queued list[call] // the calls that wait, in the order in which they came
	bytes  int64      // of their bodies
	sent   list[call] // the calls in flight, in the order in which they were sent

	known     int       // buckets
	lively    []*bucket // those that were busy at the last snapshot, and those used since
	shown     int       // how many of them, from the beginning, the running snapshot has still to copy
	snapshots uint64

	wakes   heap[*bucket]  // those that can continue without an answer
	exempt  heap[*bucket]  // ready and not bound to a pool, oldest call first
	due     heap[*account] // with calls that only wait for the pool
	gates   heap[*shape]   // with parked buckets
	stirred []*line        // whose next call may be another one than before, in another bucket
	used    list[bucket]   // all of them, least recently used first
}

func newCore(c Config) *core {
	return &core{
		globalLimit:   max(cmp.Or(c.GlobalLimit, defaultGlobalLimit), 0),
		maxQueue:      cmp.Or(c.MaxQueue, defaultMaxQueue),
		maxQueueBytes: cmp.Or(c.MaxQueueBytes, defaultMaxQueueBytes),
		maxOthers:     cmp.Or(c.MaxOtherTokens, defaultMaxOtherTokens),
		address:       c.Address,
		changed:       c.Changed,
		accounts:      make(map[accountKey]*account),
		others:        list[account]{links: func(a *account) *links[account] { return &a.links }},
		queued:        list[call]{links: (*call).order},
		sent:          list[call]{links: (*call).order},
		used:          list[bucket]{links: func(b *bucket) *links[bucket] { return &b.byUse }},
		budget:        budget{limit: cmp.Or(c.InvalidRequestLimit, defaultInvalidLimit)},
		gone:          newGoneWebhooks(),
		roundTrip:     guessRoundTrip,
		wakes: heap[*bucket]{
			less:  func(a, b *bucket) bool { return a.wake < b.wake },
			place: func(b *bucket, i int) { b.wakeAt = i },
		},
		exempt: heap[*bucket]{less: headFirst, place: func(b *bucket, i int) { b.exemptAt = i }},
		due: heap[*account]{
			less:  func(a, b *account) bool { return a.wake < b.wake },
			place: func(a *account, i int) { a.dueAt = i },
		},
		gates: heap[*shape]{
			less:  func(a, b *shape) bool { return a.opens < b.opens },
			place: func(s *shape, i int) { s.gateAt = i },
		},
	}
}

// permitLife is how long a permit may stay open before it counts as lost.
const permitLife = 15 * time.Minute

// open reports whether anything may be sent at all.
func (c *core) open(now instant) bool {
	if c.ban.active && (now < c.ban.until || c.ban.probe != nil) {
		return false
	}
	return !c.budget.spent(c.inFlight())
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
		a.wake = c.freeAt(a, a.ready.top().byAge.top().head, now)
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
	b.served(x.subqueue.queue.share)
	c.detach(b)
	x.begin()
	c.unqueue(x)
	c.send(x, now)
	c.settle(b, now)
}

// nextDue returns when advance has something to do next; never if an answer or a
// call has to come first.
func (c *core) nextDue(now instant) instant {
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
	if c.address != nil && c.queued.n > 0 && !c.open(now) { // another limiter's answer may come first
		at = min(at, now.add(probeTime))
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

// change notes a change that Export returns.
func (c *core) change(urgent bool) {
	c.changes++
	if c.changed != nil {
		c.changed(urgent)
	}
}

// send gives x its permit.
func (c *core) send(x *call, now instant) {
	b := x.route.bucket
	c.sends++
	c.change(false)
	x.state, x.sentAt, x.send = callSent, now, c.sends
	c.depart(x, now)
	b.asked = now
	if !x.exempt {
		x.account.pool.take(now)
	}
	if c.ban.active {
		c.ban.probe = x
	}
	c.sent.push(x)
	if c.address != nil {
		c.address.flights.Add(1)
	}
	c.use(b, now)
	if x.woken != nil {
		x.woken <- struct{}{}
	}
}

// land takes a sent call out of the books of those in flight. It reports
// whether it was there.
func (c *core) land(x *call, now instant) bool {
	if x.state != callSent {
		return false
	}
	x.state = callEnded
	c.change(false)
	c.endProbe(x)
	c.arrive(x)
	c.sent.remove(x)
	if c.address != nil {
		c.landed++
	}
	c.use(x.route.bucket, now)
	return true
}

// unqueue takes a waiting call out of the queue. Its bucket must be settled.
func (c *core) unqueue(x *call) {
	x.route.bucket.remove(x)
	if x.line != nil && x.line.open != x.seq {
		c.stir(x.line)
	}
	c.queued.remove(x)
	c.bytes -= x.bytes
	x.account.waiting--
}

// sweep refuses those of the waiting calls for which why returns an error.
func (c *core) sweep(now instant, why func(*call) *Error) {
	var touched []*bucket
	for x := c.queued.last; x != nil; {
		following := x.inOrder.prev
		if err := why(x); err != nil {
			if b := x.route.bucket; len(touched) == 0 || touched[len(touched)-1] != b {
				touched = append(touched, b)
			}
			c.fail(x, err)
		}
		x = following
	}
	for _, b := range touched {
		c.settle(b, now)
	}
}

// allow forgets that a token was refused.
func (c *core) allow(token string) {
	if a := c.accounts[accountKey{token: token}]; a != nil {
		a.refusal = refusal{}
	}
}

// close refuses all calls from here on.
func (c *core) close(now instant) {
	c.closed = true
	c.sweep(now, func(*call) *Error { return &Error{Reason: Closed} })
}
