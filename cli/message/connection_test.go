package message_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
)

// TestGuardedProxy: the commands reach a server that requires TLS and a key or a certificate.
func TestGuardedProxy(t *testing.T) {
	authority := proxytest.NewAuthority(t)
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	for _, name := range []string{proxytest.ServerName, "robot"} {
		authority.FilesAs(t, folder, name, authority.Issue(t, name))
	}
	key, hash := server.NewKey()
	other, _ := server.NewKey()
	auth := freshFile(t, "auth.yaml", fmt.Sprintf("clients: [{name: shop, hashes: [%q]}, {name: robot, certificates: [robot], methods: [GetCurrentUser]}]", hash))
	keyFile, empty := freshFile(t, "key", key+"\n"), freshFile(t, "empty", "\n")
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.AgainstTLS(t, sb, &tls.Config{RootCAs: authority.Pool()}, "--auth-file", auth,
		"--tls-cert", file("server-cert.pem"), "--tls-key", file("server-key.pem"), "--tls-client-ca", file("robot-ca.pem"))
	ca, robot := []string{"--tls-ca", file("server-ca.pem")}, []string{"--tls-cert", file("robot-cert.pem"), "--tls-key", file("robot-key.pem")}
	for _, tt := range []struct {
		options []string
		env     map[string]string
		err     string // "" when it is let in
	}{
		{append(ca, "--key", key), nil, ""},
		{append(ca, "--key-file", keyFile), nil, ""},
		{nil, map[string]string{"DISCORDPROXY_TLS_CA": file("server-ca.pem"), "DISCORDPROXY_KEY": key}, ""},
		{nil, map[string]string{"DISCORDPROXY_TLS_CA": file("server-cert.pem"), "DISCORDPROXY_KEY_FILE": keyFile}, ""},
		{append(ca, robot...), nil, "ERROR: permission_denied: client robot may not call "},
		{ca, map[string]string{"DISCORDPROXY_TLS_CLIENT_CERT": file("robot-cert.pem"), "DISCORDPROXY_TLS_CLIENT_KEY": file("robot-key.pem")}, "ERROR: permission_denied: client robot may not call "},
		{ca, nil, "ERROR: unauthenticated: a key is required: send it in the header Authorization: Bearer KEY; see --key-file\n"},
		{append(ca, "--key", other), nil, "ERROR: unauthenticated: the key in the header Authorization is unknown; see --key-file\n"},
		{append(ca, "--tls-name", "proxy.example.org", "--key", key), nil, "ERROR: cannot use TLS with the proxy at " + p.Address + ": certificate is valid for localhost, not proxy.example.org; see --tls-ca and --tls-name\n"},
		{[]string{"--tls", "--key", key}, nil, "ERROR: cannot use TLS with the proxy at " + p.Address + ": certificate "},
		{[]string{"--key", key}, nil, "ERROR: "},
		{append(ca, "--key-file", empty), nil, "ERROR: --key-file " + empty + " is empty\n"},
		{append(ca, "--key-file", file("none")), nil, "ERROR: cannot read --key-file: "},
		{append(ca, "--tls-key", file("robot-key.pem")), nil, "ERROR: --tls-cert and --tls-key must be set together\n"},
		{append(ca, "--tls-cert", keyFile, "--tls-key", keyFile), nil, "ERROR: cannot use --tls-cert and --tls-key: "},
		{[]string{"--tls-ca", file("none")}, nil, "ERROR: cannot read --tls-ca: "},
		{[]string{"--tls-ca", keyFile}, nil, "ERROR: there is no certificate in --tls-ca "},
	} {
		t.Run(strings.Join(tt.options, " "), func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			for _, command := range [][]string{{"channel", sb.World().General.String(), "hi"}, {"channels", sb.World().Guild.String()}, {"status"}} {
				code, out, errs := run(t, p, append(command, tt.options...)...)
				if (code == 0) != (tt.err == "") || !strings.HasPrefix(errs, tt.err) || strings.Contains(out+errs, "dpkey_") ||
					tt.options != nil && tt.options[0] == "--key" && !strings.HasSuffix(errs, "; if the proxy speaks TLS, see --tls\n") {
					t.Errorf("%s: %d %q %q", command[0], code, out, errs)
				}
			}
		})
	}
	t.Setenv("DISCORDPROXY_KEY", key)
	if _, out, errs := run(t, p, "--help"); strings.Contains(out+errs, key) || !strings.Contains(out, "DISCORDPROXY_KEY") {
		t.Errorf("the help is %s %s", out, errs)
	}
}

// TestStatusForPrograms: --json prints everything, and --timeout ends the wait for a
// server that does not respond.
func TestStatusForPrograms(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	code, out, errs := run(t, p, "status", "--json")
	var status struct {
		Proxy  struct{ Version, Bot string }
		Limits struct{ MaxWaiting int }
	}
	if err := json.Unmarshal([]byte(out), &status); code != 0 || err != nil || strings.Count(out, "\n") != 1 || status.Proxy.Bot != "sandbox" || status.Limits.MaxWaiting != 10_000 {
		t.Errorf("%d %v %q %q", code, err, out, errs)
	}
	// A watcher that leaves is no failure.
	const left = `discordproxy_calls_total{client="",code="canceled",method="WatchStatus",protocol="grpc"} 1`
	metrics := ""
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(metrics, left); {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: the end of the stream in the metrics")
		}
		if metrics = metricsOf(t, p); strings.Contains(metrics, `code="unknown"`) {
			t.Fatal(metrics)
		}
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	var output bytes.Buffer
	code = cli.Run(t.Context(), message.Command, cli.Env{Args: []string{"--host", "127.0.0.1", "--port", port, "status", "--timeout", "50ms"}, Out: &output, Err: &output})
	if code != 75 || output.String() != "ERROR: the proxy did not respond in time\n" {
		t.Errorf("of a silent server: %d %q", code, &output)
	}
}

func metricsOf(t *testing.T, p *proxytest.Proxy) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.HTTPClient(t, proxytest.Identity{}, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
