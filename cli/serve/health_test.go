package serve_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// TestHealthCommand: the exit code says whether the server is ready or, with --live,
// whether its process responds.
func TestHealthCommand(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	health := func(args ...string) (code int, text string) {
		t.Helper()
		var out bytes.Buffer
		code = cli.Run(t.Context(), serve.Command, cli.Env{Args: append([]string{"health"}, args...), Out: &out, Err: &out})
		return code, out.String()
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", ""} {
		if code, text := health("--port", port, "--host", host); code != 0 || text != "ready\n" {
			t.Errorf("at %q it is %d %q", host, code, text)
		}
	}
	t.Run("variables", func(t *testing.T) {
		t.Setenv("DISCORDPROXY_PORT", port)
		t.Setenv("DISCORDPROXY_HOST", "0.0.0.0")
		if code, text := health(); code != 0 || text != "ready\n" {
			t.Errorf("it is %d %q", code, text)
		}
	})

	sb.Ban(sandbox.Ban{For: time.Hour})
	_, err = p.Clients()["Connect"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"})
	if err == nil {
		t.Fatal("a message arrived through a ban")
	}
	if code, text := health("--port", port); code != 1 || !strings.HasPrefix(text, "ERROR: Discord refuses all calls from this address") {
		t.Errorf("while Discord bans the address it is %d %q", code, text)
	}
	if code, text := health("--port", port, "--live"); code != 0 || text != "alive\n" {
		t.Errorf("while Discord bans the address it lives: %d %q", code, text)
	}

	p.Stop()
	if code, text := health("--port", port); code != 1 || !strings.HasPrefix(text, "ERROR: the server does not answer: ") {
		t.Errorf("after its end it is %d %q", code, text)
	}
	for _, args := range [][]string{{"--port", "70000"}, {"now"}, {"--nonsense"}} {
		if code, text := health(args...); code != 2 || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: %d %q", args, code, text)
		}
	}
}

// TestHealthOfGuardedServer: a probe needs no key and no certificate, and recognizes the
// server by its certificate, also just after the certificate has changed.
func TestHealthOfGuardedServer(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	authority.FilesAs(t, folder, "", authority.Issue(t, "proxy.example.org"))
	authority.FilesAs(t, folder, "other", authority.Issue(t, "proxy.example.org"))
	_, hash := server.NewKey()
	write(t, file("auth.yaml"), fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	trusted := &tls.Config{RootCAs: authority.Pool(), ServerName: "proxy.example.org"}
	p := proxytest.AgainstTLS(t, sandbox.New(sandbox.Config{}), trusted, "--allowed-host", "proxy.example.org", "--require-auth", "--auth-file", file("auth.yaml"),
		"--tls-cert", file("cert.pem"), "--tls-key", file("key.pem"), "--tls-client-ca", file("ca.pem"))
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	health := func(args ...string) (code int, text string) {
		var out bytes.Buffer
		code = cli.Run(t.Context(), serve.Command, cli.Env{Args: append([]string{"health", "--port", port}, args...), Out: &out, Err: &out})
		return code, out.String()
	}
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--tls-cert", file("cert.pem")}, 0, "ready\n"},
		{[]string{"--tls-cert", file("cert.pem"), "--live"}, 0, "alive\n"},
		{[]string{"--tls-ca", file("ca.pem"), "--tls-name", "proxy.example.org"}, 0, "ready\n"},
		{[]string{"--tls-ca", file("ca.pem")}, 1, "ERROR: cannot verify the server's certificate; see --tls-cert and --tls-name: x509: "},
		{[]string{"--tls"}, 1, "ERROR: cannot verify the server's certificate; see --tls-cert and --tls-name: x509: "},
		{[]string{"--tls-cert", file("key.pem")}, 1, "ERROR: there is no certificate in --tls-cert "},
		{nil, 1, "ERROR: the server uses TLS; see --tls-cert\n"},
	} {
		if code, text := health(tt.args...); code != tt.code || !strings.HasPrefix(text, tt.text) {
			t.Errorf("%q: %d %q", tt.args, code, text)
		}
	}
	// The variables of the server in its container are enough.
	t.Setenv("DISCORDPROXY_TLS_CERT", file("cert.pem"))
	if code, text := health("--live"); code != 0 || text != "alive\n" {
		t.Errorf("with the server's variables: %d %q", code, text)
	}
	for _, part := range []string{"cert.pem", "key.pem"} {
		if err := os.Rename(file("other-"+part), file(part)); err != nil {
			t.Fatal(err)
		}
	}
	if code, text := health("--live"); code != 0 || text != "alive\n" {
		t.Errorf("right after the certificate has changed: %d %q", code, text)
	}
}
