package serve

import (
	"errors"
	"fmt"

	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
	"gopkg.in/natefinch/lumberjack.v2"
)

// accessConfig holds the flags about who may call, and how they come.
type accessConfig struct {
	authFile                 string
	inline                   []byte // what the auth file would contain; nil for none
	requireAuth, metricsOpen bool
	tlsCert, tlsKey, tlsCAs  string
	auditFile                string
}

func (c *accessConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name:        "auth-file",
			EnvVars:     command.Variables("auth-file"),
			Destination: &c.authFile,
			Usage:       "`FILE` with the clients and their rules; see docs/access.md",
		},
		&cli.BoolFlag{
			Name:        "require-auth",
			EnvVars:     command.Variables("require-auth"),
			Destination: &c.requireAuth,
			Usage:       "refuse to start without --auth-file or --tls-client-ca",
		},
		&cli.BoolFlag{
			Name:        "metrics-open",
			EnvVars:     command.Variables("metrics-open"),
			Destination: &c.metricsOpen,
			Usage:       "serve /metrics without a key",
		},
		&cli.StringFlag{
			Name:        "tls-cert",
			EnvVars:     command.Variables("tls-cert"),
			Destination: &c.tlsCert,
			Usage:       "`FILE` with the server's certificate and its chain in PEM; turns TLS on",
		},
		&cli.StringFlag{
			Name:        "tls-key",
			EnvVars:     command.Variables("tls-key"),
			Destination: &c.tlsKey,
			Usage:       "`FILE` with the private key of --tls-cert in PEM",
		},
		&cli.StringFlag{
			Name:        "tls-client-ca",
			EnvVars:     command.Variables("tls-client-ca"),
			Destination: &c.tlsCAs,
			Usage:       "`FILE` with the CA certificates in PEM that verify client certificates",
		},
		&cli.StringFlag{
			Name:        "audit-file",
			EnvVars:     command.Variables("audit-file"),
			Destination: &c.auditFile,
			Usage:       "`FILE` for the audit log, one line of JSON for each call",
		},
	}
}

func (c *accessConfig) check() error {
	switch {
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key must be set together")
	case c.tlsCAs != "" && c.tlsCert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	case c.requireAuth && c.authFile == "" && c.tlsCAs == "":
		return errors.New("--require-auth needs --auth-file or --tls-client-ca")
	}
	return nil
}

// apply sets what the flags say, apart from the audit.
func (c *accessConfig) apply(config *server.Config) {
	config.AuthFile, config.Auth, config.OpenMetrics = c.authFile, c.inline, c.metricsOpen
	config.CertFile, config.KeyFile, config.ClientCAFile = c.tlsCert, c.tlsKey, c.tlsCAs
}

// auditSize in megabytes, and how many older files are kept.
const (
	auditSize  = 10
	auditsKept = 100
)

// audit opens the audit file. It is nil if there is none.
func (c *accessConfig) audit() (*lumberjack.Logger, error) {
	if c.auditFile == "" {
		return nil, nil //nolint:nilnil // see above
	}
	if err := tryWrite(c.auditFile); err != nil {
		return nil, fmt.Errorf("cannot write the audit file: %w", err)
	}
	return &lumberjack.Logger{Filename: c.auditFile, MaxSize: auditSize, MaxBackups: auditsKept}, nil
}
