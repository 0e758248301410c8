package proxytest

import (
	"encoding/base64"
	"testing"

	"discordproxy/discord/sandbox"
)

// AddBot adds a bot to a sandbox and to the guild of its world, and returns its token,
// which begins with the bot's ID as Discord's tokens do.
func AddBot(t testing.TB, sb *sandbox.Sandbox, name string) (token string) {
	t.Helper()
	id := sb.AddUser(sandbox.User{Username: name, Bot: true})
	token = base64.RawStdEncoding.EncodeToString([]byte(id.String())) + ".bot." + name
	if err := sb.AddToken("Bot "+token, id); err != nil {
		t.Fatal(err)
	}
	if err := sb.AddMember(sb.World().Guild, id); err != nil {
		t.Fatal(err)
	}
	return token
}
