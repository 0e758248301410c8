package ratelimit

import (
	"net/http"
	"time"
)

const (
	firstDenial = time.Second
	maxDenial   = time.Hour
	// checkGap is the shortest time between two checks of a token that works.
	checkGap = 30 * time.Second
)

// denial is a run of 401s of one route.
//
// A 401 says that the credentials do not fit the call, which is no proof that
// the token is bad: some of Discord's routes accept only tokens of OAuth2, and
// reject a good bot token. So a 401 is about its route first. From the second
// 401 in a row the route is refused without asking Discord, for a second at
// first and then twice as long each time, up to an hour; then one call may
// try again. Whether the token itself is bad is found out by a check, see
// [Request.Probe].
type denial struct {
	strikes int     // 401s in a row
	since   uint64  // number of the last call sent before the newest of them
	until   instant // when one call may try again
	probe   *call
}

// stands reports whether a call is refused because of the denial.
func (d *denial) stands(now instant) bool {
	return d.strikes > 1 && (now < d.until || d.probe != nil)
}

// deny takes a 401 to a call into account.
func (c *core) deny(x *call, now instant) {
	d := &x.route.denial
	if d.strikes > 0 && x.send <= d.since { // in flight when the one before came
		return
	}
	*d = denial{strikes: d.strikes + 1, since: c.sends, until: now}
	if d.strikes == 1 {
		return
	}
	d.until = now.add(min(firstDenial<<min(d.strikes-2, 12), maxDenial))
	c.sweep(now, func(o *call) *Error {
		if o.route != x.route {
			return nil
		}
		return &Error{Reason: RouteRefused, RetryAfter: d.until.sub(now)}
	})
}

// judgeToken takes into account what an answer says about the call's token. It
// reports whether the token should be checked.
func (c *core) judgeToken(x *call, r *Response, limit Limit, now instant) (check bool) {
	a := x.account
	if a.key.tokenless {
		return false
	}
	f := &a.refusal
	answered := r.Status < http.StatusInternalServerError && limit == NotLimited
	unauthorized := r.Status == http.StatusUnauthorized
	switch {
	case x.probe && unauthorized:
		c.refuseToken(x, now)
	case x.probe && answered:
		*f, a.proven = refusal{}, true
	case x.probe:
	case r.refusesToken(x.route.key.template):
		c.deny(x, now)
		if !a.proven { // nothing shows that the token is good
			c.refuseToken(x, now)
		} else if now >= a.nextCheck {
			a.nextCheck = now.add(checkGap)
			return true
		}
	case answered && !unauthorized:
		x.route.denial = denial{}
		if r.Status < http.StatusBadRequest {
			a.proven = true
		}
		if f.active && x.send > f.since {
			*f = refusal{}
		}
	}
	return false
}

// refuseToken stops all calls of a token that Discord has refused.
func (c *core) refuseToken(x *call, now instant) {
	a := x.account
	a.proven = false
	a.refusal.begin(now, x.send, c.sends)
	c.sweep(now, func(o *call) *Error {
		if o.account != a {
			return nil
		}
		return &Error{Reason: TokenRefused, RetryAfter: a.refusal.retry.sub(now)}
	})
}
