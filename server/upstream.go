package server

import (
	"sync"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/metrics"
	"discordproxy/server/internal/tracing"

	"connectrpc.com/connect"
)

// upstream is the way to Discord, and what watches it.
type upstream struct {
	client  *discord.Client
	limiter *ratelimit.Limiter
	metrics *metrics.Metrics
	reach   health.Reachability
	traces  *tracing.Tracing // nil when nobody wants them
	// interceptors make traces of typed calls.
	interceptors []connect.Interceptor
	// end refuses what still waits, and exports the last traces.
	end func()
}

// newUpstream puts the way to Discord together. ready reports to metrics whether
// calls are taken; it is asked from the first request on. The observers are notified of
// every request, in addition to those that every server has.
func newUpstream(c Config, ready func() error, d *data, more ...discord.Observer) (*upstream, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		GlobalLimit: c.GlobalRateLimit, MaxQueue: c.MaxQueue, MaxQueueBytes: c.MaxQueueBytes, InvalidRequestLimit: c.InvalidRequestLimit,
		Changed: d.notify,
	})
	if err != nil {
		return nil, err
	}
	u := &upstream{limiter: limiter}
	u.metrics = metrics.New(metrics.Config{
		Limits: limiter.Snapshot, DMCache: func() discord.DMCache { return u.client.DMCache() },
		Ready: ready, Version: c.Version,
	})
	observers := append([]discord.Observer{u.metrics, &u.reach}, more...)
	traces, interceptors, endTracing, err := startTracing(c)
	if err != nil {
		limiter.Close()
		return nil, err
	}
	if traces != nil {
		observers = append(observers, traces)
	}
	u.traces, u.interceptors = traces, interceptors
	connections := discord.NewUpstream(c.ConnectTimeout)
	connections.DialContext = d.whileLeading(connections.DialContext)
	u.end = sync.OnceFunc(func() {
		limiter.Close()
		connections.CloseIdleConnections()
		endTracing()
	})
	var mayNotSend func() error
	if c.Database != "" {
		mayNotSend = d.leads
	}
	u.client, err = discord.New(discord.Config{
		Token: c.Token, BaseURL: c.APIURL, UserAgent: c.userAgent(), Limiter: limiter,
		Upstream: connections, TryTimeout: c.TryTimeout, RetryFor: c.RetryFor, Logger: c.Logger,
		Observers: observers, MayNotSend: mayNotSend,
	})
	if err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}
