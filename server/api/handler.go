package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
)

// Config configures the service. Only Discord is required.
type Config struct {
	// Discord makes the calls.
	Discord Discord
	// Ready returns nil if calls can be accepted, or else the reason, which is shown to
	// callers. A nil Ready means always.
	Ready func() error
	// Health decides what gRPC's health service reports. It may be stricter than Ready:
	// calls are accepted while Discord cannot be reached, because it may recover.
	Health health.Checks
	// Ending is closed when the server begins to shut down, which ends streams
	// of the health service. Nil means never.
	Ending <-chan struct{}
	// Logger receives one line for each call. Nil means slog.Default().
	Logger *slog.Logger
	// Gateway provides the events of Discord's gateway.
	Gateway Gateway
	// Observers are notified of every call, after the log.
	Observers calls.Observers
	// Interceptors wrap those of the service, the first outermost.
	Interceptors []connect.Interceptor
	// MaxMessageBytes limits a received message without its files. 0 means 4
	// MiB.
	MaxMessageBytes int
	// MaxFileBytes limits one file, MaxUploadBytes all files of a request. 0
	// means Discord's own limits, 20 and 25 MiB.
	// https://discord.com/developers/docs/reference#uploading-files
	MaxFileBytes, MaxUploadBytes int64
	// NewEnums sends channel types that the Python package discordproxy 1.5 does not
	// define to clients of that package, too. By default, they get UNDEFINED.
	NewEnums bool
	// Dashboard is the dashboard's service. Nil means none.
	Dashboard discordapiconnect.DashboardHandler
	// Outbox stores calls to make later. If it is nil, calls that need it are refused.
	Outbox *outbox.Outbox
	// UseMaker receives, before New returns, the Maker that makes the Outbox's calls.
	UseMaker func(outbox.Maker)
	// Access decides who may call what. Nil means that everyone may call everything.
	Access *access.Guard
	// REST configures plain REST. Its Access, Ready, Observers and Logger
	// are set from the fields above.
	REST rest.Config
	// Hooks are incoming hooks. Discord, Queue, Access, Ready, Observers, Logger and
	// Trace are set from the fields above. See UseHooks.
	Hooks hooks.Config
	// UseHooks receives, before New returns, a function that replaces the hooks.
	// Nil means that the hooks never change.
	UseHooks func(use func(*hooks.Hooks))
}

// New returns a handler for the service, gRPC's health service and gRPC's
// reflection, in the protocols gRPC, gRPC-Web and Connect, and for plain
// requests to Discord's API below /api/. Clients
// unknown to Access may only call the health service.
func New(c Config) (http.Handler, error) {
	if c.Discord == nil {
		return nil, errors.New("api: no Discord to talk to")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	ready := c.Ready
	if ready == nil {
		ready = func() error { return nil }
	}
	observers := append(calls.Observers{calls.Log(c.Logger)}, c.Observers...)
	options, err := c.guardedOptions(observers)
	if err != nil {
		return nil, err
	}
	mux := make(byFirst)
	path, handler := c.methods(ready, options)
	auth := &authorizer{c.Access, observers, connect.NewErrorWriter(options...)}
	mux.Handle(path, auth.guard(methodOf, c.known(auth, handler)))
	options = append(options, connect.WithInterceptors(rpc.Streams()))
	always := func(name string) func(*http.Request) string { return func(*http.Request) string { return name } }
	services := []string{discordapiconnect.DiscordApiName, health.Name}
	if c.Dashboard != nil {
		path, handler := discordapiconnect.NewDashboardHandler(c.Dashboard, append(slices.Clip(options), uncompressed)...)
		mux.Handle(path, auth.guard(always(access.Dashboard), c.known(auth, handler)))
		services = append(services, discordapiconnect.DashboardName)
	}
	calling := &making{service: c.service(), outbox: c.Outbox, access: c.Access, observers: observers, ending: c.Ending}
	if c.UseMaker != nil {
		c.UseMaker(calling)
	}
	deliveries := &outboxService{outbox: c.Outbox, making: calling}
	path, handler = discordapiconnect.NewOutboxHandler(
		deliveries,
		append(
			slices.Clip(options),
			connect.WithInterceptors(rpc.Chain(access.Limits(), translate(func() error { return nil }))),
			uncompressed,
		)...)
	// Each delivery needs the right to its own method.
	mux.Handle(path, auth.guard(always(""), c.known(auth, handler)))
	services = append(services, discordapiconnect.OutboxName)
	if err := c.handleHealth(mux, observers, services...); err != nil {
		return nil, err
	}
	reflector := grpcreflect.NewStaticReflector(services...)
	path, handler = grpcreflect.NewHandlerV1(reflector, options...)
	mux.Handle(path, auth.guard(always(access.Reflection), listener.Anyone(rpc.ExplainRequests(auth.errors, handler))))
	path, handler = grpcreflect.NewHandlerV1Alpha(reflector, options...)
	mux.Handle(path, auth.guard(always(access.Reflection), listener.Anyone(rpc.ExplainRequests(auth.errors, handler))))
	c.REST.Access, c.REST.Ready, c.REST.Observers, c.REST.Logger = c.Access, ready, observers, c.Logger
	plain, err := rest.New(c.REST)
	if err != nil {
		return nil, err
	}
	c.Hooks.Discord, c.Hooks.Access, c.Hooks.Ready, c.Hooks.Observers, c.Hooks.Logger = c.Discord, c.Access, ready, observers, c.Logger
	c.Hooks.Trace, c.Hooks.Queue = c.REST.Trace, hookQueue{deliveries}
	incoming, err := hooks.New(c.Hooks)
	if err != nil {
		return nil, err
	}
	calling.hooks = incoming
	if c.UseHooks != nil {
		c.UseHooks(incoming.Use)
	}
	mux.Handle("/hooks/", incoming)
	return entrance(plain, rpc.GRPCWebText(mux)), nil
}

// NewHealth returns a handler for gRPC's health service, in all protocols of New. Of the
// configuration it uses Health, Ending, Logger and Observers.
func NewHealth(c Config) (http.Handler, error) {
	mux := make(byFirst)
	observers := append(calls.Observers{calls.Log(c.Logger)}, c.Observers...)
	services := []string{discordapiconnect.DiscordApiName, health.Name, discordapiconnect.DashboardName, discordapiconnect.OutboxName}
	if err := c.handleHealth(mux, observers, services...); err != nil {
		return nil, err
	}
	return entrance(http.NotFoundHandler(), rpc.GRPCWebText(mux)), nil
}

// handleHealth registers the health service, which anyone may call. services are those
// that it reports on.
func (c Config) handleHealth(mux byFirst, observers calls.Observers, services ...string) error {
	options, err := c.options(calls.Observers{calls.Limited(observers)})
	if err != nil {
		return err
	}
	path, handler := health.GRPC(c.Health, c.Ending, services...).Handler(append(options, connect.WithInterceptors(rpc.Streams()))...)
	mux.Handle(path, listener.Anyone(rpc.ExplainRequests(connect.NewErrorWriter(options...), handler)))
	return nil
}

// known returns handler, one of connect-go, for requests of known clients. Those that
// connect-go would refuse are refused with an explanation, and logged.
func (c Config) known(auth *authorizer, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		listener.MarkKnown(r)
		if in := rpc.Explained(auth.errors, w, r); in != nil {
			handler.ServeHTTP(w, in)
		}
		calls.LogUnread(c.Logger, r)
	})
}

