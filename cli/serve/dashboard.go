package serve

import (
	"encoding/json"
	"errors"
	"net/http"

	command "discordproxy/cli"
	"discordproxy/dashboard"
	"discordproxy/discord/sandbox"
	"discordproxy/server/discordjson"
	"discordproxy/server/status"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/types/known/durationpb"
)

// dashboardConfig holds the flags of the dashboard.
type dashboardConfig struct {
	off, contents bool
}

func (c *dashboardConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-dashboard", EnvVars: command.Variables("no-dashboard"), Destination: &c.off, Usage: "have no web page at /"},
		&cli.BoolFlag{Name: "dashboard-show-content", EnvVars: command.Variables("dashboard-show-content"), Destination: &c.contents, Usage: "show on the dashboard what calls say; only while the server listens on a loopback address"},
	}
}

// board makes what the dashboard and the command status watch. The pretend
// Discord may be nil.
func (c *dashboardConfig) board(config status.Config, pretend *pretendDiscord) (*status.Board, error) {
	if c.contents && config.Open {
		return nil, errors.New("--dashboard-show-content would show to strangers what calls say: listen on a loopback address")
	}
	config.Contents = c.contents
	if pretend == nil {
		return status.New(config)
	}
	config.Sandbox = func() *pb.WatchStatusResponse_Sandbox { return sandboxStatus(pretend.Sandbox) }
	board, err := status.New(config)
	if err != nil {
		return nil, err
	}
	pretend.Subscribe(func(e sandbox.Event) {
		if m := sandboxMessage(e); m != nil {
			board.SandboxMessage(m)
		}
	})
	return board, nil
}

// pages returns what the port answers for the dashboard, by patterns: the page
// and, in sandbox mode, the door by which it controls the pretend Discord, which
// lets in programs of this machine alone.
func (c *dashboardConfig) pages(pretend *pretendDiscord) map[string]http.Handler {
	if c.off {
		return nil
	}
	page := dashboard.Handler()
	pages := map[string]http.Handler{"GET /{$}": page, "GET /dashboard/": page}
	if pretend != nil {
		pages["/sandbox/"] = pretend.Sandbox
	}
	return pages
}

// sandboxStatus is the state of a pretend Discord as watchers are told it.
func sandboxStatus(sb *sandbox.Sandbox) *pb.WatchStatusResponse_Sandbox {
	out := new(pb.WatchStatusResponse_Sandbox)
	for _, ch := range sb.Channels() {
		switch ch.Type {
		case sandbox.ChannelCategory, sandbox.ChannelForum, sandbox.ChannelVoice:
			continue
		}
		channel := &pb.WatchStatusResponse_Sandbox_Channel{Id: uint64(ch.ID), Name: ch.Name, Direct: ch.Type == sandbox.ChannelDM}
		for _, user := range ch.Recipients {
			channel.Name = user.Username
		}
		out.Channels = append(out.Channels, channel)
	}
	for _, f := range sb.Faults() {
		fault := &pb.WatchStatusResponse_Sandbox_Fault{Id: int32(f.ID), Name: f.Fault.Name, Hits: int32(f.Hits), Count: int32(f.Fault.Count)}
		if fault.Name == "" {
			fault.Name = string(f.Fault.Kind)
		}
		out.Faults = append(out.Faults, fault)
	}
	for _, l := range sb.Limits() {
		out.Limits = append(out.Limits, &pb.WatchStatusResponse_Sandbox_Limit{
			Name: l.Name, Limit: int32(l.Limit), Window: durationpb.New(l.Window), Routes: l.Routes,
		})
	}
	return out
}

// sandboxMessage is what an event of the pretend Discord says about a message,
// nil when it says nothing.
func sandboxMessage(e sandbox.Event) *pb.WatchStatusResponse_SandboxMessage {
	switch e.Type {
	case "MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE":
	default:
		return nil
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil
	}
	m := &pb.WatchStatusResponse_SandboxMessage{Message: new(pb.Message), Deleted: e.Type == "MESSAGE_DELETE"}
	if err := discordjson.Unmarshal(data, m.Message); err != nil {
		return nil
	}
	return m
}
