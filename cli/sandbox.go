package cli

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

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
	_ = p.server.Close()
	<-p.ended
}

func (p *pretendDiscord) apiURL() string { return "http://" + p.address.String() + "/api" }

// introduce writes what a newcomer needs: who lives in the pretend world, and
// lines that work when pasted.
func (p *pretendDiscord) introduce(w io.Writer, proxy net.Addr) {
	p.describe(w)
	_, port, _ := net.SplitHostPort(proxy.String())
	world := p.World()
	_, _ = fmt.Fprintf(w, `
Try it from another terminal:

  curl -s http://%[1]s/discord_api.DiscordApi/SendDirectMessage -H 'Content-Type: application/json' -d '{"userId": "%[2]s", "content": "hi"}'
  go run ./cli/discordproxymessage --port %[3]s channel %[4]s "hi"
`, proxy, world.Users[0], port, world.Channels[0])
}

func (p *pretendDiscord) describe(w io.Writer) {
	world := p.World()
	_, _ = fmt.Fprintf(w, `A pretend Discord answers at http://%s/api (control: /sandbox/)
  token             %s
  guild             %s
  text channels     %v
  forbidden channel %s
  users             %v
  refuses messages  %s
`, p.address, world.Token, world.Guild, world.Channels, world.Forbidden, world.Users, world.NoDMs)
}

// sandboxCommand runs the pretend Discord alone.
func sandboxCommand(env Env) *cli.Command {
	var port int
	return &cli.Command{
		Name:  "sandbox",
		Usage: "runs the pretend Discord alone, for tests of other programs",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "port", Value: 50052, Destination: &port, Usage: "port to listen on, 0 for any"},
		},
		Action: func(c *cli.Context) error {
			p, err := startSandbox(sandbox.Config{}, port)
			if err != nil {
				return err
			}
			defer p.close()
			p.describe(env.Out)
			select {
			case <-c.Context.Done():
				return nil
			case <-p.ended:
				return errors.New("the pretend Discord ended by itself")
			}
		},
	}
}
