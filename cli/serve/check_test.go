package serve_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestCheck: check prints what each client may do, and finds what the server
// would refuse.
func TestCheck(t *testing.T) {
	const hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for text, want := range map[string]string{
		"clients: [{name: shop, hashes: ['" + hash + "'], methods: [SendChannelMessage], channels: [7]}, {name: root, addresses: [127.0.0.1]}]": "shop: may call SendChannelMessage, for channel 7; no calls without a target\n" +
			"root: may call every method, for all guilds, channels and users\n",
		"clients: [{name: shop, hashes: ['" + hash + "'], methods: ['GET /api/v10/users/@me']}]": "error: ",
		"clients: [{name: shop}]": "error: ",
	} {
		file := filepath.Join(t.TempDir(), "auth.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := serve.Command(t.Context(), cli.Env{Args: []string{"check", "--auth-file", file}, Out: &out, Err: &out})
		switch failed := strings.HasPrefix(want, "error"); {
		case failed && (err == nil || !strings.Contains(err.Error(), file)):
			t.Errorf("%s: %v, %s", text, err, &out)
		case !failed && (err != nil || out.String() != want || strings.Contains(out.String(), hash)):
			t.Errorf("%s: %v, %s", text, err, &out)
		}
	}
	for _, args := range [][]string{{"check"}, {"check", "--auth-file", "no-such-file"}, {"check", "--auth-file", os.DevNull}, {"check", "x"}} {
		t.Setenv("DISCORDPROXY_AUTH_FILE", "")
		if err := serve.Command(t.Context(), cli.Env{Args: args, Out: new(bytes.Buffer), Err: new(bytes.Buffer)}); err == nil {
			t.Errorf("%q succeeds", args)
		}
	}
}

// TestCheckConfig: check reports the source of each value, hides secrets, and finds what
// would prevent the server from starting.
func TestCheckConfig(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	busy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	folder := t.TempDir()
	path := filepath.Join(folder, "config.yaml")
	const hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	t.Setenv("DISCORDPROXY_MAX_QUEUE", "9")
	token := sb.World().Token
	write(t, path, "token: "+token+"\nretry-for: 5s\ndiscord-api-url: "+discord.URL+"/api\nport: 0\ndata: "+folder+
		"\nauth: {clients: [{name: shop, hashes: ["+hash+"]}]}\n")
	out, _, err := output(t, "check", "--config", path, "--activity", "x")
	if err != nil {
		t.Fatal(err, out)
	}
	for _, want := range []string{
		`(?m)^max-queue +9 +environment DISCORDPROXY_MAX_QUEUE$`, `(?m)^retry-for +5s +` + path + `:2$`, `(?m)^activity +x +flag$`,
		`(?m)^auth-file +` + path + ` +` + path + `:6  reload$`, `(?m)^ok: auth-file: 1 client$`, `(?m)^ok: settings$`,
		`(?m)^rest-proxy +on loopback addresses +default$`, `(?m)^intents +default +default$`,
		`(?m)^max-file +\d+ +default$`, `(?m)^token +\(hidden\) +` + path + `:1  reload$`, `(?m)^shop: may call every method`,
		`(?m)^ok: token: valid; the bot is sandbox$`, `(?m)^ok: data: ` + regexp.QuoteMeta(folder) + ` can be written, is empty(, \d+ MB free)?$`, `(?m)^ok: port: `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("there is no %s in\n%s", want, out)
		}
	}
	if strings.Contains(out, token) || strings.Contains(out, hash) {
		t.Error("a secret is shown")
	}
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	for args, want := range map[string]string{
		"--port " + port: "port: cannot listen on 127.0.0.1:" + port,
		"--token wrong":  "token: Discord does not accept the token",
		"--data " + path: "is not a folder; use --data to choose another folder",
		"--tls-cert " + path + " --tls-key " + path: "--tls-cert and --tls-key do not match",
		"--max-queue 0": "--max-queue must be more than 0",
		"--tls-key x":   "must be set together",
	} {
		out, _, err := output(t, append([]string{"check", "-o", "json", "--config", path}, strings.Fields(args)...)...)
		var r struct{ OK bool }
		if failed := json.Unmarshal([]byte(out), &r); failed != nil || r.OK || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(out, token) {
			t.Errorf("%s: %v, %v\n%s", args, err, failed, out)
		}
	}
	if _, _, err := output(t, "check", "--config", path, "--token", "wrong", "--offline"); err != nil {
		t.Errorf("--offline: %v", err)
	}
}

// TestCheckData: check names the process that uses the data folder. When the folder is
// free, check reports its contents.
func TestCheckData(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	args := []string{"check", "--sandbox", "--port", "0", "--data", folder}
	if out, _, err := output(t, args...); err != nil || !strings.Contains(out, "ok: data: "+folder+" is missing and will be created") {
		t.Errorf("%v, %s", err, out)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder was created: %v", err)
	}
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--data", folder)
	want := fmt.Sprintf("data: another server uses the data folder: %s (process %d); use --data to choose another folder", folder, os.Getpid())
	if out, _, err := output(t, args...); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(out, "failed: "+want+"\n") {
		t.Errorf("%v, want %s\n%s", err, want, out)
	}
	p.Stop()
	if out, _, err := output(t, args...); err != nil || !regexp.MustCompile(`(?m)^ok: data: `+regexp.QuoteMeta(folder)+` can be written, has schema \d+`).MatchString(out) {
		t.Errorf("%v, %s", err, out)
	}
}
