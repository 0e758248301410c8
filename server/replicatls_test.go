package server_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestReplicaTLS: servers with TLS forward over TLS, to servers with their own certificate
// or one that they can verify. Clients are known by the certificates that they show to the
// server that they call.
func TestReplicaTLS(t *testing.T) {
	authority, stranger := proxytest.NewAuthority(t), proxytest.NewAuthority(t)
	folder := t.TempDir()
	authority.FilesAs(t, folder, "one", authority.Issue(t, proxytest.ServerName))
	authority.FilesAs(t, folder, "two", authority.Issue(t, proxytest.ServerName))
	authority.FilesAs(t, folder, "named", authority.Issue(t, "proxy.example.org"))
	stranger.FilesAs(t, folder, "odd", stranger.Issue(t, proxytest.ServerName))
	auth := filepath.Join(folder, "auth.yaml")
	if err := os.WriteFile(auth, []byte("clients: [{name: shop, certificates: [shop]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := authority.Pool()
	for name, c := range map[string]struct {
		leader, entry string
		ok            bool
	}{
		"own":      {"named", "named", true},
		"verified": {"one", "two", true},
		"named":    {"named", "one", false}, // not for 127.0.0.1
		"stranger": {"odd", "one", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			join := func(certificate string) *running {
				return f.join(t, func(config *server.Config) {
					config.AuthFile, config.OpenMetrics = auth, true
					config.CertFile, config.KeyFile = filepath.Join(folder, certificate+"-cert.pem"), filepath.Join(folder, certificate+"-key.pem")
					config.ClientCAFile = filepath.Join(folder, "one-ca.pem")
				})
			}
			client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
				RootCAs: trust, Certificates: []tls.Certificate{authority.Issue(t, "shop")}, MinVersion: tls.VersionTLS12,
				InsecureSkipVerify: true, //nolint:gosec // it is not what is tested
			}}}
			t.Cleanup(client.CloseIdleConnections)
			get := func(r *running, path string) (int, string) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.address+path, nil)
				if err != nil {
					return 0, err.Error()
				}
				resp, err := client.Do(req)
				if err != nil {
					return 0, err.Error()
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					return 0, err.Error()
				}
				return resp.StatusCode, string(body)
			}
			ready := func(r *running) {
				t.Helper()
				within(t, func() error {
					if code, text := get(r, "/readyz"); code != http.StatusOK {
						return errors.New(text)
					}
					return nil
				})
			}
			leader := join(c.leader)
			ready(leader)
			entry := join(c.entry)
			call := func(header string) error {
				req := connect.NewRequest(new(pb.GetCurrentUserRequest))
				if header != "" {
					req.Header().Set("Connect-Timeout-Ms", header)
				}
				api := connect.NewClient[pb.GetCurrentUserRequest, pb.GetCurrentUserResponse](client, "https://"+entry.address+discordapiconnect.DiscordApiGetCurrentUserProcedure)
				_, err := api.CallUnary(t.Context(), req)
				return err
			}
			if !c.ok {
				within(t, func() error {
					if code, text := get(entry, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "cannot be reached at") {
						return fmt.Errorf("/readyz: %d %s", code, text)
					}
					return nil
				})
				if err := call("300"); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "the server that leads the bot cannot be reached") {
					t.Error(err)
				}
				return
			}
			ready(entry)
			if err := call(""); err != nil {
				t.Fatal(err)
			}
			if code, text := get(leader, "/metrics"); code != http.StatusOK || !strings.Contains(text, `client="shop",code="ok",method="GetCurrentUser"`) {
				t.Errorf("the leader does not know the client: %d", code)
			}
		})
	}
}
