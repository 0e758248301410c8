package ratelimit

import (
	"net/http"
	"time"
)

// probePause is the wait after a probe that told nothing.
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

// cancel ends a call of which nothing was sent.
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
	c.inconclusive(x, now, probePause)
	c.settle(b, now)
	c.advance(now)
}

// inconclusive ends what the call was to find out.
func (c *core) inconclusive(x *call, now instant, pause time.Duration) {
	if c.ban.probe == x {
		c.ban.probe = nil
		c.ban.until = max(c.ban.until, now.add(pause))
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

// hold keeps back the calls that an answer says are too many, and returns how
// long.
func (c *core) hold(x *call, r *Response, n numbers, limit Limit, now instant) time.Duration {
	wait, told := r.retryAfter()
	switch limit {
	case BucketLimit:
		if !told {
			wait = time.Second
			if n.hasAfter {
				wait = min(n.after, maxStall)
			}
		}
		b := x.route.bucket
		h := hint{limit: n.limit, after: n.after, known: n.hasLimit && n.hasAfter && n.remaining == 0}
		h.own = h.known && (n.bucket == "" || n.bucket == b.hash) && n.limit == b.limit
		return c.refusedBy(x, limit, wait, true, h, now)
	case SubLimit:
		return c.refusedBy(x, limit, wait, told, hint{}, now)
	case AddressBan:
		return c.ban.until.sub(now)
	}
	if !told {
		wait = time.Second
	}
	if limit == SharedLimit || x.exempt { // an exempt call is bound to no pool: only its own bucket can wait
		return c.refusedBy(x, limit, wait, true, hint{shared: true}, now)
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
