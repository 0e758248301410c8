package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/api"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/history"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/metrics"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// bot is one bot of a server. It leads while the server uses the bot itself, which is a
// tenure, and else follows: the server forwards requests to the one that leads. Without
// other servers there is one tenure, as long as the bot.
type bot struct {
	// label is the bot's name in what is shown of several bots. It is empty for a bot that the
	// configuration does not name.
	label string
	name  string
	// prefix begins the paths of the bot where paths name it.
	prefix   string
	config   Config
	gate     *gate
	incoming *incoming
	metrics  *metrics.Metrics
	traces   *traces      // nil when nobody wants them
	audit    *calls.Audit // nil for none
	history  *history.History
	load     *load
	address  *ratelimit.Address // that of the server's bots, or nil if it has one
	place    *place             // nil if nothing survives a restart
	replica  *replica           // nil if no other server can reach this one
	unsaved  []string           // why nothing survives a restart, empty if it does
	all      func() bots        // of the server
	// fleets describes the replicas of all bots, and metricsPage is the server's. checks are
	// about this bot. Run sets metricsPage and checks before the first request.
	fleets      func(context.Context) *pb.GetFleetResponse
	checks      health.Checks
	metricsPage http.Handler
	token       atomic.Pointer[string]
	trial       trial

	reloading  sync.Mutex // while Discord is asked about another token
	assembling sync.Mutex
	tenure     *tenure // guarded by assembling; nil while the bot follows

	way    atomic.Pointer[upstream] // of the tenure, for the metrics
	leads  atomic.Pointer[tenure]   // serves requests
	former atomic.Pointer[renewals] // of the last tenure
	closed sync.Once
	// surplus has the bot handed over: another server leads fewer.
	surplus chan struct{}
}

// renewals are those of a lease.
type renewals struct{ epoch, renewed, failed int64 }

// serving is how a server runs.
type serving struct {
	addr net.Addr
	// pages are those about health.
	pages http.Handler
	// stop ends the server with a reason.
	stop  context.CancelCauseFunc
	parts *sync.WaitGroup
	// ended ends when the last request has.
	ended context.Context //nolint:containedctx // it is the server's
}

// check returns what is wrong with the settings that only a tenure uses. A server that never
// led would otherwise show this when it has to take over. It puts together the parts of a
// tenure that depend on settings alone, and drops them.
func (b *bot) check() error {
	up, err := newUpstream(b.config, nil, nil, nil)
	if err != nil {
		return err
	}
	defer up.end()
	live, err := openGateway(b, b.config, up.client, nil, savedState{})
	live.end()
	return err
}

// prepare opens what the bot keeps, and begins a tenure unless another server leads.
func (b *bot) prepare(ctx context.Context, p *places) (err error) {
	b.place = p.of(b.config)
	d := b.place.data()
	if p != nil && p.shared {
		if b.replica, d, err = p.join(ctx, b.place, b.config); err != nil {
			return err
		}
		if d == nil {
			return nil // another server leads
		}
	}
	_, err = b.assemble(ctx, d)
	return err
}

// open makes the handler of the bot, and has what uses it begin when begin is called. ctx
// ends when the server begins to shut down. Once begin was called, close waits for what
// that started.
func (b *bot) open(ctx context.Context, s serving) (handler http.Handler, begin func(), err error) {
	if b.replica != nil {
		return b.openReplica(ctx, s)
	}
	if err := b.tenure.serve(ctx, s.addr, s.pages); err != nil {
		return nil, nil, err
	}
	b.leads.Store(b.tenure)
	return b.tenure.handler, func() { b.tenure.start(s.stop) }, nil //nolint:contextcheck // it has the tenure's
}

// close ends the bot, when the last request has ended. Later calls do nothing.
func (b *bot) close() {
	b.closed.Do(func() {
		if t := b.current(); t != nil {
			t.close(true)
		}
		b.replica.forget()
	})
}

// usable returns why the bot cannot be used, nil when it can.
func (b *bot) usable() error {
	if t := b.leads.Load(); t != nil {
		return t.usable()
	}
	return b.replica.forwarder.Ready()
}

// warnings returns what an admin should know of a bot that leads.
func (b *bot) warnings() []string {
	if t := b.leads.Load(); t != nil {
		return t.warnings()
	}
	return nil // they are those of the server that leads
}

// takeOver begins a tenure whose lease d has.
func (b *bot) takeOver(ctx context.Context, s serving, d *data) (err error) {
	t, err := b.assemble(ctx, d)
	if err != nil {
		return err
	}
	if err := t.serve(ctx, s.addr, s.pages); err != nil {
		err = d.whileLed(err)
		b.dismiss(t, false) //nolint:contextcheck // it saves after ctx has ended
		return err
	}
	t.start(s.stop) //nolint:contextcheck // it has the tenure's
	t.login.settle(ctx, settleLogin)
	b.begin(t)
	return nil
}

// settleLogin is how long requests wait at a takeover for the bot's token to be checked, if
// the last leader did not leave word that it is good.
const settleLogin = 3 * time.Second

// begin has a tenure serve requests.
func (b *bot) begin(t *tenure) {
	b.leads.Store(t)
	b.replica.forwarder.Become(outermost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.lead(t, w, api.WithoutBot(r))
	})))
	b.meetSoon()
}

// meetSoon has the other servers learn soon what this one does.
func (b *bot) meetSoon() {
	select {
	case b.replica.changed <- struct{}{}:
	default:
	}
}

// dismiss ends a tenure.
func (b *bot) dismiss(t *tenure, save bool) {
	t.close(save)
	if t.data != nil && t.data.lease != nil {
		last := renewals{epoch: t.data.lease.Epoch()}
		last.renewed, last.failed = t.data.lease.Renewals()
		if former := b.former.Load(); former != nil {
			last.renewed += former.renewed
			last.failed += former.failed
		}
		b.former.Store(&last)
	}
	b.assembling.Lock()
	b.tenure = nil
	b.assembling.Unlock()
}

