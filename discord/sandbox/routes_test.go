package sandbox_test

import (
	"net/url"
	"testing"

	"discordproxy/discord/sandbox"
)

// TestEveryRoute calls each route so that it succeeds, and so has each kind of
// answer compared with Discord's description.
func TestEveryRoute(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	w := r.w
	send := func(channel sandbox.ID, content string) sandbox.Message {
		return r.do("POST", path("/channels/%d/messages", channel), obj{"content": content}).message()
	}
	id := func(a *answer) string { return a.object()["id"].(string) }
	get := func(format string, args ...any) { r.do("GET", path(format, args...), nil).is(200) }
	put := func(format string, args ...any) { r.do("PUT", path(format, args...), obj{}).is(204) }
	del := func(format string, args ...any) { r.do("DELETE", path(format, args...), nil).is(204) }

	get("/gateway")
	get("/gateway/bot")
	get("/users/@me")
	get("/users/%d", w.Alice)
	r.do("PATCH", "/users/@me", obj{"username": "sandbox"}).is(200)
	get("/soundboard-default-sounds")
	code, err := r.Authorize(w.Stranger, "identify", "guilds.join")
	if err != nil {
		t.Fatal(err)
	}
	client := url.Values{"client_id": {w.Bot.String()}, "client_secret": {sandbox.ClientSecret}, "grant_type": {"authorization_code"}, "code": {code}}
	granted := r.as("").form("/api/v10/oauth2/token", client).is(200).object()["access_token"].(string)
	r.as("Bearer "+granted).do("GET", "/oauth2/@me", nil).is(200)
	r.do("PUT", path("/guilds/%d/members/%d", w.Guild, w.Stranger), obj{"access_token": granted}).is(201)
	r.do("PUT", path("/guilds/%d/members/%d", w.Guild, w.Stranger), obj{"access_token": granted}).is(204)
	client.Set("token", granted)
	r.as("").form("/api/v10/oauth2/token/revoke", client).is(200)
	r.do("PATCH", path("/guilds/%d/roles", w.Guild), []obj{{"id": w.MemberRole, "position": 2}}).is(200)
	incoming := path("/webhooks/%d/%s", w.Webhook, w.WebhookToken)
	r.do("POST", incoming+"/slack", obj{"text": "x"}).is(200)
	r.do("POST", incoming+"/github", obj{"zen": "x"}).is(204)
	get("/users/@me/guilds?with_counts=true")
	get("/users/@me/guilds/%d/member", w.Guild)
	dm := id(r.do("POST", "/users/@me/channels", obj{"recipient_id": w.Bob}).is(200))
	get("/channels/%s", dm)
	r.do("DELETE", "/channels/"+dm, nil).is(200)

	get("/guilds/%d?with_counts=1", w.Guild)
	get("/guilds/%d/channels", w.Guild)
	get("/guilds/%d/emojis", w.Guild)
	for kind, name := range map[int]string{0: "text", 2: "voice", 4: "category", 5: "news", 13: "stage", 15: "forum"} {
		made := id(r.do("POST", path("/guilds/%d/channels", w.Guild), obj{"name": name, "type": kind}).is(201))
		r.do("PATCH", "/channels/"+made, obj{"name": "renamed", "topic": nil, "position": 3}).is(200)
		r.do("DELETE", "/channels/"+made, nil).is(200)
	}
	r.do("PUT", path("/channels/%d/permissions/%d", w.Random, w.Bob), obj{"type": 1, "deny": "2048"}).is(204)
	del("/channels/%d/permissions/%d", w.Random, w.Bob)

	m := send(w.General, "hello")
	base := path("/channels/%d/messages/%d", w.General, m.ID)
	get("/channels/%d/messages", w.General)
	r.do("GET", base, nil).is(200)
	r.do("PATCH", base, obj{"content": "hello again"}).is(200)
	r.do("POST", path("/channels/%d/typing", w.General), nil).is(204)
	news := send(w.Announcement, "news")
	r.do("POST", path("/channels/%d/messages/%d/crosspost", w.Announcement, news.ID), nil).is(200)
	put("/channels/%d/messages/pins/%d", w.General, m.ID)
	get("/channels/%d/messages/pins", w.General)
	get("/channels/%d/pins", w.General)
	del("/channels/%d/messages/pins/%d", w.General, m.ID)
	put("/channels/%d/pins/%d", w.General, m.ID)
	del("/channels/%d/pins/%d", w.General, m.ID)

	react := base + "/reactions/" + url.PathEscape("👍")
	custom := base + "/reactions/" + url.PathEscape(path("party:%d", w.Emoji))
	r.do("PUT", react+"/@me", nil).is(204)
	r.do("PUT", custom+"/@me", nil).is(204)
	r.do("GET", react, nil).is(200)
	r.do("GET", base, nil).is(200)
	r.do("DELETE", react+"/@me", nil).is(204)
	r.do("PUT", react+"/@me", nil).is(204)
	r.do("DELETE", path("%s/%d", react, w.Bot), nil).is(204)
	r.do("DELETE", custom, nil).is(204)
	r.do("DELETE", base+"/reactions", nil).is(204)

	thread := id(r.do("POST", base+"/threads", obj{"name": "about that"}).is(201))
	get("/channels/%s", thread)
	get("/channels/%d/messages", w.General)
	get("/channels/%s/messages", thread)
	r.do("POST", path("/channels/%s/messages", thread), obj{"content": "in it"}).is(200)
	loose := id(r.do("POST", path("/channels/%d/threads", w.General), obj{"name": "loose", "type": 11}).is(201))
	private := id(r.do("POST", path("/channels/%d/threads", w.General), obj{"name": "private"}).is(201))
	r.do("POST", path("/channels/%d/threads", w.Forum), obj{"name": "question", "message": obj{"content": "why?"}}).is(201)
	get("/guilds/%d/threads/active", w.Guild)
	put("/channels/%s/thread-members/%d", loose, w.Bob)
	get("/channels/%s/thread-members?with_member=true", loose)
	get("/channels/%s/thread-members/%d", loose, w.Bob)
	del("/channels/%s/thread-members/%d", loose, w.Bob)
	del("/channels/%s/thread-members/@me", loose)
	put("/channels/%s/thread-members/@me", loose)
	for _, t := range []string{loose, private} {
		r.do("PATCH", "/channels/"+t, obj{"archived": true}).is(200)
	}
	get("/channels/%d/threads/archived/public", w.General)
	get("/channels/%d/threads/archived/private", w.General)
	get("/channels/%d/users/@me/threads/archived/private", w.General)
	r.do("DELETE", "/channels/"+loose, nil).is(200)

	members := path("/guilds/%d/members", w.Guild)
	get("%s?limit=1000", members)
	get("%s/search?query=al&limit=10", members)
	get("%s/%d", members, w.Bob)
	r.do("PATCH", path("%s/%d", members, w.Bob), obj{"nick": "Bobby"}).is(200)
	r.do("PATCH", members+"/@me", obj{"nick": "Sandy"}).is(200)
	put("%s/%d/roles/%d", members, w.Bob, w.ModeratorRole)
	del("%s/%d/roles/%d", members, w.Bob, w.ModeratorRole)
	del("%s/%d", members, w.Bob)

	roles := path("/guilds/%d/roles", w.Guild)
	get("%s", roles)
	get("%s/%d", roles, w.BotRole)
	get("%s/member-counts", roles)
	role := id(r.do("POST", roles, obj{"name": "made", "color": 255}).is(200))
	r.do("PATCH", roles+"/"+role, obj{"name": "changed", "permissions": "8192"}).is(200)
	del("%s/%s", roles, role)

	hook := r.do("POST", path("/channels/%d/webhooks", w.General), obj{"name": "Hook"}).is(200).object()
	get("/channels/%d/webhooks", w.General)
	get("/guilds/%d/webhooks", w.Guild)
	get("/webhooks/%s", hook["id"])
	r.do("PATCH", path("/webhooks/%s", hook["id"]), obj{"name": "Crook", "channel_id": w.Random}).is(200)
	open := r.as("")
	token := path("/webhooks/%s/%s", hook["id"], hook["token"])
	open.do("GET", token, nil).is(200)
	open.do("PATCH", token, obj{"name": "Brook"}).is(200)
	open.do("POST", token, obj{"content": "no answer"}).is(204)
	said := id(open.do("POST", token+"?wait=true", obj{"content": "said", "username": "Someone"}).is(200))
	open.do("GET", token+"/messages/"+said, nil).is(200)
	open.do("PATCH", token+"/messages/"+said, obj{"content": "unsaid"}).is(200)
	open.do("DELETE", token+"/messages/"+said, nil).is(204)
	open.do("DELETE", token, nil).is(204)
	hook = r.do("POST", path("/channels/%d/webhooks", w.General), obj{"name": "Hook"}).is(200).object()
	del("/webhooks/%s", hook["id"])

	in := r.AddInteraction(w.General)
	open.do("POST", path("/interactions/%d/%s/callback", in.ID, in.Token), obj{"type": 4, "data": obj{"content": "done"}}).is(204)
	answers := path("/webhooks/%d/%s", in.ApplicationID, in.Token)
	open.do("GET", answers+"/messages/@original", nil).is(200)
	open.do("PATCH", answers+"/messages/@original", obj{"content": "really"}).is(200)
	open.do("POST", answers, obj{"content": "and more"}).is(200)
	open.do("DELETE", answers+"/messages/@original", nil).is(204)

	get("/applications/@me")
	get("/oauth2/applications/@me")
	for _, commands := range []string{path("/applications/%d/commands", w.Bot), path("/applications/%d/guilds/%d/commands", w.Bot, w.Guild)} {
		ping := id(r.do("POST", commands, obj{"name": "ping", "description": "answers", "options": []obj{
			{"type": 3, "name": "how", "description": "in which way", "choices": []obj{{"name": "Loudly", "value": "loud"}}},
		}}).is(201))
		r.do("PATCH", commands+"/"+ping, obj{"description": "answers quickly"}).is(200)
		r.do("GET", commands+"/"+ping, nil).is(200)
		r.do("PUT", commands, []obj{{"name": "ping", "description": "answers"}, {"name": "Report", "type": 3}}).is(200)
		get("%s", commands)
		del("%s/%s", commands, ping)
	}
	bans := path("/guilds/%d/bans", w.Guild)
	r.do("PUT", path("%s/%d", bans, w.NoDMs), obj{"delete_message_seconds": 60}).is(204)
	get("%s", bans)
	get("%s/%d", bans, w.NoDMs)
	del("%s/%d", bans, w.NoDMs)

	a, b := send(w.General, "a"), send(w.General, "b")
	r.do("POST", path("/channels/%d/messages/bulk-delete", w.General), obj{"messages": []any{a.ID, b.ID}}).is(204)
	r.do("DELETE", base, nil).is(204)

	stats := r.Stats()
	for _, key := range sandbox.RouteKeys() {
		if stats.Routes[key] == 0 {
			t.Errorf("%s was not called", key)
		}
	}
	for status := range stats.Statuses {
		if status >= 400 {
			t.Errorf("an answer with status %d", status)
		}
	}
}
