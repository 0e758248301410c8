package ratelimit

import (
	"net/http"
	"strings"
	"time"
)

const (
	firstGone = time.Minute
	maxGone   = 24 * time.Hour
	// maxGoneWebhooks is how many webhooks are remembered as gone. Beyond it
	// the one whose last such answer is the oldest is forgotten.
	maxGoneWebhooks = 10_000
)

// gone is a webhook that Discord does not know.
//
// That does not change by itself, and Discord restricts those who go on using
// such a webhook. So calls to it are answered with what Discord answered,
// without asking, for a minute at first and twice as long after each further
// such answer, up to a day. After that one call may try.
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
}

func newGoneWebhooks() goneWebhooks {
	return goneWebhooks{
		known: make(map[string]*gone),
		order: list[gone]{links: func(g *gone) *links[gone] { return &g.links }},
	}
}

// add remembers a webhook in the place of what was known of it.
func (w *goneWebhooks) add(g *gone) {
	w.remove(w.known[g.major])
	if len(w.known) >= maxGoneWebhooks {
		w.remove(w.order.first)
	}
	w.known[g.major] = g
	w.order.push(g)
}

// remove forgets a webhook; nil is none.
func (w *goneWebhooks) remove(g *gone) {
	if g != nil {
		delete(w.known, g.major)
		w.order.remove(g)
	}
}

// of returns what is known of the webhook of a call, nil if it is not gone.
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
	return r.Status == http.StatusNotFound && r.Body.Code == codeUnknownWebhook &&
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
		c.gone.add(g)
		c.sweep(now, func(o *call) *Error {
			if o.exempt || o.route.key.major != x.route.key.major {
				return nil
			}
			return g.refuse(now)
		})
	case g != nil && r.Status < http.StatusInternalServerError && limit == NotLimited:
		c.gone.remove(g)
	case g != nil:
		g.until = max(g.until, now.add(probePause))
	}
}
