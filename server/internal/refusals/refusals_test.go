package refusals_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"discordproxy/server/internal/refusals"
)

func TestShorten(t *testing.T) {
	for value, want := range map[string]string{
		"":                                      "",
		"/path":                                 "/path",
		strings.Repeat("x", 100):                strings.Repeat("x", 100),
		strings.Repeat("x", 101):                strings.Repeat("x", 100),
		strings.Repeat("ü", 30_000):             strings.Repeat("ü", 100),
		strings.Repeat("😀", 30_000):             strings.Repeat("😀", 100),
		strings.Repeat("\xff", 10) + "x":        "\uFFFDx",
		strings.Repeat("a\xff", 10_000) + "end": strings.Repeat("a\uFFFD", 50),
	} {
		if got := refusals.Shorten(value); got != want || !utf8.ValidString(got) {
			t.Errorf("%.40q: %q", value, got)
		}
	}
}

func TestNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1",
		"[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64", "2001:db8:1:2::5": "2001:db8:1:2::/64", "@": "@", "": "",
	} {
		if got := refusals.Network(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

// TestLines: a network gets few lines, all networks together not many, and the
// next line counts what had none.
func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := refusals.NewLog()
		ask := func(remote string, n int) (allowed, omitted int) {
			for range n {
				ok, missed := log.Allow(remote)
				if omitted += missed; ok {
					allowed++
				}
			}
			return allowed, omitted
		}
		if got, omitted := ask("192.0.2.1:1", 3500); got != 10 || omitted != 0 {
			t.Errorf("%d lines of one network, %d omitted", got, omitted)
		}
		if got, omitted := ask("192.0.2.2:1", 1); got != 1 || omitted != 3490 {
			t.Errorf("%d lines of another network, %d omitted", got, omitted)
		}
		time.Sleep(7 * time.Second)
		if got, _ := ask("192.0.2.1:2", 100); got != 1 {
			t.Errorf("%d lines a moment later", got)
		}
		all := 0
		for i := range 20_000 {
			got, _ := ask(fmt.Sprintf("10.0.%d.%d:1", i/250, i%250), 1)
			all += got
		}
		if all > 110 || all < 90 {
			t.Errorf("%d lines of 20,000 networks", all)
		}
	})
}

// TestPath: no token of a webhook or an interaction is shown.
func TestPath(t *testing.T) {
	for path, want := range map[string]string{
		"/api/webhooks/1/token":                            "/api/webhooks/1/...",
		"/api/v10/webhooks/1/token/slack":                  "/api/v10/webhooks/1/...",
		"/api/v10/Webhooks//1//to\nken/messages/@original": "/api/v10/Webhooks//1//...",
		"/api/interactions/1/token/callback":               "/api/interactions/1/...",
		"/api/v10/webhooks/1":                              "/api/v10/webhooks/1",
		"/api/v10/channels/1/webhooks":                     "/api/v10/channels/1/webhooks",
		"/api/v10/channels/1/messages":                     "/api/v10/channels/1/messages",
		strings.Repeat("x", 200):                           strings.Repeat("x", 100),
	} {
		if got := refusals.Path(path); got != want {
			t.Errorf("%q is shown as %q, want %q", path, got, want)
		}
	}
}
