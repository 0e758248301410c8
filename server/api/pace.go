package api

import (
	"slices"
	"time"

	"discordproxy/discord"
)

// pace estimates how long the rest of many messages takes. It is that of the newest
// results: the first ones are often faster, because limits are not used up, and a ban or
// a pause in between says little about the rest.
type pace struct {
	limits func() discord.RateLimits
	from   []time.Time // the beginning, or the newest results, the oldest first

	wait  time.Duration // until the limits let the rest continue
	asked time.Time     // when that was so
	next  time.Duration // until the waiting messages can be sent
}

// paceResults is how many results the pace is that of: more than are on their way at the
// same time, because those may end together.
const paceResults = messagesAtOnce + 4

// paceInterval is the shortest time between two looks at the limits, which cost more than
// a message.
const paceInterval = time.Second

func newPace(limits func() discord.RateLimits) *pace {
	return &pace{limits: limits, from: []time.Time{time.Now()}}
}

// result takes note of a result and returns the time until the last of those left.
func (p *pace) result(left int) time.Duration {
	now := time.Now()
	if len(p.from) > paceResults {
		p.from = slices.Delete(p.from, 0, 1)
	}
	took, results := now.Sub(p.from[0]), time.Duration(len(p.from))
	p.from = append(p.from, now)
	if left == 0 {
		return 0
	}
	if p.asked.IsZero() || now.Sub(p.asked) >= paceInterval {
		p.ask(now)
	}
	since := now.Sub(p.asked)
	rest := took / results * time.Duration(left)
	return max(p.wait-since, 0) + max(rest, p.next-since)
}

// ask looks at the limits that every message or each new channel needs.
func (p *pace) ask(now time.Time) {
	limits := p.limits()
	p.asked, p.wait, p.next = now, 0, 0
	if limits.Ban.Active {
		p.wait = limits.Ban.Until.Sub(limits.At)
	}
	for _, token := range limits.Tokens {
		if token.Token != discord.BotToken {
			continue
		}
		p.wait = max(p.wait, token.Global.PausedUntil.Sub(limits.At))
		for _, bucket := range token.Buckets {
			if slices.Contains(bucket.Routes, openChannelRoute) {
				p.next = bucket.EstimatedWait
			}
		}
	}
}

// openChannelRoute is the route of opening a direct message channel.
const openChannelRoute = "POST /users/@me/channels"
