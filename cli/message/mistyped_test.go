package message_test

import (
	"bytes"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestMistypedOptionIsNotPosted: an argument that looks like an option but is unknown is
// never posted as text, and neither is an option in place of a value.
func TestMistypedOptionIsNotPosted(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	id := sb.World().General.String()
	const behind = `. Write text that begins with "-" after "--"`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--silnet"}, `unknown option "--silnet" of channel; did you mean --silent? Write text that begins with "-" after "--"`},
		{[]string{"hi", "--silnet"}, `unknown option "--silnet" of channel; did you mean --silent?`},
		{[]string{"--silnet", "hi"}, `unknown option "--silnet" of channel; did you mean --silent?`},
		{[]string{"--slient=true", "hi"}, `unknown option "--slient" of channel; did you mean --silent?`},
		{[]string{"--kye=secret", "hi"}, `unknown option "--kye" of channel; did you mean --key?` + behind[1:]},
		{[]string{"--por", "1", "hi"}, `unknown option "--por" of channel; did you mean --port?`},
		{[]string{"-silent", "hi"}, `unknown option "-silent" of channel; did you mean --silent?`},
		{[]string{"--Silent", "hi"}, `unknown option "--Silent" of channel; did you mean --silent?`},
		{[]string{"--SILENT"}, `unknown option "--SILENT" of channel; did you mean --silent?`},
		{[]string{"–silent"}, `"–silent" begins with a dash that is not a hyphen; did you mean --silent?`},
		{[]string{"hi", "—embed-title=x"}, `"—embed-title=x" begins with a dash that is not a hyphen; did you mean --embed-title?`},
		{[]string{"–-silent"}, `"–-silent" begins with a dash that is not a hyphen; did you mean --silent?`},
		{[]string{"–silnet"}, `"–silnet" begins with a dash that is not a hyphen; did you mean --silent?`},
		{[]string{"–q"}, `"–q" begins with a dash that is not a hyphen; did you mean -q?`},
		{[]string{"-x"}, `unknown option "-x" of channel` + behind},
		{[]string{"-xyz", "hi"}, `unknown option "-xyz" of channel` + behind},
		{[]string{"---"}, `unknown option "---" of channel` + behind},
		{[]string{"--=x"}, `unknown option "--=x" of channel` + behind},
		{[]string{"-1"}, `unknown option "-1" of channel` + behind},
		{[]string{"-4 degrees"}, `unknown option "-4 degrees" of channel` + behind},
		{[]string{"- item"}, `unknown option "- item" of channel` + behind},
		{[]string{"--users", "hi"}, `unknown option "--users" of channel`},
		{[]string{"--timeout"}, `--timeout needs a value`},
		{[]string{"hi", "--embed-title"}, `--embed-title needs a value`},
		{[]string{"--embed-title", "--silent", "hi"}, `--embed-title needs a value, and "--silent" looks like an option; write --embed-title=VALUE if it is the value`},
		{[]string{"--embed-title", "--", "hi"}, `--embed-title needs a value, and "--" looks like an option`},
		{[]string{"--silent=perhaps", "hi"}, `--silent "perhaps" is not true or false`},
		{[]string{"--port=many", "hi"}, `--port "many" is not a number`},
		{[]string{"hi", "there"}, `expected channel CHANNEL_ID TEXT`},
		{[]string{"hi", "--", "--silent"}, `expected channel CHANNEL_ID TEXT`},
	} {
		for _, args := range [][]string{
			append([]string{"channel", id}, tt.args...),
			append([]string{"channel"}, append(tt.args, id)...),
		} {
			if args[1] != id && (tt.args[len(tt.args)-1] == "--timeout" || tt.args[len(tt.args)-1] == "--embed-title" || tt.want == "expected channel CHANNEL_ID TEXT") {
				continue // the id would be the value, or a text
			}
			code, out, errs := run(t, p, args...)
			if code != 2 || out != "" || !strings.HasPrefix(errs, "ERROR: "+tt.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("%q: %d %q %q", args, code, out, errs)
			}
		}
	}
	for _, args := range [][]string{{"chanel", id, "hi"}, {"chan", id, "hi"}} {
		if code, _, errs := run(t, p, args...); code != 2 || errs != `ERROR: unknown command "`+args[0]+`"; did you mean "channel"? See --help`+"\n" {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
	if code, _, errs := run(t, p, "--users", "f", "channel", id, "hi"); code != 2 || !strings.HasPrefix(errs, `ERROR: unknown option "--users" of channel`) {
		t.Errorf("in front of a command that does not have it: %d %q", code, errs)
	}
	if got := sb.Messages(sb.World().General); len(got) != 0 {
		t.Errorf("posted were %+v", got)
	}

	// A number is decimal, as that of an id is.
	if code, out, _ := run(t, p, "channel", "010", "hi", "--reply-to", "010", "--dry-run", "-o", "json", "--jq", ".request.messageReference.messageId"); code != 0 || out != "10\n" {
		t.Errorf("--reply-to 010: %d %q", code, out)
	}

	// Behind "--" everything is text.
	for _, text := range []string{"--silnet", "-h", "-1", "--", "–silent"} {
		if code, _, errs := run(t, p, "channel", id, "--", text); code != 0 {
			t.Errorf("behind --, %q: %s", text, errs)
		}
		got := sb.Messages(sb.World().General)
		if n := len(got); n == 0 || got[n-1].Content != text {
			t.Errorf("behind --, %q became %+v", text, got)
		}
	}
	before := len(sb.Messages(sb.World().General))
	for _, text := range []string{"– Bob", "—", "−4 degrees", "–silent night"} { // dashes in front of no option
		if code, _, errs := run(t, p, "channel", id, text); code != 0 {
			t.Errorf("%q: %s", text, errs)
		}
	}
	if got := len(sb.Messages(sb.World().General)); got != before+4 {
		t.Errorf("of four texts with dashes %d arrived", got-before)
	}
}

// TestHelpAnywhere: the options for help and the version work anywhere, and nothing else happens.
func TestHelpAnywhere(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	id := sb.World().General.String()
	for _, tt := range []struct {
		args []string
		want string // beginning of the help
	}{
		{[]string{"channel", id, "-h"}, "NAME:\n   discordproxymessage channel - "},
		{[]string{"channel", id, "hi", "--help"}, "NAME:\n   discordproxymessage channel - "},
		{[]string{"channel", "--silnet", "-h"}, "NAME:\n   discordproxymessage channel - "},
		{[]string{"--help", "channel"}, "NAME:\n   discordproxymessage - "},
		{[]string{"help"}, "NAME:\n   discordproxymessage - "},
		{[]string{"help", "channel"}, "NAME:\n   discordproxymessage channel - "},
		{nil, "NAME:\n   discordproxymessage - "},
		{[]string{"channel", id, "hi", "--version"}, ""},
		{[]string{"channel", id, "-v"}, ""},
		{[]string{"version"}, ""},
	} {
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), message.Command, cli.Env{Args: at(t, p, tt.args), Out: &stdout, Err: &stderr})
		want := tt.want
		if want == "" {
			want = strings.Fields(cli.Version())[0] + "\n"
		}
		if code != 0 || stderr.Len() != 0 || !strings.HasPrefix(stdout.String(), want) {
			t.Errorf("%q: %d %q %q", tt.args, code, stdout.String(), stderr.String())
		}
	}
	if code, _, errs := run(t, p, "help", "chanel"); code != 2 || !strings.Contains(errs, `did you mean "channel"?`) && !strings.Contains(errs, `unknown command "chanel"`) {
		t.Errorf("help of what does not exist: %d %q", code, errs)
	}
	if got := sb.Messages(sb.World().General); len(got) != 0 {
		t.Errorf("posted were %+v", got)
	}
}
