package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// healthTimeout is more than a server that lives needs to say so.
const healthTimeout = 5 * time.Second

// healthCommand asks a running server how it is, for containers that hold
// nothing else that could ask. It reads the variables that tell the server
// where to listen.
func healthCommand(e Env) *cli.Command {
	var host string
	var port int
	var live bool
	return &cli.Command{
		Name:  "health",
		Usage: "asks a running server whether it is ready; the exit code is 0 or 1",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "host", EnvVars: env("host"), Value: "127.0.0.1", Destination: &host, Usage: "`ADDRESS` of the server; one that means all addresses is asked at a loopback one"},
			&cli.IntFlag{Name: "port", EnvVars: env("port"), Value: 50051, Destination: &port, Usage: "port of the server"},
			&cli.BoolFlag{Name: "live", Destination: &live, Usage: "ask only whether it lives, however Discord is"},
		},
		HideHelpCommand: true,
		OnUsageError:    returnUsageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q", c.Args().First())
			}
			if err := checkPort("port", port); err != nil {
				return err
			}
			path := "/readyz"
			if live {
				path = "/healthz"
			}
			return askHealth(c.Context, e.Out, "http://"+net.JoinHostPort(reachable(host), strconv.Itoa(port))+path)
		},
	}
}

// reachable returns an address at which a server can be asked that listens on
// host.
func reachable(host string) string {
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		return "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		return "::1"
	}
	return host
}

// askHealth writes what the server says. The error holds its reasons.
func askHealth(ctx context.Context, out io.Writer, url string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// A proxy of the environment stands on the way to Discord, not here.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	said := strings.TrimSpace(string(text))
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.ReplaceAll(said, "\n", "; "))
	}
	_, err = fmt.Fprintln(out, said)
	return err
}
