package message_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/encoding/protojson"
)

// run runs discordproxymessage.
func run(t *testing.T, p *proxytest.Proxy, args ...string) (code int, out, errs string) {
	t.Helper()
	return runReading(t, p, "", args...)
}

// runReading runs discordproxymessage with a standard input.
func runReading(t *testing.T, p *proxytest.Proxy, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), message.Command, cli.Env{Args: at(t, p, args), In: strings.NewReader(in), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// at adds where the proxy listens.
func at(t *testing.T, p *proxytest.Proxy, args []string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"--host", host, "--port", port}, args...)
}

func TestDiscordproxymessage(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	for _, tt := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"direct", w.Alice.String(), "hi"}, 0, "Message sent\n", ""},
		{[]string{"channel", w.General.String(), "hi"}, 0, "Message sent\n", ""},
		{[]string{"channel", w.Forbidden.String(), "hi"}, 1, "", "ERROR: Missing Access (HTTP 403, code 50001)\n"},
		{[]string{"--host", "0.0.0.0", "channel", w.Forbidden.String(), "hi"}, 1, "", "ERROR: Missing Access (HTTP 403, code 50001)\n"}, // as in a container
		{[]string{"direct", w.NoDMs.String(), "hi"}, 1, "", "ERROR: Cannot send messages to this user (HTTP 403, code 50007)\n"},
		{[]string{"channel", w.General.String(), strings.Repeat("x", 2001)}, 1, "", "ERROR: Invalid Form Body (HTTP 400, code 50035): In content: Must be 2000 or fewer in length.\n"},
		{[]string{"direct", "--nonsense"}, 2, "", "ERROR: unknown option \"--nonsense\" of direct. Write text that begins with \"-\" after \"--\"\n"},
		{[]string{"direct", "me", "hi"}, 2, "", "ERROR: USER_ID \"me\" is not a number, nor a name such as @alice\n"},
		{[]string{"direct", "1"}, 2, "", "ERROR: expected direct USER_ID TEXT\n"},
		{[]string{"nonsense"}, 2, "", "ERROR: unknown command \"nonsense\"; see --help\n"},
	} {
		code, out, errs := run(t, p, tt.args...)
		if code != tt.code || out != tt.out || errs != tt.err {
			t.Errorf("%v: %d %q %q", tt.args, code, out, errs)
		}
	}
	if got := sb.Messages(w.General); len(got) != 1 || got[0].Content != "hi" {
		t.Errorf("stored is %+v", got)
	}
	p.Stop()
	if code, _, errs := run(t, p, "direct", "1", "hi"); code != 75 || errs != "ERROR: cannot reach the proxy at "+p.Address+": connection refused; see --host and --port\n" {
		t.Errorf("without a server: %d %q", code, errs)
	}
}

// TestOptionsAnywhere: options can be in front of the arguments, behind them, or between them.
func TestOptionsAnywhere(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	_, port, _ := net.SplitHostPort(p.Address)
	channel := sb.World().General
	for _, args := range [][]string{
		{"--port", port, "channel", channel.String(), "1"},
		{"channel", "--port=" + port, channel.String(), "2"},
		{"channel", channel.String(), "3", "--port", port, "--host", "127.0.0.1"},
		{"channel", channel.String(), "--silent", "--port", port, "--embed-title=t", "--json", "--", "-4 degrees"},
		{"channel", "--port", port, channel.String(), "--", "--silent"},
	} {
		var stderr bytes.Buffer
		if code := cli.Run(t.Context(), message.Command, cli.Env{Args: args, Out: io.Discard, Err: &stderr}); code != 0 {
			t.Errorf("%v: %s", args, &stderr)
		}
	}
	got := sb.Messages(channel)
	if len(got) != 5 {
		t.Fatalf("%d messages arrived, not 5", len(got))
	}
	if m := got[3]; m.Content != "-4 degrees" || m.Flags != 4096 || len(m.Embeds) != 1 {
		t.Errorf("with all options: %+v", m)
	}
	if m := got[4]; m.Content != "--silent" || m.Flags != 0 {
		t.Errorf("behind --: %+v", m)
	}
}

