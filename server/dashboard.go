package server

import (
	"context"
	"encoding/json"
	"errors"
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
func (s *Server) newStatus(addr net.Addr) (*status.Service, error) {
	c := s.config
	config := status.Config{
		Limits: func() *pb.GetRateLimitStatusResponse { return api.RateLimitStatus(s.up.client.RateLimits()) },
		Ready:  s.checks.Ready, Bot: s.login.botName, Gateway: s.live.status, Version: c.Version,
		Open: s.gate.isOpen(addr), Contents: c.ShowContents, Names: s.names, History: s.history, Waiting: pausing{s.up.client, s.data},
		Logger: c.Logger, Fleet: s.fleet,
	}
	if config.Contents && config.Open {
		return nil, errors.New("--dashboard-show-content would show the contents of calls to anyone: listen on a loopback address")
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
func (l learning) Call(ctx context.Context, op discord.Operation, args discord.Args, files ...discord.File) (json.RawMessage, error) {
	answer, err := l.Discord.Call(ctx, op, args, files...)
	if err == nil {
		l.names.Learn(op, answer)
	}
	return answer, err
}

// pages returns what else the port answers, by patterns: the gateway for bots, the
// dashboard, and the control of the sandbox, which lets in programs of this machine
// alone.
func (s *Server) pages() map[string]http.Handler {
	pages := make(map[string]http.Handler)
	if s.live.proxy != nil {
		pages["GET "+gatewayproxy.Path], pages["GET "+gatewayproxy.Path+"/{$}"] = s.live.proxy, s.live.proxy
	}
	if s.config.NoDashboard {
		return pages
	}
	page := dashboard.Handler()
	pages["GET /{$}"], pages["GET /dashboard/"] = page, page
	if s.config.Sandbox != nil {
		pages["/sandbox/"] = s.config.Sandbox.Control
	}
	return pages
}
