package message_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// TestEverydayCommands runs each command by its name, with channels and users by
// their names, too.
func TestEverydayCommands(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	news, message := w.Announcement.String(), w.Message.String()
	hook := fmt.Sprintf("https://discord.com/api/webhooks/%s/%s", w.Webhook, w.WebhookToken)
	for _, tt := range []struct {
		args []string
		want string // pattern of the whole output
	}{
		{[]string{"guilds"}, `ID +MEMBERS +NAME\n` + w.Guild.String() + ` +\d+ +.*\n`},
		{[]string{"guilds", "--jq", ".guilds[].id"}, w.Guild.String() + `\n`},
		{[]string{"channels"}, `(?s)ID +TYPE.*` + w.General.String() + `.*`},
		{[]string{"members", w.Guild.String(), "ali"}, `ID +NAME +NICK +ROLES\n` + w.Alice.String() + ` +alice .*\n`},
		{[]string{"members", w.Guild.String()}, `(?s)ID +NAME.*` + w.Alice.String() + `.*` + w.Bob.String() + `.*`},
		{[]string{"history", news, "--limit", "2"}, `\S+ \d+ \S+: .*\n\S+ \d+ \S+: .*\n`},
		{[]string{"react", news, message, "🎉"}, `Reaction added\n`},
		{[]string{"react", news, message, "🎉", "--remove"}, `Reaction removed\n`},
		{[]string{"thread", w.General.String(), "plans"}, `Thread started\n`},
		{[]string{"thread", w.General.String(), "secret plans", "--private"}, `Thread started\n`},
		{[]string{"thread", w.Forum.String(), "question", "how?", "-o", "text"}, `Thread started\nid    \d+\n`},
		{[]string{"webhook", hook, "by webhook", "--username", "robot"}, `Message sent\n`},
		{[]string{"webhook", "@" + freshFile(t, "hook", hook+"\n"), "by webhook"}, `Message sent\n`},
		{[]string{"webhook", hook, "x", "--dry-run"}, `Nothing was sent(?s:.*)"webhookToken":"\*\*\*"(?s:.*)`},
		{[]string{"channel", "#general", "by name"}, `Message sent\n`},
		{[]string{"channel", "#General", "by name"}, `Message sent\n`},
		{[]string{"direct", "@alice", "by name"}, `Message sent\n`},
		{[]string{"history", "#general", "--jq", ".content", "--limit", "1"}, `by name\n`},
		{[]string{"call", "GetChannel", fmt.Sprintf(`{"channel_id": "%s"}`, w.General)}, `\{"channel":\{"id":"` + w.General.String() + `".*\}\n`},
		{[]string{"call", "getchannel", "-f", "channel_id=" + w.General.String(), "--jq", ".channel.name"}, `general\n`},
		{[]string{"call", "discord_api.DiscordApi/GetCurrentUser", "--jq", ".user.username"}, `sandbox\n`},
		{[]string{"call", "SendChannelMessage", `{"content": "a"}`, "-f", "channel_id=" + w.General.String(), "-f", "message_reference.message_id=" + message, "--dry-run", "--jq", ".request.messageReference.messageId"}, message + `\n`},
		{[]string{"call", "SendDirectMessages", "-f", "user_ids=" + w.Alice.String(), "-f", "user_ids=" + w.Bob.String(), "-f", "message.content=many", "-f", "idempotency_key=k", "--jq", ".done"}, `1\n2\n`},
		{[]string{"call", "SendChannelMessage", "-f", "channel_id=" + w.General.String(), "-f", "content=5", "-f", "tts=true", "--jq", ".message.content"}, `5\n`},
	} {
		code, out, errs := run(t, p, tt.args...)
		if code != 0 || errs != "" || !regexp.MustCompile(`^`+tt.want+`$`).MatchString(out) || strings.Contains(out, w.WebhookToken) {
			t.Errorf("%q: %d %q %q", tt.args, code, out, errs)
		}
	}
	if got := received(sb, w.Alice); got != 2 {
		t.Errorf("alice got %d messages, not 2", got)
	}
	if code, out, errs := runReading(t, p, fmt.Sprintf(`{"channelId": %s}`, w.General), "call", "GetChannel", "-", "--jq", ".channel.name"); code != 0 || out != "general\n" {
		t.Errorf("from standard input: %d %q %q", code, out, errs)
	}

	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"channel", "#gen", "x"}, 1, "no channel that the bot sees is named #gen; similar: " + w.General.String() + " (#general in guild "},
		{[]string{"channel", "#nowhere", "x"}, 1, "no channel that the bot sees is named #nowhere\n"},
		{[]string{"channel", "general", "x"}, 2, `CHANNEL_ID "general" is not a number, nor a name such as '#general'`},
		{[]string{"direct", "@ali", "x"}, 1, "no user in the bot's guilds is named @ali; similar: " + w.Alice.String() + " (@alice)"},
		{[]string{"direct", "#general", "x"}, 2, `USER_ID "#general" is not a number, nor a name such as @alice`},
		{[]string{"webhook", "https://example.org/" + w.WebhookToken, "x"}, 2, "WEBHOOK is not a URL such as "},
		{[]string{"call", "SendChanelMessage"}, 2, `the API has no method "SendChanelMessage"; did you mean SendChannelMessage?`},
		{[]string{"call", "GetChannel", "[]"}, 2, "the request is not a JSON object"},
		{[]string{"call", "GetChannel", "{} {}"}, 2, "the request is not one JSON object"},
		{[]string{"call", "GetChannel", "null", "-f", "channel_id=5"}, 2, "the request is not one JSON object"},
		{[]string{"call", "GetChannel", `{"chanel_id": 1}`}, 2, `the request of GetChannel: `},
		{[]string{"call", "GetChannel", "-f", "chanel_id=1"}, 2, `--field chanel_id: GetChannelRequest has no field "chanel_id"; did you mean channel_id?`},
		{[]string{"call", "GetChannel", "-f", "channel_id"}, 2, `--field "channel_id" is not of the form NAME=VALUE`},
		{[]string{"call", "GetChannel", "-f", "channel_id=x"}, 2, "the request of GetChannel: "},
		{[]string{"call", "GetChannel", "-f", "channel_id=5"}, 1, "Unknown Channel (HTTP 404, code 10003)"},
		{[]string{"events", "--type", "MESSAGE_CRAETE"}, 2, `--type "MESSAGE_CRAETE" is not an event type; did you mean MESSAGE_CREATE?`},
		{[]string{"events", "--since", "yesterday"}, 2, `--since "yesterday" is neither a duration such as 10m nor a position`},
		{[]string{"status", "--interval", "0"}, 2, "--interval must be more than 0"},
	} {
		code, out, errs := run(t, p, tt.args...)
		if code != tt.code || out != "" || !strings.HasPrefix(errs, "ERROR: "+tt.want) || strings.Contains(errs, w.WebhookToken) {
			t.Errorf("%q: %d %q %q", tt.args, code, out, errs)
		}
	}
}

