package server

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/server/api"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/metrics"
	"discordproxy/server/internal/store"

	"connectrpc.com/connect"
)

// replica is a server that others which share its database know of. While it does not
// lead, it forwards the requests of its clients. A nil *replica is none.
type replica struct {
	store  *store.Store
	me     store.Replica
	keys   *forward.Keys
	logger *slog.Logger
	// balancer is that of all bots.
	balancer *balancer
	met      atomic.Pointer[meeting]
	// load returns what this replica has to do.
	load func() *store.Load
	// couldLead reports whether it could lead the bot.
	couldLead func() bool
	// changed has a value when the others are to be met soon.
	changed chan struct{}
	// These are set by Run. entry lets requests in that forwarder is to forward, which is
	// what forwarding does, in its place in all that the server serves.
	forwarder  *forward.Forwarder
	entry      *api.Entry
	forwarding http.Handler
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
func newReplica(ctx context.Context, all *places, p *place, c Config) (*replica, error) {
	r := &replica{
		store: p.store, keys: all.keys, logger: c.Logger, balancer: all.balancer, changed: make(chan struct{}, 1),
		me:   store.Replica{ID: p.holder, Bot: p.bot, Process: all.process, Address: c.Advertise, Version: c.Version},
		load: func() *store.Load { return new(store.Load) }, couldLead: func() bool { return true },
	}
	return r, r.meet(ctx)
}

// meet reports to the others that this replica is alive, and learns of them.
func (r *replica) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	began := time.Now()
	me := r.me
	me.Load = r.balancer.report(r.load())
	fleet, err := r.store.MeetReplicas(ctx, me)
	if err != nil {
		return unanswered(ctx, err)
	}
	secrets := make([]forward.Secret, len(fleet.Secrets))
	for i, s := range fleet.Secrets {
		secrets[i] = forward.Secret(s)
	}
	at := began.Add(time.Since(began) / 2)
	r.keys.Use(secrets, fleet.Now, at)
	met := &meeting{fleet, at}
	r.met.Store(met)
	r.balancer.met(r.me.Bot, met)
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

// others returns how many other replicas are alive that could lead the bot.
func (r *replica) others(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, meetInterval)
	defer cancel()
	fleet, err := r.store.Replicas(ctx, r.me.Bot)
	for _, other := range fleet.Replicas {
		refused := other.Load != nil && other.Load.Refused
		if other.ID != r.me.ID && !refused && fleet.Now.Sub(other.Seen) < 3*meetInterval {
			n++
		}
	}
	return n, err
}

