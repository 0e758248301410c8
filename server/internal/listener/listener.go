// Package listener serves HTTP/2 and HTTP/1.1 on one port, in cleartext (with prior
// knowledge or Upgrade: h2c) or over TLS. It protects any handler from overload and
// from web pages of other sites, and shuts down gracefully.
package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// The defaults of Config.
const (
	DefaultGrace                = 110 * time.Second
	DefaultMaxHeaderBytes       = 32 << 10
	DefaultMaxBodyBytes         = 8 << 20
	DefaultMaxHeldBodyBytes     = 512 << 20
	DefaultMaxConnections       = 10_000
	DefaultMaxConcurrentStreams = 4_000
	DefaultMaxUnknown           = 2_000
	DefaultMaxUnknownPerNetwork = 500

	DefaultMaxUnknownPerConnection = 100

	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultReadTimeout       = time.Minute
	DefaultIdleTimeout       = 5 * time.Minute
	DefaultSendPingTimeout   = 30 * time.Second
	DefaultPingTimeout       = 15 * time.Second
	DefaultWriteTimeout      = 30 * time.Second
)

// lastWords is how long handlers have to answer after the grace.
const lastWords = 2 * time.Second

// Config describes a Server. For every number and duration zero means the
// default of that name, and a negative value is refused by New.
type Config struct {
	// Handler serves all requests. It must not be nil.
	Handler http.Handler

	// Outermost returns a handler around everything that the server does with a request,
	// including logs of refusals. Nil means none.
	Outermost func(http.Handler) http.Handler

	// TLS makes the port speak TLS alone; nil means cleartext. A configuration
	// that its GetConfigForClient returns must name h2 among its NextProtos,
	// else there is no HTTP/2.
	TLS *tls.Config

	// Forwarded recognizes requests that another server has forwarded, which has
	// done with them what this one does with those of its clients: checks of hosts,
	// sites and headers, and limits for clients that are not known. It returns the
	// request as that server got it, or nil for one of a client, or why it is refused, for
	// which it may set headers of the response. Nil means that there are none.
	Forwarded func(http.ResponseWriter, *http.Request) (*http.Request, error)

	// Logger receives refused requests, panics of handlers and the course of
	// the shutdown. Nil means slog.Default().
	Logger *slog.Logger

	// Grace is how long requests in progress may take to end on shutdown.
	Grace time.Duration

	// AllowedHosts are names and addresses, without port, by which the server
	// may be called in addition to localhost and the loopback addresses. While it is
	// bound to a loopback address, requests to any other host are refused with
	// 403, so that a web page cannot reach it by DNS rebinding. Bound
	// elsewhere, hosts are only checked when AllowedHosts is not empty.
	AllowedHosts []string

	// WithoutHost are paths that GET, HEAD and OPTIONS may ask for without naming a
	// host, as health checks of load balancers do over HTTP/1.0 and HTTP/2. Browsers
	// always name one, so the check of hosts loses nothing.
	WithoutHost []string

	// CORSOrigins are the web origins ("https://example.org") whose pages may
	// call the server. Requests that a browser sends from any other site than
	// the server's own are refused with 403.
	CORSOrigins []string

	// MaxHeaderBytes limits the header of a request, counted as HTTP/2 counts
	// header lists. A request with a larger one is refused with
	// resource_exhausted, or 431. A header more than four times as large ends
	// its connection.
	MaxHeaderBytes int

	// MaxBodyBytes bounds the body of a request, as it was sent.
	MaxBodyBytes int64

	// LargeBody returns the bound for the body of a request where that is
	// larger than MaxBodyBytes, else 0. Nil means never. An Upgrade to h2c has
	// no larger body.
	LargeBody func(*http.Request) int64

	// IsStream reports whether the body of a request is a stream of messages, which
	// has no bound: its handler bounds each message. Nil means never.
	IsStream func(*http.Request) bool

	// MaxHeldBodyBytes bounds the sum of the bodies that were read for the
	// requests in progress. A request that would exceed it fails with
	// resource_exhausted.
	MaxHeldBodyBytes int64

	// MaxConnections bounds the open connections. Further ones wait in the
	// operating system's queue until another ends.
	MaxConnections int

	// MaxConcurrentStreams bounds the requests in progress on one HTTP/2
	// connection. Clients queue what exceeds it. It is high because parked
	// requests of a client must not block its others.
	MaxConcurrentStreams int

	// MaxUnknown limits the requests in progress from clients that need not be
	// known: those that handlers behind Anyone serve. MaxUnknownPerNetwork
	// limits those from one address, or one /64 of IPv6, and
	// MaxUnknownPerConnection those on one connection. Further ones are refused
	// with resource_exhausted, or 429. Requests for pages, GET and HEAD, have
	// the last limit only. A connection on which twice as many are in progress
	// that Known has not seen is closed, or if it also serves known clients,
	// further streams are reset.
	MaxUnknown, MaxUnknownPerNetwork, MaxUnknownPerConnection int

	// ReadHeaderTimeout ends connections that are slow with a request's header
	// or with HTTP/2's preface.
	ReadHeaderTimeout time.Duration

	// ReadTimeout ends requests that are slow with their body: it may take this
	// long, and another second for each 16 KiB. Handlers can set another read
	// deadline.
	ReadTimeout time.Duration

	// IdleTimeout closes connections without requests (HTTP/2: after a GOAWAY,
	// upon which clients reconnect by themselves).
	IdleTimeout time.Duration

	// SendPingTimeout is how long an HTTP/2 connection may be silent before the server
	// sends a ping, and PingTimeout how long the response to the ping may take.
	SendPingTimeout time.Duration
	PingTimeout     time.Duration

	// WriteTimeout closes connections whose peer accepts no byte of a response for that
	// long. A response as a whole may take any time.
	WriteTimeout time.Duration
}

