package serve

import (
	"context"
	"log/slog"

	command "discordproxy/cli"
	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/health"
	"discordproxy/server/metrics"
	"discordproxy/server/tracing"

	"connectrpc.com/connect"
)

// upstream is the way to Discord, and what watches it.
type upstream struct {
	client  *discord.Client
	metrics *metrics.Metrics
	reach   health.Reachability
	traces  *tracing.Tracing // nil when nobody wants them
	// interceptors make traces of typed calls.
	interceptors []connect.Interceptor
	// end refuses what still waits, and exports the last traces.
	end func()
}

// upstream puts the way to Discord together. ready tells metrics whether calls
// are taken; it is asked from the first request on.
func (c *serverConfig) upstream(ctx context.Context, token string, ready func() error, logger *slog.Logger) (*upstream, error) {
	globalLimit := c.globalRateLimit
	if globalLimit == 0 {
		globalLimit = -1 // unlimited
	}
	limiter, err := ratelimit.New(ratelimit.Config{
		GlobalLimit: globalLimit, MaxQueue: c.maxQueue, MaxQueueBytes: c.maxQueueBytes, InvalidRequestLimit: c.invalidRequestLimit,
	})
	if err != nil {
		return nil, err
	}
	u := new(upstream)
	u.metrics = metrics.New(metrics.Config{
		Limits: limiter.Snapshot, DMCache: func() discord.DMCache { return u.client.DMCache() },
		Ready: ready, Version: command.Version(),
	})
	observers := []discord.Observer{u.metrics, &u.reach}
	traces, interceptors, endTracing, err := startTracing(ctx, logger)
	if err != nil {
		return nil, err
	}
	if traces != nil {
		observers = append(observers, traces)
	}
	u.traces, u.interceptors = traces, interceptors
	u.end = func() {
		limiter.Close()
		endTracing()
	}
	u.client, err = discord.New(discord.Config{
		Token: token, BaseURL: c.apiURL, UserAgent: userAgent(), Limiter: limiter,
		Upstream: discord.NewUpstream(c.connectTimeout), TryTimeout: c.tryTimeout, RetryFor: c.retryFor, Logger: logger,
		Observers: observers,
	})
	if err != nil {
		u.end()
		return nil, err
	}
	return u, nil
}