// freshFile makes a file in a fresh folder.
func freshFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMessageOptions: each option has its effect, and scripts can read the response.
func TestMessageOptions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	general := sb.World().General.String()
	sent := func(in string, args ...string) *pb.Message {
		t.Helper()
		code, out, errs := runReading(t, p, in, append(args, "--json")...)
		answer := new(pb.SendChannelMessageResponse)
		if err := protojson.Unmarshal([]byte(out), answer); code != 0 || err != nil || strings.Count(out, "\n") != 1 {
			t.Fatalf("%v: %d %q %q", args, code, out, errs)
		}
		return answer.GetMessage()
	}
	embed := freshFile(t, "embed.json", `{"title": "T", "color": 3447003, "footer": {"text": "F", "icon_url": "https://example.org/i.png"}, "fields": [{"name": "a", "value": "b", "inline": true}]}`)
	file := freshFile(t, "report, final.txt", "hello")

	first := sent("two\nlines\n", "channel", general, "-")
	if first.GetContent() != "two\nlines" {
		t.Errorf("from standard input came %q", first.GetContent())
	}
	m := sent("", "channel", general, "x", "--embed-title", "title", "--embed-description", "text", "--embed-file", embed, "--file", file, "--file", embed, "--silent", "--reply-to", fmt.Sprint(first.GetId()))
	if e := m.GetEmbeds(); len(e) != 2 || e[0].GetTitle() != "title" || e[0].GetDescription() != "text" ||
		e[1].GetColor() != 3447003 || e[1].GetFooter().GetIconUrl() == "" || !e[1].GetFields()[0].GetInline() {
		t.Errorf("the embeds are %v", e)
	}
	if a := m.GetAttachments(); len(a) != 2 || a[0].GetSize() != 5 || !strings.HasSuffix(a[0].GetFilename(), "final.txt") || a[1].GetFilename() != "embed.json" {
		t.Errorf("the files are %v", a)
	}
	if m.GetFlags() != 4096 || m.GetReferencedMessage().GetId() != first.GetId() {
		t.Errorf("sent was %v", m)
	}
	if m := sent("", "direct", sb.World().Alice.String(), "--file", file); m.GetContent() != "" || len(m.GetAttachments()) != 1 {
		t.Errorf("a file alone became %v", m)
	}

	id := fmt.Sprint(first.GetId())
	if m := sent("", "edit", general, id, "--embed-title", "new"); m.GetContent() != "two\nlines" || m.GetEmbeds()[0].GetTitle() != "new" {
		t.Errorf("with another embed it is %v", m)
	}
	if m := sent("", "edit", general, id, ""); m.GetContent() != "" || len(m.GetEmbeds()) != 1 {
		t.Errorf("without text it is %v", m)
	}
	for _, tt := range []struct {
		code     int
		out, err string
	}{{0, "Message deleted\n", ""}, {1, "", "ERROR: Unknown Message (HTTP 404, code 10008)\n"}} {
		if code, out, errs := run(t, p, "delete", general, id, "--reason", "spam"); code != tt.code || out != tt.out || errs != tt.err {
			t.Errorf("delete: %d %q %q", code, out, errs)
		}
	}
}

