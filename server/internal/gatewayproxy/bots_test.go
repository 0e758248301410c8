package gatewayproxy_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"
)

// TestBotOfAClient: a client identifies at the gateway of its bots only. Its session ends
// when it may no longer use the bot.
func TestBotOfAClient(t *testing.T) {
	key, hash := access.NewKey()
	rules := func(bots string) *access.Rules {
		parsed, err := access.Parse(fmt.Appendf(nil, "clients: [{name: shop, hashes: [%q], %s}]", hash, bots), access.Defaults{Bots: []string{"main", "games"}})
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	guard := access.New(access.Config{Rules: rules(""), Logger: slog.New(slog.DiscardHandler)})
	r := closedRig(t, gatewayproxy.Config{}, events.Config{})
	r.Open(r, guard.ForBot("games"), nil)
	r.connect()
	identify := func() *bot {
		b := r.dial()
		b.send(2, fmt.Sprintf(`{"token":%q,"properties":{},"intents":1}`, key))
		return b
	}
	refused := func(b *bot) {
		t.Helper()
		if c := b.closed(); c.Code != 4004 || !strings.Contains(c.Reason, "client shop may not use bot games") {
			t.Errorf("closed with %d %s", c.Code, c.Reason)
		}
	}
	refused(identify())
	guard.Use(rules("bots: [main, games]"))
	b := identify()
	b.expect(0, "READY", `"guilds":[{"id":"1"`)
	guard.Use(rules("bots: [main]"))
	refused(b)
	refused(identify())
}
