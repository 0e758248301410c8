package message_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	"github.com/creack/pty"
	"go.yaml.in/yaml/v4"
)

// TestSentMessage: the first line never changes; the ID and the link follow if they are requested.
func TestSentMessage(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	inGuild := fmt.Sprintf(`https://discord.com/channels/%s/%s/(\d+)`, w.Guild, w.General)
	direct := `https://discord.com/channels/@me/\d+/(\d+)`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"channel", w.General.String(), "hi"}, `Message sent\n`},
		{[]string{"channel", w.General.String(), "hi", "--quiet"}, ``},
		{[]string{"channel", w.General.String(), "hi", "-o", "text"}, `Message sent\nid    \d+\nlink  ` + inGuild + `\n`},
		{[]string{"direct", w.Alice.String(), "hi", "-otext"}, `Message sent\nid    \d+\nlink  ` + direct + `\n`},
		{[]string{"direct", w.Alice.String(), "hi", "--output=json"}, `\{"link":"` + direct + `","message":\{.*"id":"\d+".*\}\}\n`},
		{[]string{"channel", w.General.String(), "hi", "-o", "yaml"}, `(?s)link: ` + inGuild + `\nmessage:\n.*  id: "\d+"\n.*`},
		{[]string{"channel", w.General.String(), "hi", "--jq", ".message.id, .message.tts, .link"}, `\d+\nnull\n` + inGuild + `\n`},
		{[]string{"channels", w.Guild.String(), "--jq", `.channels[] | select(.name == "general") | .id`}, w.General.String() + `\n`},
		{[]string{"channels", w.Guild.String(), "--jq", `.channels | length`}, `9\n`},
		{[]string{"channels", w.Guild.String(), "-o", "yaml", "--jq", `{n: (.channels | length)}`}, `"n": 9\n`},
	} {
		code, out, errs := run(t, p, tt.args...)
		if code != 0 || errs != "" || !regexp.MustCompile(`^`+tt.want+`$`).MatchString(out) {
			t.Errorf("%q: %d %q %q", tt.args, code, out, errs)
		}
	}
	before := len(sb.Messages(w.General))
	for _, tt := range []struct{ option, want string }{
		{"--output=xml", `ERROR: --output "xml" is not one of text, json, yaml`},
		{"--jq=.[", "ERROR: --jq: "},
		{"--jq=nonsense", "ERROR: --jq: function not defined: nonsense/0"},
	} {
		if code, _, errs := run(t, p, "channel", w.General.String(), "hi", tt.option); code != 2 || !strings.HasPrefix(errs, tt.want) {
			t.Errorf("%s: %d %q", tt.option, code, errs)
		}
	}
	if code, _, errs := run(t, p, "channel", w.General.String(), "hi", "--json", "-oyaml"); code != 2 || !strings.Contains(errs, "cannot be used together") {
		t.Errorf("two formats: %d %q", code, errs)
	}
	if got := len(sb.Messages(w.General)); got != before {
		t.Errorf("%d messages were sent by wrong options", got-before)
	}
	if code, _, errs := run(t, p, "channel", w.General.String(), "hi", "--jq", ".message | error"); code != 1 || !strings.HasPrefix(errs, "ERROR: the call succeeded, but --jq failed on the response: ") {
		t.Errorf("of a query that fails: %d %q", code, errs)
	}

	terminal, behind, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	var errs bytes.Buffer
	code := cli.Run(t.Context(), message.Command, cli.Env{Args: at(t, p, []string{"channel", w.General.String(), "hi"}), Out: behind, Err: &errs})
	_ = behind.Close()
	out, _ := io.ReadAll(terminal) // Linux ends it with an error
	if code != 0 || !regexp.MustCompile(`^Message sent\r\nid    \d+\r\nlink  `+inGuild).Match(out) {
		t.Errorf("on a terminal: %d %q %s", code, out, &errs)
	}
}

// TestDryRun: the call is shown with its rate limits, and is not made.
func TestDryRun(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	w := sb.World()
	file := freshFile(t, "report.txt", "a secret report")
	users := freshFile(t, "users", w.Alice.String())
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"channel", w.General.String(), "hi", "--file", file}, []string{"Nothing was sent. The call:\nSendChannelMessage {", `"content":"hi"`, `"report.txt"`, "no rate limit delays it; 0 calls wait in the whole proxy\n"}},
		{[]string{"direct", w.Alice.String(), "hi"}, []string{"SendDirectMessage {"}},
		{[]string{"edit", w.General.String(), "5", "hi"}, []string{"EditChannelMessage {"}},
		{[]string{"delete", w.General.String(), "5"}, []string{"DeleteChannelMessage {"}},
		{[]string{"broadcast", "--users", users, "hi"}, []string{"SendDirectMessages {", w.Alice.String()}},
		{[]string{"channel", w.General.String(), "hi", "-o", "json"}, []string{`"dry_run":true`, `"method":"SendChannelMessage"`, `"limits":["no rate limit`}},
	} {
		code, out, errs := run(t, p, append(tt.args, "--dry-run")...)
		if code != 0 || errs != "" || strings.Contains(out, "c2VjcmV0") || strings.Contains(out, "a secret report") {
			t.Errorf("%q: %d %q %q", tt.args, code, out, errs)
		}
		for _, part := range tt.want {
			if !strings.Contains(out, part) {
				t.Errorf("%q: no %q in %q", tt.args, part, out)
			}
		}
	}
	if n := len(sb.Messages(w.General)) + received(sb, w.Alice); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	if code, _, errs := run(t, p, "channel", w.General.String(), "hi"); code != 0 {
		t.Fatal(errs)
	}
	if _, out, _ := run(t, p, "channel", w.General.String(), "hi", "--dry-run"); !regexp.MustCompile(`channel ` + w.General.String() + `, .*POST /channels/\{channel_id\}/messages.*: \d+ of \d+ calls left`).MatchString(out) {
		t.Errorf("the limiter says %q", out)
	}
	p.Stop()
	if code, out, errs := run(t, p, "channel", w.General.String(), "hi", "--dry-run"); code != 0 || !strings.Contains(out, "the rate limits are unknown: cannot reach the proxy at ") {
		t.Errorf("without a proxy: %d %q %q", code, out, errs)
	}
}

