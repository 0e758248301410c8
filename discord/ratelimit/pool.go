package ratelimit

import (
	"slices"
	"time"
)

const (
	// second is the window of the global limit.
	second = time.Second
	// pauseMargin is added to the wait that a global 429 asks for: the very
	// end has been seen to fail.
	pauseMargin = 25 * time.Millisecond
	// paceBurst is how many calls may go together when a pause ends. For a
	// second the others follow evenly.
	paceBurst = 5
)

// pool keeps the global limit: never more than limit arrivals at Discord
// within any second, whatever the network does to them on their way.
//
// A unit is in use from sending until a second after the call's arrival, less
// the least time that another call needs to arrive. Of any set of calls that
// arrive within one second, take the one sent last: all others were in use at
// that moment, in flight or not a second old, so the set is no larger than the
// limit. This holds for fixed and for sliding seconds.
type pool struct {
	limit    int // 0 = unlimited
	inFlight int
	answered heap[unit] // units of answered calls that are still in use

	pausedUntil instant // after a global 429
	paceNext    instant // earliest next call while pacing
	paceUntil   instant
	// cut is how much of the limit is left unused, because somebody else uses
	// the token too: it grows when a pause is soon followed by another.
	cut      int
	cutSince instant
}

// unit is the use of a unit by a call that was answered.
type unit struct {
	counted instant // by Discord, on its clock; at the latest, if that is not known
	sent    instant
	heard   instant
}

func newPool(limit int) pool {
	return pool{limit: limit, answered: heap[unit]{less: func(a, b unit) bool { return a.counted < b.counted }}}
}

// release returns when the unit is free.
func (u unit) release(c *clock) instant {
	at := c.local(u.counted.add(second + headerStep))
	return max(u.sent.add(second), min(at, u.heard.add(second)))
}

// next returns the moment from which one more call may go, or never if an
// answer must come first.
func (p *pool) next(now instant, c *clock) instant {
	if now < p.pausedUntil {
		return p.pausedUntil
	}
	if p.limit == 0 {
		return now
	}
	p.release(now, c)
	if p.cut > 0 { // given back over time
		gain := max(p.limit/50, 1)
		for p.cut > 0 && now.sub(p.cutSince) >= second {
			p.cut = max(p.cut-gain, 0)
			p.cutSince = p.cutSince.add(second)
		}
	}
	at := now
	if p.used() >= p.limit-p.cut {
		if p.answered.len() == 0 {
			return never
		}
		at = p.answered.top().release(c)
	}
	if now < p.paceUntil {
		at = max(at, p.paceNext)
	}
	return at
}

// release frees the units whose time has come.
func (p *pool) release(now instant, c *clock) {
	for p.answered.len() > 0 && p.answered.top().release(c) <= now {
		p.answered.pop()
	}
}

// take uses a unit.
func (p *pool) take(now instant) {
	p.inFlight++
	if now < p.paceUntil && p.limit > 0 {
		gap := second / time.Duration(max(p.limit-p.cut, 1))
		p.paceNext = max(p.paceNext, now.add(-paceBurst*gap)).add(gap)
	}
}

// arrived accounts for a call that Discord has counted, or may have.
func (p *pool) arrived(u unit) {
	p.inFlight--
	if p.limit > 0 {
		p.answered.push(u)
	}
}

// restart replaces the moments of Discord's clock after the estimate of it was
// thrown away.
func (p *pool) restart(c *clock) {
	units := p.answered.items
	p.answered.items = nil
	for _, u := range units {
		u.counted = c.latest(u.heard)
		p.answered.push(u)
	}
}

// unsent gives a unit back immediately.
func (p *pool) unsent() { p.inFlight-- }

// pause stops all calls for d after a global 429 to a call sent at the given
// moment.
func (p *pool) pause(now, sent instant, d time.Duration) {
	if p.limit > 0 && p.pausedUntil > 0 && sent >= p.pausedUntil && sent.sub(p.pausedUntil) < 10*second {
		p.cut = min(p.cut+max((p.limit-p.cut)/4, 1), p.limit-1)
		p.cutSince = now.add(d)
	}
	p.pausedUntil = max(p.pausedUntil, now.add(d+pauseMargin))
	p.paceNext = p.pausedUntil
	p.paceUntil = p.pausedUntil.add(second)
}

// free returns how many units are not in use, and may be.
func (p *pool) free() int { return p.limit - p.cut - p.used() }

// used returns how many units are in use.
func (p *pool) used() int { return p.inFlight + p.answered.len() }

const (
	// The last lateShare-th of a burst waits until no call has come for
	// quietTime, but no longer than burstTime: of calls that come together the
	// one that matters most may come last. A burst is calls, half of the limit
	// at least, that come less than quietTime apart.
	lateShare = 10
	quietTime = 10 * time.Millisecond
	burstTime = 100 * time.Millisecond
)

// came notes that a call has come that is bound to the pool.
func (a *account) came(now instant) {
	if now.sub(a.lastCame) > quietTime {
		a.burst = 0
	}
	a.burst++
	a.lastCame = now
}

// freeAt returns the moment from which the global limit lets a call of the
// account go.
func (c *core) freeAt(a *account, x *call, now instant) instant {
	p := &a.pool
	at := p.next(now, &c.clock)
	if at > now || p.limit == 0 || p.free() > p.limit/lateShare || a.burst < p.limit/2 {
		return at
	}
	at = max(now, min(a.lastCame.add(quietTime), x.came.add(burstTime)))
	if at > x.deadline {
		return now
	}
	return at
}

