package ratelimit

import (
	"slices"
	"time"
)

// idleLife is how long what was learnt of a bucket is kept after its last use.
const idleLife = 10 * time.Minute

// retireAtOnce is how many buckets are forgotten before others may have the
// lock.
const retireAtOnce = 100

// use makes a bucket the one that was used last.
func (c *core) use(b *bucket, now instant) {
	b.idleSince = now
	c.rouse(b)
	if c.used.last != b {
		c.used.remove(b)
		c.used.push(b)
	}
}

// retire forgets a bucket that was not used for long, unless something is
// still to be remembered of it.
func (c *core) retire(b *bucket, now instant) {
	busy := b.inFlight > 0 || b.waiting > 0 || b.throttle.until > now || b.throttle.learnt() && !b.throttle.quiet(now) || b.full > now
	for _, r := range b.routes {
		busy = busy || slices.ContainsFunc(r.kinds, func(k *kindThrottle) bool { return k.until > now || !k.quiet(now) }) || r.shape.shared && !r.shape.quiet(now) || r.invalidLately(now) || r.denial.until > now
	}
	if busy {
		c.use(b, now)
		return
	}
	a := b.account
	for _, r := range b.routes {
		delete(a.routes, r.key)
		if r.shape.routes--; r.shape.routes == 0 {
			delete(a.shapes, shapeKey{r.key.method, r.key.template})
		}
	}
	c.drop(b)
	if len(a.routes) == 0 && (!a.refusal.active || a.guest) && a.pool.pausedUntil <= now {
		c.forget(a)
	}
}

// forget drops an account without calls.
func (c *core) forget(a *account) {
	delete(c.accounts, a.key)
	if c.recent == a {
		c.recent = nil
	}
	if a.guest {
		c.guests.remove(a)
	}
}

// makeRoom reports whether there is room for one more guest. If need be, it
// forgets the one that was used longest ago, but none that has calls or must
// wait.
func (c *core) makeRoom(now instant) bool {
	if c.guests.n < c.maxGuests {
		return true
	}
	idlest := c.guests.first
	for idlest != nil && (idlest.waiting > 0 || idlest.pool.inFlight > 0 || idlest.pool.pausedUntil > now) {
		idlest = idlest.links.next
	}
	if idlest == nil {
		return false
	}
	for _, r := range idlest.routes {
		if b := r.bucket; b.routes != nil { // may be that of a route before
			b.routes = nil
			c.drop(b)
		}
	}
	c.forget(idlest)
	return true
}

// drop removes a bucket without routes.
func (c *core) drop(b *bucket) {
	c.detach(b)
	if b.rankAt >= 0 {
		b.account.longest.remove(b.rankAt)
	}
	c.used.remove(b)
	c.calm(b)
	c.known--
	if b.hash != "" && b.account.buckets[bucketKey{b.hash, b.major}] == b {
		delete(b.account.buckets, bucketKey{b.hash, b.major})
	}
}
