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

// newMetrics returns the metrics of the server, which are there before the way to Discord.
func (s *Server) newMetrics() *metrics.Metrics {
	return metrics.New(metrics.Config{
		Limits: func() (limits metrics.Limits) {
			if up := s.way.Load(); up != nil {
				limits = up.limiter.Snapshot()
			}
			return limits
		},
		DMCache: func() (cache discord.DMCache) {
			if up := s.way.Load(); up != nil {
				cache = up.client.DMCache()
			}
			return cache
		},
		Ready: func() error { return s.checks.Ready() }, Version: s.config.Version,
	})
}

// newUpstream puts the way to Discord together. The observers are notified of every
// request, in addition to those that every server has.
func newUpstream(c Config, m *metrics.Metrics, d *data, more ...discord.Observer) (*upstream, error) {
	limiter, err := ratelimit.New(ratelimit.Config{
		GlobalLimit: c.GlobalRateLimit, MaxQueue: c.MaxQueue, MaxQueueBytes: c.MaxQueueBytes, InvalidRequestLimit: c.InvalidRequestLimit,
		Changed: d.notify,
	})
	if err != nil {
		return nil, err
	}
	u := &upstream{limiter: limiter, metrics: m}
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
