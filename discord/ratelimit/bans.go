package ratelimit

import (
	"net/http"
	"strings"
	"time"
)

// judge takes into account what an answer says about the token, the webhook,
// the address and the budget of invalid requests. It reports whether the token
// should be checked.
func (c *core) judge(x *call, r *Response, limit Limit, now instant) (check bool) {
	invalid := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden ||
		r.Status == http.StatusTooManyRequests && limit != SharedLimit
	if invalid {
		c.publish(finding{invalid: true})
		c.change(true)
		if r.Status != http.StatusTooManyRequests {
			x.route.refused = now
		}
		c.count(now)
	} else if r.Status < http.StatusBadRequest {
		x.route.refused = 0
	}

	switch {
	case limit == AddressBan:
		retryAfter, _ := r.retryAfter()
		if c.ban.probe == x {
			c.ban.probe = nil
		}
		until := c.ban.until
		if c.ban.begin(now, x.send, c.sends, retryAfter); c.ban.until != until {
			c.publish(finding{ban: c.ban})
		}
		c.sweep(now, func(*call) *Error { return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)} })
	case r.Status >= http.StatusInternalServerError:
		c.inconclusive(x, now, probePause)
	case c.ban.active && x.send > c.ban.since:
		c.ban.active, c.ban.probe = false, nil
		c.publish(finding{fine: x.sentAt})
	}

	c.judgeWebhook(x, r, limit, now)
	return c.judgeToken(x, r, limit, now)
}

const (
	budgetSlot  = time.Second
	budgetSlots = 600 // ten minutes
)

// budget counts answers that Discord holds to be invalid requests, over ten
// minutes.
type budget struct {
	limit int
	total int
	slots [budgetSlots]int32
	last  int64 // number of the slot that is being counted
}

// advance drops counts that are older than ten minutes.
func (b *budget) advance(now instant) {
	slot := int64(now) / int64(budgetSlot)
	if slot-b.last >= budgetSlots {
		b.slots, b.total = [budgetSlots]int32{}, 0
		b.last = slot
	}
	for b.last < slot && b.total > 0 {
		b.last++
		i := b.last % budgetSlots
		b.total -= int(b.slots[i])
		b.slots[i] = 0
	}
	b.last = max(b.last, slot)
}

func (b *budget) add(now instant) {
	b.advance(now)
	b.slots[b.last%budgetSlots]++
	b.total++
}

// scarce reports whether calls that will probably be invalid are to be
// refused.
func (b *budget) scarce() bool { return b.total >= b.limit-max(b.limit/10, 1) }

// spent reports whether nothing may be sent any more, with n calls in flight
// that may all turn out invalid. A little is kept for what is not known here.
func (b *budget) spent(n int) bool { return b.total+n >= b.limit-max(b.limit/100, 1) }

// refill returns when enough counts have expired that calls may be sent again.
func (b *budget) refill(now instant, spent bool) instant {
	want := b.limit - max(b.limit/10, 1)
	if spent {
		want = b.limit - max(b.limit/100, 1)
	}
	left := b.total
	for i := int64(1); i <= budgetSlots; i++ {
		left -= int(b.slots[(b.last+i)%budgetSlots])
		if left < want {
			return instant((b.last + i) * int64(budgetSlot))
		}
	}
	return now
}

const (
	firstBan = time.Minute
	maxBan   = time.Hour
	// banMemory is how long after a ban another one counts as its follower.
	banMemory = 10 * time.Minute
)

// ban is the refusal of this address by Discord's edge.
type ban struct {
	active  bool
	since   uint64  // number of the last call sent before
	met     instant // when it was met
	until   instant // when one call may probe
	strikes int
	probe   *call
}

// begin takes a ban into account that the call of number send met, when last
// was the last one sent. Each probe that fails doubles the wait for the next
// one.
func (b *ban) begin(now instant, send, last uint64, retryAfter time.Duration) {
	if b.active && send <= b.since { // in flight when the ban was met
		b.until = max(b.until, now.add(retryAfter))
		return
	}
	if !b.active && now.sub(b.until) > banMemory {
		b.strikes = 0
	}
	wait := min(firstBan<<min(b.strikes, 10), maxBan)
	*b = ban{active: true, since: last, met: now, until: now.add(max(retryAfter, wait)), strikes: b.strikes + 1}
}

const (
	firstRefusal = time.Minute
	maxRefusal   = time.Hour
)

// refusal is Discord's 401 to a check of a token, or to a token that never
// worked.
type refusal struct {
	active  bool
	since   uint64  // number of the last call sent before
	retry   instant // when the token may be checked
	strikes int
}

