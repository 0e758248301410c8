package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	command "discordproxy/cli"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// healthTimeout is more than a server that lives needs to say so.
const healthTimeout = 5 * time.Second

// healthCommand checks the health of a running server, for containers that have no
// other program for that. It reads the variables that configure where the server
// listens.
func healthCommand(e command.Env) *cli.Command {
	var host, bot string
	var port int
	var live bool
	return &cli.Command{
		Name:  "health",
		Usage: "checks whether a running server is ready; the exit code is 0 or 1",
		Flags: append([]cli.Flag{
			&cli.StringFlag{
				Name:        "host",
				EnvVars:     command.Variables("host"),
				Value:       "127.0.0.1",
				Destination: &host,
				Usage:       "`ADDRESS` of the server or unix:PATH, as for the server; the first of several",
			},
			&cli.IntFlag{Name: "port", EnvVars: command.Variables("port"), Value: 50051, Destination: &port, Usage: "port of the server"},
			&cli.StringFlag{Name: "bot", Destination: &bot, Usage: "`NAME` of one of several bots to check, instead of the whole server"},
			&cli.BoolFlag{Name: "live", Destination: &live, Usage: "check only whether the process responds, not whether it is ready"},
			&cli.StringFlag{
				Name:      "tls-cert",
				EnvVars:   command.Variables("tls-cert"),
				TakesFile: true,
				Usage:     "`FILE` with the server's certificate in PEM: use TLS and accept it for any address",
			},
		}, command.TrustFlags()...),
		Action: func(c *cli.Context) error {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			if err := checkPort("port", port); err != nil {
				return err
			}
			hosts, err := parseHosts(host)
			if err != nil {
				return err
			}
			q := healthQuestion{address: command.Target(hosts[0], port), path: "/readyz"}
			if live {
				q.path = "/healthz"
			}
			if bot != "" {
				q.path = "/bots/" + url.PathEscape(bot) + q.path
			}
			if q.tls, err = command.Trust(c); err != nil {
				return err
			}
			if q.tls == nil {
				q.certificate = c.String("tls-cert")
			}
			said, err := q.ask(c.Context)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Out, said)
			return err
		},
	}
}

// healthQuestion is a health check of a server.
type healthQuestion struct {
	address, path string
	// tls verifies the server's certificate; nil without TLS.
	tls *tls.Config
	// certificate is a file with the server's own certificate; "" for none.
	certificate string
}

// ask returns what the server says. The error holds its reasons.
func (q healthQuestion) ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	said, err := q.try(ctx)
	for errors.Is(err, errOtherCertificate) {
		// The server takes a moment to read a file that has changed.
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(time.Second / 4):
			said, err = q.try(ctx)
		}
	}
	return said, err
}

func (q healthQuestion) try(ctx context.Context) (string, error) {
	settings, scheme := q.tls, "http"
	if q.certificate != "" {
		var err error
		if settings, err = onlyCertificate(ctx, q.certificate); err != nil {
			return "", err
		}
	}
	if settings != nil {
		scheme = "https"
	}
	address := q.address
	path, socket := server.SocketPath(address)
	if socket {
		address = "localhost"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+q.path, nil)
	if err != nil {
		return "", err
	}
	// A proxy of the environment is for requests to Discord, not for this one.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: settings}
	if socket {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
	}
	client := &http.Client{Transport: transport}
	resp, err := client.Do(req)
	if unverified := new(tls.CertificateVerificationError); errors.As(err, &unverified) {
		return "", fmt.Errorf("cannot verify the server's certificate; see --tls-cert and --tls-name: %w", unverified.Err)
	}
	if err != nil {
		return "", fmt.Errorf("the server does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("the server does not answer: %w", err)
	}
	said := strings.TrimSpace(string(text))
	if resp.StatusCode == http.StatusBadRequest && settings == nil && strings.Contains(said, "HTTPS server") {
		return "", errors.New("the server uses TLS; see --tls-cert") // net/http's answer
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.ReplaceAll(said, "\n", "; "))
	}
	return said, nil
}

var errOtherCertificate = errors.New("the server's certificate is not the one in --tls-cert")

// onlyCertificate trusts a server that shows the first certificate of a file,
// whichever names that has: the server is asked at an address of the machine.
func onlyCertificate(ctx context.Context, file string) (*tls.Config, error) {
	data, err := server.ReadFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("cannot read --tls-cert: %w", err)
	}
	block, rest := pem.Decode(data)
	for block != nil && block.Type != "CERTIFICATE" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, fmt.Errorf("there is no certificate in --tls-cert %s", file)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection compares the whole certificate
		VerifyConnection: func(state tls.ConnectionState) error {
			if !bytes.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errOtherCertificate
			}
			return nil
		},
	}, nil
}
