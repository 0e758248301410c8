package ratelimit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/ratelimit"
)

// TestRouteOf: requests that Discord counts together have the same route, and requests
// that it counts separately do not.
func TestRouteOf(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	message := func(age time.Duration) string {
		return fmt.Sprintf("/channels/1/messages/%d", uint64(now.Add(-age).UnixMilli()-1420070400000)<<22)
	}
	const (
		interaction = "aW50ZXJhY3Rpb246MTIz"
		day         = 24 * time.Hour
		oneMessage  = "/channels/{channel_id}/messages/{message_id}"
		reactions   = oneMessage + "/reactions"
	)
	for _, tt := range []struct {
		method, path, kind string
		want               ratelimit.Route // the digest of a secret is *
	}{
		{"POST", "/channels/1/messages", "", ratelimit.Route{Method: "POST", Template: "/channels/{channel_id}/messages", Major: "channel 1"}},
		{"GET", "/guilds/7/members/8?x=1", "", ratelimit.Route{Method: "GET", Template: "/guilds/{guild_id}/members/{user_id}", Major: "guild 7"}},
		{"GET", "/users/@me", "", ratelimit.Route{Method: "GET", Template: "/users/@me"}},
		{"GET", "/guilds/7/widget.json", "", ratelimit.Route{Method: "GET", Template: "/guilds/{guild_id}/widget.json", Major: "guild 7"}},
		{"PATCH", "/channels/1", ratelimit.KindRename, ratelimit.Route{Method: "PATCH", Template: "/channels/{channel_id}", Major: "channel 1", Kind: ratelimit.KindRename}},

		// Discord decodes a path before it finds the route.
		{"GET", "/users/%40me", "", ratelimit.Route{Method: "GET", Template: "/users/@me"}},
		{"GET", "/%75sers/%40%6de", "", ratelimit.Route{Method: "GET", Template: "/users/@me"}},
		{"GET", "/users/%2540me", "", ratelimit.Route{Method: "GET", Template: "/users/{other}"}},
		{"POST", "/channels/%31/messages", "", ratelimit.Route{Method: "POST", Template: "/channels/{channel_id}/messages", Major: "channel 1"}},
		{"GET", "/%77ebhooks/5/s3cret/messages/%40original", "", ratelimit.Route{Method: "GET", Template: "/webhooks/{webhook_id}/{webhook_token}/messages/@original", Major: "webhook 5/*", Tokenless: true}},

		// The age of a message.
		{"DELETE", message(9 * time.Second), "", ratelimit.Route{Method: "DELETE", Template: oneMessage + " (under 10 s old)", Major: "channel 1"}},
		{"DELETE", message(11 * time.Second), "", ratelimit.Route{Method: "DELETE", Template: oneMessage, Major: "channel 1"}},
		{"DELETE", message(13 * day), "", ratelimit.Route{Method: "DELETE", Template: oneMessage, Major: "channel 1"}},
		{"DELETE", message(15 * day), "", ratelimit.Route{Method: "DELETE", Template: oneMessage + " (over 14 d old)", Major: "channel 1"}},
		{"PATCH", message(59 * time.Minute), "", ratelimit.Route{Method: "PATCH", Template: oneMessage, Major: "channel 1"}},
		{"PATCH", message(61 * time.Minute), "", ratelimit.Route{Method: "PATCH", Template: oneMessage, Major: "channel 1", Kind: ratelimit.KindEditOld}},
		{"GET", message(15 * day), "", ratelimit.Route{Method: "GET", Template: oneMessage, Major: "channel 1"}},

		// Reactions share one bucket of the channel; reading them does not.
		{"PUT", "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me", "", ratelimit.Route{Method: "PUT,DELETE", Template: reactions, Major: "channel 1"}},
		{"DELETE", "/channels/1/messages/3/reactions/party:4/5", "", ratelimit.Route{Method: "PUT,DELETE", Template: reactions, Major: "channel 1"}},
		{"DELETE", "/channels/1/messages/3/reactions", "", ratelimit.Route{Method: "PUT,DELETE", Template: reactions, Major: "channel 1"}},
		{"GET", "/channels/1/messages/3/reactions/party:4", "", ratelimit.Route{Method: "GET", Template: reactions + "/{emoji}", Major: "channel 1"}},

		// So do giving and taking roles.
		{"PUT", "/guilds/7/members/8/roles/9", "", ratelimit.Route{Method: "PUT,DELETE", Template: "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", Major: "guild 7"}},
		{"DELETE", "/guilds/7/members/8/roles/9", "", ratelimit.Route{Method: "PUT,DELETE", Template: "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", Major: "guild 7"}},
		{"DELETE", "/guilds/7/roles/9", "", ratelimit.Route{Method: "DELETE", Template: "/guilds/{guild_id}/roles/{role_id}", Major: "guild 7"}},

		// Webhooks and interactions bring their own credentials, and what
		// answers an interaction counts against no global limit.
		{"GET", "/webhooks/5", "", ratelimit.Route{Method: "GET", Template: "/webhooks/{webhook_id}", Major: "webhook 5"}},
		{"POST", "/webhooks/5/s3cret", "", ratelimit.Route{Method: "POST", Template: "/webhooks/{webhook_id}/{webhook_token}", Major: "webhook 5/*", Tokenless: true}},
		{"PATCH", "/webhooks/5/" + interaction + "/messages/@original", "", ratelimit.Route{Method: "PATCH", Template: "/webhooks/{webhook_id}/{webhook_token}/messages/@original", Major: "webhook 5/*", Tokenless: true, Exempt: true}},
		{"POST", "/interactions/6/" + interaction + "/callback", "", ratelimit.Route{Method: "POST", Template: "/interactions/{interaction_id}/{interaction_token}/callback", Major: "interaction 6", Tokenless: true, Exempt: true}},
	} {
		got := ratelimit.RouteOf(tt.method, tt.path, tt.kind, now)
		if id, digest, found := strings.Cut(got.Major, "/"); found && len(digest) == 16 {
			got.Major = id + "/*"
		}
		if got != tt.want {
			t.Errorf("%s %s is\n%+v, want\n%+v", tt.method, tt.path, got, tt.want)
		}
	}
	of := func(path string) string { return ratelimit.RouteOf("POST", path, "", now).Major }
	if of("/webhooks/5/one") == of("/webhooks/5/two") || of("/webhooks/5/one") == of("/webhooks/6/one") || of("/webhooks/5/one") != of("/webhooks/5/one/github") {
		t.Error("a webhook's resource is not its id together with its token")
	}
}
