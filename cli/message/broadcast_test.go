package message_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"github.com/creack/pty"
	"google.golang.org/protobuf/encoding/protojson"
)

// received counts the messages that a user got.
func received(sb *sandbox.Sandbox, user sandbox.ID) int {
	return len(sb.Messages(sb.DirectMessages(user)))
}

// TestBroadcast sends to users, some of whom refuse messages, again to all of them, and
// to those that failed.
func TestBroadcast(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	users := freshFile(t, "users", fmt.Sprintf("\ufeff%s # alice\r\n\n# a comment\n %s\n%s\n5\n", w.Alice, w.Bob, w.NoDMs))
	code, out, errs := run(t, p, "broadcast", "--users", users, "news", "--silent")
	if code != 1 || errs != "ERROR: 2 of 4 users did not get the message: they are in "+users+".failed\n" {
		t.Errorf("%d %q", code, errs)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 8 || lines[7] != "1 failed: PERMISSION_DENIED: Cannot send messages to this user (HTTP 403, code 50007)" || !strings.HasPrefix(lines[0], "Sending to 4 users with the key ") || lines[5] != "Sent to 2 of 4 users" {
		t.Errorf("written was\n%s", out)
	}
	noDMs := w.NoDMs.String() + " PERMISSION_DENIED: Cannot send messages to this user (HTTP 403, code 50007)\n"
	for _, line := range []string{w.Alice.String() + " sent\n", w.Bob.String() + " sent\n", noDMs, "5 NOT_FOUND: Unknown User (HTTP 404, code 10013)\n"} {
		if !strings.Contains(out, "\n"+line) {
			t.Errorf("there is no line %q in\n%s", line, out)
		}
	}
	failed, err := os.ReadFile(users + ".failed")
	if err != nil || strings.Count(string(failed), "\n") != 2 || !strings.Contains(string(failed), strings.Replace(noDMs, " ", " # ", 1)) {
		t.Errorf("%v, the failures are\n%s", err, failed)
	}

	// Again, by another command for the same message, and for those who are left.
	code, out, _ = run(t, p, "broadcast", "--users", users, "news", "--silent", "--json")
	results := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if code != 1 || len(results) != 4 {
		t.Errorf("%d\n%s", code, out)
	}
	for i, line := range results {
		result := new(pb.SendDirectMessagesResponse)
		if err := protojson.Unmarshal([]byte(line), result); err != nil || int(result.GetDone()) != i+1 || result.GetTotal() != 4 {
			t.Errorf("line %d is %s: %v", i, line, err)
		}
	}
	if code, _, errs := run(t, p, "broadcast", "--users", users+".failed", "--failures", filepath.Join(t.TempDir(), "left"), "news", "--silent"); code != 1 || !strings.HasPrefix(errs, "ERROR: 2 of 2 users") {
		t.Errorf("%d %q", code, errs)
	}
	if a, b := received(sb, w.Alice), received(sb, w.Bob); a != 1 || b != 1 {
		t.Errorf("Alice got %d messages, Bob %d", a, b)
	}

	// What failed before is forgotten when nothing fails.
	if err := os.WriteFile(users, []byte(w.Alice.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, p, "broadcast", "--users", users, "news", "--silent", "--idempotency-key", "another"); code != 0 || errs != "" {
		t.Errorf("%d %q", code, errs)
	}
	if got := received(sb, w.Alice); got != 2 {
		t.Errorf("with another key Alice has %d messages", got)
	}
	if left, err := os.ReadDir(filepath.Dir(users)); err != nil || len(left) != 1 {
		t.Errorf("%v, in the folder is %v", err, left)
	}
}

// TestBroadcastQueue queues a broadcast: each user gets the message once, no matter how
// often the command is repeated with its key.
func TestBroadcastQueue(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	users := freshFile(t, "users", fmt.Sprintf("%s\n%s\n%s\n", w.Alice, w.Bob, w.NoDMs))
	code, out, errs := run(t, p, "broadcast", "--users", users, "news", "--queue", "--at", "1s")
	key := regexp.MustCompile(`^Queuing for 3 users with the key (\S+)\nQueued for 3 of 3 users\n$`).FindStringSubmatch(out)
	if code != 0 || errs != "" || key == nil {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	again := []string{"broadcast", "--users", users, "news", "--queue", "--follow", "--idempotency-key", key[1]}
	for range 2 { // the second time, all have ended
		code, out, errs = run(t, p, again...)
		if code != 1 || errs != "ERROR: 1 of 3 users did not get the message: they are in "+users+".failed\n" || !strings.Contains(out, "\nSent to 2 of 3 users\n1 failed: PERMISSION_DENIED: ") {
			t.Errorf("%d %q %q", code, out, errs)
		}
		for _, line := range []string{w.Alice.String() + " sent\n", w.Bob.String() + " sent\n", w.NoDMs.String() + " PERMISSION_DENIED: Cannot send"} {
			if !strings.Contains(out, "\n"+line) {
				t.Errorf("there is no line %q in\n%s", line, out)
			}
		}
	}
	failed, err := os.ReadFile(users + ".failed")
	if err != nil || strings.Count(string(failed), "\n") != 1 || !strings.HasPrefix(string(failed), w.NoDMs.String()) {
		t.Errorf("%v, the failures are\n%s", err, failed)
	}
	if a, b := received(sb, w.Alice), received(sb, w.Bob); a != 1 || b != 1 {
		t.Errorf("Alice got %d messages, Bob %d", a, b)
	}
	// Without the key it is another one.
	code, out, errs = runReading(t, p, w.Alice.String(), "broadcast", "--users", "-", "news", "--queue", "--follow", "--json")
	result := new(pb.SendDirectMessagesResponse)
	if err := protojson.Unmarshal([]byte(out), result); code != 0 || err != nil || result.GetDone() != 1 || result.GetMessage().GetId() == 0 {
		t.Errorf("%d %q %q: %v", code, out, errs, err)
	}
	if a := received(sb, w.Alice); a != 2 {
		t.Errorf("Alice got %d messages", a)
	}
	// What Discord would refuse is refused for each.
	code, _, errs = run(t, p, "broadcast", "--users", users, strings.Repeat("x", 2001), "--queue")
	if code != 1 || !strings.Contains(errs, "3 of 3 users are not queued") {
		t.Errorf("%d %q", code, errs)
	}
	if code, _, errs := run(t, p, "broadcast", "--users", users, "x", "--follow"); code != 2 || !strings.Contains(errs, "--follow needs --queue") {
		t.Errorf("%d %q", code, errs)
	}
}

// TestBroadcastMistakes: mistakes in the users are reported before anything is sent, and
// no file is left.
func TestBroadcastMistakes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	alice := sb.World().Alice.String()
	users := freshFile(t, "users", alice)
	for name, tt := range map[string]struct {
		in   string
		args []string
		want string
	}{
		"no users":      {"", []string{"x"}, "expected --users FILE, --role ROLE or --guild GUILD_ID"},
		"no text":       {"", []string{"--users", users}, "expected broadcast --users FILE|--role ROLE|--guild GUILD_ID TEXT"},
		"no file":       {"", []string{"--users", "/does/not/exist", "x"}, "cannot read --users: open /does/not/exist: no such file or directory"},
		"nobody":        {"# nobody\n", []string{"--users", "-", "x"}, "--users -: the file contains no user IDs"},
		"bad lines":     {alice + "\nalice\n\n5 6\n0\n" + strings.Repeat("-1\n", 9), []string{"--users", "-", "x"}, `--users -: line 2: "alice" is not a user ID; line 4: "5 6" is not a user ID; line 5: "0" is not a user ID; line 6: "-1" is not a user ID; line 7: "-1" is not a user ID; and 7 more lines`},
		"read twice":    {alice, []string{"--users", "-", "-"}, "standard input is the text and cannot be --users too"},
		"same file":     {"", []string{"--users", users, "--failures", users, "x"}, "--failures and --users must be different files"},
		"no folder":     {"", []string{"--users", users, "--failures", "/does/not/exist", "x"}, "cannot write --failures: open /does/not/"},
		"no file there": {"", []string{"--users", users, "--failures", os.DevNull, "x"}, "cannot write --failures: /dev/null is not a regular file"},
		"long text":     {"", []string{"--users", users, strings.Repeat("x", 2001)}, "Invalid Form Body (HTTP 400, code 50035): In content: Must be 2000 or fewer in length."},
		"long key":      {"", []string{"--users", users, "x", "--idempotency-key", strings.Repeat("k", 201)}, "In idempotency_key: Must be 200 or fewer in length."},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := runReading(t, p, tt.in, append([]string{"broadcast"}, tt.args...)...)
			wantCode := 1
			switch name {
			case "no text", "no users", "same file":
				wantCode = 2
			}
			if code != wantCode || !strings.HasPrefix(errs, "ERROR: ") || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") != 1 {
				t.Errorf("%d %q", code, errs)
			}
		})
	}
	if got := received(sb, sb.World().Alice); got != 0 {
		t.Errorf("Alice got %d messages", got)
	}
	if left, err := os.ReadDir(filepath.Dir(users)); err != nil || len(left) != 1 {
		t.Errorf("%v, in the folder is %v", err, left)
	}
}

