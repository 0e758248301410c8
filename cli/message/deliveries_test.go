package message_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// awaitDelivery waits until a delivery is delivered.
func awaitDelivery(t *testing.T, p *proxytest.Proxy, id string) {
	t.Helper()
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(10 * time.Millisecond) {
		if _, out, _ := run(t, p, "deliveries", "show", id); strings.Contains(out, "delivered") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s was not delivered", id)
		}
	}
}

// TestQueue queues messages, and lists, shows, cancels and retries them.
func TestQueue(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	general := w.General.String()
	for range 2 { // the same delivery
		if code, out, errs := run(t, p, "channel", general, "hello", "--queue", "--id", "greeting"); code != 0 || out != "Message queued as greeting\n" {
			t.Fatal(code, out, errs)
		}
	}
	awaitDelivery(t, p, "greeting")
	if n := len(sb.Messages(w.General)); n != 1 {
		t.Errorf("%d messages", n)
	}
	if code, out, errs := run(t, p, "direct", w.Alice.String(), "later", "--queue", "--at", "1h", "--expires", "2h", "--id", "later"); code != 0 {
		t.Fatal(code, out, errs)
	}
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"deliveries", "list", "--state", "scheduled"}, "user " + w.Alice.String()},
		{[]string{"deliveries", "cancel", "later"}, "cancelled by the client"},
		{[]string{"deliveries", "list", "--json"}, `"state":"CANCELLED"`},
		{[]string{"deliveries", "retry", "later"}, "waiting"},
	} {
		if code, out, errs := run(t, p, step.args...); code != 0 || !strings.Contains(out, step.want) {
			t.Errorf("%q: %d %q %q", step.args, code, out, errs)
		}
	}
	for want, args := range map[string][]string{
		"--at needs --queue":       {"channel", general, "x", "--at", "1h"},
		"is neither a time":        {"channel", general, "x", "--queue", "--at", "tomorrow"},
		"--expires must be":        {"channel", general, "x", "--queue", "--expires", "0s"},
		"unknown action":           {"deliveries", "drop"},
		"expected deliveries":      {"deliveries", "show"},
		"is not one of scheduled":  {"deliveries", "list", "--state", "lost"},
		"there is no such deliver": {"deliveries", "show", "none"},
		"--limit 0 is not":         {"deliveries", "list", "--limit", "0"},
		"--limit 4294967297 is":    {"deliveries", "list", "--limit", "4294967297"},
		"is delivered already":     {"deliveries", "retry", "greeting"},
	} {
		if code, _, errs := run(t, p, args...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
}

// TestQueueOfAWebhook: a message of a webhook can be left with the proxy, too.
func TestQueueOfAWebhook(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	address := fmt.Sprintf("https://discord.com/api/webhooks/%s/%s", w.Webhook, w.WebhookToken)
	for range 2 { // the same delivery
		if code, out, errs := run(t, p, "webhook", address, "by the webhook", "--queue", "--id", "hooked"); code != 0 || out != "Message queued as hooked\n" {
			t.Fatal(code, out, errs)
		}
	}
	if code, _, errs := run(t, p, "webhook", address, "x", "--id", "hooked"); code != 2 || !strings.Contains(errs, "--id needs --queue") {
		t.Errorf("%d %q", code, errs)
	}
	awaitDelivery(t, p, "hooked")
	n := 0
	for _, channel := range sb.Channels() {
		for _, m := range sb.Messages(channel.ID) {
			if m.Content == "by the webhook" {
				n++
			}
		}
	}
	if n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestQueueOfOtherCalls: a change of a message can be left with the proxy, too.
func TestQueueOfOtherCalls(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	general := w.General.String()
	if code, _, errs := run(t, p, "channel", general, "first"); code != 0 {
		t.Fatal(errs)
	}
	message := func() sandbox.Message { return sb.Messages(w.General)[0] }
	id := message().ID.String()
	for _, step := range []struct {
		id, confirmed string
		args          []string
		done          func() bool
	}{
		{"edit", "Edit", []string{"edit", general, id, "second"}, func() bool { return message().Content == "second" }},
		{"react", "Reaction", []string{"react", general, id, "🎉"}, func() bool { return len(message().Reactions) == 1 }},
		{"unreact", "Removal", []string{"react", "--remove", general, id, "🎉"}, func() bool { return len(message().Reactions) == 0 }},
		{"thread", "Thread", []string{"thread", "--message", id, general, "talk"}, func() bool { return true }},
		{"delete", "Deletion", []string{"delete", general, id}, func() bool { return len(sb.Messages(w.General)) == 0 }},
	} {
		if code, _, errs := run(t, p, append(step.args, "--at", "1h")...); code != 2 || !strings.Contains(errs, "--at needs --queue") {
			t.Errorf("%s: %d %q", step.id, code, errs)
		}
		code, out, errs := run(t, p, append(step.args, "--queue", "--id", step.id)...)
		if code != 0 || out != step.confirmed+" queued as "+step.id+"\n" {
			t.Fatalf("%s: %d %q %q", step.id, code, out, errs)
		}
		if awaitDelivery(t, p, step.id); !step.done() {
			t.Errorf("%s did nothing: %+v", step.id, sb.Messages(w.General))
		}
	}
}

// TestWatchIsInterrupted: a watch that is interrupted is no failure, and says where to
// continue. One that continues before deleted records says that.
func TestWatchIsInterrupted(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	for _, text := range []string{"first", "second"} {
		if code, _, errs := run(t, p, "channel", sb.World().General.String(), text, "--queue", "--id", text); code != 0 {
			t.Fatal(errs)
		}
	}
	watch := func(after string, lines int) (code int, out, errs string) {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		stdout := &interruptAfter{lines: lines, interrupt: interrupt}
		var stderr bytes.Buffer
		code = cli.Run(ctx, message.Command, cli.Env{Args: at(t, p, []string{"deliveries", "watch", "--after", after}), Out: stdout, Err: &stderr})
		return code, stdout.String(), stderr.String()
	}
	code, out, errs := watch("0", 2)
	if code != 0 || !strings.HasPrefix(out, "1  first  delivered") || errs != "Continue with --after 2\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	c, err := client.New(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.PurgeDeliveries(t.Context(), new(pb.PurgeDeliveriesRequest)); err != nil || res.GetPurged() != 2 {
		t.Fatal(res, err)
	}
	if code, _, errs := run(t, p, "channel", sb.World().General.String(), "third", "--queue"); code != 0 {
		t.Fatal(errs)
	}
	code, out, errs = watch("1", 1)
	if code != 0 || !strings.HasPrefix(out, "3  ") || errs != "Some results after position 1 are missing: their records were deleted\nContinue with --after 3\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
