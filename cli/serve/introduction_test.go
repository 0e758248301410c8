package serve_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestLinesOfTheSandbox runs the commands that --sandbox prints.
func TestLinesOfTheSandbox(t *testing.T) {
	require.Command(t, "curl", "apt-get install curl")
	authority := proxytest.NewAuthority(t)
	folder := filepath.Join(t.TempDir(), "it's here")
	file := func(name string) string { return filepath.Join(folder, name) }
	for name, commonName := range map[string]string{"here": proxytest.ServerName, "there": "proxy.example.org", "shop": "shop"} {
		authority.FilesAs(t, folder, name, authority.Issue(t, commonName))
	}
	key, hash := server.NewKey()
	auth := file("auth.yaml")
	write(t, auth, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	for name, tt := range map[string]struct {
		args []string
		env  map[string]string
	}{
		"plain":       {nil, nil},
		"keys":        {[]string{"--auth-file", auth}, map[string]string{"DISCORDPROXY_KEY": key}},
		"TLS":         {[]string{"--tls-cert", file("here-cert.pem"), "--tls-key", file("here-key.pem")}, nil},
		"other name":  {[]string{"--tls-cert", file("there-cert.pem"), "--tls-key", file("there-key.pem"), "--auth-file", auth}, map[string]string{"DISCORDPROXY_KEY": key}},
		"certificate": {[]string{"--tls-cert", file("here-cert.pem"), "--tls-key", file("here-key.pem"), "--tls-client-ca", file("shop-ca.pem")}, map[string]string{"DISCORDPROXY_TLS_CLIENT_CERT": file("shop-cert.pem"), "DISCORDPROXY_TLS_CLIENT_KEY": file("shop-key.pem")}},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxytest.Start(t, append([]string{"--sandbox"}, tt.args...)...)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			for _, start := range []string{"curl", "go run ./cli/discordproxymessage"} {
				var line []string
				eventually(t, "a line of "+start, func() bool {
					line = regexp.MustCompile("\n  " + start + " (.*)\n").FindStringSubmatch(p.Output())
					return line != nil
				})
				eventually(t, start+" "+line[1], func() bool {
					if start == "curl" {
						out, err := exec.CommandContext(t.Context(), "sh", "-c", "curl --show-error --fail "+line[1]).CombinedOutput()
						t.Logf("%s", out)
						return err == nil // the bot may not be logged in yet
					}
					words, err := exec.CommandContext(t.Context(), "sh", "-c", `set -- `+line[1]+`; printf '%s\n' "$@"`).Output()
					if err != nil {
						t.Fatal(err)
					}
					var out bytes.Buffer
					code := cli.Run(t.Context(), message.Command, cli.Env{Args: strings.Split(strings.TrimSpace(string(words)), "\n"), Out: &out, Err: &out})
					t.Logf("%s", &out)
					return code == 0
				})
			}
		})
	}
}
