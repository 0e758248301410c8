package gatewayproxy

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"
)

// errReplayed means that all missed events have been sent.
var errReplayed = errors.New("all missed events have been sent")

// identify begins a session.
func (c *connection) identify(ctx context.Context, hello identify) error {
	if why := hello.check(c.proxy.config.Intents); why != nil {
		return why
	}
	if hello.Compress && c.compress == nil {
		c.writing.Lock()
		c.compress = wire.NewPayloadCompressor()
		c.writing.Unlock()
	}
	hello.Token = "" // it is not needed any more
	presence, compress := hello.Presence, hello.Compress
	hello.Presence, hello.Properties, hello.Compress = nil, nil, compress
	c.parts.Go(func() {
		if !c.proxy.awaitUpstream(c.work, true) {
			if c.work.Err() == nil {
				c.endIf(c.invalidate())
			}
			return
		}
		c.pump(ctx, false, func() (*events.Subscription, error) { return c.start(ctx, hello) })
	})
	if len(presence) > 0 {
		return c.firstPresence(ctx, presence)
	}
	return nil
}

// invalidate says that there is no session to continue with. The client identifies
// itself over another connection, or over this one.
func (c *connection) invalidate() error {
	if s := c.session.Swap(nil); s != nil {
		c.proxy.mu.Lock()
		c.proxy.forget(s)
		c.proxy.mu.Unlock()
	}
	c.invalid.Store(true)
	// Libraries close the connection, or identify themselves again. One that does
	// neither is closed.
	time.AfterFunc(invalidWait, func() {
		if c.invalid.Load() {
			c.end(&closeReconnect)
		}
	})
	return c.send(wire.OpInvalidSession, json.RawMessage("false"))
}

// invalidWait is how long a client has to close after INVALID_SESSION.
const invalidWait = 10 * time.Second

// start makes the session, and sends READY and the guilds.
func (c *connection) start(ctx context.Context, hello identify) (*events.Subscription, error) {
	p := c.proxy
	client := access.From(ctx)
	p.mu.Lock()
	s := p.newSession(func() *access.Client { return access.From(ctx) }, hello, c)
	c.session.Store(s)
	snapshot, self := p.config.Guilds.Snapshot(), p.self
	place := p.config.Hub.Stats().Last
	var position *events.Position
	if from, ok := p.takeCut(client.Name(), hello.intents()); ok {
		// Events that came since then change the guilds that the bot gets now.
		snapshot, place = *p.earlier, from
		position = &events.Position{Epoch: p.config.Hub.Epoch(), Sequence: from}
	}
	subscription, err := p.config.Hub.Subscribe(c.filter(ctx, s, p.self), position)
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	v := &view{client: client, intents: hello.intents(), large: hello.large(), self: self}
	var guilds []*gateway.GuildSnapshot
	if v.intents&gateway.IntentGuilds != 0 {
		for i := range snapshot.Guilds {
			if g := &snapshot.Guilds[i]; g.Available() && v.sees(g) {
				guilds = append(guilds, g)
			}
		}
	}
	// From the last of these events on the session can be resumed.
	placeAt := func(i int) uint64 {
		if i < len(guilds) {
			return 0
		}
		return max(place, 1)
	}
	if err := c.dispatch(event{"READY", v.ready(snapshot, c, s), placeAt(0), made}); err != nil {
		return subscription, err
	}
	for i, g := range guilds {
		if err := c.dispatch(event{guildCreate, v.guild(g), placeAt(i + 1), made}); err != nil {
			return subscription, err
		}
	}
	return subscription, nil
}

// resume is what a bot says in RESUME.
type resume struct {
	Token    string `json:"token"`
	Session  string `json:"session_id"`
	Sequence *int64 `json:"seq"`
}