// Server serves one listener. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	guard  guard
	budget bodyBudget
	// refused are refusals that are logged.
	refused *refusals.Log
	unknown unknown
	unread  atomic.Int64 // bodies that are read to be dropped

	closing      context.Context // ends when Close is called
	closeNow     context.CancelFunc
	served       atomic.Bool
	inProgress   atomic.Int64 // ServeHTTP calls: requests, and each hijacked connection once
	connections  connections
	loopbackOnly bool // set by Serve before the first request
}

// New validates cfg and returns a Server.
func New(cfg Config) (*Server, error) {
	if cfg.Handler == nil {
		return nil, errors.New("listener: no handler")
	}
	if err := cfg.setDefaults(); err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	s := &Server{cfg: cfg, refused: refusals.NewLog()}
	s.closing, s.closeNow = context.WithCancel(context.Background())
	s.budget.left.Store(cfg.MaxHeldBodyBytes)
	if err := s.guard.configure(cfg); err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	return s, nil
}

func (c *Config) setDefaults() error {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return errors.Join(
		setDefault("Grace", &c.Grace, DefaultGrace),
		setDefault("MaxHeaderBytes", &c.MaxHeaderBytes, DefaultMaxHeaderBytes),
		setDefault("MaxBodyBytes", &c.MaxBodyBytes, DefaultMaxBodyBytes),
		setDefault("MaxHeldBodyBytes", &c.MaxHeldBodyBytes, DefaultMaxHeldBodyBytes),
		setDefault("MaxConnections", &c.MaxConnections, DefaultMaxConnections),
		setDefault("MaxConcurrentStreams", &c.MaxConcurrentStreams, DefaultMaxConcurrentStreams),
		setDefault("MaxUnknown", &c.MaxUnknown, DefaultMaxUnknown),
		setDefault("MaxUnknownPerNetwork", &c.MaxUnknownPerNetwork, DefaultMaxUnknownPerNetwork),
		setDefault("MaxUnknownPerConnection", &c.MaxUnknownPerConnection, DefaultMaxUnknownPerConnection),
		setDefault("ReadHeaderTimeout", &c.ReadHeaderTimeout, DefaultReadHeaderTimeout),
		setDefault("ReadTimeout", &c.ReadTimeout, DefaultReadTimeout),
		setDefault("IdleTimeout", &c.IdleTimeout, DefaultIdleTimeout),
		setDefault("SendPingTimeout", &c.SendPingTimeout, DefaultSendPingTimeout),
		setDefault("PingTimeout", &c.PingTimeout, DefaultPingTimeout),
		setDefault("WriteTimeout", &c.WriteTimeout, DefaultWriteTimeout),
	)
}

func setDefault[T ~int | ~int64](name string, value *T, byDefault T) error {
	if *value < 0 {
		return fmt.Errorf("%s is negative", name)
	}
	if *value == 0 {
		*value = byDefault
	}
	return nil
}

// Close ends a Serve in progress immediately, also one that is shutting down:
// contexts of requests end with rpc.ErrShuttingDown, connections are closed.
func (s *Server) Close() {
	s.closeNow()
}

// Serve serves ln, which it closes, until ctx ends. It may be called once.
//
// When ctx ends, the server stops accepting, sends GOAWAY to HTTP/2 clients, and waits
// up to Config.Grace for the requests in progress. The contexts of those that remain are canceled with
// rpc.ErrShuttingDown as their cause; two seconds later all connections are closed. Serve then
// returns nil. It does not wait for handlers that ignore their context, nor for
// connections that HTTP/2 gave up, which end within a second.
//
// It returns an error when accepting connections failed for good; being out of
// file descriptors is waited out.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if s.served.Swap(true) {
		return errors.New("listener: Serve was called before")
	}
	s.loopbackOnly = IsLoopback(ln.Addr())

	requests, endRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer endRequests(rpc.ErrShuttingDown)

	srv := &http.Server{
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout,
		ReadTimeout:       s.cfg.ReadTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    headerRead * s.cfg.MaxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.cfg.MaxConcurrentStreams,
			SendPingTimeout:      s.cfg.SendPingTimeout,
			PingTimeout:          s.cfg.PingTimeout,
		},
		ConnState:   s.connections.setState,
		ConnContext: withConnection,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    newErrorLog(s.cfg.Logger),
	}
	accept, err := s.prepare(srv)
	if err != nil {
		return err
	}
	accepting := make(chan error, 1)
	connections := s.connections.listen(ln, s.cfg)
	go func() { accepting <- accept(connections) }()

	select {
	case err = <-accepting:
		endRequests(rpc.ErrShuttingDown)
		s.connections.closeAll()
		return fmt.Errorf("accept connections: %w", err)
	case <-ctx.Done():
	case <-s.closing.Done():
	}
	s.drain(context.WithoutCancel(ctx), srv, endRequests)
	<-accepting
	return nil
}

