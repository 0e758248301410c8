package ratelimit

import (
	"net/http"
)

// read makes an answer of the headers and learns Discord's clock from them. It
// reports whether the numbers are complete and plausible.
func (c *core) read(x *call, n numbers, now instant) (a answer, plausible bool) {
	a = answer{limit: n.limit, remaining: n.remaining, after: n.after, sent: x.began(), heard: now}
	if n.hasAfter && n.reset > 0 {
		a.counted, a.reset = n.reset.add(-n.after), n.reset
		epoch := c.clock.epoch
		a.timed = c.clock.learn(a.sent, now, a.counted)
		a.epoch = c.clock.epoch
		if a.epoch != epoch {
			for _, o := range c.accounts {
				o.pool.restart(&c.clock)
				c.schedule(o, now)
			}
		}
	}
	if !n.hasAfter && n.reset > 0 { // Reset alone
		a.after = n.reset.sub(now)
		if c.clock.now.n > 0 {
			a.after = c.clock.local(n.reset).sub(now)
		}
		a.after = max(a.after, 0)
		n.hasAfter = a.after < maxHeaderWait
	}
	if !n.hasLimit {
		a.limit = x.route.bucket.limit
	}
	return a, n.hasRemaining && n.hasAfter && a.limit > 0 && a.remaining <= a.limit
}

// judge takes into account what an answer says about the token, the webhook,
// the address and the budget of invalid requests. It reports whether the token
// should be checked.
func (c *core) judge(x *call, r *Response, limit Limit, now instant) (check bool) {
	invalid := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden ||
		r.Status == http.StatusTooManyRequests && limit != SharedLimit
	if invalid {
		c.budget.add(now)
		if r.Status != http.StatusTooManyRequests {
			x.route.refused = now
		}
		if c.budget.scarce() {
			c.sweep(now, func(o *call) *Error { return c.unaffordable(o, now) })
		}
	} else if r.Status < http.StatusBadRequest {
		x.route.refused = 0
	}

	switch {
	case limit == AddressBan:
		retryAfter, _ := r.retryAfter()
		if c.ban.probe == x {
			c.ban.probe = nil
		}
		c.ban.begin(now, x.send, c.sends, retryAfter)
		c.sweep(now, func(*call) *Error { return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)} })
	case r.Status >= http.StatusInternalServerError:
		c.inconclusive(x, now, probePause)
	case c.ban.active && x.send > c.ban.since:
		c.ban.active, c.ban.probe = false, nil
	}

	c.judgeWebhook(x, r, limit, now)
	return c.judgeToken(x, r, limit, now)
}

// learn takes the numbers of an answer into account.
func (c *core) learn(x *call, r *Response, n numbers, a answer, plausible bool, limit Limit, now instant) {
	b := x.route.bucket
	a.rejected = r.Status == http.StatusTooManyRequests
	if n.bucket != "" && n.bucket != b.hash {
		if b.hash != "" && r.Status >= http.StatusBadRequest {
			// What does not exist can be counted in another bucket, such as
			// the removal of an unknown message. It says nothing of the route.
			// A 429 can be that of a second bucket, of which a throttle learns.
			return
		}
		b = c.rename(x.route, n.bucket, now)
	}
	changed := false
	switch {
	case a.rejected && (b.kind == unlimited || b.limit > 0 && a.limit != b.limit): // not the window's
	case plausible:
		changed = b.observe(a)
		b.refresh(&c.clock)
		if !a.rejected {
			x.route.shape.limitSeen, x.route.shape.perSeen = b.limit, b.perHigh
		}
	case a.rejected:
	case n.any || r.Status >= http.StatusInternalServerError ||
		r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		b.miss(now)
	default:
		b.bareSuccess(now)
	}
	if limit == BucketLimit && b.kind == unsure && r.Body.HasRetryAfter && n.hasAfter && b.limit > 1 {
		// When everything comes back at once, that is what one waits for.
		if r.Body.RetryAfter > n.after*3/4 {
			b.window.kind = fixed
		} else {
			b.window.kind = sliding
		}
	}
	if changed {
		c.recheck(b, now)
	}
}

// rename moves a route to the bucket of that name. A bucket that the route had
// for itself takes the name and keeps what is known of it.
func (c *core) rename(r *route, hash string, now instant) *bucket {
	from := r.bucket
	a := from.account
	r.shape.hash = hash
	to := a.buckets[bucketKey{hash, from.major}]
	if to == nil && len(from.routes) == 1 {
		if from.hash != "" {
			delete(a.buckets, bucketKey{from.hash, from.major})
		}
		from.hash = hash
		a.buckets[bucketKey{hash, from.major}] = from
		return from
	}
	if to == nil {
		to = c.newBucket(a, hash, from.major, now)
	}
	c.detach(from)
	if from.throttle.until > to.throttle.until {
		to.throttle = from.throttle
	}
	from.move(r, to)
	c.rouse(to)
	if len(from.routes) == 0 {
		c.drop(from)
	} else {
		c.settle(from, now)
	}
	c.settle(to, now)
	return to
}
