package serve_test

import (
	"path/filepath"
	"strings"
	"testing"
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
