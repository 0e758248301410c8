package serve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	command "discordproxy/cli"
	"discordproxy/discord/sandbox"

	"github.com/urfave/cli/v2"
)

// pretendDiscord is a sandbox that listens.
type pretendDiscord struct {
	*sandbox.Sandbox
	server  *http.Server
	address net.Addr
	ended   chan struct{}
}

// startSandbox lets a pretend Discord listen on a loopback port.
func startSandbox(config sandbox.Config, port int) (*pretendDiscord, error) {
	lis, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // listening does not wait
	if err != nil {
		return nil, fmt.Errorf("the pretend Discord cannot listen: %w", err)
	}
	sb := sandbox.New(config)
	p := &pretendDiscord{
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

func (p *pretendDiscord) close() {
	p.Sandbox.Close()
	_ = p.server.Close()
	<-p.ended
}

func (p *pretendDiscord) apiURL() string { return "http://" + p.address.String() + "/api" }

func (p *pretendDiscord) describe(w io.Writer) {
	world := p.World()
	_, _ = fmt.Fprintf(w, `A pretend Discord answers at http://%[1]s/api (control: /sandbox/)
  gateway           ws://%[1]s/gateway
  token             %[2]s
  guild             %[3]s
  text channels     %[4]s
  forbidden channel %[5]s
  users             %[6]s
  refuses messages  %[7]s
`, p.address, world.Token, world.Guild, list(world.Channels), world.Forbidden, list(world.Users), world.NoDMs)
}

// list writes ids with spaces between them, so that each can be copied.
func list(ids []sandbox.ID) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// sandboxCommand runs the pretend Discord alone.
func sandboxCommand(e command.Env) *cli.Command {
	var port int
	return &cli.Command{
		Name:  "sandbox",
		Usage: "runs the pretend Discord alone, for tests of other programs",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "port", EnvVars: command.Variables("sandbox-port"), Value: 50052, Destination: &port, Usage: "port to listen on, 0 for any"},
		},
		Action: func(c *cli.Context) error {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			if err := checkPort("port", port); err != nil {
				return err
			}
			p, err := startSandbox(sandbox.Config{}, port)
			if err != nil {
				return err
			}
			defer p.close()
			p.describe(e.Out)
			select {
			case <-c.Context.Done():
				return nil
			case <-p.ended:
				return errors.New("the pretend Discord ended by itself")
			}
		},
	}
}
