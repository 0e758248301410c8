package ratelimit

import (
	"cmp"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

type callState uint8

const (
	callAsks callState = iota
	callWaits
	callSent
	callEnded
	callRefused
)

// call is one request from the moment it asks to be sent until its end.
type call struct {
	state    callState
	exempt   bool
	kind     string
	route    *route
	account  *account
	probe    bool   // checks its token
	seq      uint64 // place in every order
	bytes    int64
	deadline instant // never if none
	came     instant // of the first try
	sentAt   instant
	begun    atomic.Int64 // when its sending began, if that is known
	send     uint64       // number among all that were sent
	err      *Error
	woken    chan struct{} // gets one value when a waiting call is decided

	throttle   *kindThrottle // that it has passed
	closed     instant       // of a probe: until when the limit that is probed lets nothing through
	line       *line         // nil if the call keeps no order
	subqueue   *subqueue
	inSubqueue links[call] // while it waits
	inOrder    links[call] // in core.queued while it waits, in core.sent while it is in flight
}

func (x *call) order() *links[call] { return &x.inOrder }

// began returns the moment before which the call cannot have arrived.
func (x *call) began() instant { return max(x.sentAt, instant(x.begun.Load())) }

// firstNumber is above the numbers of all calls that came before the first one here.
const firstNumber = 1 << 62

// number returns the next number of a call. A call that came elsewhere, so long before,
// is ahead of all that came here and of those that came elsewhere later.
func (c *core) number(before time.Duration) uint64 {
	if before <= 0 {
		c.seq++
		return firstNumber + c.seq
	}
	c.passed++
	const longest = 1 << 52                                                  // 52 days
	return firstNumber - (uint64(min(before, longest))+1)<<8 + c.passed&0xff // no two have the same one
}

// admit takes a call in. Afterwards it is sent, refused or waiting.
func (c *core) admit(x *call, r *Request, now instant) {
	c.advance(now)
	x.exempt, x.kind, x.bytes, x.probe = r.Route.Exempt, r.Route.Kind, r.Bytes, r.Probe
	if x.account = c.account(r, now); x.account == nil {
		x.state, x.err = callRefused, &Error{Reason: TooManyTokens, Route: r.Route.String()}
		return
	}
	x.route = c.route(x.account, &r.Route, now)
	x.line = x.account.line(r)
	retry := r.Retry != nil && r.Retry.call.seq > 0
	if retry {
		x.seq, x.came = r.Retry.call.seq, r.Retry.call.came
	} else {
		x.seq, x.came = c.number(r.Before), now
	}
	if err := c.barred(x, now); err != nil {
		c.fail(x, err)
		return
	}

	b := x.route.bucket
	if !x.exempt {
		x.account.came(now)
	}
	b.refresh(&c.clock, now)
	spared := now
	if !x.exempt {
		spared, _ = c.spares(b, x.account.callers[r.Caller], now)
	}
	if b.waiting == 0 && x.line.lets(x) && x.route.gate(x.kind, now) <= now && x.route.shape.parked.n == 0 &&
		x.route.shape.gate(b, now) <= now && b.next(now, b.inFlight) <= now &&
		(x.exempt || x.account.ready.len() == 0 && c.freeAt(x.account, x, now) <= now && spared <= now) && c.open(now) {
		x.begin()
		c.send(x, now)
		return
	}

	if at, global := c.earliest(x, r.Caller, retry, now); at > x.deadline {
		c.fail(x, &Error{Reason: DeadlineTooEarly, RetryAfter: at.sub(now), Global: global})
		return
	}
	if !retry && !r.Entered && c.isFull(x.bytes) {
		c.fail(x, &Error{Reason: QueueFull})
		return
	}
	x.state = callWaits
	x.woken = make(chan struct{}, 1)
	c.queued.push(x)
	c.bytes += x.bytes
	x.account.waiting++
	x.list()
	c.rouse(b)
	b.insert(x, x.account.caller(r.Caller))
	if !c.joined(b, x, now) {
		c.settle(b, now)
	}
	c.dispatch(now)
}

// isFull reports whether no further call may wait.
func (c *core) isFull(bytes int64) bool {
	return c.queued.n+c.entered >= c.maxQueue || c.bytes+c.enteredBytes+bytes > c.maxQueueBytes
}

// joined reports whether a call that has come to the bucket's queue changes
// nothing about which call goes next and when.
func (c *core) joined(b *bucket, x *call, now instant) bool {
	if b.parked != nil { // only a class that nothing waited in can go past the gate
		return !x.subqueue.queue.class.consistsOf(x)
	}
	if b.head == nil || b.owner == nil && b.wakeAt < 0 && b.exemptAt < 0 {
		return false
	}
	if b.head.subqueue.queue.share.turns > x.subqueue.queue.share.turns || x.seq < b.head.seq {
		return false
	}
	if b.owner != nil {
		b.drain = b.backlog(now, c.roundTrip)
		b.owner.byDrain.fix(b.drainAt)
	}
	c.rank(b, now)
	return true
}

// earliest returns a moment before which a call that joins the queue certainly
// cannot go, as things stand, and whether that is because of the limit over
// all routes.
func (c *core) earliest(x *call, name string, retry bool, now instant) (at instant, global bool) {
	b := x.route.bucket
	who := x.account.callers[name]
	ahead := 0
	if who != nil && !retry {
		if s := b.shares[who]; s != nil {
			ahead = s.ahead(x, now)
		}
	}
	own := max(now, x.route.heldUntil(x.kind), b.earliest(now, b.inFlight, ahead))
	if x.exempt {
		return own, false
	}
	p := &x.account.pool
	at = max(own, p.pausedUntil)
	if who == nil || retry || p.limit == 0 || b.waiting > 0 || b.window.drain(now, b.inFlight, 1) > 0 {
		return at, at > own
	}
	// All the caller's ready buckets have older calls and as long a drain. A
	// unit serves one of them a second.
	if behind := who.byAge.len() - max(p.limit-p.used(), 0); behind >= 0 {
		at = max(at, max(now, p.pausedUntil).add(time.Duration(behind/p.limit)*second))
	}
	return at, at > own
}

// ahead counts the calls of a share that are certainly sent before x, which joins
// it: those of its class and of classes that nothing holds, and those of its
// line. A call of another line may wait for an answer while x goes.
func (s *share) ahead(x *call, now instant) (n int) {
	for _, q := range s.queues {
		own := q.class.route == x.route && q.class.kind == x.kind
		if q.free != nil && (own || !q.class.held(now)) {
			n += q.free.calls.n
		}
	}
	if x.line != nil {
		for _, l := range x.line.subqueues {
			if l.queue.share == s {
				n += l.calls.n
			}
		}
	}
	return n
}

// probePause is the wait after a probe that was inconclusive.
const probePause = 5 * time.Second

// leave takes away a call whose caller waits no longer. A permit it just got
// is given back.
func (c *core) leave(x *call, now instant) {
	switch x.state {
	case callWaits:
		b := x.route.bucket
		c.unqueue(x)
		x.state = callEnded
		c.endProbe(x)
		c.settle(b, now)
		c.advance(now)
	case callSent:
		c.cancel(x, now)
		// Nobody has the permit, by which its line would learn of the end.
		c.done(x, now)
	}
}

// cancel ends a call that was not sent.
func (c *core) cancel(x *call, now instant) {
	if !c.land(x, now) {
		return
	}
	if !x.exempt {
		x.account.pool.unsent()
	}
	x.each((*throttle).unsent)
	c.inconclusive(x, now, 0)
	c.settle(x.route.bucket, now)
	c.advance(now)
}

// lose ends a call that may have been counted by Discord and has no answer.
func (c *core) lose(x *call, now instant) {
	if !c.land(x, now) {
		return
	}
	if !x.exempt {
		x.account.pool.arrived(unit{c.clock.latest(now), x.began(), now})
	}
	b := x.route.bucket
	b.miss(now)
	b.refresh(&c.clock, now)
	c.inconclusive(x, now, probePause)
	c.settle(b, now)
	c.advance(now)
}

// inconclusive ends what the call was to find out.
func (c *core) inconclusive(x *call, now instant, pause time.Duration) {
	if c.ban.probe == x {
		c.ban.probe = nil
		if until := now.add(pause); until > c.ban.until {
			c.ban.until = until
			c.publish(finding{ban: c.ban})
		}
	}
}

// complete ends a call with Discord's answer.
func (c *core) complete(x *call, r *Response, now instant) (v Verdict) {
	if !c.land(x, now) {
		return v
	}
	v.Limit = r.limitOf()
	n := numbersOf(r.Header)
	a, plausible := c.read(x, n, now)
	if !x.exempt {
		u := unit{c.clock.latest(now), x.began(), now}
		if a.timed {
			u.counted = a.counted
		}
		x.account.pool.arrived(u)
	}
	c.travelled(now.sub(x.began()))
	v.CheckToken = c.judge(x, r, v.Limit, now)

	switch v.Limit {
	case NotLimited, BucketLimit, SubLimit:
		c.learn(x, r, n, a, plausible, v.Limit, now)
	}
	if v.Limit == NotLimited {
		if r.Status < http.StatusInternalServerError {
			if plausible {
				x.route.bucket.pardon(x, a)
			}
			c.accepted(x, now)
		}
	} else {
		v.Wait = c.hold(x, r, n, v.Limit, now)
	}
	c.settle(x.route.bucket, now)
	c.advance(now)
	return v
}

// guessedWait is the wait after a 429 that does not say how long it is.
const guessedWait = time.Second

// hold keeps back the calls that an answer says are too many, and returns how
// long.
func (c *core) hold(x *call, r *Response, n numbers, limit Limit, now instant) time.Duration {
	wait, waitKnown := r.retryAfter()
	slack := rounding(wait)
	guessed := !waitKnown && r.Status == http.StatusTooManyRequests
	if !waitKnown {
		slack = maxHeaderWait
	}
	switch limit {
	case BucketLimit:
		if guessed && n.hasAfter {
			wait, guessed = min(n.after, maxStall), false
		} else if guessed {
			wait = guessedWait
		}
		b := x.route.bucket
		h := hint{slack: slack, guessed: guessed, limit: n.limit, after: n.after, known: n.hasLimit && n.hasAfter && n.remaining == 0}
		h.own = h.known && (n.bucket == "" || n.bucket == b.hash) && n.limit == b.limit
		return c.refusedBy(x, limit, wait, true, h, now)
	case SubLimit:
		if guessed {
			wait, waitKnown = guessedWait, true
		}
		return c.refusedBy(x, limit, wait, waitKnown, hint{slack: slack, guessed: guessed}, now)
	case AddressBan:
		return c.ban.until.sub(now)
	}
	if !waitKnown {
		wait = guessedWait
	}
	if limit == SharedLimit || x.exempt { // an exempt call is bound to no pool: only its own bucket can wait
		return c.refusedBy(x, limit, wait, true, hint{slack: slack, shared: true, guessed: guessed}, now)
	}
	p := &x.account.pool
	p.pause(now, x.sentAt, wait)
	wait = p.pausedUntil.sub(now)
	c.sweep(now, func(o *call) *Error {
		if o.account == x.account && !o.exempt && o.deadline < p.pausedUntil {
			return &Error{Reason: DeadlineTooEarly, RetryAfter: wait, Global: true}
		}
		return nil
	})
	return wait
}

// probeTime is when to ask again while a call finds out whether what was
// refused still is.
const probeTime = time.Second

// barred says why a call may not even wait, or nil if it may.
func (c *core) barred(x *call, now instant) *Error {
	f, d, g := &x.account.refusal, &x.route.denial, c.gone.of(x)
	switch {
	case c.closed:
		return &Error{Reason: Closed}
	case c.ban.active && now < c.ban.until:
		return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)}
	case c.budget.spent(0):
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, true).sub(now)}
	case c.budget.scarce() && x.dubious(now):
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, false).sub(now)}
	case x.probe:
	case f.active:
		err := &Error{Reason: TokenRefused, RetryAfter: max(f.retry.sub(now), probeTime)}
		if now >= f.retry {
			f.retry, err.Check = now.add(probePause), true
		}
		return err
	case d.stands(now):
		return &Error{Reason: RouteRefused, RetryAfter: max(d.until.sub(now), probeTime)}
	case g != nil && g.stands(now):
		return g.refuse(now)
	default:
		if d.strikes > 1 {
			d.probe = x
		}
		if g != nil {
			g.probe = x
		}
	}
	return nil
}

