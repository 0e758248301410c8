package cli

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// Target returns where to reach a server that listens on a host and a port:
// host:port, or the Unix socket that the host is. A host that means all addresses
// is reached at a loopback one.
func Target(host string, port int) string {
	if strings.HasPrefix(host, "unix:") {
		return host
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// TrustFlags returns the flags that Trust reads.
func TrustFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "tls", EnvVars: Variables("tls"), Usage: "use TLS; implied by the other TLS options"},
		&cli.StringFlag{
			Name:      "tls-ca",
			EnvVars:   Variables("tls-ca"),
			TakesFile: true,
			Usage: "PEM `FILE` with the authorities to trust, or with the proxy's own certificate " +
				"(default: the authorities of the machine)",
		},
		&cli.StringFlag{
			Name:    "tls-name",
			EnvVars: Variables("tls-name"),
			Usage:   "`NAME` that the proxy's certificate must have (default: the host in --host)",
		},
	}
}

// Trust returns which certificates of a server to accept, or nil without TLS.
func Trust(c *cli.Context) (*tls.Config, error) {
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
