// Package server implements a whole Discord Proxy. New builds one from a Config, and
// Run serves a listener until its context ends. Servers share nothing: one process
// can run several.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"discordproxy/discord/ratelimit"
	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/history"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/metrics"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/tracing"
)

// Server is a whole Discord Proxy for one bot or several.
type Server struct {
	config   Config
	gate     *gate
	incoming *incoming
	places   *places
	bots     bots
	tracing  *tracing.Tracing // nil if nobody wants traces
	// endTracing exports the last traces.
	endTracing func()
	ran        atomic.Bool
	closed     sync.Once
}

// New validates c, reads the files that it names and puts a server together. It
// starts nothing: nobody is called before Run. Close releases a server that is not
// run.
func New(c Config) (*Server, error) { return Open(context.Background(), c) }

// Open is New, but ends with ctx: with a Database, it waits until the database can be
// reached, and until no other server uses the bot with it. A server with Advertise does
// not wait for the latter.
//
//nolint:contextcheck // what it puts together lives on after ctx
func Open(ctx context.Context, c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.setDefaults()
	if err := c.readDatabase(ctx); err != nil {
		return nil, err
	}
	configs, err := c.ofBots(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c}
	// What the listener refuses is refused here, before anything is read.
	if _, err := s.newListener(http.NotFoundHandler(), nil); err != nil {
		return nil, err
	}
	if s.gate, err = openGate(c); err != nil {
		return nil, err
	}
	if s.incoming, err = openHooks(c, s.gate); err != nil {
		return nil, err
	}
	if s.tracing, s.endTracing, err = startTracing(c); err != nil {
		return nil, err
	}
	if err := s.openBots(ctx, configs); err != nil {
		s.Close() //nolint:contextcheck // it saves after ctx has ended
		return nil, err
	}
	return s, nil
}

// openBots opens what the bots keep, and begins the tenures of those that no other server
// leads.
func (s *Server) openBots(ctx context.Context, configs []Config) error {
	names := BotNames(s.config)
	ids := make([]string, len(configs))
	for i, c := range configs {
		ids[i] = botOf(c)
	}
	var address *ratelimit.Address
	if len(configs) > 1 {
		address = new(ratelimit.Address)
	}
	var first *metrics.Metrics
	var audit *calls.Audit
	if s.config.Audit != nil {
		audit = calls.NewAudit(s.config.Audit, s.config.Logger)
	}
	for i, c := range configs {
		b := &bot{
			name: names[i], config: c, gate: s.gate, incoming: s.incoming, audit: audit,
			history: history.New(), load: newLoad(), fleets: s.fleet, address: address,
			surplus: make(chan struct{}), all: func() bots { return s.bots },
		}
		if len(s.config.Bots) > 0 {
			b.label = b.name
		}
		var err error
		if b.traces, err = tracesOf(s.tracing, b.label); err != nil {
			return err
		}
		if i > 0 {
			b.prefix = "/bots/" + b.name
		}
		b.token.Store(&c.Token)
		b.metrics = b.newMetrics(first)
		first = cmp.Or(first, b.metrics)
		s.bots = append(s.bots, b)
	}
	if err := s.bots.check(); err != nil {
		return err
	}
	var unsaved []string
	var err error
	if s.places, unsaved, err = openPlaces(ctx, s.config, ids); err != nil {
		return err
	}
	for _, b := range s.bots {
		b.unsaved = unsaved
	}
	return s.bots.prepare(ctx, s.places)
}

// readToken reads the file of the token unless there is a token already.
func (c *Config) readToken(ctx context.Context) error {
	if c.Token == "" && c.TokenFile != "" {
		data, err := files.Read(ctx, c.TokenFile)
		if err != nil {
			return fmt.Errorf("cannot read the token file: %w", err)
		}
		c.Token = strings.TrimSpace(string(data))
		files.WarnReadable(c.Logger, "token file", c.TokenFile)
		if c.Token == "" {
			return fmt.Errorf("token file %s is empty", c.TokenFile)
		}
	}
	if c.Token == "" {
		return ErrNoToken
	}
	return nil
}

// readDatabase reads the file of the database's address unless there is an address
// already.
func (c *Config) readDatabase(ctx context.Context) error {
	if c.Database == "" && c.DatabaseFile != "" {
		data, err := files.Read(ctx, c.DatabaseFile)
		if err != nil {
			return fmt.Errorf("cannot read the database file: %w", err)
		}
		c.Database = strings.TrimSpace(string(data))
		files.WarnReadable(c.Logger, "database file", c.DatabaseFile)
		if c.Database == "" {
			return fmt.Errorf("database file %s is empty", c.DatabaseFile)
		}
	}
	return nil
}

// Close refuses the calls that still wait for rate limits, exports the last traces,
// and saves what survives a restart. Run does so by itself.
func (s *Server) Close() {
	s.closed.Do(func() {
		s.bots.close()
		s.places.close()
		s.endTracing()
	})
}

