package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/dashboard"
	"discordproxy/discord"
	"discordproxy/server/api"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/metrics"
	"discordproxy/server/internal/status"
	"discordproxy/server/internal/store"

	"connectrpc.com/connect"
)

// replica is a server that others which share its database know of. While it does not
// lead, it forwards the requests of its clients. A nil *replica is none.
type replica struct {
	store     *store.Store
	me        store.Replica
	keys      *forward.Keys
	forwarder *forward.Forwarder // set by Run
	logger    *slog.Logger
	token     atomic.Pointer[string] // the bot's
	met       atomic.Pointer[meeting]
	serves    atomic.Bool // it leads, and serves requests itself
	// load returns what this replica has to do.
	load func() *store.Load
	// changed has a value when the others are to be met soon.
	changed chan struct{}
}

// meeting is what a replica has last read of the others.
type meeting struct {
	store.Fleet
	at time.Time // by this server's clock
}

const (
	// meetInterval is how often a replica reports to the others that it is alive.
	meetInterval = 2 * time.Second
	// meetTimeout limits such a report. It makes several statements, and may take longer than
	// the interval while the database is slow.
	meetTimeout = 10 * time.Second
	// probeInterval is how often a replica looks whether its leader is ready.
	probeInterval = time.Second
)

// errTakeover ends a server that got the lease, but cannot use what the last leader left.
var errTakeover = errors.New("cannot take over the bot")

// newReplica makes this server known to the others, and learns of them.
func newReplica(ctx context.Context, d *data, c Config) (*replica, error) {
	r := &replica{
		store: d.store, keys: forward.NewKeys(d.bot), logger: c.Logger, changed: make(chan struct{}, 1),
		me:   store.Replica{ID: d.holder, Bot: d.bot, Process: rand.Text(), Address: c.Advertise, Version: c.Version},
		load: func() *store.Load { return new(store.Load) },
	}
	r.token.Store(&c.Token)
	return r, r.meet(ctx)
}

// waits reports whether another server uses the bot.
func (d *data) waits() bool { return d != nil && d.replica != nil && d.lease == nil }

// replicaOf returns this server among others, nil if they do not know of it.
func (s *Server) replicaOf() *replica {
	if s.data == nil {
		return nil
	}
	return s.data.replica
}

// meet reports to the others that this replica is alive, and learns of them.
func (r *replica) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	began := time.Now()
	me := r.me
	me.Load = r.load()
	fleet, err := r.store.MeetReplicas(ctx, me)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", store.ErrAway, err) // it did not answer
	}
	if err != nil {
		return err
	}
	secrets := make([]forward.Secret, len(fleet.Secrets))
	for i, s := range fleet.Secrets {
		secrets[i] = forward.Secret(s)
	}
	at := began.Add(time.Since(began) / 2)
	r.keys.Use(secrets, fleet.Now, at)
	r.met.Store(&meeting{fleet, at})
	return nil
}

// run keeps in touch with the others until ctx ends.
func (r *replica) run(ctx context.Context) {
	ticker := time.NewTicker(meetInterval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-r.changed:
		}
		err := r.meet(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			r.logger.WarnContext(ctx, "failed to meet the other replicas in the database; retrying", "error", err)
		case err == nil && failing:
			r.logger.InfoContext(ctx, "met the other replicas in the database again")
		}
		failing = err != nil
	}
}

// forget removes this replica from those that the others know of.
func (r *replica) forget() {
	if r == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), meetInterval)
	defer cancel()
	if err := r.store.ForgetReplica(ctx, r.me.ID); err != nil {
		r.logger.Warn("failed to leave the other replicas; they forget this one soon", "error", err)
	}
}

// follow learns who leads until this replica does, or ctx ends.
func (r *replica) follow(ctx context.Context, d *data) bool {
	away := false
	for {
		err := d.lead(ctx)
		if err == nil {
			return true
		}
		if errors.Is(err, errBotInUse) {
			err = r.find(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil && !away:
			r.logger.WarnContext(ctx, "failed to ask the database who leads the bot; retrying", "error", err)
		case err == nil && away:
			r.logger.InfoContext(ctx, "the database says again who leads the bot")
		}
		if away = err != nil; discord.Sleep(ctx, inUseWait) != nil {
			return false
		}
	}
}

// find has requests forwarded to the server that leads at the moment.
func (r *replica) find(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, meetInterval)
	defer cancel()
	leader, err := r.store.Leader(ctx, r.me.Bot)
	if err != nil {
		return err
	}
	var reason error
	if leader.ID != "" && leader.Address == "" {
		reason = errors.New("the server that leads the bot has no address: start it with --advertise")
	}
	r.forwarder.Lead(forward.Leader(leader), reason)
	return nil
}

