package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/calls"
	"discordproxy/server/health"
	"discordproxy/server/rpc"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
)

// Config configures the service. Only Discord is required.
type Config struct {
	// Discord does the work.
	Discord Discord
	// Ready returns nil when calls can be taken, else the reason in words
	// that callers may read. Nil means always.
	Ready func() error
	// Health is what gRPC's health service asks. It may hold more than Ready:
	// calls are taken while Discord cannot be reached, since it may come back.
	Health health.Checks
	// Logger takes one line for each call. Nil means slog.Default().
	Logger *slog.Logger
	// Observers are told of every call, after the log.
	Observers calls.Observers
	// MaxMessageBytes bounds a received message. 0 means 4 MiB.
	MaxMessageBytes int
}

// New returns a handler for the service, gRPC's health service and gRPC's
// reflection, in the protocols gRPC, gRPC-Web and Connect.
func New(c Config) (http.Handler, error) {
	if c.Discord == nil {
		return nil, errors.New("server: no Discord to talk to")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	ready := c.Ready
	if ready == nil {
		ready = func() error { return nil }
	}
	observers := append(calls.Observers{calls.Log(c.Logger)}, c.Observers...)
	options, err := rpc.HandlerOptions(rpc.Config{Logger: c.Logger, MaxMessageBytes: c.MaxMessageBytes}, edge(observers))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(discordapiconnect.NewDiscordApiHandler(&service{discord: c.Discord},
		append(options, connect.WithInterceptors(translate(ready)))...))
	mux.Handle(grpchealth.NewHandler(health.GRPC(c.Health, discordapiconnect.DiscordApiName, grpchealth.HealthV1ServiceName), options...))
	reflector := grpcreflect.NewStaticReflector(discordapiconnect.DiscordApiName, grpchealth.HealthV1ServiceName)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options...))
	return rpc.WithRequestID(mux), nil
}

// translate refuses calls while the service is not ready, and gives the errors
// of handlers their status.
func translate(ready func() error) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			if err := ready(); err != nil && req.Spec().Procedure != discordapiconnect.DiscordApiGetRateLimitStatusProcedure {
				return nil, connect.NewError(connect.CodeUnavailable, err)
			}
			response, err := next(ctx, req)
			if err != nil {
				return nil, toStatus(ctx, err)
			}
			return response, nil
		}
	}
}
