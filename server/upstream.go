package server

import (
	"sync"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/metrics"
)

// upstream is the way to Discord, and what watches it.
type upstream struct {
	client  *discord.Client
	limiter *ratelimit.Limiter
	reach   health.Reachability
	// end refuses what still waits.
	end func()
}

// newMetrics returns the metrics of the bot, which are there before the way to Discord.
// They are on the page of first unless that is nil.
func (b *bot) newMetrics(first *metrics.Metrics) *metrics.Metrics {
	return metrics.New(metrics.Config{
		Limits: func() (limits metrics.Limits) {
			if up := b.way.Load(); up != nil {
				limits = up.limiter.Snapshot()
			}
			return limits
		},
		DMCache: func() (cache discord.DMCache) {
			if up := b.way.Load(); up != nil {
				cache = up.client.DMCache()
			}
			return cache
		},
		Ready: func() error { return b.checks.Ready() }, Version: b.config.Version, Bot: b.label, With: first,
	})
}

// newUpstream puts the way to Discord together. The observers are notified of every
// request. address is that of other bots, too, or nil.
func newUpstream(c Config, address *ratelimit.Address, observers []discord.Observer, d *data) (*upstream, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		GlobalLimit: c.GlobalRateLimit, MaxQueue: c.MaxQueue, MaxQueueBytes: c.MaxQueueBytes, InvalidRequestLimit: c.InvalidRequestLimit,
		Changed: d.notify, Address: address,
	})
	if err != nil {
		return nil, err
	}
	u := &upstream{limiter: limiter}
	connections := discord.NewUpstream(c.ConnectTimeout)
	connections.DialContext = d.whileLeading(connections.DialContext)
	u.end = sync.OnceFunc(func() {
		limiter.Close()
		connections.CloseIdleConnections()
	})
	var mayNotSend func() error
	if d != nil && d.lease != nil {
		mayNotSend = d.leads
	}
	u.client, err = discord.New(discord.Config{
		Token: c.Token, BaseURL: c.APIURL, UserAgent: c.userAgent(), Limiter: limiter,
		Upstream: connections, TryTimeout: c.TryTimeout, RetryFor: c.RetryFor, Logger: c.Logger,
		Observers: append([]discord.Observer{&u.reach}, observers...), MayNotSend: mayNotSend,
	})
	if err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}