// resign has requests forwarded from now on: new ones, and those that have had no effect
// yet. Streams end with reason.
func (b *bot) resign(t *tenure, reason *connect.Error) {
	b.leads.Store(nil)
	b.replica.forwarder.Resign()
	t.requests.pass(reason)
	t.live.end()
}

// errTakenOver ends the streams of a server that has lost its lease.
var errTakenOver = connect.NewError(connect.CodeUnavailable, lease.ErrLost)

// lose ends a tenure that another server's has replaced. Nothing is saved.
func (b *bot) lose(ctx context.Context, t *tenure) {
	b.resign(t, errTakenOver)
	_, _ = b.replica.find(ctx) // else it is found later
	t.end(errTakenOver)
	if t.outbox != nil {
		t.outbox.Abandon()
	}
	t.up.end() // calls that were begun and wait would do so without success
	t.requests.settle(lastCalls)
	b.dismiss(t, false) //nolint:contextcheck // it saves after ctx has ended
}

// errHandedOver ends the streams of a server that leaves the bot to another one.
var errHandedOver = connect.NewError(connect.CodeUnavailable, errors.New("another server leads the bot from now on"))

// handOver ends a tenure for another server's: what was begun ends, and the state is
// saved. reason is what streams end with.
func (b *bot) handOver(t *tenure, why store.Reason, reason *connect.Error) {
	began := time.Now()
	t.data.why = why
	b.resign(t, reason)
	t.end(nil)
	settled := t.requests.settle(settleTime)
	if !settled {
		t.up.end() // they wait for limits
		t.requests.cancel(rpc.ErrShuttingDown)
		t.requests.settle(lastCalls)
	}
	b.dismiss(t, true)
	b.config.Logger.Info("handed the bot over to another server", "reason", string(why),
		"took", time.Since(began).Round(time.Millisecond), "settled", settled)
}

// lastCalls is how long calls may take to end whose limits have ended.
const lastCalls = time.Second

// live follows and leads until the last request has ended.
func (b *bot) live(ctx context.Context, s serving) {
	r := b.replica
	for ctx.Err() == nil {
		t := b.leads.Load()
		if t == nil {
			d := r.follow(ctx, b.place)
			if d == nil {
				break
			}
			err := b.takeOver(ctx, s, d)
			switch {
			case err == nil || ctx.Err() != nil:
			case isTransient(err):
				b.config.Logger.ErrorContext(ctx, "failed to take over the bot; retrying", "error", err)
				_ = discord.Sleep(ctx, awayWait)
			case b.label == "":
				s.stop(fmt.Errorf("%w: %w", errTakeover, err)) // which ends ctx
			default: // other bots can be used
				b.config.Logger.ErrorContext(ctx, "cannot take over the bot; retrying", "error", err)
				_ = discord.Sleep(ctx, brokenWait)
			}
			continue
		}
		select {
		case <-t.data.lost():
			b.lose(ctx, t)
			continue
		case <-b.surplus:
			b.handOver(t, store.LeaseBalanced, errHandedOver) //nolint:contextcheck // it saves after ctx has ended
			b.meetSoon()
			continue
		case <-ctx.Done():
		}
	}
	b.leave(s) //nolint:contextcheck // it goes on after ctx
}

// brokenWait is how long a bot waits that cannot be taken over, while others can be used.
const brokenWait = 10 * time.Second

// transient are errors of a takeover that may not happen again: the database may be back
// soon, and another server may lead meanwhile.
var transient = []error{
	store.ErrAway, store.ErrFenced, store.ErrFull, lease.ErrNotHeld, lease.ErrLost, context.DeadlineExceeded,
}

// isTransient reports whether a takeover that failed with an error may succeed later.
func isTransient(err error) bool {
	return slices.ContainsFunc(transient, func(t error) bool { return errors.Is(err, t) })
}

// leave hands the bot over to another server if there is one, and forwards requests there
// until the last has ended.
func (b *bot) leave(s serving) {
	r := b.replica
	t := b.leads.Load()
	ctx := s.ended
	if t == nil {
		r.forget() // so that nobody waits for this one to lead
	} else {
		if others, err := r.others(ctx); err != nil || others == 0 {
			select {
			case <-ctx.Done(): // requests are served here to the end
				return
			case <-t.data.lost():
				b.lose(ctx, t)
			}
		} else {
			b.handOver(t, store.LeaseHandedOver, rpc.ShuttingDown())
		}
		r.forget()
	}
	for ctx.Err() == nil {
		_, _ = r.find(ctx) // else the leader is the last one that was found
		if others, err := r.others(ctx); err == nil && others == 0 {
			r.forwarder.End()
		}
		_ = discord.Sleep(ctx, inUseWait)
	}
}

// lead serves a request in a tenure. A request that can be passed on is passed on if the
// tenure ends before anything of it has happened.
func (b *bot) lead(t *tenure, w http.ResponseWriter, r *http.Request) {
	switch passed, whole := t.requests.serve(t.handler, w, r); {
	case passed == nil:
	case forward.IsForwarded(r):
		forward.Refused(w, passed, b.replica.refuse)
	case !whole:
		b.replica.refuse(w, passed, t.requests.why())
	default:
		b.replica.forwarding.ServeHTTP(w, passed)
	}
}

// observers are notified of every request to Discord.
func (b *bot) observers() []discord.Observer {
	all := []discord.Observer{b.metrics, b.history}
	if b.traces != nil {
		all = append(all, b.traces)
	}
	return all
}
