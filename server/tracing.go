package server

import (
	"context"
	"time"

	"discordproxy/server/internal/tracing"

	"connectrpc.com/connect"
)

// startTracing exports traces if the environment asks for it. The returned
// Tracing is nil if it does not; end exports what is left.
func startTracing(c Config) (t *tracing.Tracing, interceptors []connect.Interceptor, end func(), err error) {
	t, err = tracing.FromEnvironment(context.Background(), c.Getenv, c.Version)
	if t == nil || err != nil {
		return nil, nil, func() {}, err
	}
	end = func() {
		// The collector may be gone as well.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			c.Logger.Warn("failed to export the last traces", "error", err)
		}
	}
	interceptor, err := t.Interceptor()
	if err != nil {
		end()
		return nil, nil, func() {}, err
	}
	return t, []connect.Interceptor{interceptor}, end, nil
}