// TestMessageMistakes: a mistake is one line, and nothing is sent.
func TestMessageMistakes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--max-file", "10")
	general := sb.World().General.String()
	large := freshFile(t, "large.bin", "more than ten")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--file", "/does/not/exist"}, "cannot read --file: open /does/not/exist: no such file or directory"},
		{[]string{"--file", large}, "Request entity too large (HTTP 413, code 40005): In attachments.0.data: Must be 10 or fewer bytes."},
		{[]string{"--embed-file", freshFile(t, "e", `{"titel": "T"}`)}, `unknown field "titel"`},
		{[]string{"--embed-file", freshFile(t, "e", `{"fields": [{"name": 5}]}`)}, `invalid value for string field name: 5`},
		{[]string{"--embed-file", freshFile(t, "e", `[]`)}, "unexpected token ["},
		{[]string{"--embed-file", freshFile(t, "e", `{}`)}, "the embed is empty"},
		{[]string{"--file", "-", "--embed-file", "-"}, "standard input is --embed-file and cannot be --file too"},
		{[]string{"--timeout=-1s"}, "--timeout must not be negative"},
		{[]string{"--timeout", "soon"}, `--timeout "soon" is not a duration such as 30s or 2m`},
		{[]string{"--reply-to", "that"}, `--reply-to "that" is not a number`},
		{[]string{"--reply-to", "0"}, "In message_reference.message_id: This field is required"},
		{[]string{"--embed-title", "\xff"}, "--embed-title is not UTF-8"},
		{[]string{"another text"}, "expected channel CHANNEL_ID TEXT"},
	} {
		code, out, errs := runReading(t, p, `{"title": "T"}`, append([]string{"channel", general, "x"}, tt.args...)...)
		wantCode := 1
		if slices.Contains([]string{"--timeout", "--timeout=-1s", "another text"}, tt.args[0]) || strings.HasSuffix(tt.want, "is not a number") {
			wantCode = 2 // misuse of the command
		}
		if code != wantCode || out != "" || !strings.HasPrefix(errs, "ERROR: ") || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d %q %q", tt.args, code, out, errs)
		}
	}
	if got := len(sb.Messages(sb.World().General)); got != 0 {
		t.Errorf("%d messages were sent", got)
	}
}

// TestMessageEnds: --timeout and an interrupt end a waiting command.
func TestMessageEnds(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	sb.SetLatency(sandbox.Latency{Response: sandbox.Delay{Min: time.Hour}})
	args := []string{"channel", sb.World().General.String(), "x"}
	if code, _, errs := run(t, p, append(args, "--timeout", "50ms")...); code != 75 || errs != "ERROR: --timeout expired; calls in progress may have taken effect\n" {
		t.Errorf("--timeout: %d %q", code, errs)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, interrupt)
	var stderr bytes.Buffer
	if code := cli.Run(ctx, message.Command, cli.Env{Args: at(t, p, args), Out: io.Discard, Err: &stderr}); code != 1 || stderr.String() != "ERROR: interrupted; calls in progress may have taken effect\n" {
		t.Errorf("interrupted: %d %q", code, stderr.String())
	}
}

func TestChannelsTable(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	guild := sb.World().Guild.String()
	want := `ID                   TYPE            CATEGORY  NAME
1100000000000000010  GUILD_TEXT      -         general
1100000000000000013  GUILD_TEXT      -         read-only
1100000000000000014  GUILD_TEXT      -         forbidden
1100000000000000015  GUILD_NEWS      -         news
1100000000000000016  GUILD_VOICE     -         Lounge
1100000000000000017  GUILD_FORUM     -         help
1100000000000000009  GUILD_CATEGORY  -         Talk
1100000000000000011  GUILD_TEXT      Talk      random
1100000000000000012  GUILD_TEXT      Talk      alerts
`
	if code, out, errs := run(t, p, "channels", guild); code != 0 || out != want {
		t.Errorf("%d %q\n%s", code, errs, out)
	}
	code, out, errs := run(t, p, "--json", "channels", guild)
	var answer struct{ Channels []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &answer); code != 0 || err != nil || len(answer.Channels) != 9 || strings.Count(out, "\n") != 1 {
		t.Errorf("%d %q %v\n%s", code, errs, err, out)
	}
	if code, _, errs := run(t, p, "channels", "5"); code != 1 || errs != "ERROR: Unknown Guild (HTTP 404, code 10004)\n" {
		t.Errorf("%d %q", code, errs)
	}
}