// follow learns who leads until this replica does, whose data it then returns, or ctx ends.
func (r *replica) follow(ctx context.Context, p *place) *data {
	away := false
	for {
		d, err := r.attempt(ctx, p)
		if d != nil {
			return d
		}
		if errors.Is(err, errBotInUse) {
			_, err = r.find(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			r.logger.WarnContext(ctx, "failed to ask the database who leads the bot; retrying", "error", err)
		case err == nil && away:
			r.logger.InfoContext(ctx, "the database says again who leads the bot")
		}
		if away = err != nil; discord.Sleep(ctx, inUseWait) != nil {
			return nil
		}
	}
}

// attempt has requests forwarded to the server that leads the bot. If none does, it gets the
// lease of the bot, whose data it then returns, unless this server could not lead the bot or
// leaves it to another one. An attempt to get a lease that another server has would lock it.
func (r *replica) attempt(ctx context.Context, p *place) (*data, error) {
	if !r.couldLead() {
		return nil, errBotInUse // or will be
	}
	leader, err := r.find(ctx)
	if err != nil || !r.balancer.take(r.me.Bot, r.processOf(leader)) {
		return nil, err
	}
	d, err := p.lead(ctx)
	r.balancer.took(r.me.Bot, err == nil)
	return d, err
}

// processOf returns the process of a leader, the leader itself if it is not known, or not
// this process although it is its own: the lease outlives its tenure.
func (r *replica) processOf(leader store.Leader) string {
	for _, other := range r.met.Load().Replicas {
		if other.ID == leader.ID && other.ID != r.me.ID {
			return cmp.Or(other.Process, other.ID)
		}
	}
	return leader.ID
}

// find has requests forwarded to the server that leads at the moment.
func (r *replica) find(ctx context.Context) (store.Leader, error) {
	ctx, cancel := context.WithTimeout(ctx, meetInterval)
	defer cancel()
	leader, err := r.store.Leader(ctx, r.me.Bot)
	if err != nil {
		return leader, unanswered(ctx, err)
	}
	var reason error
	if leader.ID != "" && leader.Address == "" {
		reason = errors.New("the server that leads the bot has no address: start it with --advertise")
	}
	if r.forwarder != nil { // else Run has not begun
		r.forwarder.Lead(forward.Leader(leader), reason)
	}
	return leader, nil
}

// refuse answers a request in its own protocol.
func (r *replica) refuse(w http.ResponseWriter, req *http.Request, err *connect.Error) {
	r.entry.Refuse(w, req, err)
}

// openReplica is open for a replica, whose handler forwards requests while the replica
// does not lead.
func (b *bot) openReplica(ctx context.Context, s serving) (handler http.Handler, begin func(), err error) {
	r := b.replica
	r.forwarder = forward.New(forward.Config{
		Bot: r.me.Bot, Keys: r.keys, Refuse: r.refuse, TLS: b.gate.peers(), Endless: api.IsEndless, Repeatable: api.IsRepeatable,
		Ending: ctx, Logger: b.config.Logger,
	})
	r.load, r.couldLead = b.currentLoad, b.couldLead
	b.metrics.WatchFleet(b.watched)
	service := api.Config{
		Logger: b.config.Logger, Access: b.guard(), Observers: calls.Observers{b.metrics},
		Hooks: b.incoming.current(b.name), UseHooks: b.incoming.follow(r, b.name),
	}
	service.REST.IsOwn = b.isOwn
	if b.audit != nil {
		service.Observers = append(service.Observers, b.audit.For(b.label))
	}
	if r.entry, err = api.NewEntry(service, r.forwarder); err != nil {
		return nil, nil, err
	}
	r.forwarding = routes(r.entry, s.pages, b.metricsPage, pages(b.config, r.forwarder))
	handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch t := b.leads.Load(); {
		case t != nil:
			b.lead(t, w, req)
		case forward.IsForwarded(req):
			forward.Refused(w, req, r.refuse)
		default:
			r.forwarding.ServeHTTP(w, req)
		}
	})
	first := b.tenure
	if first == nil {
		leader, _ := r.find(ctx) // else it is found later
		b.config.Logger.InfoContext(ctx, "another server leads the bot; forwarding requests to it",
			"leader", cmp.Or(leader.Address, "unknown"), "own_address", r.me.Address)
	} else if err := first.serve(ctx, s.addr, s.pages); err != nil {
		return nil, nil, err
	}
	return handler, func() {
		if first != nil {
			first.start(s.stop) //nolint:contextcheck // it has the tenure's
			b.begin(first)
		}
		s.parts.Go(func() { r.run(ctx) })
		s.parts.Go(func() { b.probe(s.ended) })
		s.parts.Go(func() { b.keepTrying(ctx) })
		s.parts.Go(func() { b.live(ctx, s) })
	}, nil
}

// watched returns what metrics show of the replica.
func (b *bot) watched() metrics.Fleet {
	forwarded := b.replica.forwarder.Stats()
	f := metrics.Fleet{Answered: forwarded.Answered, Refused: forwarded.Refused, Broken: forwarded.Broken, InProgress: forwarded.InProgress}
	if former := b.former.Load(); former != nil {
		f.Epoch, f.Renewed, f.FailedRenewals = former.epoch, former.renewed, former.failed
	}
	if t := b.leads.Load(); t != nil {
		f.Leads, f.Epoch = t.data.leads() == nil, t.data.lease.Epoch()
		renewed, failed := t.data.lease.Renewals()
		f.Renewed, f.FailedRenewals = f.Renewed+renewed, f.FailedRenewals+failed
		f.RenewalTime = t.data.lease.RenewalTime()
	}
	versions := make(map[string]bool)
	for _, other := range b.replica.met.Load().Replicas {
		versions[other.Version] = true
		f.Replicas++
	}
	f.Versions = len(versions)
	return f
}

// probe looks whether the leader is ready, until ctx ends.
func (b *bot) probe(ctx context.Context) {
	defer b.replica.forwarder.Close()
	for {
		if b.leads.Load() == nil {
			b.replica.forwarder.Probe(ctx)
		}
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
