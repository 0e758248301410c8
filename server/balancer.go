package server

import (
	"cmp"
	"context"
	"sync"
	"time"

	"discordproxy/server/internal/balance"
	"discordproxy/server/internal/store"
)

// balancer shares the bots of a server evenly with other servers. It is safe for
// concurrent use.
type balancer struct {
	process string
	several bool // whether there is anything to balance

	mu sync.Mutex
	of *balance.Balancer // guarded by mu
}

// balanceInterval is how often a server looks whether it leads too many bots.
const balanceInterval = time.Second

func newBalancer(process string, bots []string) *balancer {
	return &balancer{process: process, several: len(bots) > 1, of: balance.New(process, bots...)}
}

// met notes which servers could lead a bot.
func (b *balancer) met(bot string, m *meeting) {
	all := make([]balance.Process, 0, len(m.Replicas))
	for _, r := range m.Replicas {
		p := balance.Process{ID: cmp.Or(r.Process, r.ID), Seen: m.at.Add(r.Seen.Sub(m.Now))}
		if r.Load != nil {
			p.Leads, p.Unfit = r.Load.Leads, r.Load.Unfit
		}
		if r.Load == nil || !r.Load.Refused {
			all = append(all, p)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of.Met(bot, all)
}

// report adds to a load what the others balance by.
func (b *balancer) report(l *store.Load) *store.Load {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.Leads, l.Unfit = b.of.Leads(), b.of.Unfit()
	return l
}

// take notes which process leads a bot, and reports whether this one may take it, which is
// only so if none does. Then, took must follow.
func (b *balancer) take(bot, leader string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.several:
		return leader == ""
	case leader != "":
		b.of.Led(bot, leader, time.Now())
		return false
	}
	return b.of.Take(bot, time.Now())
}

// took notes whether this process has taken a bot.
func (b *balancer) took(bot string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.several {
		return
	}
	if ok {
		b.of.Led(bot, b.process, time.Now())
	}
	b.of.Tried(bot)
}

// give returns the bot that this server should hand over, if any.
func (b *balancer) give(unfit bool) (bot string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of.SetUnfit(unfit)
	return b.of.Give(time.Now())
}

// kept notes that a bot is not handed over.
func (b *balancer) kept(bot string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of.Kept(bot)
}

// balance hands over bots while other servers lead fewer, until ctx ends.
func (all bots) balance(ctx context.Context, b *balancer) {
	ticker := time.NewTicker(balanceInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		id, ok := b.give(all.unfit())
		if !ok {
			continue
		}
		for _, one := range all {
			if one.place.bot != id {
				continue
			}
			select {
			case one.surplus <- struct{}{}:
			default: // it has just begun or ended to lead
				b.kept(id)
			}
		}
	}
}

// unfit reports whether this server has found that it cannot reach Discord.
func (all bots) unfit() bool {
	for _, b := range all {
		if t := b.leads.Load(); t != nil && t.up.reach.Check() != nil {
			return true
		}
	}
	return false
}
