package serve

import (
	"context"
	"log/slog"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server"
	"discordproxy/server/events"
	"discordproxy/server/metrics"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// live is the bot at the gateway, and where its events go. The zero value is
// a server without the gateway.
type live struct {
	gateway *gateway.Gateway
	server  server.Gateway
}

// open puts the parts together. They do nothing before run. apiURL is where
// client calls Discord.
func (c *gatewayConfig) open(token, apiURL string, client *discord.Client, logger *slog.Logger) (live, error) {
	if c.off {
		return live{}, nil
	}
	intents, err := c.parseIntents()
	if err != nil {
		return live{}, err
	}
	hub, err := events.New(events.Config{MaxEvents: c.eventBuffer, MaxBytes: c.eventBufferBytes})
	if err != nil {
		return live{}, err
	}
	guilds := gateway.NewGuilds(intents)
	gw, err := gateway.New(gateway.Config{
		// Who hears of an event finds the guilds as they are after it.
		Token: token, Discord: client, API: apiURL, Handler: gateway.Handlers{guilds, hub}, Intents: intents,
		Status: c.status, Activity: c.activity, UserAgent: userAgent(), Logger: logger,
	})
	if err != nil {
		return live{}, err
	}
	return live{gw, server.Gateway{Hub: hub, Intents: intents, Guilds: guilds}}, nil
}

// run keeps the bot at the gateway from when begin is closed until ctx ends, or
// Discord wants it no more: calls go on without it.
func (l live) run(ctx context.Context, begin <-chan struct{}) {
	if l.gateway == nil {
		return
	}
	select {
	case <-begin:
		_ = l.gateway.Run(ctx) // it is logged, and subscribers know
	case <-ctx.Done():
	}
}

// observe has metrics read how the gateway is.
func (l live) observe(m *metrics.Metrics) {
	if l.gateway != nil {
		m.Watch(metrics.Gateway{Status: l.gateway.Status, Stats: l.gateway.Stats, Events: l.server.Hub.Stats})
	}
}

// warnings say why events do not come. The server is ready all the same:
// calls do not need them.
func (l live) warnings() []string {
	if l.gateway == nil {
		return nil
	}
	if trouble := l.gateway.Status().Trouble(); trouble != "" {
		return []string{"no events come: " + trouble}
	}
	return nil
}

// status is the gateway as watchers are told it.
func (l live) status() *pb.WatchStatusResponse_Proxy_Gateway {
	if l.gateway == nil {
		return nil
	}
	s := l.gateway.Status()
	told := &pb.WatchStatusResponse_Proxy_Gateway{
		State: s.State.String(), Since: timestamppb.New(s.Since), Reason: s.Reason,
		Subscribers: int32(l.server.Hub.Stats().Subscribers),
	}
	if s.Latency > 0 {
		told.Latency = durationpb.New(s.Latency)
	}
	return told
}
