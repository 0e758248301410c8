package server

import (
	"context"
	"log/slog"
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

// startTracing exports traces if the environment asks for it. Else the result is nil.
func startTracing(c Config) (*tracing.Tracing, error) {
	return tracing.FromEnvironment(context.Background(), c.Getenv, c.Version)
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

// endTracing exports what is left.
func endTracing(t *tracing.Tracing, logger *slog.Logger) {
	if t == nil {
		return
	}
	// The collector may be gone as well.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.Shutdown(ctx); err != nil {
		logger.Warn("failed to export the last traces", "error", err)
	}
}
