package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	command "discordproxy/cli"
	"discordproxy/server"
	"discordproxy/server/access"
	"discordproxy/server/calls"
	"discordproxy/server/listener"

	"github.com/urfave/cli/v2"
	"gopkg.in/natefinch/lumberjack.v2"
)

// accessConfig holds the flags about who may call, and how they come.
type accessConfig struct {
	authFile                 string
	requireAuth, metricsOpen bool
	tlsCert, tlsKey, tlsCAs  string
	auditFile                string
}

func (c *accessConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "auth-file", EnvVars: command.Variables("auth-file"), Destination: &c.authFile, Usage: "`FILE` with the clients that may call, see docs/access.md"},
		&cli.BoolFlag{Name: "require-auth", EnvVars: command.Variables("require-auth"), Destination: &c.requireAuth, Usage: "do not start without --auth-file or --tls-client-ca"},
		&cli.BoolFlag{Name: "metrics-open", EnvVars: command.Variables("metrics-open"), Destination: &c.metricsOpen, Usage: "answer /metrics without a key"},
		&cli.StringFlag{Name: "tls-cert", EnvVars: command.Variables("tls-cert"), Destination: &c.tlsCert, Usage: "`FILE` with the server's certificate and its chain in PEM: clients have to use TLS"},
		&cli.StringFlag{Name: "tls-key", EnvVars: command.Variables("tls-key"), Destination: &c.tlsKey, Usage: "`FILE` with the key of the certificate in PEM"},
		&cli.StringFlag{Name: "tls-client-ca", EnvVars: command.Variables("tls-client-ca"), Destination: &c.tlsCAs, Usage: "`FILE` with the authorities in PEM whose certificates clients may prove themselves by"},
		&cli.StringFlag{Name: "audit-file", EnvVars: command.Variables("audit-file"), Destination: &c.auditFile, Usage: "`FILE` for a line of JSON about each call"},
	}
}

func (c *accessConfig) check() error {
	switch {
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return errors.New("--tls-cert and --tls-key need each other")
	case c.tlsCAs != "" && c.tlsCert == "":
		return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
	case c.requireAuth && c.authFile == "" && c.tlsCAs == "":
		return errors.New("--require-auth: there is neither --auth-file nor --tls-client-ca, so that everybody could call")
	}
	return nil
}

// gate is what stands between the port and those who call.
type gate struct {
	// guard knows the clients; nil lets everybody in.
	guard *access.Guard
	// tls is how the port speaks TLS; nil if it does not.
	tls     *tls.Config
	watched []*watchedFiles
}

// open reads the files. maxQueue is how many calls may wait in all, and
// maxQueueBytes how large they may be together.
func (c *accessConfig) open(ctx context.Context, logger *slog.Logger, maxQueue int, maxQueueBytes int64) (*gate, error) {
	g := new(gate)
	if c.tlsCert != "" {
		if err := c.openTLS(ctx, g); err != nil {
			return nil, err
		}
		warnReadable(logger, "TLS key", c.tlsKey)
	}
	config := access.Config{Certificates: c.tlsCAs != "", Logger: logger}
	if c.authFile != "" {
		defaults := access.Defaults{
			Methods: guardedMethods(),
			// No client can fill the queue alone.
			MaxCalls: (maxQueue + 1) / 2, MaxBytes: (maxQueueBytes + 1) / 2,
		}
		err := g.watch(ctx, &watchedFiles{what: "auth file", files: []string{c.authFile}, use: func(contents [][]byte) error {
			rules, err := access.Parse(contents[0], defaults)
			if err != nil {
				return err
			}
			if g.guard != nil {
				g.guard.Use(rules)
			}
			config.Rules = rules
			return nil
		}})
		if err != nil {
			return nil, err
		}
		warnReadable(logger, "auth file", c.authFile)
		logger.Info("clients are known by an auth file", "file", c.authFile, "clients", config.Rules.Count())
	}
	g.guard = access.New(config)
	return g, nil
}

// guardedMethods are the names that methods in an auth file can mean, apart
// from those of plain REST.
func guardedMethods() []string { return append(server.Methods(), access.Pages...) }

// openTLS reads certificate, key and, if there are any, authorities for
// clients. Connections use what was read last.
func (c *accessConfig) openTLS(ctx context.Context, g *gate) error {
	files := []string{c.tlsCert, c.tlsKey}
	if c.tlsCAs != "" {
		files = append(files, c.tlsCAs)
	}
	var current atomic.Pointer[tls.Config]
	g.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil },
	}
	return g.watch(ctx, &watchedFiles{what: "TLS certificate", files: files, use: func(contents [][]byte) error {
		certificate, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return err
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
		if len(contents) > 2 {
			config.ClientCAs = x509.NewCertPool()
			if !config.ClientCAs.AppendCertsFromPEM(contents[2]) {
				return fmt.Errorf("there is no certificate in %s", c.tlsCAs)
			}
			// Who shows none is refused with an answer; probes of health need
			// none.
			config.ClientAuth = tls.VerifyClientCertIfGiven
		}
		current.Store(config)
		return nil
	}})
}

func (g *gate) watch(ctx context.Context, w *watchedFiles) error {
	g.watched = append(g.watched, w)
	return w.load(ctx)
}

// metrics guards the page of metrics.
func (c *accessConfig) metrics(g *gate, page http.Handler) http.Handler {
	if c.metricsOpen {
		return access.Everyone(page)
	}
	return g.guard.Page(page)
}

// warnings are what those should know who run or look at a server on addr.
func (g *gate) warnings(addr net.Addr) []string {
	switch {
	case listener.IsLoopback(addr):
		return nil
	case g.guard == nil:
		return []string{fmt.Sprintf("everybody who can reach %s can use the bot: there are no client keys, see --auth-file", addr)}
	case g.tls == nil:
		return []string{fmt.Sprintf("client keys reach %s in clear text unless something in front of it speaks TLS, see --tls-cert", addr)}
	}
	return nil
}

// auditSize in megabytes, and how many older files are kept.
const (
	auditSize  = 10
	auditsKept = 100
)

// audit returns the observer that writes the audit file, and closes it by end.
func (c *accessConfig) audit(logger *slog.Logger) (_ calls.Observers, end func(), err error) {
	if c.auditFile == "" {
		return nil, func() {}, nil
	}
	if err := tryWrite(c.auditFile); err != nil {
		return nil, nil, fmt.Errorf("cannot write the audit file: %w", err)
	}
	file := &lumberjack.Logger{Filename: c.auditFile, MaxSize: auditSize, MaxBackups: auditsKept}
	return calls.Observers{calls.Audit(file, logger)}, func() { _ = file.Close() }, nil
}

// warnReadable warns of a file with a secret that every user of the machine can
// read.
func warnReadable(logger *slog.Logger, what, path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		logger.Warn("every user of the machine can read the "+what+": take the right from others", "file", path, "mode", info.Mode().Perm().String())
	}
}
