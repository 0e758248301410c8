package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"discordproxy/server/api"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/names"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/status"
)

// tenure is what uses a bot, from when this server leads the bot until it does so no
// longer. A later tenure of the same server shares nothing with it but what bot has.
type tenure struct {
	bot       *bot
	data      *data
	up        *upstream
	login     *login
	live      live
	names     *names.Names
	outbox    *outbox.Outbox // nil if nothing survives a restart
	maker     outbox.Maker   // set by serve
	dashboard *status.Service
	// savedToken is what survives of the bot's token. Only Reload changes it.
	savedToken *savedToken
	// loaded is whether the state of the last tenure was read, so that this one's is saved.
	loaded bool
	// unwatch takes what is here out of the metrics.
	unwatch []func()
	// handler serves requests. Those in progress are in requests if others can take them.
	handler  http.Handler
	requests requests

	ctx       context.Context //nolint:containedctx // it is the tenure itself
	end       context.CancelCauseFunc
	parts     sync.WaitGroup
	saving    sync.WaitGroup
	endSaving context.CancelFunc // the last thing that ends
	closed    sync.Once
}

// assemble puts together what a server needs that uses the bot, and reads what the last
// one has left. A tenure whose assembly fails ends.
//
//nolint:contextcheck // what it puts together lives on after ctx
func (b *bot) assemble(ctx context.Context, d *data) (*tenure, error) {
	b.assembling.Lock()
	defer b.assembling.Unlock()
	t := &tenure{bot: b, data: d, end: func(error) {}, endSaving: func() {}}
	if err := t.assemble(ctx); err != nil {
		err = d.whileLed(err)
		t.close(false)
		return nil, err
	}
	b.tenure = t
	return t, nil
}

func (t *tenure) assemble(ctx context.Context) (err error) {
	b := t.bot
	c := b.config
	c.Token = *b.token.Load()
	if t.up, err = newUpstream(c, b.address, b.observers(), t.data); err != nil {
		return err
	}
	b.way.Store(t.up)
	t.requests.began = time.Now()
	saved, err := t.data.load(ctx)
	if err != nil {
		return err // nothing is saved: what was there stays
	}
	t.loaded = true
	t.up.limiter.Import(saved.limits(), saved.clean)
	if t.data != nil {
		t.up.client.ExportDMs() // what changes from here on is kept
	}
	t.up.client.ImportDMs(saved.dms())
	t.data.add(&savedLimits{limiter: t.up.limiter, data: t.data})
	t.data.add(&savedDMs{client: t.up.client})
	pauses := &savedPauses{client: t.up.client}
	pauses.restore(saved)
	t.data.add(pauses)
	if err := t.openOutbox(ctx); err != nil {
		return err
	}
	t.login = newLogin(t.up.client, t.up.reach.Check, c.Logger)
	t.login.found = func() { t.data.notify(true) }
	t.savedToken = newSavedToken(t.login, c.Token)
	t.savedToken.restore(saved)
	t.data.add(t.savedToken)
	if t.live, err = openGateway(b, c, t.up.client, t.data, saved); err != nil {
		return err
	}
	t.unwatch = append(t.unwatch, t.live.observe(b.metrics))
	t.names, err = names.New(t.live.server.Guilds)
	return err
}

// serve makes the handler of a tenure that begins. It ends with ctx, or with close.
func (t *tenure) serve(ctx context.Context, addr net.Addr, healthPages http.Handler) (err error) {
	b := t.bot
	t.ctx, t.end = context.WithCancelCause(ctx)
	if t.dashboard, err = t.newStatus(addr); err != nil {
		return err
	}
	service := t.service(addr)
	t.live.openProxy(b.config, b.guard(), addr, service.Observers)
	handler, err := api.New(service)
	if err != nil {
		return err
	}
	t.handler = routes(handler, healthPages, b.metricsPage, t.pages())
	return nil
}

