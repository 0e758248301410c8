package ratelimit

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Address is what the limiters of a process share. Discord counts invalid requests by
// address, whichever bot makes them, and bans the address. So each of the limiters counts
// those of all of them, and a ban that one meets stops all.
//
// Each limiter has a count and a ban of its own, which makes a decision as cheap as that of
// a single limiter, and hears of what others find out, without the lock of its own. Locks
// are taken in the order Address, Limiter.
//
// The zero value is ready to use. It is safe for concurrent use.
type Address struct {
	flights atomic.Int64 // permits of all limiters whose outcome not all of them have heard

	mu       sync.Mutex // held while findings are spread, so that all hear them in one order
	limiters []*Limiter
}

// finding is what a limiter has found out about its address.
type finding struct {
	// invalid is whether an invalid request was counted.
	invalid bool
	// ban is one that was met or lasts longer than before; not active if there is none. What
	// others said of it does not count again: each adds its own delay.
	ban ban
	// fine is when a call was sent that Discord's edge has let pass, or 0.
	fine instant
}

// join has a limiter count for an address. It begins with what the others know.
func (a *Address) join(l *Limiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.limiters) > 0 {
		first := a.limiters[0]
		first.mu.Lock()
		l.core.budget.slots, l.core.budget.total, l.core.budget.last = first.core.budget.slots, first.core.budget.total, first.core.budget.last
		l.core.ban = first.core.ban
		l.core.ban.since, l.core.ban.probe = 0, nil
		first.mu.Unlock()
	}
	a.limiters = append(a.limiters, l)
}

func (a *Address) leave(l *Limiter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.limiters, l); i >= 0 {
		a.limiters = slices.Delete(a.limiters, i, i+1)
	}
}

// spread passes on what a limiter has found out to the others of its address.
func (l *Limiter) spread() {
	a := l.core.address
	a.mu.Lock()
	defer a.mu.Unlock()
	l.mu.Lock()
	found := l.core.found
	l.core.found = nil
	l.mu.Unlock()
	for i, other := range a.limiters {
		if other == l {
			continue
		}
		other.mu.Lock()
		now := other.now()
		for _, f := range found {
			other.core.hear(f, banStagger*time.Duration(i+1), now)
		}
		other.core.advance(now)
		other.arm(now)
		other.mu.Unlock()
	}
}

// unlock releases the lock of the limiter, and passes on what was found out under it.
func (l *Limiter) unlock() {
	found, landed := len(l.core.found) > 0, l.core.landed
	l.core.landed = 0
	l.mu.Unlock()
	if found {
		l.spread()
	}
	if landed > 0 { // the others have counted what became of these
		l.core.address.flights.Add(-landed)
	}
}

// banStagger is how much later than the limiter before it a limiter may find out whether a
// ban has ended, so that one finds it out for all.
const banStagger = 2 * time.Second

// publish notes what the others of the address are to hear.
func (c *core) publish(f finding) {
	if c.address != nil {
		c.found = append(c.found, f)
	}
}

// hear takes into account what another limiter of the address has found out. later is how
// much later than that limiter this one may find out whether a ban has ended.
func (c *core) hear(f finding, later time.Duration, now instant) {
	if f.invalid {
		c.count(now)
	}
	until := f.ban.until.add(min(later, firstBan))
	switch b := f.ban; {
	case b.active && b.met >= c.fine && (!c.ban.active || until > c.ban.until):
		c.ban = ban{active: true, since: c.sends, met: b.met, until: until, strikes: b.strikes, probe: c.ban.probe}
		c.sweep(now, func(*call) *Error { return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)} })
	case f.fine > 0:
		c.fine = max(c.fine, f.fine)
		if c.ban.active && f.fine > c.ban.met {
			c.ban.active, c.ban.probe = false, nil
		}
	}
	c.change(false)
}

// count counts an invalid request of the address.
func (c *core) count(now instant) {
	c.budget.add(now)
	if c.budget.scarce() {
		c.sweep(now, func(o *call) *Error { return c.unaffordable(o, now) })
	}
}

// inFlight returns how many calls of the address may all turn out invalid. Limiters that
// send at the same moment may each send one more than that allows, for which the budget has
// a reserve.
func (c *core) inFlight() int {
	if c.address == nil {
		return c.sent.n
	}
	return int(c.address.flights.Load() - c.landed)
}