// interruptAfter ends a command when it has written a number of lines.
type interruptAfter struct {
	bytes.Buffer
	lines     int
	interrupt context.CancelFunc
}

func (w *interruptAfter) Write(p []byte) (int, error) {
	defer func() {
		if bytes.Count(w.Bytes(), []byte("\n")) >= w.lines {
			w.interrupt()
		}
	}()
	return w.Buffer.Write(p)
}

// TestBroadcastIsInterrupted: the results so far are reported, and a second command for
// the remaining users completes the broadcast.
func TestBroadcastIsInterrupted(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	sb.SetLimit(sandbox.Limit{Name: "open", Routes: []string{"POST /users/@me/channels"}, Limit: 2, Window: time.Hour})
	p := proxytest.Against(t, sb)
	w := sb.World()
	users := freshFile(t, "users", fmt.Sprintf("%s\n%s\n%s\n", w.Alice, w.Bob, w.Owner))
	ctx, interrupt := context.WithCancel(t.Context())
	out := &interruptAfter{lines: 3, interrupt: interrupt} // one next to the results
	var stderr bytes.Buffer
	code := cli.Run(ctx, message.Command, cli.Env{Args: at(t, p, []string{"broadcast", "--users", users, "news"}), Out: out, Err: &stderr})
	if want := "ERROR: interrupted; calls in progress may have taken effect; 2 of 3 users received the message, 0 did not, 1 have no known result: the last two groups are in " + users + ".failed\n"; code != 1 || stderr.String() != want {
		t.Errorf("%d %q", code, stderr.String())
	}
	if !strings.HasSuffix(out.String(), "\nSent to 2 of 3 users\n") {
		t.Errorf("written was\n%s", out)
	}
	sb.RemoveLimit("open")
	p.Stop() // which has learnt of the limit
	p = proxytest.Against(t, sb)
	if code, _, errs := run(t, p, "broadcast", "--users", users+".failed", "news"); code != 0 {
		t.Errorf("the rest: %d %q", code, errs)
	}
	for _, user := range []sandbox.ID{w.Alice, w.Bob, w.Owner} {
		if got := received(sb, user); got != 1 {
			t.Errorf("%s got %d messages", user, got)
		}
	}
}