// start runs in the background what uses the bot. stop ends the server with a reason.
func (t *tenure) start(stop context.CancelCauseFunc) {
	ctx := t.ctx
	saving, endSaving := context.WithCancel(context.WithoutCancel(ctx)) // calls go on after ctx
	t.endSaving = endSaving
	t.saving.Go(func() { t.data.run(saving) })
	t.parts.Go(func() { t.dashboard.Run(ctx) })
	t.parts.Go(func() {
		t.bot.history.Run(ctx, func() int {
			waiting, _ := t.up.client.Queued()
			return waiting
		})
	})
	t.parts.Go(func() { t.runOutbox(ctx) })
	t.parts.Go(func() {
		for err := t.login.run(ctx); err != nil; err = t.login.run(ctx) {
			if t.bot.label == "" {
				stop(err)
				return
			}
			// Other bots can be used, and this one with another token.
			if !t.login.awaitToken(ctx) {
				return
			}
		}
	})
	if t.bot.replica == nil {
		t.parts.Go(func() {
			select {
			case <-t.data.lost():
				stop(lease.ErrLost)
				t.up.end() // calls that wait would do so without success
			case <-ctx.Done():
			}
		})
	}
	t.parts.Go(func() { t.live.run(ctx, t.login.good) })
	t.parts.Go(func() { returnMemory(ctx, t.up.client.Queued) })
}

// close ends the tenure: it refuses the calls that still wait for rate limits, and saves
// what survives it, unless that is another server's by now. Everything that the tenure
// has started has ended when close returns.
func (t *tenure) close(save bool) {
	t.closed.Do(func() {
		t.end(nil)
		t.live.end()
		t.parts.Wait()
		t.endSaving()
		t.saving.Wait()
		if t.up != nil {
			t.up.end()
			t.bot.way.CompareAndSwap(t.up, nil)
		}
		for _, unwatch := range t.unwatch {
			unwatch()
		}
		t.bot.incoming.leave(t)
		if save && t.loaded {
			t.data.finish()
		} else {
			t.data.abandon()
		}
	})
}

// usable returns why the bot cannot do its work, nil when it can.
func (t *tenure) usable() error {
	return health.Checks{t.data.leads, t.login.ready, t.up.reach.Check, t.up.client.Usable}.Ready()
}

// warnings returns what an admin should know.
func (t *tenure) warnings() []string {
	return slices.Concat(t.live.warnings(), t.bot.unsaved, t.outboxWarnings())
}

// service describes what answers calls.
func (t *tenure) service(addr net.Addr) api.Config {
	b := t.bot
	c := b.config
	service := api.Config{
		Discord: learning{t.up.client, t.names}, Gateway: t.live.server,
		Ready: t.login.ready, Health: b.checks, Ending: t.ctx.Done(), Logger: c.Logger,
		Observers: calls.Observers{b.metrics, t.dashboard, b.history}, Dashboard: t.dashboard, Access: b.guard(),
		NewEnums: c.NewEnums, MaxFileBytes: c.MaxFileBytes, MaxUploadBytes: c.MaxUploadBytes,
		Outbox: t.outbox, UseMaker: func(m outbox.Maker) { t.maker = m },
		Hooks: b.incoming.current(b.name), UseHooks: b.incoming.follow(t, b.name),
	}
	if b.audit != nil {
		service.Observers = append(service.Observers, b.audit.For(b.label))
	}
	// On an address that others can reach, everybody who reaches it could do whatever
	// the bot may.
	if c.PlainREST == On || c.PlainREST == OnLoopback && listener.IsLoopback(addr) {
		service.REST = rest.Config{Discord: t.up.client, MaxBodyBytes: c.MaxUploadBytes, Timeout: c.RESTTimeout, HideLimits: c.HideRESTLimits}
		if t.live.proxy != nil {
			service.REST.Gateway = t.live.proxy
		}
	}
	if b.traces != nil {
		service.Interceptors, service.REST.Trace = b.traces.interceptors, b.traces.Plain
	}
	return service
}

// settleTime limits how long a leader that ends waits for calls that it has begun.
const settleTime = 10 * time.Second