// byFirst finds the handler of a request by the first element of its path, /NAME/. An
// http.ServeMux costs more, and would redirect paths that are not clean.
type byFirst map[string]http.Handler

// Handle registers the handler of all paths that begin with path.
func (m byFirst) Handle(path string, handler http.Handler) { m[path] = handler }

// ServeHTTP implements http.Handler.
func (m byFirst) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.Path) > 1 && r.URL.Path[0] == '/' {
		if end := strings.IndexByte(r.URL.Path[1:], '/'); end > 0 {
			if handler := m[r.URL.Path[:end+2]]; handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
		}
	}
	http.NotFound(w, r)
}

// methods returns the handler of the methods of the API, and its path.
func (c Config) methods(ready func() error, options []connect.HandlerOption) (string, http.Handler) {
	s := c.service()
	interceptors := connect.WithInterceptors(rpc.Chain(access.Interceptor(), translate(ready), rpc.Streams()))
	return discordapiconnect.NewDiscordApiHandler(s, append(slices.Clip(options), interceptors, uncompressed)...)
}

func (c Config) service() *service {
	return &service{
		discord:  c.Discord,
		composer: composer{c.uploads(), newIcons(c.Logger)},
		gateway:  c.Gateway,
		newEnums: c.NewEnums,
		logger:   c.Logger,
	}
}

// guardedOptions returns the options of handlers for those alone whom a guard has let
// in.
func (c Config) guardedOptions(observers calls.Observers) ([]connect.HandlerOption, error) {
	return c.options(observers, access.Guarded())
}

// options returns the options of the handlers whose calls are reported to the
// observers. inner are called after the interceptors that all handlers have.
func (c Config) options(observers calls.Observers, inner ...connect.Interceptor) ([]connect.HandlerOption, error) {
	options, err := rpc.HandlerOptions(rpc.Config{
		Logger: c.Logger, MaxMessageBytes: c.MaxMessageBytes, Status: calls.Status,
		LargeMessages: func(spec connect.Spec) int { return int(c.messageBytes(spec.Procedure)) },
	}, append(append(slices.Clip(c.Interceptors), observe(observers)), inner...)...)
	return append(options, calls.EndedEarly(observers, newCall)), err
}

// entrance returns the handler that has plain serve requests to Discord's API, and
// methods all others. Discord's answer to a request counts against the limit for all
// answers until the response was written.
func entrance(plain, methods http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, release := caller.Hold(rpc.Named(r.Context(), w, r))
		defer release()
		if rest.Serves(r) {
			plain.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		methods.ServeHTTP(w, rpc.Plain(calls.Incoming(ctx, w, r)))
	})
}

// translate returns the interceptor that refuses calls while the service is not
// ready, and gives the errors of handlers their status.
func translate(ready func() error) connect.Interceptor {
	return rpc.Around(func(procedure string) error {
		if err := ready(); err != nil && procedure != discordapiconnect.DiscordApiGetRateLimitStatusProcedure {
			return connect.NewError(connect.CodeUnavailable, err)
		}
		return nil
	}, func(ctx context.Context, err error) error { return toStatus(ctx, err) })
}
