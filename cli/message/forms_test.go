package message_test

import (
	"bytes"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestOptionForms: options can have every common form and appear anywhere, and requested
// data is printed despite --quiet.
func TestOptionForms(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	id := sb.World().General.String()
	for i, options := range [][]string{
		{"-qojson"}, {"-qo", "json"}, {"-qo=json"}, {"-o=json"}, {"-ojson"}, {"-o", "json"}, {"--output=json"}, {"--output", "json", "-q"}, {"--quiet=true", "-ojson"},
	} {
		text := strings.Repeat("x", i+1)
		for _, args := range [][]string{
			slices.Concat(options, []string{"channel", id, text}),
			slices.Concat([]string{"channel"}, options, []string{id, text}),
			slices.Concat([]string{"channel", id, text, "--silent"}, options),
			slices.Concat([]string{"channel", id}, options, []string{"--", text}),
		} {
			code, out, errs := run(t, p, args...)
			var answer struct {
				Message struct{ Content string }
				Link    string
			}
			if err := json.Unmarshal([]byte(out), &answer); code != 0 || errs != "" || err != nil || answer.Message.Content != text || answer.Link == "" {
				t.Errorf("%q: %d %q %q: %v", args, code, out, errs, err)
			}
		}
	}
	for _, args := range [][]string{
		{"events", "--dry-run", "--type", "message_create"}, {"status", "-o", "json", "--watch", "--timeout", "1"}, {"guilds", "--timeout=30"},
	} {
		if code, _, errs := run(t, p, args...); code != 0 {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), message.Command, cli.Env{Args: []string{"guilds", "--host", host, "-ojson", "--port=" + port}, Out: &out, Err: &errs}); code != 0 || !strings.HasPrefix(out.String(), "{") {
		t.Errorf("the address behind the command: %d %q %q", code, &out, &errs)
	}
	posted := len(sb.Messages(sb.World().General))
	for want, args := range map[string][]string{
		`unknown option "--hots" of events; did you mean --host?`:         {"events", "--hots", "x"},
		`unknown option "--watsh" of status; did you mean --watch?`:       {"status", "--watsh"},
		`unknown option "--qiet"; did you mean --quiet?`:                  {"--qiet", "guilds"},
		`unknown option "-xq" of guilds.`:                                 {"guilds", "-xq"},
		`-o needs a value`:                                                {"guilds", "-qo"},
		`--output "xml" is not one of text, json, yaml`:                   {"guilds", "-oxml"},
		`unknown option "-5" of channel. Write text that begins with "-"`: {"channel", id, "-5"},
		`--limit -1 is negative`:                                          {"history", id, "--limit", "-1"},
		`--timeout must not be negative`:                                  {"channel", id, "x", "--timeout", "-1"},
		`--reply-to needs a value, and the next argument looks like`:      {"channel", id, "x", "--reply-to", "-1"},
		`--reply-to "-1" is not a number`:                                 {"channel", id, "x", "--reply-to=-1"},
	} {
		if code, out, errs := run(t, p, args...); code != 2 || out != "" || !strings.HasPrefix(errs, "ERROR: "+want) {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
	if got := len(sb.Messages(sb.World().General)); got != posted {
		t.Errorf("mistakes posted %d messages", got-posted)
	}
}
