package ratelimit

import "time"

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
		c.seq++
		x.seq, x.came = c.seq, now
	}
	if err := c.barred(x, now); err != nil {
		c.fail(x, err)
		return
	}

	b := x.route.bucket
	if !x.exempt {
		x.account.came(now)
	}
	b.refresh(&c.clock)
	spared := now
	if !x.exempt {
		spared, _ = c.spares(b, x.account.callers[r.Caller], now)
	}
	if b.waiting == 0 && x.line.lets(x) && x.route.gate(x.kind, now) <= now && x.route.shape.parked.n == 0 &&
		x.route.shape.gate(b, now) <= now && b.next(now, b.inFlight) <= now &&
		(x.exempt || x.account.ready.len() == 0 && c.room(x.account, x, now) <= now && spared <= now) && c.open(now) {
		x.begin()
		c.send(x, now)
		return
	}

	if at, global := c.earliest(x, r.Caller, retry, now); at > x.deadline {
		c.fail(x, &Error{Reason: DeadlineTooEarly, RetryAfter: at.sub(now), Global: global})
		return
	}
	if !retry && (c.queued.n >= c.maxQueue || c.bytes+x.bytes > c.maxQueueBytes) {
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

// joined reports whether a call that has come to the bucket's queue changes
// nothing about which call goes next and when.
func (c *core) joined(b *bucket, x *call, now instant) bool {
	if b.parked != nil { // only a class that nothing waited in can go past the gate
		return !x.lane.queue.class.consistsOf(x)
	}
	if b.head == nil || b.owner == nil && b.wakeAt < 0 && b.exemptAt < 0 {
		return false
	}
	if b.head.lane.queue.share.turns > x.lane.queue.share.turns || x.seq < b.head.seq {
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

// ahead counts the calls of a share that certainly go before x, which joins
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
		for _, l := range x.line.lanes {
			if l.queue.share == s {
				n += l.calls.n
			}
		}
	}
	return n
}