// prepare sets what srv does with requests, and returns the function that has
// it accept connections.
func (s *Server) prepare(srv *http.Server) (accept func(net.Listener) error, err error) {
	handler := s.check(s.cfg.Handler)
	if s.cfg.TLS != nil {
		// net/http changes the configuration, which may serve others too.
		srv.Handler, srv.TLSConfig = handler, s.cfg.TLS.Clone()
		if err := serveHTTP2OverTLS(srv); err != nil {
			return nil, fmt.Errorf("listener: configure HTTP/2: %w", err)
		}
		return func(ln net.Listener) error { return srv.ServeTLS(ln, "", "") }, nil
	}
	h2c, err := s.h2cHandler(srv, handler)
	if err != nil {
		return nil, fmt.Errorf("listener: configure HTTP/2: %w", err)
	}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mayBecomeHTTP2(r) {
			h2c.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
	return srv.Serve, nil
}

// drain ends the requests in progress, gracefully as far as the grace goes.
func (s *Server) drain(ctx context.Context, srv *http.Server, endRequests context.CancelCauseFunc) {
	s.cfg.Logger.InfoContext(ctx, "shutting down", "connections", s.connections.count(), "grace", s.cfg.Grace)
	s.connections.draining.Store(true)
	if !s.waitForRequests(ctx, srv, s.cfg.Grace) {
		endRequests(rpc.ErrShuttingDown)
		s.waitForRequests(ctx, srv, lastWords)
	}
	if n := s.connections.closeAll(); n > 0 {
		s.cfg.Logger.WarnContext(ctx, "closed connections with unfinished requests", "connections", n)
	}
	// Handlers of broken connections may remain, and the listener if closing it
	// failed.
	_ = srv.Close()
}

// waitForRequests lets the requests in progress end and reports whether they
// did. The limit is cut short by Close.
//
// http.Server.Shutdown waits for HTTP/1.1 alone: a hijacked connection is none
// of its own any more. Those are in the count of requests. It is repeated
// because only connections that exist at that moment get their GOAWAY, and one
// may be on its way from HTTP/1.1 to HTTP/2.
func (s *Server) waitForRequests(ctx context.Context, srv *http.Server, limit time.Duration) bool {
	const interval = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)() //nolint:contextcheck // Close is not part of any context
	for {
		round, endRound := context.WithTimeout(ctx, interval)
		err := srv.Shutdown(round)
		quiet := round.Err() == nil || err == nil
		if quiet && s.inProgress.Load() == 0 {
			endRound()
			return true
		}
		<-round.Done()
		endRound()
		if ctx.Err() != nil {
			return false
		}
	}
}

// count counts the calls of next that have not returned.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inProgress.Add(1)
		defer s.inProgress.Add(-1)
		next.ServeHTTP(w, r)
	})
}

// check returns a handler that checks requests before next.
func (s *Server) check(next http.Handler) http.Handler {
	next = s.limitBody(next)
	forwarded := next
	if s.guard.cors == nil {
		next = unless(next, s.refuseLargeHeader, s.refuseOtherHosts, s.refuseOtherSites)
	} else {
		next = s.guard.cors.Handler(unless(next, s.refuseOtherSites))
		next = unless(next, s.refuseLargeHeader, s.refuseOtherHosts)
	}
	next = s.countUnknown(next)
	if s.cfg.Outermost != nil {
		next, forwarded = s.cfg.Outermost(next), s.cfg.Outermost(forwarded)
	}
	if s.cfg.Forwarded != nil {
		next = s.separate(next, forwarded)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inProgress.Add(1)
		defer s.inProgress.Add(-1)
		reserveStack()
		r, body := watchBody(r)
		next.ServeHTTP(w, r)
		announceTrailers(w, r)
		s.readUnread(w, r, body)
	})
}

// separate passes requests that another server has forwarded to forwarded, and all others to next.
func (s *Server) separate(next, forwarded http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := s.cfg.Forwarded(w, r)
		switch {
		case err != nil:
			s.refuse(w, r, connect.CodePermissionDenied, http.StatusForbidden, err.Error())
		case in == nil:
			next.ServeHTTP(w, r)
		default:
			if c, ok := r.Context().Value(connectionKey{}).(*unknownConnection); ok {
				c.known.Store(true)
			}
			forwarded.ServeHTTP(w, in)
		}
	})
}

// unless returns next for requests that none of several checks has refused. Checks are
// asked in order, and have returned before next begins: a request that waits for a rate
// limit keeps every function around it on its stack.
func unless(next http.Handler, refused ...func(http.ResponseWriter, *http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, by := range refused {
			if by(w, r) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
