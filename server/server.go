// Package server implements a whole Discord Proxy. New builds one from a Config, and
// Run serves a listener until its context ends. Servers share nothing: one process
// can run several.
package server

import (
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
	"discordproxy/server/internal/names"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/status"
)

// Server is a whole Discord Proxy for one bot.
type Server struct {
	config   Config
	gate     *gate
	incoming *incoming
	up       *upstream
	login    *login
	live     live
	data     *data
	names    *names.Names
	history  *history.History
	outbox   *outbox.Outbox // nil if nothing survives a restart
	maker    outbox.Maker   // set by Run
	unsaved  []string       // why nothing survives a restart, empty if it does
	checks   health.Checks  // set by Run, before the first request
	ran      atomic.Bool
	// loaded is whether the state of the last run was read, so that this one's is saved.
	loaded bool
	load   *load
	// way is up, for the metrics, which are there before.
	metrics *metrics.Metrics
	way     atomic.Pointer[upstream]
	// assembling guards what a replica puts together when it begins to lead.
	assembling sync.Mutex
	// token is the bot's, and savedToken what survives of it. Only Reload changes them.
	token      string
	savedToken *savedToken
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
	if err := c.validate(); err != nil {
		return nil, err
	}
	c.setDefaults()
	if err := c.readToken(ctx); err != nil {
		return nil, err
	}
	if err := c.readDatabase(ctx); err != nil {
		return nil, err
	}
	s := &Server{config: c, history: history.New(), load: newLoad()}
	// What the listener refuses is refused here, before anything is read.
	if _, err := s.newListener(http.NotFoundHandler(), nil); err != nil {
		return nil, err
	}
	var err error
	if s.gate, err = openGate(c); err != nil {
		return nil, err
	}
	if s.incoming, err = openHooks(c, s.gate); err != nil {
		return nil, err
	}
	if s.data, s.unsaved, err = openData(ctx, c); err != nil {
		return nil, err
	}
	s.metrics = s.newMetrics()
	if s.data.waits() {
		return s, nil
	}
	if err := s.assemble(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// assemble puts together what a server needs that uses the bot, and reads what the last
// one has left.
//
//nolint:contextcheck // what it puts together lives on after ctx
func (s *Server) assemble(ctx context.Context) (err error) {
	s.assembling.Lock()
	defer s.assembling.Unlock()
	c := s.config
	if s.up, err = newUpstream(c, s.metrics, s.data, s.history); err != nil {
		return err
	}
	s.way.Store(s.up)
	saved, err := s.data.load(ctx)
	if err != nil {
		return err // nothing is saved: what was there stays
	}
	s.loaded = true
	s.up.limiter.Import(saved.limits(), saved.clean)
	if s.data != nil {
		s.up.client.ExportDMs() // what changes from here on is kept
	}
	s.up.client.ImportDMs(saved.dms())
	s.data.add(&savedLimits{limiter: s.up.limiter, data: s.data})
	s.data.add(&savedDMs{client: s.up.client})
	pauses := &savedPauses{client: s.up.client}
	pauses.restore(saved)
	s.data.add(pauses)
	if err := s.openOutbox(ctx); err != nil {
		return err
	}
	s.login = newLogin(s.up.client, s.up.reach.Check, c.Logger)
	s.login.found = func() { s.data.notify(false) }
	s.token, s.savedToken = c.Token, newSavedToken(s.login, c.Token)
	s.savedToken.restore(saved)
	s.data.add(s.savedToken)
	if s.live, err = openGateway(c, s.up.client, s.data, saved); err != nil {
		return err
	}
	s.live.observe(s.up.metrics)
	s.names, err = names.New(s.live.server.Guilds)
	return err
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
	if s.up != nil {
		s.up.end()
	}
	if s.loaded {
		s.data.finish()
	} else {
		s.data.abandon()
	}
}

// Run serves lis, which it closes, until ctx ends, as package listener describes,
// until Discord refuses the bot's token, or until another server has taken over the bot. It may be called once.
//
// When it returns, everything that it started has ended, except for handlers that
// ignore their context, reads of files that hang, and an idle connection to a
// collector of traces. The error is nil after the end of ctx.
func (s *Server) Run(ctx context.Context, lis net.Listener) error {
	defer lis.Close()
	if s.ran.Swap(true) {
		return errors.New("server: Run was called before")
	}
	defer s.Close() //nolint:contextcheck // it saves after ctx has ended
	var err error
	ctx, stop := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop(nil)
	saving, endSaving := context.WithCancel(context.WithoutCancel(ctx)) // calls go on after ctx
	defer endSaving()

	s.checks = health.Checks{shutdownCheck(ctx), s.usable}
	warnings := s.gate.warnings(lis.Addr())
	healthPages := health.Handler(s.checks, func() []string { return slices.Concat(warnings, s.warnings()) })
	serve := func() (http.Handler, *status.Service, error) {
		board, err := s.newStatus(lis.Addr())
		if err != nil {
			return nil, nil, err
		}
		service := s.service(ctx, lis.Addr(), board)
		if err := s.live.openProxy(s.config, s.gate, lis.Addr(), service.Observers); err != nil {
			return nil, nil, err
		}
		handler, err := api.New(service)
		if err != nil {
			return nil, nil, err
		}
		return routes(handler, healthPages, s.metricsPage(), s.pages()), board, nil
	}
	start := func(board *status.Service) { s.start(ctx, saving, stop, &parts, board) }
	var handler http.Handler
	var begin func()
	if r := s.replicaOf(); r != nil {
		handler, begin, err = s.runReplica(ctx, stop, &parts, lis.Addr(), healthPages, serve, start)
	} else {
		var board *status.Service
		handler, board, err = serve()
		begin = func() { start(board) }
	}
	if err != nil {
		return err
	}
	srv, err := s.newListener(s.load.count(handler), s.largeBody)
	if err != nil {
		return err
	}
	s.announce(ctx, lis.Addr(), warnings)
	begin()
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

// start runs in the background what a server needs that uses the bot, until ctx ends, and
// its data until saving does. stop ends the server with a reason.
func (s *Server) start(ctx, saving context.Context, stop context.CancelCauseFunc, parts *sync.WaitGroup, board *status.Service) {
	parts.Go(func() { s.data.run(saving) })
	parts.Go(func() { board.Run(ctx) })
	parts.Go(func() {
		s.history.Run(ctx, func() int {
			waiting, _ := s.up.client.Queued()
			return waiting
		})
	})
	parts.Go(func() { s.runOutbox(ctx) })
	parts.Go(func() {
		if err := s.login.run(ctx); err != nil {
			stop(err)
		}
	})
	parts.Go(func() {
		select {
		case <-s.data.lost():
			stop(lease.ErrLost)
			s.up.end() // calls that wait would do so without success
		case <-ctx.Done():
		}
	})
	parts.Go(func() { s.live.run(ctx, s.login.good) })
	parts.Go(func() { returnMemory(ctx, s.up.client.Queued) })
}

// usable returns why the server cannot do its work, nil when it can.
func (s *Server) usable() error {
	if r := s.replicaOf(); r != nil && !r.serves.Load() {
		return r.forwarder.Ready()
	}
	return health.Checks{s.data.leads, s.login.ready, s.up.reach.Check, s.up.client.Usable}.Ready()
}

// warnings returns what an admin should know of a server that uses the bot.
func (s *Server) warnings() []string {
	if r := s.replicaOf(); r != nil && !r.serves.Load() {
		return nil // they are those of the server that leads
	}
	return slices.Concat(s.live.warnings(), s.unsaved, s.outboxWarnings())
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

// service describes what answers calls, until ctx ends.
func (s *Server) service(ctx context.Context, addr net.Addr, board *status.Service) api.Config {
	c := s.config
	service := api.Config{
		Discord: learning{s.up.client, s.names}, Gateway: s.live.server,
		Ready: s.login.ready, Health: s.checks, Ending: ctx.Done(), Logger: c.Logger,
		Observers: calls.Observers{s.up.metrics, board, s.history}, Interceptors: s.up.interceptors, Dashboard: board, Access: s.gate.guard,
		NewEnums: c.NewEnums, MaxFileBytes: c.MaxFileBytes, MaxUploadBytes: c.MaxUploadBytes,
		Outbox: s.outbox, UseMaker: func(m outbox.Maker) { s.maker = m },
		Hooks: s.incoming.current(), UseHooks: s.incoming.follow,
	}
	if c.Audit != nil {
		service.Observers = append(service.Observers, calls.Audit(c.Audit, c.Logger))
	}
	// On an address that others can reach, everybody who reaches it could do whatever
	// the bot may.
	if c.PlainREST == On || c.PlainREST == OnLoopback && listener.IsLoopback(addr) {
		service.REST = rest.Config{Discord: s.up.client, MaxBodyBytes: c.MaxUploadBytes, Timeout: c.RESTTimeout, HideLimits: c.HideRESTLimits}
		if s.live.proxy != nil {
			service.REST.Gateway = s.live.proxy
		}
	}
	if s.up.traces != nil {
		service.REST.Trace = s.up.traces.Plain
	}
	return service
}

// outermost takes secrets out of the path.
func outermost(next http.Handler) http.Handler { return access.PathKeys(hooks.PathSecrets(next)) }

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
	if r := s.replicaOf(); r != nil {
		config.Forwarded = r.keys.Accept
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
		return access.Everyone(s.metrics.Handler())
	}
	return s.gate.guard.Page(s.metrics.Handler())
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