// Run serves lis, which it closes, until ctx ends, as package listener describes,
// until Discord refuses the token of the only bot, or, without Advertise, until another
// server has taken over a bot. It may be called once.
//
// When it returns, everything that it started has ended, except for handlers that
// ignore their context, reads of files that hang, and an idle connection to a
// collector of traces. The error is nil after the end of ctx.
func (s *Server) Run(ctx context.Context, lis net.Listener) error {
	defer lis.Close()
	if s.ran.Swap(true) {
		return errors.New("server: Run was called before")
	}
	defer s.Close()
	ctx, stop := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop(nil)
	ended, end := context.WithCancel(context.WithoutCancel(ctx)) // requests go on after ctx
	defer end()

	warnings := s.gate.warnings(lis.Addr())
	handler, begin, err := s.handler(ctx, serving{addr: lis.Addr(), stop: stop, parts: &parts, ended: ended}, warnings)
	if err != nil {
		return err
	}
	srv, err := s.newListener(handler, s.largeBody)
	if err != nil {
		return err
	}
	s.announce(ctx, lis.Addr(), warnings)
	begin()
	if s.places != nil && s.places.balancer != nil && s.places.balancer.several {
		parts.Go(func() { s.bots.balance(ctx, s.places.balancer) })
	}
	parts.Go(func() { files.Watch(ctx, s.config.Logger, s.gate.watched...) })
	if err := srv.Serve(ctx, lis); err != nil {
		s.config.Logger.Error("stopped with an error", "error", err)
		return err
	}
	s.config.Logger.Info("stopped")
	if ended := context.Cause(ctx); errors.Is(ended, errTokenRefused) || errors.Is(ended, lease.ErrLost) || errors.Is(ended, errTakeover) {
		return ended
	}
	return nil
}

// handler makes what serves all requests, and has what uses the bots begin when begin is
// called. ctx ends when the server begins to shut down.
func (s *Server) handler(ctx context.Context, how serving, warnings []string) (all http.Handler, begin func(), err error) {
	c := &choice{all: s.bots, handlers: make([]http.Handler, len(s.bots)), hooks: s.incoming}
	begins := make([]func(), len(s.bots))
	if err := CheckAddress(s.config, how.addr); err != nil {
		return nil, nil, err
	}
	metricsPage := s.metricsPage()
	for i, b := range s.bots {
		b.checks, b.metricsPage = health.Checks{shutdownCheck(ctx), b.usable}, metricsPage
		of := how
		of.pages = health.Handler(b.checks, func() []string { return slices.Concat(warnings, bots{b}.warnings()) })
		handler, begin, err := b.open(ctx, of)
		if err != nil {
			return nil, nil, b.named(err)
		}
		c.handlers[i], begins[i] = b.load.count(handler), begin
	}
	begin = func() {
		for _, begin := range begins {
			begin()
		}
	}
	if c.unknown, err = s.unknownBot(); err != nil || !s.bots.several() {
		return c, begin, err
	}
	checks := health.Checks{shutdownCheck(ctx), s.bots.usable}
	c.common, err = commonHandler(checks, func() []string { return slices.Concat(warnings, s.bots.warnings()) }, ctx.Done(), s.config.Logger)
	return c, begin, err
}

// shutdownCheck fails from the moment when the server begins to shut down, while
// the calls in progress still do.
func shutdownCheck(ctx context.Context) func() error {
	return func() error {
		if ctx.Err() != nil {
			return rpc.ShuttingDown().Unwrap() // the text alone
		}
		return nil
	}
}

// outermost takes secrets and the name of the bot out of the path.
func outermost(next http.Handler) http.Handler {
	return access.PathKeys(api.PathBot(hooks.PathSecrets(next)))
}

// largeBody bounds the bodies of requests with files.
func (s *Server) largeBody(r *http.Request) int64 {
	c := api.Config{MaxFileBytes: s.config.MaxFileBytes, MaxUploadBytes: s.config.MaxUploadBytes}
	c.REST.MaxBodyBytes = s.config.MaxUploadBytes
	return c.LargeBody(r)
}

func (s *Server) newListener(handler http.Handler, largeBody func(*http.Request) int64) (*listener.Server, error) {
	config := listener.Config{
		Handler: handler, LargeBody: largeBody, IsStream: api.IsStream, Logger: s.config.Logger, Grace: s.config.ShutdownGrace,
		Outermost:   outermost,
		WithoutHost: []string{"/", "/healthz", "/readyz"},
		CORSOrigins: s.config.CORSOrigins, AllowedHosts: s.config.AllowedHosts,
	}
	if s.places != nil && s.places.keys != nil {
		config.Forwarded = s.places.keys.Accept
		config.Outermost = func(next http.Handler) http.Handler { return forward.Keep(outermost(next)) }
	}
	if s.gate != nil {
		config.TLS = s.gate.tls
	}
	return listener.New(config)
}

// metricsPage is /metrics.
func (s *Server) metricsPage() http.Handler {
	if s.config.OpenMetrics {
		return access.Everyone(s.bots[0].metrics.Handler())
	}
	return s.gate.guard.ForAllBots().Page(s.bots[0].metrics.Handler())
}

// announce says that the server listens, and what to mind.
func (s *Server) announce(ctx context.Context, addr net.Addr, warnings []string) {
	if s.config.Started != nil {
		s.config.Started(ctx, addr, warnings)
	}
	for _, warning := range warnings {
		s.config.Logger.Warn("calls are not protected", "reason", warning)
	}
	limit := "none" // what GOMEMLIMIT says, in bytes
	if n := debug.SetMemoryLimit(-1); n != math.MaxInt64 {
		limit = strconv.FormatInt(n, 10)
	}
	s.config.Logger.Info("listening", "address", addr.String(), "version", s.config.Version, "discord", s.config.APIURL,
		"processors", runtime.GOMAXPROCS(0), "memory_limit", limit)
}
