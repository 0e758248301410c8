package server

import (
	"context"
	"net"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/metrics"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// live is the bot at the gateway, and where its events go. The zero value is
// a server without the gateway.
type live struct {
	gateway *gateway.Gateway
	server  api.Gateway
	proxy   *gatewayproxy.Proxy
	// renewed has a value when there is another token.
	renewed chan struct{}
}

// setToken has later connections use another token. A gateway that has ended begins
// again.
func (l live) setToken(token string) {
	if l.gateway == nil {
		return
	}
	l.gateway.SetToken(token)
	select {
	case l.renewed <- struct{}{}:
	default:
	}
}

// openGateway puts the parts together, where an earlier run has left them. They do
// nothing before run. c is the configuration of b with its newest token.
func openGateway(b *bot, c Config, client *discord.Client, d *data, saved savedState) (live, error) {
	if c.Gateway.Off {
		return live{}, nil
	}
	intents := c.Gateway.Intents
	hub, err := events.New(events.Config{MaxEvents: c.Gateway.EventBuffer, MaxBytes: c.Gateway.EventBufferBytes, Unsaved: d.unsaved})
	if err != nil {
		return live{}, err
	}
	guilds := gateway.NewGuilds(intents)
	proxy, err := gatewayproxy.New(gatewayproxy.Config{
		Hub: hub, Guilds: guilds, Intents: intents, IsOwn: client.IsOwn, OtherBot: b.otherBot,
		URL: c.Gateway.ProxyURL, Prefix: b.prefix, StateBytes: c.Gateway.StateBytes, Flush: d.flush, Logger: c.Logger,
	})
	if err != nil {
		return live{}, err
	}
	state, at := saved.gateway()
	stored := saved.events()
	hub.Restore(state.Hub, stored, saved.clean)
	s := &savedGateway{proxy: proxy, guilds: guilds, hub: hub, data: d, stale: make(map[string][]byte)}
	s.first, s.last = hub.Stats().First, hub.Stats().Last
	for n := range stored {
		if n < s.first || n > s.last {
			s.stale[eventName(n)] = nil
		}
	}
	if state.Session != nil {
		s.guilds.Import(saved.guilds(), at)
		s.sequence = state.Session.Sequence
		proxy.Restore(saved.below(botPart))
	} else {
		for _, prefix := range []string{botPart, guildPart} {
			for name := range saved.below(prefix) {
				s.stale[prefix+name] = nil
			}
		}
	}
	s.gateway, err = gateway.New(gateway.Config{
		Token: c.Token, Discord: client, API: c.APIURL, Handler: s, Intents: intents,
		Status: c.Gateway.Status, Activity: c.Gateway.Activity, UserAgent: c.userAgent(), Logger: c.Logger,
		Session: state.Session, Counted: state.Counted, Spent: func() { d.notify(true) }, KeepSession: d != nil, Dial: d.whileLeading(nil),
	})
	if err != nil {
		return live{}, err
	}
	d.add(s)
	return live{s.gateway, api.Gateway{Hub: hub, Intents: intents, Guilds: guilds}, proxy, make(chan struct{}, 1)}, nil
}

// run keeps the bot at the gateway from when begin is closed until ctx ends, or
// Discord wants it no more: calls go on without it, until there is another token.
func (l live) run(ctx context.Context, begin <-chan struct{}) {
	if l.gateway == nil {
		return
	}
	select {
	case <-begin:
	case <-ctx.Done():
		return
	}
	for l.gateway.Run(ctx) != nil { // it is logged, and subscribers know
		select {
		case <-l.renewed:
		case <-ctx.Done():
			return
		}
	}
}

// openProxy has bots use the gateway through the server on addr, if the
// configuration says so. It must be called before run.
func (l live) openProxy(c Config, guard *access.Guard, addr net.Addr, observers calls.Observers) {
	if l.gateway == nil || c.Gateway.Proxy == Off || c.Gateway.Proxy == OnLoopback && !listener.IsLoopback(addr) {
		return
	}
	l.proxy.Open(l.gateway, guard, append(calls.Observers{calls.Log(c.Logger)}, observers...))
}

// observe has metrics read how the gateway is, until end is called.
func (l live) observe(m *metrics.Metrics) (end func()) {
	if l.gateway == nil {
		return func() {}
	}
	return m.Watch(metrics.Gateway{Status: l.gateway.Status, Stats: l.gateway.Stats, Events: l.server.Hub.Stats, Proxy: l.proxy.Stats})
}

// end has bots that use the gateway reconnect.
func (l live) end() {
	if l.proxy != nil {
		l.proxy.End()
	}
}

// warnings say why events do not come. The server is ready all the same:
// calls do not need them.
func (l live) warnings() []string {
	if l.gateway == nil {
		return nil
	}
	if trouble := l.gateway.Status().Trouble(); trouble != "" {
		return []string{"no events arrive: " + trouble}
	}
	return nil
}

// status returns the gateway's state for watchers.
func (l live) status() *pb.WatchStatusResponse_Proxy_Gateway {
	if l.gateway == nil {
		return nil
	}
	s := l.gateway.Status()
	out := &pb.WatchStatusResponse_Proxy_Gateway{
		State: s.State.String(), Since: timestamppb.New(s.Since), Reason: s.Reason,
		Subscribers: int32(l.server.Hub.Stats().Subscribers),
	}
	if s.Latency > 0 {
		out.Latency = durationpb.New(s.Latency)
	}
	return out
}
