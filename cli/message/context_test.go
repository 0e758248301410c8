package message_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
)

// TestContexts: a context replaces the connection options, and its key stays secret and
// is sent only to its proxy.
func TestContexts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config", "contexts.yaml")
	t.Setenv("DISCORDPROXY_CONTEXTS", file)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	key, hash := server.NewKey()
	guarded := proxytest.Against(t, sb, "--auth-file", freshFile(t, "auth.yaml", fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash)))
	open := proxytest.Against(t, sb)
	do := func(wantCode int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), message.Command, cli.Env{Args: args, Out: &stdout, Err: &stderr})
		if code != wantCode || strings.Contains(stdout.String()+stderr.String(), key) {
			t.Errorf("%q: %d %q %q", args, code, &stdout, &stderr)
		}
		return stdout.String(), stderr.String()
	}
	send := []string{"channel", sb.World().General.String(), "hi"}
	do(0, "context", "add", "shop", "--host", guarded.Address, "--key", key)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v %v", info, err)
	}
	do(0, send...) // the first one is used
	do(0, "context", "add", "--host", "http://"+open.Address, "open")
	do(0, append(send, "--context", "open")...)
	do(3, append(send, "--host", guarded.Address)...) // another address turns the context off
	do(0, append(send, "--host", guarded.Address, "--context", "shop")...)
	do(3, append(send, "--key", "dpkey_wrong")...)
	do(2, append(send, "--host", open.Address, "--context", "shop")...) // its key is for its proxy alone
	if got := len(sb.Messages(sb.World().General)); got != 3 {
		t.Errorf("%d messages were posted, and not 3", got)
	}
	t.Setenv("DISCORDPROXY_HOST", open.Address)
	if _, errs := do(2, append(send, "--context", "shop")...); !strings.Contains(errs, "--host or DISCORDPROXY_HOST is "+open.Address) {
		t.Errorf("with the address of another proxy in a variable: %q", errs)
	}
	do(0, send...) // the variable turns the context off
	if err := os.Unsetenv("DISCORDPROXY_HOST"); err != nil {
		t.Fatal(err)
	}
	do(0, "context", "add", "safe", "--host", guarded.Address, "--key", key, "--tls")
	do(2, append(send, "--context", "safe", "--tls=false")...)
	list, _ := do(0, "context", "list")
	if !strings.Contains(list, "*        shop") || !strings.Contains(list, "***") || !strings.Contains(list, "open") {
		t.Errorf("listed is\n%s", list)
	}
	if out, _ := do(0, "context", "list", "--jq", ".current"); out != "shop\n" {
		t.Errorf("the current one is %q", out)
	}
	do(0, "context", "use", "open")
	do(0, append(send, "-o", "text")...)
	do(2, "context", "use", "nowhere")
	do(2, append(send, "--context", "nowhere")...)
	do(2, "context", "add", "nothing")
	do(2, "context", "add", "wrong", "--host", "ftp://x")
	do(2, "context", "ad", "x")
	do(0, "context")

	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errs := do(1, send...); !strings.Contains(errs, "holds a key and others can read it; run chmod 600 ") {
		t.Errorf("with a file that others can read: %q", errs)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	do(0, "context", "remove", "shop")
	do(2, append(send, "--context", "shop")...)
}

// TestContextsWithEmptyVariables: variables that are empty, as .env and Compose files leave
// them, set nothing: the context applies, and its key is not sent without its TLS.
func TestContextsWithEmptyVariables(t *testing.T) {
	received := make(chan string, 10)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	inClear := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received <- r.Header.Get("Authorization")
	}))
	inClear.Config.Protocols = protocols
	inClear.Start()
	t.Cleanup(inClear.Close)
	t.Setenv("DISCORDPROXY_CONTEXTS", filepath.Join(t.TempDir(), "contexts.yaml"))
	do := func(args ...string) (code int, errs string) {
		var stderr bytes.Buffer
		code = cli.Run(t.Context(), message.Command, cli.Env{Args: args, Out: &bytes.Buffer{}, Err: &stderr})
		return code, stderr.String()
	}
	address := strings.TrimPrefix(inClear.URL, "http://")
	ca := freshFile(t, "ca.pem", "")
	for option, value := range map[string]string{"tls": "true", "tls-name": "proxy.example.org", "tls-ca": ca, "tls-cert": ca, "tls-key": ca} {
		name := "with-" + option
		kept := "--" + option + "=" + value
		if code, errs := do("context", "add", name, "--host", address, "--key", "dpkey_secret", kept); code != 0 {
			t.Fatal(errs)
		}
		for _, variable := range []string{"HOST", "PORT", "KEY", "TLS", "TLS_CA", "TLS_NAME", "TLS_CLIENT_CERT", "TLS_CLIENT_KEY"} {
			t.Setenv("DISCORDPROXY_"+variable, "")
		}
		if code, errs := do("--context", name, "guilds"); code == 0 {
			t.Errorf("%s, and empty variables: %d %q", kept, code, errs)
		}
		if option == "tls" {
			continue
		}
		want := fmt.Sprintf("ERROR: context %s has --%s %s, and --%[2]s is empty; leave it out\n", name, option, value)
		if code, errs := do("--context", name, "guilds", "--"+option+"="); code != 2 || errs != want {
			t.Errorf("%s, and the option is empty: %d %q", kept, code, errs)
		}
	}
	if code, errs := do("context", "add", "plain", "--host", address, "--key", "dpkey_plain"); code != 0 {
		t.Fatal(errs)
	}
	if code, errs := do("context", "use", "plain"); code != 0 {
		t.Fatal(errs)
	}
	do("guilds") // an empty DISCORDPROXY_HOST does not turn the context off
	close(received)
	if got := <-received; got != "Bearer dpkey_plain" {
		t.Errorf("the server first received %q", got)
	}
}
