package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/listener"
)

// gate is what is between the port and those who call.
type gate struct {
	// guard authorizes clients. Nil allows everything.
	guard *access.Guard
	// tls is how the port speaks TLS. Nil means that it does not.
	tls *tls.Config
	// clients and certificates are files among watched. Nil means that there are none.
	clients, certificates *files.Watched
	// watched are the files that are read again when they change.
	watched []*files.Watched
}

// openGate reads the files with clients and certificates.
func openGate(c Config) (*gate, error) {
	g := new(gate)
	if c.CertFile != "" {
		if err := g.openTLS(c); err != nil {
			return nil, err
		}
		files.WarnReadable(c.Logger, "TLS key", c.KeyFile)
	}
	config := access.Config{Certificates: c.ClientCAFile != "", Logger: c.Logger}
	if c.AuthFile != "" {
		defaults := access.Defaults{
			Methods: guardedMethods(), Bots: BotNames(c),
			// No client can fill the queue alone.
			MaxCalls: (c.MaxQueue + 1) / 2, MaxBytes: (c.MaxQueueBytes + 1) / 2,
		}
		g.clients = &files.Watched{What: "auth file", Paths: []string{c.AuthFile}, ReadFile: given(c.Auth), Use: func(contents [][]byte) error {
			rules, err := access.Parse(contents[0], defaults)
			if err != nil {
				return err
			}
			if g.guard != nil {
				g.guard.Use(rules)
			}
			config.Rules = rules
			return nil
		}}
		if err := g.watch(g.clients); err != nil {
			return nil, err
		}
		files.WarnReadable(c.Logger, "auth file", c.AuthFile)
		c.Logger.Info("loaded the auth file", "file", c.AuthFile, "clients", config.Rules.Count())
	}
	g.guard = access.New(config)
	return g, nil
}

// given returns how to read a file whose content is given, nil to read it from its path.
func given(content []byte) func(string) ([]byte, error) {
	if content == nil {
		return nil
	}
	return func(string) ([]byte, error) { return content, nil }
}

// guardedMethods are the names that methods in an auth file can mean, apart
// from those of plain REST.
func guardedMethods() []string { return append(api.Methods(), access.Pages...) }

// openTLS reads certificate, key and, if there are any, authorities for
// clients. Connections use what was read last.
func (g *gate) openTLS(c Config) error {
	var current atomic.Pointer[tls.Config]
	g.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil },
	}
	g.certificates = &files.Watched{What: "TLS certificate", Paths: tlsPaths(c), Use: func(contents [][]byte) error {
		certificate, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return err
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
		if len(contents) > 2 {
			config.ClientCAs = x509.NewCertPool()
			if !config.ClientCAs.AppendCertsFromPEM(contents[2]) {
				return errors.New("there is no certificate in --tls-client-ca")
			}
			// Clients without one are refused with an answer; probes of health need
			// none.
			config.ClientAuth = tls.VerifyClientCertIfGiven
		}
		current.Store(config)
		return nil
	}}
	return g.watch(g.certificates)
}

// tlsPaths are the files that TLS needs. None means that the server does not use it.
func tlsPaths(c Config) []string {
	paths := append(nonEmpty(c.CertFile), nonEmpty(c.KeyFile)...)
	return append(paths, nonEmpty(c.ClientCAFile)...)
}

// watch reads files for the first time, and has them watched.
func (g *gate) watch(w *files.Watched) error {
	g.watched = append(g.watched, w)
	return w.Load(context.Background()) // it takes a bounded time
}

// isOpen reports whether strangers can call a server on addr.
func (g *gate) isOpen(addr net.Addr) bool { return g.guard == nil && !listener.IsLoopback(addr) }

// warnings returns what an admin of a server on addr should know.
func (g *gate) warnings(addr net.Addr) []string {
	switch {
	case g.isOpen(addr):
		return []string{fmt.Sprintf("anyone who can reach %s can use the bot without a key; see --auth-file", addr)}
	case g.tls == nil && !listener.IsLoopback(addr):
		return []string{fmt.Sprintf("client keys reach %s in clear text unless a reverse proxy in front of it uses TLS; see --tls-cert", addr)}
	}
	return nil
}
