package server

import (
	"context"
	"time"

	"discordproxy/server/internal/tracing"

	"connectrpc.com/connect"
)

// traces are exported, as the environment asks for.
type traces struct {
	*tracing.Tracing
	// interceptors make traces of typed calls.
	interceptors []connect.Interceptor
	end          func() // exports the last ones
}

// startTracing exports traces if the environment asks for it. Else the result is nil.
func startTracing(c Config) (*traces, error) {
	t, err := tracing.FromEnvironment(context.Background(), c.Getenv, c.Version)
	if t == nil || err != nil {
		return nil, err
	}
	end := func() {
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
		return nil, err
	}
	return &traces{t, []connect.Interceptor{interceptor}, end}, nil
}

// close exports what is left.
func (t *traces) close() {
	if t != nil {
		t.end()
	}
}
