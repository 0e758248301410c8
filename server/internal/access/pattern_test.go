package access_test

import (
	"strings"
	"testing"

	"discordproxy/server/internal/access"
)

// TestPatterns: a method that matches nothing is an error with a helpful text.
func TestPatterns(t *testing.T) {
	parse := func(method string) error {
		_, err := access.Parse([]byte("clients: [{name: shop, certificates: [shop], methods: ['"+method+"']}]"), defaults)
		return err
	}
	for _, good := range []string{
		"*", "Send*", "metrics", "GET /*", "* /guilds/*", "GET /channels/{channel_id}", "POST /channels/{channel_id}/messages",
		"GET /guilds/{guild_id}/emojis/{id}", "GET /guilds/{guild_id}/emojis/{emoji_id}", "GET /guilds/{guild_id}/widget.json",
		"PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji}/@me",
		"PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
		"GET /stage-instances/{channel_id}", "GET /stage-instances/{id}", "* /webhooks/*",
	} {
		if err := parse(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"GET /api/v10/channels/{channel_id}": `did you mean "GET /channels/{channel_id}"?`,
		"GET /api/channels/1/messages":       `did you mean "GET /channels/{channel_id}/messages"?`,
		"GET /channels/1100000000000000010":  `did you mean "GET /channels/{channel_id}"?`,
		"GET /channels/{id}/messages":        `did you mean "GET /channels/{channel_id}/messages"?`,
		"get /channels/{channel_id}":         `did you mean "GET /channels/{channel_id}"?`,
		"GET /users/%40me":                   `did you mean "GET /users/@me"?`,
		"GET /channels/{channel_id}?limit=1": `did you mean "GET /channels/{channel_id}"?`,
		"POST /channels/{channel_id}":        "for /channels/{channel_id} there are only GET, PATCH, DELETE",
		"GET /chanels/{channel_id}":          "no route of Discord has this path",
		"GET /api/v10/*":                     "no route of Discord has this path",
		"FETCH *":                            "use a name from",
		"sendchannelmessage":                 "did you mean SendChannelMessage?",
		"Metrics":                            "did you mean metrics?",
		"Nonsense":                           "use a name from",
	} {
		if err := parse(bad); err == nil || !strings.Contains(err.Error(), "matches no method: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got  %v\nwant %s", bad, err, want)
		}
	}
}