// TestAmbiguousName: a name that several channels have is an error that lists their
// IDs, and nothing is sent.
func TestAmbiguousName(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	second, err := sb.AddChannel(sandbox.Channel{GuildID: w.Guild, Name: "general"})
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := run(t, p, "channel", "#general", "x")
	want := "ERROR: more than one channel that the bot sees is named #general; give the ID: "
	if code != 1 || out != "" || !strings.HasPrefix(errs, want) ||
		!strings.Contains(errs, w.General.String()+" (#general in guild ") || !strings.Contains(errs, second.String()+" (#general in guild ") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if sent := len(sb.Messages(w.General)) + len(sb.Messages(second)); sent != 0 {
		t.Errorf("%d messages were sent", sent)
	}
}

// TestEventsCommand: events arrive as lines, and later from the position where a run
// ended, or from a while ago.
func TestEventsCommand(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--no-gateway=false")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, out, _ := run(t, p, "status"); strings.Contains(out, "connected for") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway is not connected within 30 s")
		}
	}
	general := sb.World().General.String()
	if code, _, errs := run(t, p, "channel", general, "first"); code != 0 {
		t.Fatal(errs)
	}
	if code, _, errs := run(t, p, "channel", sb.World().Random.String(), "elsewhere"); code != 0 {
		t.Fatal(errs)
	}
	follow := func(more ...string) (out, errs string) {
		t.Helper()
		code, out, errs := run(t, p, append([]string{"events", "--type", "message_create", "--channel", "#general", "--timeout", "1"}, more...)...)
		if code != 0 {
			t.Fatalf("%q: %d %q %q", more, code, out, errs)
		}
		return out, errs
	}
	line := regexp.MustCompile(`(?m)^\S+ \S+ MESSAGE_CREATE channel ` + general + ` message \d+ sandbox: first$`)
	var out, errs string
	for began := time.Now(); !line.MatchString(out); {
		if out, errs = follow("--since", "10m"); time.Since(began) > time.Minute {
			t.Fatalf("no event comes: %q %q", out, errs)
		}
	}
	if strings.Contains(out, "elsewhere") {
		t.Errorf("of another channel came %q", out)
	}
	position := regexp.MustCompile(`^Continue with --since (\S+:\d+)\n$`).FindStringSubmatch(errs)
	if position == nil {
		t.Fatalf("the end is %q", errs)
	}
	if out, _ := follow("--since", position[1]); line.MatchString(out) {
		t.Errorf("again came %q", out)
	}
	if out, _ := follow("--since", "10m", "--jq", `select(.type == "MESSAGE_CREATE") | .message.content, .epoch`); out != "first\n"+position[1][:strings.LastIndex(position[1], ":")]+"\n" {
		t.Errorf("in JSON came %q", out)
	}
}

// TestWatchedStatus: --watch shows the status until --timeout.
func TestWatchedStatus(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	for began, out := time.Now(), ""; strings.Count(out, "state ") < 2; {
		var code int
		var errs string
		if code, out, errs = run(t, p, "status", "--watch", "--interval", "10ms", "--timeout", "1"); code != 0 || errs != "" || time.Since(began) > time.Minute {
			t.Fatalf("%d %q %q", code, out, errs)
		}
	}
}

// TestHistoryOrder: messages of the same millisecond come oldest first, too.
func TestHistoryOrder(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	var want strings.Builder
	for i := range 50 {
		if _, err := sb.AddMessage(sandbox.Message{ChannelID: sb.World().General, Content: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&want, i)
	}
	code, out, errs := run(t, p, "history", sb.World().General.String(), "--limit", "0", "--jq", ".content")
	if code != 0 || out != want.String() {
		t.Errorf("%d, %q, messages in the order %q", code, errs, out)
	}
}
