package serve_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	urfave "github.com/urfave/cli/v2"
)

// output runs the command and returns what it writes on both streams.
func output(t *testing.T, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = serve.Command(t.Context(), cli.Env{Args: args, Out: &o, Err: &e})
	return o.String(), e.String(), err
}

// TestConfigInit: the file names every flag and can be used, and no file is lost.
func TestConfigInit(t *testing.T) {
	t.Setenv("DISCORD_BOT_TOKEN", "a secret of this machine")
	path := filepath.Join(t.TempDir(), "config.yaml")
	if out, _, err := output(t, "config", "init", path); err != nil || out != "" {
		t.Fatal(out, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "a secret") {
		t.Error("the file holds the token")
	}
	for _, f := range serve.App(cli.Env{}).Flags {
		name := f.Names()[0]
		if f.(urfave.CategorizableFlag).GetCategory() == "" && f != urfave.HelpFlag {
			t.Errorf("--%s is in no group", name)
		}
		want := name != "config" && f != urfave.HelpFlag
		if got := strings.Contains(string(text), "\n#"+name+": "); got != want {
			t.Errorf("%s is in the file: %v", name, got)
		}
	}
	if _, _, err := output(t, "config", "init", path); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("a file that exists: %v", err)
	}
	if out, _, err := output(t, "config", "init"); err != nil || out != string(text) {
		t.Errorf("on standard output: %v, %s", err, out)
	}
	for _, args := range [][]string{{"config"}, {"config", "init", "a", "b"}, {"config", "x"}} {
		if _, _, err := output(t, args...); err == nil {
			t.Errorf("%q succeeds", args)
		}
	}
}

// TestConfigServes: a server takes its settings, clients and hooks from a file.
func TestConfigServes(t *testing.T) {
	key, hash := server.NewKey()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, `
activity: "yes"
max-queue: 7
auth:
  clients:
    - name: shop
      hashes: ["`+hash+`"]
      methods: [SendChannelMessage, metrics, hooks]
hooks:
  - name: alerts
    channel: "`+sb.World().General.String()+`"
`)
	p := proxytest.Against(t, sb, "--config", path)
	get := func(key string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if none, good := get(""), get(key); none != http.StatusUnauthorized || good != http.StatusOK {
		t.Errorf("/metrics answers %d without a key, and %d with one", none, good)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/hooks/alerts", strings.NewReader(`{"content":"by a hook"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if messages := sb.Messages(sb.World().General); len(messages) != 1 || messages[0].Content != "by a hook" {
		t.Errorf("%s: the messages are %+v", resp.Status, messages)
	}
}

// TestConfigMistakes: an error names the line of the mistake, and never a value.
func TestConfigMistakes(t *testing.T) {
	const secret = "MTk4NjIyNDgzNDcxOTI1MjQ4.secret"
	t.Setenv("DISCORD_BOT_TOKEN", "")
	folder := t.TempDir()
	for text, want := range map[string]string{
		"prot: 1":                                                           `line 1: unknown setting "prot"; did you mean "port"?`,
		"token: " + secret + "\nport: 70000":                                ":2: --port 70000 is not between 0 and 65535",
		"token: " + secret + "\nmax-queue: -1":                              ":2: --max-queue must be more than 0",
		"token: " + secret + "\ntoken-file: x":                              "token and token-file cannot be used together",
		"token: x\nauth: {clients: []}":                                     "line 2",
		"token: x\n\nauth:\n  clients:\n  - nam: a":                         "line 5",
		"token: x\nhooks:\n- name: a\n  chanel: 1":                          "line 4",
		"token: x\nauth: {clients: [{name: a, hashes: [b]}]}\nauth-file: x": "auth and auth-file cannot be used together",
		"token: x\nsocket-mode: 999":                                        ":2: --socket-mode",
	} {
		path := filepath.Join(folder, "config.yaml")
		write(t, path, text)
		_, _, err := output(t, "--config", path, "--no-data", "--log-file-path", folder)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
	for _, path := range []string{folder, filepath.Join(folder, "none"), os.DevNull} {
		if _, _, err := output(t, "--config", path); err == nil || !strings.Contains(err.Error(), "cannot read the configuration file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