// TestExitCodes: the exit code shows a script what to do, and the JSON of the error gives
// the reason.
func TestExitCodes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	_, hash := server.NewKey()
	guarded := proxytest.Against(t, sb, "--auth-file", freshFile(t, "auth.yaml", fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash)))
	p := proxytest.Against(t, sb)
	stopped := proxytest.Against(t, sb)
	stopped.Stop()
	w := sb.World()
	channel := []string{"channel", w.General.String(), "hi"}
	slow := sandbox.Fault{Status: 429, Body: `{"message":"You are being rate limited.","retry_after":600,"global":false}`, Route: "POST /channels/{channel_id}/messages"}
	for _, tt := range []struct {
		name  string
		proxy *proxytest.Proxy
		fault *sandbox.Fault
		args  []string
		code  int
		facts map[string]any // of the error in JSON
	}{
		{"sent", p, nil, channel, 0, nil},
		{"refused by Discord", p, nil, []string{"channel", w.Forbidden.String(), "hi"}, 1, map[string]any{"code": "permission_denied", "status": 403.0, "discord_code": 50001.0, "message": "Missing Access (HTTP 403, code 50001)"}},
		{"unknown option", p, nil, append(channel, "--silnet"), 2, map[string]any{"code": "usage"}},
		{"no id", p, nil, []string{"channel", "me", "hi"}, 2, map[string]any{"code": "usage"}},
		{"no file", p, nil, append(channel, "--file", "/does/not/exist"), 1, map[string]any{"code": "failed"}},
		{"no key", guarded, nil, channel, 3, map[string]any{"code": "unauthenticated"}},
		{"no proxy", stopped, nil, channel, 75, map[string]any{"code": "unavailable"}},
		{"not in time", p, &slow, append(channel, "--timeout", "5"), 75, map[string]any{"code": "deadline_exceeded"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []string{"text", "json", "yaml"} {
				if tt.fault != nil && format != "json" {
					continue // the limit lasts for long
				}
				if tt.fault != nil {
					sb.InjectFault(*tt.fault)
				}
				code, out, errs := run(t, tt.proxy, append([]string{"--output", format}, tt.args...)...)
				if code != tt.code || (code == 0) != (errs == "") || code != 0 && out != "" {
					t.Errorf("%s: %d %q %q", format, code, out, errs)
				}
				if code == 0 || format == "text" {
					continue
				}
				var answer struct{ Error map[string]any }
				err := json.Unmarshal([]byte(errs), &answer)
				if format == "yaml" {
					err = yaml.Unmarshal([]byte(errs), &answer)
				}
				if err != nil || fmt.Sprint(answer.Error["exit_code"]) != fmt.Sprint(tt.code) || answer.Error["message"] == "" {
					t.Errorf("%s: %v %q", format, err, errs)
				}
				for name, want := range tt.facts {
					if fmt.Sprint(answer.Error[name]) != fmt.Sprint(want) {
						t.Errorf("%s: %s is %v in %q", format, name, answer.Error[name], errs)
					}
				}
			}
		})
	}
}

// TestHostForms: --host accepts the forms that people paste.
func TestHostForms(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	host, port, _ := net.SplitHostPort(p.Address)
	send := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := cli.Run(context.Background(), message.Command, cli.Env{Args: append(args, "channel", sb.World().General.String(), "hi"), Out: &out, Err: &errs})
		return code, errs.String()
	}
	for _, args := range [][]string{
		{"--host", p.Address},
		{"--host", "http://" + p.Address},
		{"--host=http://" + p.Address + "/"},
		{"--host", "http://" + host, "--port", port},
		{"--host", p.Address, "--port", port},
	} {
		if code, errs := send(args...); code != 0 {
			t.Errorf("%q: %s", args, errs)
		}
	}
	for _, tt := range []struct {
		host, want string
		code       int
	}{
		{"https://" + p.Address, "ERROR: the proxy at " + p.Address + " does not use TLS; leave out --tls", 1},
		{"ftp://" + p.Address, "is not of the form HOST, HOST:PORT, http://HOST, https://HOST or unix:PATH", 2},
		{"http://" + p.Address + "/discord", "--host has more than a host and a port behind the scheme", 2},
		{"http://:" + port, "has no host", 2},
		{"localhost:", "has no port behind the colon", 2},
		{"localhost:70000", "port 70000 is not between 0 and 65535", 2},
		{"localhost:http", "port http is not between 0 and 65535", 2},
		{"[::1]:1", "ERROR: cannot reach the proxy at [::1]:1: ", 75},
		{"::1", "ERROR: cannot reach the proxy at [::1]:50051: ", 75},
	} {
		if code, errs := send("--host", tt.host); code != tt.code || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d %q", tt.host, code, errs)
		}
	}
	if code, errs := send("--host", p.Address, "--port", "1"); code != 2 || !strings.Contains(errs, "--host has the port "+port+" and --port is 1") {
		t.Errorf("two ports: %d %q", code, errs)
	}
	t.Setenv("DISCORDPROXY_PORT", "1")
	if code, errs := send("--host", p.Address); code != 0 {
		t.Errorf("with another port in the variable: %s", errs)
	}
}