// resume continues with a session.
func (c *connection) resume(ctx context.Context, back resume) error {
	p := c.proxy
	if !p.awaitUpstream(c.work, false) {
		return &closeReconnect // the session may still continue: the client tries again
	}
	p.mu.Lock()
	p.sweep()
	s := p.sessions[back.Session]
	known := s != nil && !s.stale && s.client == access.From(ctx).Name() && back.Sequence != nil
	p.mu.Unlock()
	if !known {
		return c.invalidate()
	}
	retraced, err := c.retrace(ctx, s, *back.Sequence)
	if err != nil {
		p.config.Logger.Info("a bot's session ends with the restart; the bot begins another one", "client", s.client, "reason", err)
		p.mu.Lock()
		s.mu.Lock()
		cut := s.isCut() // the other one may continue from it
		s.mu.Unlock()
		if !cut {
			p.forget(s)
		}
		p.mu.Unlock()
		return c.invalidate()
	}
	c.session.Store(s) // before answers can come for it
	old, place, own, ok, ahead := s.rewind(*back.Sequence, retraced, c, func() *access.Client { return access.From(ctx) })
	if !ok {
		c.session.Store(nil)
	}
	if ahead {
		p.mu.Lock()
		p.forget(s)
		p.mu.Unlock()
		return &closeSequence
	}
	if !ok {
		p.mu.Lock()
		p.forget(s)
		p.mu.Unlock()
		return c.invalidate()
	}
	if old != nil {
		old.end(&closeReplaced)
	}
	if !p.config.Flush() { // numbers are given again
		return &closeShutdown
	}
	if s.hello.Compress && c.compress == nil {
		c.writing.Lock()
		c.compress = wire.NewPayloadCompressor()
		c.writing.Unlock()
	}
	position := events.Position{Epoch: p.config.Hub.Epoch(), Sequence: place}
	c.parts.Go(func() {
		c.pump(ctx, true, func() (*events.Subscription, error) {
			for _, e := range own {
				if err := c.answer(access.From(ctx), e.kind, e.data); err != nil {
					return nil, err
				}
			}
			return p.config.Hub.Subscribe(c.filter(ctx, s, p.selfID()), &position)
		})
	})
	return nil
}

// endIf ends the connection if there is an error.
func (c *connection) endIf(err error) {
	if err != nil {
		c.end(err)
	}
}

// pump sends the events of the hub until the connection ends.
func (c *connection) pump(ctx context.Context, resumes bool, begin func() (*events.Subscription, error)) {
	subscription, err := begin()
	if subscription != nil {
		defer subscription.Close()
	}
	if err == nil {
		err = c.follow(ctx, subscription, resumes)
	}
	switch {
	case c.work.Err() != nil:
	case errors.Is(err, errStale):
		c.endIf(c.invalidate())
	case errors.Is(err, rpc.ErrShuttingDown):
		c.reconnect(&closeShutdown)
	case isBehind(err):
		c.proxy.slow(c)
	default:
		if ended, ok := errors.AsType[*events.EndedError](err); ok {
			err = &closing{code: wire.CloseUnknownError, reason: ended.Reason, forget: true}
		}
		if errors.Is(err, events.ErrFull) {
			err = &closing{code: wire.CloseUnknownError, reason: err.Error()}
		}
		c.end(err)
	}
}

func isBehind(err error) bool {
	_, ok := errors.AsType[*events.BehindError](err)
	return ok
}

// errStale means that events are missing which nothing brings back.
var errStale = errors.New("the session is gone")

// follow sends what a subscription brings. Of one that resumes, RESUMED comes after
// the events that were missed.
func (c *connection) follow(ctx context.Context, subscription *events.Subscription, resumes bool) error {
	s := c.current()
	v := c.view(ctx, s)
	for {
		batch, err := c.next(subscription, resumes)
		if errors.Is(err, errReplayed) {
			resumes = false
			if err := c.resumed(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(batch.Gaps) > 0 {
			return errStale
		}
		v.client = access.From(ctx) // the rules may change while the events flow
		for _, e := range batch.Events {
			if e.Type == pb.Event_GATEWAY_STATE {
				if e.State.GetState() == pb.Event_GatewayState_CONNECTED {
					return errStale
				}
				continue
			}
			data, err := v.event(e, c.proxy.config.Guilds)
			if err != nil {
				return err
			}
			if data == nil {
				continue
			}
			if err := c.dispatch(event{e.Name, data, e.Sequence(), fromHub}); err != nil {
				return err
			}
		}
		s.reach(c, batch.Position.Sequence)
	}
}

// view returns what a session sees as the rules are.
func (c *connection) view(ctx context.Context, s *session) *view {
	return &view{client: access.From(ctx), intents: s.hello.intents(), large: s.hello.large(), self: c.proxy.selfID()}
}

// next waits for the next events, but not for those that were missed: there are none
// left if none is there.
func (c *connection) next(subscription *events.Subscription, missed bool) (events.Batch, error) {
	if !missed {
		return subscription.Next(c.work)
	}
	ctx, cancel := context.WithCancelCause(c.work)
	cancel(errReplayed)
	return subscription.Next(ctx)
}

func (c *connection) resumed() error {
	c.proxy.mu.Lock()
	c.proxy.stats.Resumed++
	c.proxy.mu.Unlock()
	return c.dispatch(event{kind: "RESUMED", data: json.RawMessage(`{"_trace":[]}`), origin: made})
}

func (p *Proxy) selfID() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self
}
