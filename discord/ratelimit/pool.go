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
	releases heap[instant] // when units of answered calls are free again

	pausedUntil instant // after a global 429
	paceNext    instant // earliest next call while pacing
	paceUntil   instant
	// cut is how much of the limit is left unused, because somebody else uses
	// the token too: it grows when a pause is soon followed by another.
	cut      int
	cutSince instant
}

func newPool(limit int) pool {
	return pool{limit: limit, releases: heap[instant]{less: func(a, b instant) bool { return a < b }}}
}

// next returns the moment from which one more call may go, or never if an
// answer must come first.
func (p *pool) next(now instant) instant {
	if now < p.pausedUntil {
		return p.pausedUntil
	}
	if p.limit == 0 {
		return now
	}
	for p.releases.len() > 0 && p.releases.top() <= now {
		p.releases.pop()
	}
	if p.cut > 0 { // given back over time
		gain := max(p.limit/50, 1)
		for p.cut > 0 && now.sub(p.cutSince) >= second {
			p.cut = max(p.cut-gain, 0)
			p.cutSince = p.cutSince.add(second)
		}
	}
	at := now
	if p.inFlight+p.releases.len() >= p.limit-p.cut {
		if p.releases.len() == 0 {
			return never
		}
		at = p.releases.top()
	}
	if now < p.paceUntil {
		at = max(at, p.paceNext)
	}
	return at
}

// take uses a unit.
func (p *pool) take(now instant) {
	p.inFlight++
	if now < p.paceUntil && p.limit > 0 {
		gap := second / time.Duration(max(p.limit-p.cut, 1))
		p.paceNext = max(p.paceNext, now.add(-paceBurst*gap)).add(gap)
	}
}

// arrived ends the use of a unit of a call that was counted by Discord. The
// unit is free from the given moment on.
func (p *pool) arrived(release instant) {
	p.inFlight--
	if p.limit > 0 {
		p.releases.push(release)
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

// used returns how many units are in use.
func (p *pool) used() int { return p.inFlight + p.releases.len() }
