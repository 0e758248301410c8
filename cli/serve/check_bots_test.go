package serve_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

// TestCheckBots: check knows the server's bots unless it only gets the files of clients and
// hooks.
func TestCheckBots(t *testing.T) {
	auth, hooks := filepath.Join(t.TempDir(), "auth.yaml"), filepath.Join(t.TempDir(), "hooks.yaml")
	check := func(bot string, args ...string) (string, error) {
		write(t, auth, "clients: [{name: shop, addresses: [127.0.0.1], bots: ["+bot+"]}]")
		write(t, hooks, "hooks: [{name: ops, channel: 1, bot: "+bot+"}]")
		out, _, err := output(t, append([]string{"check", "--auth-file", auth, "--hooks-file", hooks}, args...)...)
		return out, err
	}
	out, err := check("games")
	if err != nil || !strings.Contains(out, "; may use bot games") || !strings.Contains(out, "hook ops: channel 1 of bot games;") {
		t.Errorf("the files alone: %v, %s", err, out)
	}
	settings := []string{"--sandbox", "--port", "0"}
	out, err = check("games", settings...)
	if err == nil || !strings.Contains(out, `client 1, "shop": bots: there is no bot named "games": the server has default`) ||
		!strings.Contains(out, `hook 1, "ops": bot: there is no bot named "games": the server has default`) {
		t.Errorf("another bot than the server's: %v, %s", err, out)
	}
	out, err = check("default", settings...)
	if err != nil || strings.Contains(out, "may use bot") || strings.Contains(out, "of bot") {
		t.Errorf("the server's bot: %v, %s", err, out)
	}
}

// TestCheckStrangers: check agrees with the server about settings that strangers could abuse,
// of each bot.
func TestCheckStrangers(t *testing.T) {
	t.Setenv("DISCORD_BOT_TOKEN", "")
	folder := t.TempDir()
	path, token := filepath.Join(folder, "config.yaml"), filepath.Join(folder, "token")
	write(t, token, "MTIz.a.b\n")
	const (
		proxy    = "--gateway-proxy would let anyone who can reach the server run the bot"
		contents = "--dashboard-show-content would show the contents of calls to anyone"
	)
	bots := func(settings string) string { return "\nbots: [{name: main, token-file: " + token + settings + "}]" }
	for text, want := range map[string]string{
		"host: 0.0.0.0" + bots(", gateway-proxy: true"):                                                 "bot main: " + proxy,
		"host: 0.0.0.0\ngateway-proxy: true" + bots(""):                                                 "bot main: " + proxy,
		"host: 0.0.0.0\ngateway-proxy: true" + bots(", gateway-proxy: false"):                           "",
		"host: 0.0.0.0\ngateway-proxy: true" + bots(", no-gateway: true"):                               "",
		"host: 0.0.0.0" + bots("}, {name: b, token: MQ.a.b, default: true, gateway-proxy: true"):        "bot b: " + proxy,
		"host: 0.0.0.0" + bots("}, {name: b, token: MQ.a.b, gateway-proxy: false"):                      "",
		"host: 127.0.0.1" + bots(", gateway-proxy: true"):                                               "",
		"host: localhost" + bots(", gateway-proxy: true"):                                               "",
		"host: 'unix:" + folder + "/sock,127.0.0.1'" + bots(", gateway-proxy: true"):                    "",
		"host: 'unix:" + folder + "/sock,0.0.0.0'" + bots(", gateway-proxy: true"):                      "bot main: " + proxy,
		"host: 0.0.0.0\nauth: {clients: [{name: a, addresses: [::1]}]}" + bots(", gateway-proxy: true"): "",
		"host: 0.0.0.0\ngateway-proxy: true\ntoken: MTIz.a.b":                                           proxy,
		"host: 0.0.0.0\ndashboard-show-content: true\ntoken: MTIz.a.b":                                  contents,
		"host: 0.0.0.0\ndashboard-show-content: true" + bots(""):                                        "bot main: " + contents,
	} {
		text += "\ndiscord-api-url: http://127.0.0.1:1/api\nport: 0\nno-data: true\n"
		write(t, path, text)
		out, _, err := output(t, "check", "--offline", "--config", path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("check of %q: %v, want %q\n%s", text, err, want, out)
		}
		if err := runsBriefly(t, path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("the server with %q: %v, want %q", text, err, want)
		}
	}
}

// runsBriefly starts a server with a configuration file, stops it when it runs, and returns
// why it did not run.
func runsBriefly(t *testing.T, path string) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	err := serve.Command(ctx, cli.Env{
		Args: []string{"--config", path, "--log-file-path", filepath.Dir(path)},
		Out:  stopsAt{text: " listens on ", stop: stop}, Err: io.Discard,
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("the server does not say where it listens: %v", err)
	}
	return err
}

// stopsAt stops a server that writes a text.
type stopsAt struct {
	text string
	stop func()
}

func (s stopsAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.text) {
		s.stop()
	}
	return len(p), nil
}

// TestCheckPresence: check finds a status and an activity that the server would refuse.
func TestCheckPresence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	for text, want := range map[string]string{
		"token: MTIz.a\nstatus: away":                                                   `config.yaml:2: --status: status "away" is not one of`,
		"bots:\n- {name: a, token: MTIz.a, status: away}":                               `config.yaml:2: bot a: status: status "away" is not one of`,
		"token: MTIz.a\nactivity: " + strings.Repeat("x", 129):                          "config.yaml:2: --activity: an activity of 129 characters",
		"bots:\n- {name: a, token: MTIz.a, activity: " + strings.Repeat("x", 129) + "}": "config.yaml:2: bot a: activity: an activity of 129 characters",
	} {
		write(t, path, text)
		if out, _, err := output(t, "check", "--offline", "--config", path, "--no-data", "--port", "0"); err == nil ||
			!strings.Contains(err.Error()+out, want) {
			t.Errorf("%q: got %v, %s", text, err, out)
		}
	}
}
