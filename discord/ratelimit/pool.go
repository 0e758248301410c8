package ratelimit

import "time"

const (
	// second is the window of the global limit.
	second = time.Second
	// pauseMargin is added to the wait that a global 429 asks for: the very
	// end has been seen to fail.
	pauseMargin = 25 * time.Millisecond
	// paceBurst is how many calls may go at once when a pause ends. For a
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

// unsent gives a unit back at once.
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