// spares returns a moment at which to look again whether the pool can spare a
// unit for bucket b and a caller, which is now if it can. If it cannot, first
// is the bucket that the unit is kept for, if that can use it now.
//
// The work of an account is done when its last queue is. A queue that takes
// as long by its own limit, or by the way of its calls if they go one after
// another, as all calls take by the pool decides when that is: it must find a
// unit whenever it can use one. So others may take only units that such a
// queue does not need before they are back. A caller that is owed a turn
// before those of the queue is not held up.
func (c *core) spares(b *bucket, who *caller, now instant) (again instant, first *bucket) {
	a := b.account
	p := &a.pool
	if p.limit == 0 || a.longest.len() == 0 {
		return now, nil
	}
	free := p.free()
	// A unit that is used now is back in a second: how much later than the
	// pool such a queue may be, and decide nevertheless.
	after := now.add(time.Duration(max(a.waiting-free, 0))*second/time.Duration(p.limit) - second)
	if b.waiting > 0 {
		after = max(after, b.finish.add(second)) // else it is as urgent
	}
	after = max(after, now).add(c.roundTrip)
	wanted := c.wants[:0]
	var walk func(i int)
	walk = func(i int) { // those that finish late enough are the top of the heap
		if i >= a.longest.len() || a.longest.items[i].finish <= after || len(wanted) > p.limit {
			return
		}
		if h := a.longest.items[i]; h != b && h.bills(who) {
			wanted = h.wants(wanted, now, c.roundTrip)
			if h.owner != nil && (first == nil || h.finish > first.finish) {
				first = h
			}
		}
		walk(2*i + 1)
		walk(2*i + 2)
	}
	walk(0)
	c.wants = wanted
	if len(wanted) == 0 || len(wanted) < free || len(wanted) > p.limit/2 { // then the pool decides after all
		return now, nil
	}
	slices.Sort(wanted)
	last := wanted[len(wanted)-1].add(c.roundTrip)
	back := c.back[:0]
	for _, u := range p.answered.items {
		if at := u.release(&c.clock); at <= last {
			back = append(back, at)
		}
	}
	c.back = back
	slices.Sort(back)
	returned := 0
	for i, at := range wanted {
		for returned < len(back) && back[returned] <= at.add(c.roundTrip/4) {
			returned++
		}
		if free-1+returned < i+1 {
			again = now.add(second)
			if p.answered.len() > 0 {
				again = min(again, p.answered.top().release(&c.clock))
			}
			return max(again, now+1), first
		}
	}
	return now, nil
}

// travelled learns how long calls take from one that was answered. A large file
// takes long, and says little.
func (c *core) travelled(way time.Duration) {
	c.roundTrip += (min(way, second) - c.roundTrip) / 8
	if c.trips++; c.trips == 1 {
		c.fastest = way
	}
	c.fastest, c.slowest = min(c.fastest, way), max(c.slowest, way)
}

// bills reports whether a caller has to leave units to the bucket: if it waits
// there itself, or is owed no turn before the one that goes next there.
func (b *bucket) bills(who *caller) bool {
	return who == nil || b.payer == nil || b.shares[who] != nil || who.turns >= b.payer.turns
}

// wants appends the moments within the next second at which the bucket will
// probably be able to use a unit of the pool.
func (b *bucket) wants(list []instant, now instant, roundTrip time.Duration) []instant {
	first := now
	switch {
	case b.owner != nil:
	case b.wakeAt >= 0:
		first = max(now, b.wake)
	case b.parked != nil:
		return list
	default: // waits for an answer, or for the end of the call before
		answer := b.asked.add(roundTrip)
		if now > answer.add(second) {
			return list // it is unknown when that comes
		}
		first = max(now, answer)
	}
	n, per := guessLimit-b.inFlight, guessPer
	switch b.window.kind {
	case unlimited:
		n, per = b.waiting, 0
	case sliding, unsure:
		n, per = b.available(now, b.inFlight), b.perHigh
	case fixed:
		n, per = b.available(now, b.inFlight), b.length/time.Duration(b.limit)
		if first >= b.full {
			n = b.limit
		}
	}
	n = max(n, 1)
	lined, subqueues := b.lined()
	if b.limit > 1 && (subqueues == 0 || time.Duration(lined/subqueues)*roundTrip < b.window.drain(now, b.inFlight, b.waiting)) {
		// Its units decide, and add up meanwhile until all are back.
		full := b.full
		if subqueues == 1 {
			// Calls in order cannot make up for a unit that is lost when all are
			// back before the pool has one.
			full = full.add(-b.perHigh)
		}
		first, n = max(first, full), 1
	}
	most := b.waiting
	if b.throttle.learnt() || !b.routes[0].shape.apart {
		most = 1 // what headers say need not be true
	}
	for i := range most {
		at := first.add(time.Duration(max(i+1-n, 0)) * per)
		if subqueues > 0 {
			at = max(at, first.add(time.Duration(i/subqueues)*roundTrip))
		}
		if at >= now.add(second) || len(list) > b.account.pool.limit {
			break
		}
		list = append(list, at)
	}
	return list
}

// rank lists a bucket among those of its account that have calls waiting for
// the pool, by the time that its queue takes.
func (c *core) rank(b *bucket, now instant) {
	a := b.account
	bound := b.waiting > 0 && a.pool.limit > 0 && (b.head == nil || !b.head.exempt)
	if bound {
		b.finish = now.add(b.backlog(now, c.roundTrip))
	}
	switch {
	case !bound && b.rankAt >= 0:
		a.longest.remove(b.rankAt)
	case bound && b.rankAt < 0:
		a.longest.push(b)
	case bound:
		a.longest.fix(b.rankAt)
	}
}