// TestBroadcastBar: a person at a terminal sees a bar instead of lines.
func TestBroadcastBar(t *testing.T) {
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Skip("there is no pseudo-terminal: ", err)
	}
	defer ours.Close()
	shown := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(ours) // ends with an error when the other side is closed
		shown <- string(text)
	}()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	users := freshFile(t, "users", fmt.Sprintf("%s\n%s\n", w.Alice, w.NoDMs))
	var stdout bytes.Buffer
	code := cli.Run(t.Context(), message.Command, cli.Env{Args: at(t, p, []string{"broadcast", "--users", users, "news"}), Out: &stdout, Err: theirs})
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if text := <-shown; code != 1 || !regexp.MustCompile(`(?s)\r\x1b\[K0% \| {30}\| \(0/2\)\r.*1 failed, 0s left 100% \|█{30}\| \(2/2\)\r\nERROR: 1 of 2 users`).MatchString(text) {
		t.Errorf("%d, the terminal shows %q", code, text)
	}
	if out := stdout.String(); strings.Count(out, "\n") != 3 || !strings.Contains(out, "\nSent to 1 of 2 users\n1 failed: PERMISSION_DENIED: ") {
		t.Errorf("written was %q", out)
	}
}

// TestBroadcastToMembers sends to the members of a guild, and to members with a role, but
// not to bots.
func TestBroadcastToMembers(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	t.Chdir(t.TempDir()) // users.failed
	code, out, errs := run(t, p, "broadcast", "--guild", w.Guild.String(), "news", "--jq", ".userId")
	if code != 1 || !strings.HasSuffix(errs, "they are in users.failed\n") || !strings.Contains(out, w.Alice.String()) || strings.Contains(out, w.OtherBot.String()) || strings.Contains(out, w.Bot.String()) {
		t.Errorf("to the guild: %d %q %q", code, out, errs)
	}
	before := received(sb, w.Alice)
	if code, _, errs := run(t, p, "call", "AddGuildMemberRole", "-f", "guild_id="+w.Guild.String(), "-f", "user_id="+w.Alice.String(), "-f", "role_id="+w.MemberRole.String()); code != 0 {
		t.Fatal(errs)
	}
	_, name, _ := run(t, p, "call", "ListGuildRoles", "-f", "guild_id="+w.Guild.String(), "--jq", `.roles[] | select(.id == "`+w.MemberRole.String()+`") | .name`)
	for i, role := range []string{w.MemberRole.String(), "@" + strings.TrimSpace(name)} {
		code, out, errs := run(t, p, "broadcast", "--role", role, fmt.Sprintf("to the role %d", i), "--dry-run", "--jq", ".request.userIds[]")
		if code != 0 || !strings.Contains(out, w.Alice.String()) {
			t.Errorf("to the role %q: %d %q %q", role, code, out, errs)
		}
	}
	if got := received(sb, w.Alice); got != before {
		t.Errorf("--dry-run sent %d messages", got-before)
	}
	if code, _, errs := run(t, p, "broadcast", "--role", "nobody's", "x"); code != 1 || !strings.HasPrefix(errs, "ERROR: no role in the bot's guilds has the name or ID nobody's") {
		t.Errorf("to a role that does not exist: %d %q", code, errs)
	}
	if code, _, _ := run(t, p, "broadcast", "--users", "f", "--guild", "5", "x"); code != 2 {
		t.Errorf("two kinds of users: %d", code)
	}
}
