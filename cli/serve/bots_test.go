package serve_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestBotsMistakes: an error about the list of bots names the line and the bot, and never a
// token.
func TestBotsMistakes(t *testing.T) {
	t.Setenv("DISCORD_BOT_TOKEN", "")
	folder := t.TempDir()
	path, empty := filepath.Join(folder, "config.yaml"), filepath.Join(folder, "empty")
	write(t, empty, "")
	for text, want := range map[string]string{
		"bots: []":                             "config.yaml:1: bots: the list is empty",
		"bots: main":                           "line 1: bots: expected a list, found text",
		"bots: {a: 1}":                         "line 1: bots: expected a list, found settings below it",
		"bots:":                                "line 1: bots: the value is empty",
		"bots:\n- a":                           "line 2: item 1 of bots: expected settings, found text",
		"bots:\n- nam: a":                      `line 2: unknown setting "nam"; did you mean "name"?`,
		"port: 0\nbots:\n- name: a\n  port: 1": `line 4: unknown setting "port"`,
		"bots:\n- token: MTIz.secret":          "config.yaml:2: the bot has no name",
		"bots:\n- name: a":                     "config.yaml:2: bot a: set token or token-file",
		"bots:\n- {name: a, token: MTIz.secret, token-file: b}":                                        "config.yaml:2: bot a: token and token-file cannot be used together",
		"bots:\n- {name: a, token: MTIz.secret, event-buffer: 0}":                                      "config.yaml:2: bot a: event-buffer must be more than 0",
		"bots:\n- {name: a, token: MTIz.secret, intents: [NONE]}":                                      "config.yaml:2: bot a: intents: ",
		"bots:\n- {name: a, token: MTIz.secret, status: away}":                                         `config.yaml:2: bot a: status: status "away" is not one of online, `,
		"bots:\n- {name: a, token: MTIz.secret, activity: '" + strings.Repeat("x", 129) + "'}":         "config.yaml:2: bot a: activity: an activity of 129 characters",
		"bots:\n- {name: a, token: MTIz.secret, default: 1}":                                           "line 2: default: expected true or false",
		"port: 0\nbots:\n- {name: A, token: MTIz.secret}":                                              "config.yaml:2: bots: the name of bot 1 must be 1 to 32 lowercase letters",
		"port: 0\nbots:\n- {name: a, token: MTIz.secret}\n- {name: a, token: MQ.secret}":               "config.yaml:2: bots: two bots are named a",
		"port: 0\nbots:\n- {name: a, token: MTIz.secret}\n- {name: b, token: MTIz.secret}":             "config.yaml:2: bots: the tokens of a and b are those of the same bot",
		"bots:\n- {name: a, token: MTIz.secret, default: true}\n- {name: b, token: MQ, default: true}": "config.yaml:1: bots: both a and b are the default",
		"token: MTIz.secret\nbots:\n- {name: a, token: MQ.secret}":                                     "config.yaml:2: bots and token cannot be used together",
		"port: 0\nbots:\n- {name: a, token-file: " + empty + "}":                                       "config.yaml:2: bots: a: token file " + empty + " is empty",
		"sandbox: true\nbots:\n- {name: a, token: MQ.secret}":                                          "config.yaml:2: bots and sandbox cannot be used together",
	} {
		write(t, path, text)
		_, _, err := output(t, "--config", path, "--no-data", "--log-file-path", folder, "--port", "0")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
}

// TestBotsRivals: the error about another token says what to remove.
func TestBotsRivals(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.yaml")
	write(t, path, "bots:\n- {name: a, token: MQ.secret}")
	for _, c := range []struct {
		variable, value string
		args            []string
		want            string
	}{
		{"DISCORD_BOT_TOKEN", "MTIz.secret", nil, "bots and the variable DISCORD_BOT_TOKEN cannot be used together"},
		{"DISCORDPROXY_TOKEN_FILE", "token", nil, "bots and the variable DISCORDPROXY_TOKEN_FILE cannot be used together"},
		{"DISCORD_BOT_TOKEN", "", []string{"--token", "MTIz.secret"}, "bots and --token cannot be used together"},
		{"DISCORD_BOT_TOKEN", "", []string{"--sandbox"}, "bots and --sandbox cannot be used together"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Setenv("DISCORD_BOT_TOKEN", "")
			t.Setenv(c.variable, c.value)
			_, _, err := output(t, append([]string{"--config", path, "--no-data", "--log-file-path", folder, "--port", "0"}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), path+":1: "+c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestBotsOfFile: bots have the gateway settings of their own, else those of the file, and
// check finds what is wrong with each.
func TestBotsOfFile(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	folder := t.TempDir()
	path, token := filepath.Join(folder, "config.yaml"), filepath.Join(folder, "token")
	write(t, token, proxytest.AddBot(t, sb, "alerter")+"\n")
	text := "discord-api-url: " + discord.URL + "/api\nport: 0\ndata: " + folder + "/data\nstatus: idle\nintents: GUILDS\nbots:\n" +
		"- {name: main, token: " + sb.World().Token + "}\n" +
		"- {name: alerts, token-file: " + token + ", status: dnd, intents: [GUILDS, GUILD_MESSAGES], default: true}\n"
	write(t, path, text)
	t.Setenv("DISCORDPROXY_STATUS", "")
	out, _, err := output(t, "check", "--config", path)
	if err != nil {
		t.Fatal(err, out)
	}
	for _, want := range []string{
		`(?m)^bots +main, alerts \(default\) +` + regexp.QuoteMeta(path) + `:6$`, `(?m)^ok: bots: 2 bots$`,
		`(?m)^bots\.main\.token +\(hidden\) +` + regexp.QuoteMeta(path) + `:7  reload$`,
		`(?m)^bots\.alerts\.token-file +` + regexp.QuoteMeta(token) + ` +` + regexp.QuoteMeta(path) + `:8  reload$`,
		`(?m)^bots\.alerts\.intents +GUILDS,GUILD_MESSAGES +` + regexp.QuoteMeta(path) + `:8$`,
		`(?m)^ok: token of main: valid; the bot is sandbox$`, `(?m)^ok: token of alerts: valid; the bot is alerter$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("check lacks %s:\n%s", want, out)
		}
	}
	if strings.Contains(out, sb.World().Token) {
		t.Error("check shows a token")
	}
	p := proxytest.Start(t, "--config", path)
	want, got := "dnd 513, idle 1", ""
	for deadline := time.Now().Add(30 * time.Second); got != want && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var sessions []string
		for _, s := range sb.GatewaySessions() {
			sessions = append(sessions, fmt.Sprintf("%s %d", s.Presence.Status, s.Intents))
		}
		slices.Sort(sessions)
		got = strings.Join(sessions, ", ")
	}
	if got != want {
		t.Errorf("the bots connect to the gateway with %s, want %s", got, want)
	}
	_, port, _ := strings.Cut(p.Address, ":")
	for name, ok := range map[string]bool{"main": true, "alerts": true, "other": false} {
		if out, _, err := output(t, "health", "--port", port, "--bot", name); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "no bot named") {
			t.Errorf("the health of %s: %v, %s", name, err, out)
		}
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	out, _, err = output(t, "check", "--config", path)
	if err == nil || !strings.Contains(out, "failed: token of alerts: cannot read the token file") {
		t.Errorf("without a token file: %v\n%s", err, out)
	}
	write(t, token, "\n")
	out, _, err = output(t, "check", "--config", path)
	if err == nil || !strings.Contains(out, "failed: token of alerts: token file "+token+" is empty\n") {
		t.Errorf("with an empty token file: %v\n%s", err, out)
	}
}
