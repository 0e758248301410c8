package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"

	command "discordproxy/cli"
	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/types/known/durationpb"
)

// runningSandbox is a sandbox that listens.
type runningSandbox struct {
	*sandbox.Sandbox
	server  *http.Server
	address net.Addr
	ended   chan struct{}
}

// startSandbox starts a sandbox on a port of 127.0.0.1; 0 means any free port.
func startSandbox(sb *sandbox.Sandbox, port int) (*runningSandbox, error) {
	lis, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // listening does not wait
	if err != nil {
		return nil, fmt.Errorf("the sandbox cannot listen: %w", err)
	}
	p := &runningSandbox{
		Sandbox: sb,
		server:  &http.Server{Handler: sb, ReadHeaderTimeout: 10 * time.Second},
		address: lis.Addr(),
		ended:   make(chan struct{}),
	}
	go func() {
		defer close(p.ended)
		_ = p.server.Serve(lis) // returns when the server is closed
	}()
	return p, nil
}

// sandboxOf returns a sandbox with the world in a file, or with the default one
// when none is named.
func sandboxOf(state string) (*sandbox.Sandbox, error) {
	sb := sandbox.New(sandbox.Config{})
	if state == "" {
		return sb, nil
	}
	b, err := os.ReadFile(state)
	if err == nil {
		err = sb.ReadState(b)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use --state %s: %w", state, err)
	}
	return sb, nil
}

func (p *runningSandbox) close() {
	p.Sandbox.Close()
	_ = p.server.Close()
	<-p.ended
}

func (p *runningSandbox) apiURL() string { return "http://" + p.address.String() + "/api" }

func (p *runningSandbox) describe(w io.Writer) {
	world := p.World()
	_, _ = fmt.Fprintf(w, `The sandbox, a fake Discord, is at http://%[1]s/api (control: /sandbox/)
  gateway           ws://%[1]s/gateway
  token             %[2]s
`, p.address, world.Token)
	if world.Guild == 0 {
		return // a state of the user's own
	}
	_, _ = fmt.Fprintf(w, `  guild             %s
  text channels     %s
  forbidden channel %s
  users             %s
  refuses messages  %s
`, world.Guild, list(world.Channels), world.Forbidden, list(world.Users), world.NoDMs)
}

// list writes ids with spaces between them, so that each can be copied.
func list(ids []sandbox.ID) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// shown is what the dashboard shows and controls of the sandbox.
func (p *runningSandbox) shown() *server.Sandbox {
	return &server.Sandbox{
		Control:   p.Sandbox,
		State:     func() *pb.WatchStatusResponse_Sandbox { return sandboxStatus(p.Sandbox) },
		Subscribe: p.subscribe,
	}
}

// subscribe makes the sandbox call receive for each message.
func (p *runningSandbox) subscribe(receive func(message json.RawMessage, deleted bool)) {
	p.Sandbox.Subscribe(func(e sandbox.Event) {
		switch e.Type {
		case "MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE":
			if data, err := json.Marshal(e.Data); err == nil {
				receive(data, e.Type == "MESSAGE_DELETE")
			}
		}
	})
}

// sandboxStatus returns the state of a sandbox as watchers of the dashboard get it.
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

// sandboxCommand runs the sandbox alone.
func sandboxCommand(e command.Env) *cli.Command {
	var port int
	var state string
	return &cli.Command{
		Name:  "sandbox",
		Usage: "runs only the sandbox, to test other programs",
		Flags: []cli.Flag{
			&cli.IntFlag{
				Name:        "port",
				EnvVars:     command.Variables("sandbox-port"),
				Value:       50052,
				Destination: &port,
				Usage:       "port to listen on; 0 for any free port",
			},
			&cli.StringFlag{
				Name:        "state",
				EnvVars:     command.Variables("sandbox-state"),
				Destination: &state,
				Usage:       "JSON `FILE` with the state to start with, as returned by GET /sandbox/state",
			},
		},
		Action: func(c *cli.Context) error {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			if err := checkPort("port", port); err != nil {
				return err
			}
			sb, err := sandboxOf(state)
			if err != nil {
				return err
			}
			p, err := startSandbox(sb, port)
			if err != nil {
				return err
			}
			defer p.close()
			p.describe(e.Out)
			select {
			case <-c.Context.Done():
				return nil
			case <-p.ended:
				return errors.New("the sandbox ended by itself")
			}
		},
	}
}
