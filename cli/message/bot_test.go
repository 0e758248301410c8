package message_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"discordproxy/test/proxytest"
)

// TestBot: all calls of a command name the bot of the option, of the variable or of the
// context, in this order.
func TestBot(t *testing.T) {
	t.Setenv("DISCORDPROXY_CONTEXTS", filepath.Join(t.TempDir(), "contexts.yaml"))
	calls := make(chan string, 100)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls <- fmt.Sprintf("%s %q", r.URL.Path, r.Header["Discord-Bot"])
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "7")
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	p := &proxytest.Proxy{Address: srv.Listener.Addr().String()}
	want := func(bot string, code int, args ...string) {
		t.Helper()
		got, out, errs := run(t, p, args...)
		if got != code || len(calls) == 0 {
			t.Errorf("%q: %d %q %q, %d calls", args, got, out, errs, len(calls))
		}
		for len(calls) > 0 {
			if call := <-calls; !strings.HasSuffix(call, bot) {
				t.Errorf("%q: %s, want %s", args, call, bot)
			}
		}
	}
	const none, alerts, shop, other = ` []`, ` ["alerts"]`, ` ["shop"]`, ` ["other"]`
	for _, args := range [][]string{
		{"channel", "5", "hi"},
		{"channel", "#general", "hi"},
		{"channel", "5", "hi", "--queue"},
		{"deliveries", "list"},
		{"deliveries", "watch"},
		{"broadcast", "--users", freshFile(t, "users", "5\n"), "hi"},
		{"broadcast", "--users", freshFile(t, "queue", "5\n"), "hi", "--queue"},
		{"guilds"},
		{"history", "5"},
		{"events"},
		{"status"},
		{"fleet"},
		{"call", "GetChannel", `{"channel_id": 5}`},
		{"call", "WatchStatus"},
	} {
		want(none, 3, args...)
		want(alerts, 3, append([]string{"--bot", "alerts"}, args...)...)
	}
	want(alerts, 0, "--bot", "alerts", "direct", "5", "hi", "--dry-run") // which asks for the limits
	t.Setenv("DISCORDPROXY_BOT", "shop")
	want(shop, 3, "guilds")
	want(alerts, 3, "guilds", "--bot", "alerts")
	if err := os.Unsetenv("DISCORDPROXY_BOT"); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, p, "context", "add", "there", "--bot", "other"); code != 0 {
		t.Fatal(code, out, errs)
	}
	if _, out, _ := run(t, p, "context", "list"); !slices.Contains(strings.Fields(out), "other") {
		t.Errorf("the list of contexts does not name the bot:\n%s", out)
	}
	want(other, 3, "--context", "there", "guilds")
	want(alerts, 3, "--context", "there", "guilds", "--bot", "alerts")
	t.Setenv("DISCORDPROXY_BOT", "shop")
	want(shop, 3, "--context", "there", "guilds")
}
