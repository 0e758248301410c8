package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"

	"discordproxy/dashboard"
	"discordproxy/discord"
	"discordproxy/server/api"
	"discordproxy/server/internal/discordjson"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/names"
	"discordproxy/server/internal/status"

	pb "discordproxy/gen/discord_api"
)

// newStatus returns the service that the dashboard and the command status watch.
func (t *tenure) newStatus(addr net.Addr) (*status.Service, error) {
	c := t.bot.config
	config := status.Config{
		Limits: func() *pb.GetRateLimitStatusResponse { return api.RateLimitStatus(t.up.client.RateLimits()) },
		Ready:  t.bot.checks.Ready, Bot: t.login.botName, Gateway: t.live.status, Version: c.Version,
		Open: t.bot.gate.isOpen(addr), Contents: c.ShowContents, Names: t.names, History: t.bot.history, Waiting: pausing{t.up.client, t.data},
		Logger: c.Logger, Fleet: t.bot.fleet,
	}
	if c.Sandbox == nil {
		return status.New(config)
	}
	config.Sandbox = c.Sandbox.State
	b, err := status.New(config)
	if err != nil {
		return nil, err
	}
	c.Sandbox.Subscribe(func(message json.RawMessage, deleted bool) {
		if t.ctx.Err() != nil {
			return
		}
		m := &pb.WatchStatusResponse_SandboxMessage{Message: new(pb.Message), Deleted: deleted}
		if discordjson.Unmarshal(message, m.Message) == nil {
			b.SandboxMessage(m)
		}
	})
	return b, nil
}

// learning is Discord, whose answers to typed calls the dashboard takes names from.
type learning struct {
	api.Discord
	names *names.Names
}

// Call implements api.Discord.
func (l learning) Call(
	ctx context.Context, by *discord.Caller, op discord.Operation, args discord.Args, files ...discord.File,
) (json.RawMessage, error) {
	answer, err := l.Discord.Call(ctx, by, op, args, files...)
	if err == nil {
		l.names.Learn(op, answer)
	}
	return answer, err
}

// pages returns what else the port answers, by patterns: the gateway for bots, the
// dashboard, and the control of the sandbox, which lets in programs of this machine
// alone.
func (t *tenure) pages() map[string]http.Handler {
	var gateway http.Handler
	if t.live.proxy != nil {
		gateway = t.live.proxy
	}
	c := t.bot.config
	all := pages(c, gateway)
	if !c.NoDashboard && c.Sandbox != nil {
		all["/sandbox/"] = c.Sandbox.Control
	}
	return all
}

// pages returns the gateway for bots unless it is nil, and the dashboard, by patterns.
func pages(c Config, gateway http.Handler) map[string]http.Handler {
	all := make(map[string]http.Handler)
	if gateway != nil {
		all["GET "+gatewayproxy.Path], all["GET "+gatewayproxy.Path+"/{$}"] = gateway, gateway
	}
	if !c.NoDashboard {
		page := dashboard.Handler()
		all["GET /{$}"], all["GET /dashboard/"] = page, page
	}
	return all
}