// isOwn reports whether an Authorization is the bot's own token.
func (r *replica) isOwn(authorization string) bool {
	scheme, given, _ := strings.Cut(authorization, " ")
	want, got := sha256.Sum256([]byte(strings.TrimPrefix(*r.token.Load(), "Bot "))), sha256.Sum256([]byte(strings.TrimSpace(given)))
	return strings.EqualFold(scheme, "Bot") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// runReplica returns the handler of a replica, which serves requests itself once the
// replica leads, and what is to be called once it is in use. serve returns the
// handler of a server that leads, and start runs that server. stop ends this one.
func (s *Server) runReplica(
	ctx context.Context, stop context.CancelCauseFunc, parts *sync.WaitGroup, addr net.Addr, healthPages http.Handler,
	serve func() (http.Handler, *status.Service, error), start func(*status.Service),
) (handler http.Handler, begin func(), err error) {
	r := s.replicaOf()
	var entry *api.Entry
	refuse := func(w http.ResponseWriter, req *http.Request, err *connect.Error) { entry.Refuse(w, req, err) }
	r.forwarder = forward.New(forward.Config{
		Keys: r.keys, Refuse: refuse, TLS: s.gate.peers(), Endless: api.IsEndless, Repeatable: api.IsRepeatable,
		Ending: ctx, Logger: s.config.Logger,
	})
	r.load = s.currentLoad
	s.metrics.WatchFleet(s.watched)
	service := api.Config{
		Logger: s.config.Logger, Access: s.gate.guard, Observers: calls.Observers{s.metrics},
		Hooks: s.incoming.current(), UseHooks: s.incoming.follow,
	}
	service.REST.IsOwn = r.isOwn
	if s.config.Audit != nil {
		service.Observers = append(service.Observers, calls.Audit(s.config.Audit, s.config.Logger))
	}
	if entry, err = api.NewEntry(service, r.forwarder); err != nil {
		return nil, nil, err
	}
	pages := map[string]http.Handler{
		"GET " + gatewayproxy.Path: r.forwarder, "GET " + gatewayproxy.Path + "/{$}": r.forwarder,
	}
	if !s.config.NoDashboard {
		page := dashboard.Handler()
		pages["GET /{$}"], pages["GET /dashboard/"] = page, page
	}
	forwarding := routes(entry, healthPages, s.metricsPage(), pages)
	var leading atomic.Pointer[http.Handler]
	handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch own := leading.Load(); {
		case own != nil:
			(*own).ServeHTTP(w, req)
		case forward.IsForwarded(req):
			forward.Refused(w, req, refuse)
		default:
			forwarding.ServeHTTP(w, req)
		}
	})
	lead := func() error {
		own, board, err := serve()
		if err != nil {
			return err
		}
		start(board)
		leading.Store(&own)
		r.serves.Store(true)
		r.forwarder.Become(outermost(own))
		select {
		case r.changed <- struct{}{}:
		default:
		}
		return nil
	}
	if !s.data.waits() {
		if err := lead(); err != nil {
			return nil, nil, err
		}
		return handler, func() { parts.Go(func() { r.run(ctx) }) }, nil
	}
	s.config.Logger.InfoContext(ctx, "another server leads the bot; forwarding requests to it",
		"address", addr.String(), "advertise", r.me.Address)
	return handler, func() {
		parts.Go(func() { r.run(ctx) })
		parts.Go(func() { r.probe(ctx) })
		parts.Go(func() {
			if !r.follow(ctx, s.data) {
				return
			}
			err := s.assemble(ctx)
			if err == nil {
				err = lead()
			}
			if err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%w: %w", errTakeover, err))
			}
		})
	}, nil
}

// watched returns what metrics show of the replica.
func (s *Server) watched() metrics.Fleet {
	r := s.replicaOf()
	forwarded := r.forwarder.Stats()
	f := metrics.Fleet{
		Leads: r.serves.Load() && s.data.leads() == nil, Answered: forwarded.Answered, Refused: forwarded.Refused,
		Broken: forwarded.Broken, InProgress: forwarded.InProgress,
	}
	if r.serves.Load() {
		f.Epoch = s.data.lease.Epoch()
		f.Renewed, f.FailedRenewals = s.data.lease.Renewals()
		f.RenewalTime = s.data.lease.RenewalTime()
	}
	versions := make(map[string]bool)
	for _, other := range r.met.Load().Replicas {
		versions[other.Version] = true
		f.Replicas++
	}
	f.Versions = len(versions)
	return f
}

// probe looks whether the leader is ready, until this replica leads or ctx ends.
func (r *replica) probe(ctx context.Context) {
	defer r.forwarder.Close()
	for !r.serves.Load() {
		r.forwarder.Probe(ctx)
		if discord.Sleep(ctx, probeInterval) != nil {
			return
		}
	}
}

// peers returns how to reach another replica at a host. Its certificate must be this
// server's own, or one for the host that a known authority has signed: one of the
// system's, or of those that certificates of clients are from. Nil means without TLS.
func (g *gate) peers() func(host string) *tls.Config {
	if g.tls == nil {
		return nil
	}
	return func(host string) *tls.Config {
		return &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: host,
			VerifyConnection:   func(state tls.ConnectionState) error { return g.verifyPeer(host, state.PeerCertificates) },
			InsecureSkipVerify: true, //nolint:gosec // verifyPeer does it, and accepts the certificate that replicas share
		}
	}
}

func (g *gate) verifyPeer(host string, chain []*x509.Certificate) error {
	own, err := g.tls.GetConfigForClient(nil)
	if err != nil {
		return err
	}
	if bytes.Equal(own.Certificates[0].Certificate[0], chain[0].Raw) {
		return nil
	}
	options := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool()}
	for _, more := range chain[1:] {
		options.Intermediates.AddCert(more)
	}
	_, err = chain[0].Verify(options)
	if err != nil && own.ClientCAs != nil {
		options.Roots = own.ClientCAs
		_, err = chain[0].Verify(options)
	}
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}
