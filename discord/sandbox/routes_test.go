package sandbox_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/description"
)

// TestEveryRoute calls each route successfully, so that each kind of response is compared
// with Discord's description.
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
	equal(t, "nick", r.do("PATCH", members+"/@me/nick", obj{"nick": "Sandra"}).is(200).object()["nick"], any("Sandra"))
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

	r.everyRouteOfGuilds()

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

// everyRouteOfGuilds is the part of TestEveryRoute about what administrators do.
func (r *rig) everyRouteOfGuilds() {
	t, w := r.t, r.w
	t.Helper()
	guild := path("/guilds/%d", w.Guild)
	id := func(a *answer) string { return a.object()["id"].(string) }
	get := func(format string, args ...any) *answer { return r.do("GET", path(format, args...), nil).is(200) }

	r.do("PATCH", guild, obj{"name": "Renamed", "description": "d", "verification_level": 2, "system_channel_id": w.General, "icon": "data:image/png;base64,AAAA", "preferred_locale": "de"}).is(200)
	equal(t, "name", get("%s", guild).object()["name"], any("Renamed"))
	r.do("PATCH", guild+"/channels", []obj{{"id": w.Random, "position": 3, "parent_id": nil}, {"id": w.General, "position": 1}}).is(204)
	get("%s/preview", guild)
	get("%s/regions", guild)
	get("/voice/regions")
	get("%s/vanity-url", guild)

	invite := r.do("POST", path("/channels/%d/invites", w.General), obj{"max_age": 0, "max_uses": 5}).is(200).object()["code"].(string)
	get("/channels/%d/invites", w.General)
	get("%s/invites", guild)
	get("/invites/%s?with_counts=true", invite)
	r.do("DELETE", "/invites/"+invite, nil).is(200)

	image := "data:image/png;base64,AAAA"
	for _, emojis := range []string{guild + "/emojis", path("/applications/%d/emojis", w.Bot)} {
		made := id(r.do("POST", emojis, obj{"name": "made", "image": image}).is(201))
		get("%s", emojis)
		get("%s/%s", emojis, made)
		r.do("PATCH", emojis+"/"+made, obj{"name": "changed"}).is(200)
		r.do("DELETE", emojis+"/"+made, nil).is(204)
	}
	r.AddSticker(sandbox.Sticker{Name: "wave", GuildID: w.Guild, Tags: "wave"})
	var stickers []obj
	get("%s/stickers", guild).into(&stickers)
	sticker := path("%s/stickers/%s", guild, stickers[0]["id"])
	get("%s", sticker)
	get("/stickers/%s", stickers[0]["id"])
	r.do("PATCH", sticker, obj{"name": "waves"}).is(200)
	r.do("DELETE", sticker, nil).is(204)
	r.multipart(guild+"/stickers", map[string]string{"name": "made", "tags": "made", "description": ""}, "file").is(201)

	get("%s/messages/search?content=welcome&limit=5", guild)
	start := timestampAfter(r, time.Hour)
	event := id(r.do("POST", guild+"/scheduled-events", obj{"name": "party", "privacy_level": 2, "entity_type": 3, "scheduled_start_time": start, "scheduled_end_time": timestampAfter(r, 2*time.Hour), "entity_metadata": obj{"location": "here"}}).is(200))
	r.do("POST", guild+"/scheduled-events", obj{"name": "talk", "privacy_level": 2, "entity_type": 2, "scheduled_start_time": start, "channel_id": w.Voice}).is(200)
	events := guild + "/scheduled-events/" + event
	get("%s/scheduled-events?with_user_count=true", guild)
	get("%s", events)
	get("%s/users", events)
	r.do("PATCH", events, obj{"status": 2}).is(200)
	r.do("DELETE", events, nil).is(204)

	poll := r.do("POST", path("/channels/%d/messages", w.General), obj{"poll": obj{"question": obj{"text": "q"}, "answers": []obj{{"poll_media": obj{"text": "a"}}}}}).message()
	if err := r.Vote(w.General, poll.ID, w.Alice, 1); err != nil {
		t.Fatal(err)
	}
	equal(t, "voters", len(get("/channels/%d/polls/%d/answers/1", w.General, poll.ID).object()["users"].([]any)), 1)
	r.do("POST", path("/channels/%d/polls/%d/expire", w.General, poll.ID), nil).is(200)

	if err := r.SetVoiceState(sandbox.VoiceState{GuildID: w.Guild, UserID: w.Alice, ChannelID: w.Voice}); err != nil {
		t.Fatal(err)
	}
	get("%s/voice-states/%d", guild, w.Alice)
	stage, err := r.AddChannel(sandbox.Channel{GuildID: w.Guild, Type: sandbox.ChannelStage, Name: "stage"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []sandbox.ID{w.Bot, w.Alice} {
		if err := r.SetVoiceState(sandbox.VoiceState{GuildID: w.Guild, UserID: u, ChannelID: stage}); err != nil {
			t.Fatal(err)
		}
	}
	get("%s/voice-states/@me", guild)
	r.do("PATCH", guild+"/voice-states/@me", obj{"suppress": false}).is(204)
	r.do("PATCH", path("%s/voice-states/%d", guild, w.Alice), obj{"suppress": true}).is(204)

	get("%s/prune?days=7", guild)
	r.do("POST", guild+"/prune", obj{"days": 7}).is(200)
	r.do("POST", guild+"/bulk-ban", obj{"user_ids": []any{w.NoDMs}}).is(200)
	r.do("DELETE", path("%s/bans/%d", guild, w.NoDMs), nil).is(204)
	if err := r.AddMember(w.Guild, w.NoDMs); err != nil {
		t.Fatal(err)
	}

	get("/applications/%d", w.Bot)
	r.do("PATCH", "/applications/@me", obj{"description": "does things"}).is(200)
	r.do("PATCH", path("/applications/%d", w.Bot), obj{"tags": []string{"x"}}).is(200)
	commands := path("/applications/%d/guilds/%d/commands", w.Bot, w.Guild)
	command := id(r.do("POST", commands, obj{"name": "asks", "description": "asks"}).is(201))
	code, err := r.Authorize(w.Owner, "applications.commands.permissions.update")
	if err != nil {
		t.Fatal(err)
	}
	owner := "Bearer " + r.as("").form("/api/v10/oauth2/token", url.Values{
		"client_id": {w.Bot.String()}, "client_secret": {sandbox.ClientSecret}, "grant_type": {"authorization_code"}, "code": {code},
	}).is(200).object()["access_token"].(string)
	r.as(owner).do("PUT", commands+"/"+command+"/permissions", obj{"permissions": []obj{{"id": w.MemberRole, "type": 1, "permission": true}}}).is(200)
	get("%s/permissions", commands)
	get("%s/%s/permissions", commands, command)
	r.do("DELETE", commands+"/"+command, nil).is(204)

	log := get("%s/audit-logs?limit=100", guild).object()["audit_log_entries"].([]any)
	kinds := map[float64]bool{}
	for _, e := range log {
		kinds[e.(obj)["action_type"].(float64)] = true
	}
	for _, kind := range []float64{1, 11, 21, 22, 23, 40, 42, 60, 61, 62, 90, 91, 92, 100, 101, 102, 121} {
		if !kinds[kind] {
			t.Errorf("no entry %v in the audit log", kind)
		}
	}

	other := r.AddGuild(sandbox.Guild{Name: "short-lived", OwnerID: w.Alice})
	for _, u := range []sandbox.ID{w.Alice, w.Bot} {
		if err := r.AddMember(other, u); err != nil {
			t.Fatal(err)
		}
	}
	r.do("DELETE", path("/users/@me/guilds/%d", other), nil).is(204)
}

// timestampAfter is a time in the future of the sandbox.
func timestampAfter(r *rig, d time.Duration) string { return r.Now().Add(d).UTC().Format(time.RFC3339) }

// multipart sends fields and a file.
func (r *rig) multipart(path string, fields map[string]string, file string) *answer {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for name, value := range fields {
		_ = w.WriteField(name, value)
	}
	part, err := w.CreateFormFile(file, "a.png")
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = part.Write([]byte("png"))
	_ = w.Close()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://sandbox/api/v10"+path, &body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return r.send(req)
}

// TestUnsupportedRoutes: the sandbox reports routes of Discord that it does not imitate.
func TestUnsupportedRoutes(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	a := r.do("GET", path("/guilds/%d/onboarding", r.w.Guild), nil).is(501, 0)
	if !strings.Contains(string(a.body), "the sandbox does not imitate GET /guilds/{guild_id}/onboarding") {
		t.Errorf("%s", a.body)
	}
	r.as("").do("POST", "/lobbies", obj{}).is(501)
	equal(t, "counted", r.Stats().Unsupported, map[string]int{"GET /guilds/{guild_id}/onboarding": 1, "POST /lobbies": 1})
	r.do("GET", path("/applications/%d/skus", r.w.Bot), nil).is(501)
	r.do("GET", "/no/such/route", nil).is(404)
	r.do("DELETE", path("/guilds/%d/onboarding", r.w.Guild), nil).is(405)

	d, err := description.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d == nil {
		t.Skip(description.Hint)
	}
	supported, gaps := sandbox.RouteKeys(), sandbox.UnsupportedKeys()
	operations := d.Operations()
	for _, operation := range operations {
		if !slices.Contains(supported, operation) && !slices.Contains(gaps, operation) {
			t.Errorf("%s is neither imitated nor known to be missing", operation)
		}
	}
	for _, gap := range gaps {
		if slices.Contains(operations, gap) == sandbox.Undescribed(gap) || slices.Contains(supported, gap) {
			t.Errorf("%s is not missing, or not Discord's", gap)
		}
	}
}
