package message

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	"github.com/urfave/cli/v2"
)

// connectionFlags say where a proxy is and who calls it.
func connectionFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{
			Name:    "host",
			EnvVars: command.Variables("host"),
			Value:   "localhost",
			Usage:   "`ADDRESS` of the proxy: HOST, HOST:PORT, a URL, or unix:PATH",
		},
		&cli.IntFlag{Name: "port", EnvVars: command.Variables("port"), Value: 50051, Usage: "port of the proxy"},
		&cli.StringFlag{
			Name:        "key",
			EnvVars:     command.Variables("key"),
			DefaultText: "none",
			Usage:       "client `KEY`; prefer the variable or --key-file: other users can see command lines",
		},
		&cli.StringFlag{Name: "key-file", EnvVars: command.Variables("key-file"), TakesFile: true, Usage: "`FILE` that holds the client key"},
		&cli.StringFlag{
			Name:        "bot",
			EnvVars:     command.Variables("bot"),
			DefaultText: "the proxy's default bot",
			Usage:       "`NAME` of the bot that the calls are for; a proxy refuses calls for a bot that it does not have",
		},
	}
	return append(
		append(flags, command.TrustFlags()...),
		// The server's variables of these names mean its own.
		&cli.StringFlag{
			Name:      "tls-cert",
			EnvVars:   command.Variables("tls-client-cert"),
			TakesFile: true,
			Usage:     "`FILE` with the client's certificate and its chain in PEM",
		},
		&cli.StringFlag{
			Name:      "tls-key",
			EnvVars:   command.Variables("tls-client-key"),
			TakesFile: true,
			Usage:     "`FILE` with the key of the client's certificate in PEM",
		},
	)
}

// dial gives a request its client of the proxy. It reads all options that say
// how to connect.
func dial(r *request) error {
	key, err := clientKey(r.flags)
	if err != nil {
		return err
	}
	settings, err := command.Trust(r.flags)
	if err != nil {
		return err
	}
	if settings, err = identify(settings, r.flags.String("tls-cert"), r.flags.String("tls-key")); err != nil {
		return err
	}
	address, secure, err := endpoint(r.flags)
	if err != nil {
		return command.Misuse(err)
	}
	if secure && settings == nil {
		settings = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	r.address, r.secure = address, settings != nil
	options := []client.Option{client.WithKey(key), client.WithBot(r.flags.String("bot"))}
	if r.secure {
		options = append(options, client.WithTLS(settings))
	}
	r.client, err = client.New(address, options...)
	return err
}

// endpoint returns where the proxy is, and whether --host is a URL that asks for
// TLS. In its container the host is that at which the proxy listens. A port in
// --host takes precedence over the variable of --port.
func endpoint(c *cli.Context) (address string, secure bool, err error) {
	host, port := c.String("host"), strconv.Itoa(c.Int("port"))
	if strings.HasPrefix(host, "unix:") {
		return host, false, nil
	}
	own := ""
	if scheme, _, ok := strings.Cut(host, "://"); ok {
		u, err := url.Parse(host)
		switch {
		case err != nil:
			return "", false, fmt.Errorf("--host %q is not a URL", host)
		case scheme != "http" && scheme != "https":
			return "", false, fmt.Errorf("--host %q is not of the form HOST, HOST:PORT, http://HOST, https://HOST or unix:PATH", host)
		case u.User != nil || strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return "", false, errors.New("--host has more than a host and a port behind the scheme")
		case u.Hostname() == "":
			return "", false, fmt.Errorf("--host %q has no host", host)
		}
		host, own, secure = u.Hostname(), u.Port(), scheme == "https"
		if own == "" && !c.IsSet("port") {
			if own = "80"; secure {
				own = "443"
			}
		}
	} else if h, p, err := net.SplitHostPort(host); err == nil {
		if host, own = h, p; own == "" {
			return "", false, fmt.Errorf("--host %q has no port behind the colon", c.String("host"))
		}
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if own != "" {
		if given := os.Getenv("DISCORDPROXY_PORT"); c.IsSet("port") && own != port && given != port {
			return "", false, fmt.Errorf("--host has the port %s and --port is %s", own, port)
		}
		port = own
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false, fmt.Errorf("port %s is not between 0 and 65535", port)
	}
	return command.Target(host, int(n)), secure, nil
}

// clientKey returns the key of the client, or "" for none.
func clientKey(c *cli.Context) (string, error) {
	key, path := c.String("key"), c.String("key-file")
	if key != "" || path == "" {
		return key, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot read --key-file: %w", err)
	}
	if key = strings.TrimSpace(string(data)); key == "" {
		return "", fmt.Errorf("--key-file %s is empty", path)
	}
	return key, nil
}

// identify adds the client's certificate, if there is one.
func identify(settings *tls.Config, cert, key string) (*tls.Config, error) {
	switch {
	case cert == "" && key == "":
		return settings, nil
	case cert == "" || key == "":
		return nil, command.Misuse(errors.New("--tls-cert and --tls-key must be set together"))
	case settings == nil:
		settings = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use --tls-cert and --tls-key: %w", err)
	}
	settings.Certificates = []tls.Certificate{pair}
	return settings, nil
}
