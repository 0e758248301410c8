package message_test

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestSuggestions: completion suggests methods, formats, event types, contexts and
// channel IDs, and nothing if the proxy does not respond.
func TestSuggestions(t *testing.T) {
	t.Setenv("DISCORDPROXY_CONTEXTS", filepath.Join(t.TempDir(), "contexts.yaml"))
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	if code, _, errs := run(t, p, "context", "add", "shop"); code != 0 {
		t.Fatal(errs)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	channel := fmt.Sprintf("%s\t#general\n", sb.World().General)
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"call", "SendD"}, "SendDirectMessage\nSendDirectMessages\n"},
		{[]string{"call", "SendDirectMessage", ""}, ""},
		{[]string{"guilds", "--output", ""}, "text\njson\nyaml\n"},
		{[]string{"guilds", "--output=j"}, "--output=json\n"},
		{[]string{"guilds", "--output", "=", "j"}, "json\n"}, // bash
		{[]string{"events", "--type", "TYP"}, "TYPING_START\n"},
		{[]string{"context", "use", ""}, "shop\n"},
		{[]string{"context", "re"}, "remove\tremoves a context\n"},
		{[]string{"--host", p.Address, "channel", "1100000000000000010"}, channel},
		{[]string{"channel", "--context", "shop", "1100000000000000010"}, channel},
		{[]string{"channel", "1", "1100000000000000010"}, ""}, // the text
		{[]string{"direct", "1100000000000000010"}, ""},
		{[]string{"--host", silent.Addr().String(), "channel", ""}, ""},
		{[]string{"channel", "1", "--", "--s"}, ""},
		{[]string{"channel", "1", "hi", "--file", ""}, ":files\n"},
		{[]string{"channel", "1", "hi", "--si"}, "--silent\tsend without push and desktop notifications\n"},
	} {
		code, out, errs := runComplete(t, tt.words...)
		if code != 0 || out != tt.want || errs != "" {
			t.Errorf("%q: %d %q %q", tt.words, code, out, errs)
		}
	}
}

func runComplete(t *testing.T, words ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), message.Command, cli.Env{Args: append([]string{"__complete"}, words...), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}
