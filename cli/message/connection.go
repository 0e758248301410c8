package message

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	"github.com/urfave/cli/v2"
)

// connectionFlags say where a proxy is and who calls it.
func connectionFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "host", EnvVars: command.Variables("host"), Value: "localhost", Usage: "`ADDRESS` of the proxy, or unix:PATH"},
		&cli.IntFlag{Name: "port", EnvVars: command.Variables("port"), Value: 50051, Usage: "port of the proxy"},
		&cli.StringFlag{Name: "key", EnvVars: command.Variables("key"), DefaultText: "none", Usage: "client `KEY`; prefer the variable or a file, which other users of the machine do not see"},
		&cli.StringFlag{Name: "key-file", EnvVars: command.Variables("key-file"), TakesFile: true, Usage: "`FILE` that holds the client key"},
	}
	return append(append(flags, command.TrustFlags()...),
		// The server's variables of these names mean its own.
		&cli.StringFlag{Name: "tls-cert", EnvVars: command.Variables("tls-client-cert"), TakesFile: true, Usage: "`FILE` with the client's certificate and its chain in PEM"},
		&cli.StringFlag{Name: "tls-key", EnvVars: command.Variables("tls-client-key"), TakesFile: true, Usage: "`FILE` with the key of the client's certificate in PEM"},
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
	options := []client.Option{client.WithKey(key)}
	if settings != nil {
		r.secure = true
		options = append(options, client.WithTLS(settings))
	}
	r.client, err = client.New(address(r.flags), options...)
	return err
}

// address is where the proxy is. In its container the host is that at which it
// listens.
func address(c *cli.Context) string {
	return command.Target(c.String("host"), c.Int("port"))
}

// clientKey returns the key of the client, "" for none.
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
		return nil, errors.New("--tls-cert and --tls-key need each other")
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
