package message_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// TestStatus prints the status of an idle server and of a busy one.
func TestStatus(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Minute})
	p := proxytest.Against(t, sb)
	w := sb.World()
	status := func() string {
		t.Helper()
		code, stdout, stderr := run(t, p, "status")
		if code != 0 || stderr != "" {
			t.Fatalf("the command ends with %d: %s", code, stderr)
		}
		return stdout
	}
	// Of other calls than these there is only the check of the token.
	idle := status()
	for _, line := range []string{
		`proxy +\S+ at ` + regexp.QuoteMeta(p.Address), `state +ready`, `bot +sandbox`, `running for +\S+s`,
		`calls +0.0 per second; in the last hour none`, `waiting +0 of 10000`, `invalid requests +0 of 10000 in 10 minutes`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(idle) {
			t.Errorf("no line %s in:\n%s", line, idle)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := p.Clients()["gRPC"]
	if _, err := client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(w.Forbidden), Content: "hi"}); err == nil {
		t.Error("a message was sent to the forbidden channel")
	}
	for range 3 {
		go func() {
			_, _ = client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "hi"})
		}()
	}
	var busy string
	for !strings.Contains(busy, "permission_denied") || !regexp.MustCompile(`(?m)^waiting +2 of 10000, all sent in about `).MatchString(busy) {
		if busy = status(); ctx.Err() != nil {
			t.Fatalf("the calls do not wait:\n%s", busy)
		}
	}
	for _, line := range []string{
		`calls +\S+ per second; in the last hour 2: .*1 permission_denied.*`,
		`limits +\d+ known, \d+ busy`,
		`QUEUE +CLEARS IN +LEFT +RESETS IN +RESOURCE +ROUTE`,
		`2 +\S+s +0/1 +\S+s +channel ` + w.General.String() + ` +POST /channels/{channel_id}/messages.*`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(busy) {
			t.Errorf("no line %s in:\n%s", line, busy)
		}
	}
}

// TestStatusOfGateway: the status says whether events arrive.
func TestStatusOfGateway(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--no-gateway=false")
	await := func(line string) {
		t.Helper()
		for began, text := time.Now(), ""; !regexp.MustCompile(`(?m)^gateway +` + line + `$`).MatchString(text); time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("no line %s in:\n%s", line, text)
			}
			_, text, _ = run(t, p, "status")
		}
	}
	await(`connected for \S+s(, latency \S+)?, 0 subscribers`)
	if err := sb.CloseGateway(0, 4004, ""); err != nil {
		t.Fatal(err)
	}
	await(`ended for \S+s, 0 subscribers: Discord's gateway refused the bot's token`)
}

// TestStatusOfHeld: a limit that Discord has just enforced is shown although nothing waits for it.
func TestStatusOfHeld(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	sb.InjectFault(sandbox.Fault{Status: 429, Body: `{"message":"You are being rate limited.","retry_after":600,"global":false}`, Route: "POST /channels/{channel_id}/messages"})
	if code, stdout, _ := run(t, p, "--timeout", "5s", "channel", sb.World().General.String(), "hi"); code != 75 {
		t.Fatalf("the message was sent: %s", stdout)
	}
	_, text, _ := run(t, p, "status")
	if !regexp.MustCompile(`(?m)^0 +- +\S+, blocked for (10m0s|9m\S+) .*POST /channels/{channel_id}/messages`).MatchString(text) {
		t.Errorf("nothing is held in:\n%s", text)
	}
}
