package message_test

import (
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

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
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(10 * time.Millisecond) {
		if _, out, _ := run(t, p, "deliveries", "show", "greeting"); strings.Contains(out, "delivered") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the message was not delivered")
		}
	}
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
	} {
		if code, _, errs := run(t, p, args...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%q: %d %q", args, code, errs)
		}
	}
}
