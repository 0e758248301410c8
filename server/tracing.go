package server

import (
	"context"
	"time"

	"discordproxy/server/internal/tracing"

	"connectrpc.com/connect"
)

// traces are those of a bot.
type traces struct {
	*tracing.Tracing
	// interceptors make traces of typed calls.
	interceptors []connect.Interceptor
}

// startTracing exports traces until end is called, if the environment asks for it. Else t is
// nil.
func startTracing(c Config) (t *tracing.Tracing, end func(), err error) {
	t, err = tracing.FromEnvironment(context.Background(), c.Getenv, c.Version)
	if t == nil || err != nil {
		return nil, func() {}, err
	}
	return t, func() {
		// The collector may be gone as well.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := t.Shutdown(ctx); err != nil {
			c.Logger.Warn("failed to export the last traces", "error", err)
		}
	}, nil
}

// tracesOf returns the traces of a bot, which name it by a label that is not empty. They are
// nil without t.
func tracesOf(t *tracing.Tracing, label string) (*traces, error) {
	if t == nil {
		return nil, nil
	}
	t = t.ForBot(label)
	interceptor, err := t.Interceptor()
	if err != nil {
		return nil, err
	}
	return &traces{t, []connect.Interceptor{interceptor}}, nil
}
