package ratelimit

import (
	"cmp"
	"slices"
	"time"
)

// probeTime is when to ask again while a call finds out whether what was
// refused still is.
const probeTime = time.Second

// barred says why a call may not even wait, nil if it may.
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
// last answer did, or Discord has not shown yet that it knows the guest.
func (x *call) dubious(now instant) bool {
	return x.route.invalidLately(now) || x.account.guest && !x.account.proven
}

// invalidLately reports whether the route's last answer was 401 or 403.
func (r *route) invalidLately(now instant) bool {
	return r.refused > 0 && now.sub(r.refused) < budgetSlots*budgetSlot
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
	// check looks at calls of which each goes after all before it.
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
			for l := q.lanes.first; l != nil; l = l.links.next {
				var calls []*call
				for x := l.calls.first; x != nil; x = x.inLane.next {
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