// begin takes a 401 to the call of number send into account, when last was the
// last one sent.
func (r *refusal) begin(now instant, send, last uint64) {
	if r.active && send <= r.since {
		return
	}
	if !r.active {
		r.strikes = 0
	}
	wait := min(firstRefusal<<min(r.strikes, 10), maxRefusal)
	*r = refusal{active: true, since: last, retry: now.add(wait), strikes: r.strikes + 1}
}

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

const (
	firstGone = time.Minute
	maxGone   = 24 * time.Hour
	// maxGoneWebhooks is how many webhooks are remembered as gone. Beyond it
	// the one whose last such answer is the oldest is forgotten.
	maxGoneWebhooks = 10_000
)

// gone is a webhook that does not exist at Discord.
//
// That never changes, and Discord restricts clients that keep using such a
// webhook. Calls to it therefore get Discord's response without a request, for
// a minute at first and twice as long after each further such response, up to a
// day. After that, one call may try.
// https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
type gone struct {
	major   string // of the webhook's routes
	links   links[gone]
	strikes int
	since   uint64  // number of the last call sent before the newest answer
	until   instant // when one call may try
	probe   *call
}

// goneWebhooks are the webhooks that are gone, by the major parameter of their
// routes.
type goneWebhooks struct {
	known map[string]*gone
	order list[gone] // oldest answer first
	// removed are those that were forgotten, and with which change. It is nil as long
	// as nobody wants to know.
	removed map[string]uint64
}

func newGoneWebhooks() goneWebhooks {
	return goneWebhooks{
		known: make(map[string]*gone),
		order: list[gone]{links: func(g *gone) *links[gone] { return &g.links }},
	}
}

// add remembers a webhook in the place of what was known of it, with a change.
func (w *goneWebhooks) add(g *gone, change uint64) {
	w.remove(w.known[g.major], change)
	if len(w.known) >= maxGoneWebhooks {
		w.remove(w.order.first, change)
	}
	w.known[g.major] = g
	w.order.push(g)
}

// remove forgets a webhook with a change; nil is none.
func (w *goneWebhooks) remove(g *gone, change uint64) {
	if g == nil {
		return
	}
	delete(w.known, g.major)
	w.order.remove(g)
	// If nothing can be saved, no more are noted: what is saved of them is soon too old.
	if w.removed != nil && len(w.removed) < maxGoneWebhooks {
		w.removed[g.major] = change
	}
}

// export has removed noted from now on. It returns those that were removed after a
// change, and forgets the others.
func (w *goneWebhooks) export(since uint64) (removed []string) {
	if w.removed == nil {
		w.removed = make(map[string]uint64)
	}
	for major, change := range w.removed {
		if change <= since {
			delete(w.removed, major)
		} else if w.known[major] == nil {
			removed = append(removed, major)
		}
	}
	return removed
}

// of returns what is known of the webhook of a call, or nil if it is not gone.
func (w *goneWebhooks) of(x *call) *gone {
	if len(w.known) == 0 || x.exempt {
		return nil
	}
	return w.known[x.route.key.major]
}

// stands reports whether a call is refused because its webhook is gone.
func (g *gone) stands(now instant) bool { return now < g.until || g.probe != nil }

func (g *gone) refuse(now instant) *Error {
	return &Error{Reason: WebhookGone, RetryAfter: max(g.until.sub(now), probeTime)}
}

// saysGone reports whether an answer says that the webhook of the call is gone.
// The paths of interactions look alike, but their tokens end by themselves.
func (r *Response) saysGone(x *call) bool {
	return r.Status == http.StatusNotFound && r.Body.Code == CodeUnknownWebhook &&
		!x.exempt && strings.HasPrefix(x.route.key.major, webhookMajor)
}

// judgeWebhook takes into account what an answer says about the call's
// webhook.
func (c *core) judgeWebhook(x *call, r *Response, limit Limit, now instant) {
	g := c.gone.of(x)
	switch {
	case r.saysGone(x):
		if g != nil && x.send <= g.since { // in flight when the answer before came
			return
		}
		strikes := 0
		if g != nil {
			strikes = g.strikes
		}
		g = &gone{
			major: x.route.key.major, strikes: strikes + 1, since: c.sends,
			until: now.add(min(firstGone<<min(strikes, 11), maxGone)),
		}
		c.gone.add(g, c.changes)
		c.sweep(now, func(o *call) *Error {
			if o.exempt || o.route.key.major != x.route.key.major {
				return nil
			}
			return g.refuse(now)
		})
	case g != nil && r.Status < http.StatusInternalServerError && limit == NotLimited:
		c.gone.remove(g, c.changes)
	case g != nil:
		g.until = max(g.until, now.add(probePause))
	}
}