// dubious reports whether a call will probably count as invalid: its route's
// last answer did, or Discord has not accepted the token yet.
func (x *call) dubious(now instant) bool {
	return x.route.invalidLately(now) || x.account.other && !x.account.proven
}

// endProbe lets another call find out what this one was to find out.
func (c *core) endProbe(x *call) {
	if d := &x.route.denial; d.probe == x {
		d.probe = nil
	}
	if g := c.gone.of(x); g != nil && g.probe == x {
		g.probe = nil
	}
}

// fail refuses a call that is not in flight.
func (c *core) fail(x *call, err *Error) {
	c.endProbe(x)
	err.Route = x.route.key.String()
	x.err = err
	if x.state == callWaits {
		c.unqueue(x)
		x.woken <- struct{}{}
	}
	x.state = callRefused
}

// recheck refuses the calls of a bucket that can no longer meet their
// deadlines, after something was learnt that changes its pace.
func (c *core) recheck(b *bucket, now instant) {
	if b.waiting == 0 {
		return
	}
	type lateCall struct {
		*call
		at instant // when it could go at the earliest
	}
	var late []lateCall
	// check looks at calls that go one after another.
	check := func(calls []*call) {
		ahead := 0
		for _, x := range calls {
			if at := max(b.throttle.until, b.earliest(now, b.inFlight, ahead)); x.deadline < at {
				late = append(late, lateCall{x, at})
			} else {
				ahead++
			}
		}
	}
	for _, s := range b.shares {
		var free []*call
		for _, q := range s.queues {
			blocked, held := q.class.route.heldUntil(q.class.kind), q.class.held(now)
			for l := q.subqueues.first; l != nil; l = l.links.next {
				var calls []*call
				for x := l.calls.first; x != nil; x = x.inSubqueue.next {
					if x.deadline < blocked {
						late = append(late, lateCall{x, blocked})
					} else {
						calls = append(calls, x)
					}
				}
				if l.line == nil && !held {
					free = append(free, calls...)
				} else {
					check(calls)
				}
			}
		}
		if len(s.queues) > 1 {
			slices.SortFunc(free, func(x, y *call) int { return cmp.Compare(x.seq, y.seq) })
		}
		check(free)
	}
	for _, x := range late {
		c.fail(x.call, &Error{Reason: DeadlineTooEarly, RetryAfter: x.at.sub(now)})
	}
	c.settle(b, now)
}

// unaffordable says why a waiting call has to be refused to save the budget.
func (c *core) unaffordable(x *call, now instant) *Error {
	spent := c.budget.spent(0)
	if spent || x.dubious(now) {
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, spent).sub(now)}
	}
	return nil
}
