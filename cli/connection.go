package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"discordproxy/client"

	"github.com/urfave/cli/v2"
)

// connectionFlags say where a proxy is and who calls it.
func connectionFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "host", EnvVars: env("host"), Value: "localhost", Usage: "`ADDRESS` of the proxy, or unix:PATH"},
		&cli.IntFlag{Name: "port", EnvVars: env("port"), Value: 50051, Usage: "port of the proxy"},
		&cli.StringFlag{Name: "key", EnvVars: env("key"), DefaultText: "none", Usage: "client `KEY`; prefer the variable or a file, which other users of the machine do not see"},
		&cli.StringFlag{Name: "key-file", EnvVars: env("key-file"), TakesFile: true, Usage: "`FILE` that holds the client key"},
	}
	return append(append(flags, trustFlags()...),
		// The server's variables of these names mean its own.
		&cli.StringFlag{Name: "tls-cert", EnvVars: env("tls-client-cert"), TakesFile: true, Usage: "`FILE` with the client's certificate and its chain in PEM"},
		&cli.StringFlag{Name: "tls-key", EnvVars: env("tls-client-key"), TakesFile: true, Usage: "`FILE` with the key of the client's certificate in PEM"},
	)
}

// trustFlags say by what a server proves who it is.
func trustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "tls", EnvVars: env("tls"), Usage: "use TLS; the other options of TLS mean it, too"},
		&cli.StringFlag{Name: "tls-ca", EnvVars: env("tls-ca"), TakesFile: true, Usage: "`FILE` with the authorities in PEM that the proxy's certificate must be of, or with this certificate itself (default: the authorities of the machine)"},
		&cli.StringFlag{Name: "tls-name", EnvVars: env("tls-name"), Usage: "`NAME` that the proxy's certificate must have (default: that of --host)"},
	}
}

// dial gives a request its client of the proxy. It reads all options that say
// how to connect.
func dial(r *request) error {
	key, err := clientKey(r.flags)
	if err != nil {
		return err
	}
	settings, err := trust(r.flags)
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
	return target(c.String("host"), c.Int("port"))
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

// trust returns by what the server proves who it is, nil without TLS.
func trust(c *cli.Context) (*tls.Config, error) {
	file, name := c.String("tls-ca"), c.String("tls-name")
	if !c.Bool("tls") && file == "" && name == "" {
		return nil, nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if file == "" {
		return settings, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read --tls-ca: %w", err)
	}
	settings.RootCAs = x509.NewCertPool()
	if !settings.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("there is no certificate in --tls-ca %s", file)
	}
	return settings, nil
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
