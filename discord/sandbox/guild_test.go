package sandbox_test

import (
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
)

func TestPermissions(t *testing.T) {
	everyone, role, member := sandbox.OverwriteRole, sandbox.OverwriteRole, sandbox.OverwriteMember
	const view, send = sandbox.PermViewChannel, sandbox.PermSendMessages
	world := sandbox.New(sandbox.Config{}).World()
	at := func(id sandbox.ID, kind int, allow, deny sandbox.Permissions) sandbox.Overwrite {
		return sandbox.Overwrite{ID: id, Type: kind, Allow: allow, Deny: deny}
	}
	tests := []struct {
		name       string
		overwrites []sandbox.Overwrite
		status     int
		code       int
	}{
		{"none", nil, 200, 0},
		{"everyone denied", []sandbox.Overwrite{at(world.Guild, everyone, 0, send)}, 403, 50013},
		{"role allowed again", []sandbox.Overwrite{at(world.Guild, everyone, 0, send), at(world.BotRole, role, send, 0)}, 200, 0},
		{"role of others", []sandbox.Overwrite{at(world.Guild, everyone, 0, send), at(world.MemberRole, role, send, 0)}, 403, 50013},
		{"member denied", []sandbox.Overwrite{at(world.BotRole, role, send, 0), at(world.Bot, member, 0, send)}, 403, 50013},
		{"member allowed", []sandbox.Overwrite{at(world.BotRole, role, 0, send), at(world.Bot, member, send, 0)}, 200, 0},
		{"not visible", []sandbox.Overwrite{at(world.Guild, everyone, 0, view)}, 403, 50001},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{Unlimited: true})
			id, err := r.AddChannel(sandbox.Channel{GuildID: r.w.Guild, Name: "test", Overwrites: test.overwrites})
			if err != nil {
				t.Fatal(err)
			}
			a := r.sendTo(id, obj{"content": "hi"})
			if a.is(test.status); test.code != 0 {
				a.is(test.status, test.code)
			}
		})
	}
}

func TestOwnersAndAdministratorsMayDoEverything(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	if err := r.AddToken("Bot owner", r.w.Owner); err != nil {
		t.Fatal(err)
	}
	r.as("Bot owner").sendTo(r.w.Forbidden, obj{"content": "mine"}).is(200)
	if err := r.AddMember(r.w.Guild, r.w.Bot, r.w.AdminRole); err != nil {
		t.Fatal(err)
	}
	r.sendTo(r.w.Forbidden, obj{"content": "mine too"}).is(200)
}

// Who may not send to a channel may still send to its threads, with all that
// messages are made of.
func TestThreadsOfReadOnlyChannels(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m, err := r.AddMessage(sandbox.Message{ChannelID: r.w.ReadOnly, Content: "topic", Author: &sandbox.User{ID: r.w.Alice}})
	if err != nil {
		t.Fatal(err)
	}
	r.do("POST", path("/channels/%d/messages/%d/threads", r.w.ReadOnly, m), obj{"name": "t"}).is(201)
	embed := obj{"embeds": []obj{{"title": "t"}}}
	r.sendTo(m, embed).is(200)
	if err := r.SetOverwrite(r.w.ReadOnly, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermSendMessagesInThreads}); err != nil {
		t.Fatal(err)
	}
	r.sendTo(m, embed).is(403, 50013)
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{Unlimited: true})
		if err := r.AddToken("Bot bob", r.w.Bob); err != nil {
			t.Fatal(err)
		}
		bob := r.as("Bot bob")
		until := func(d time.Duration) *answer {
			return r.do("PATCH", path("/guilds/%d/members/%d", r.w.Guild, r.w.Bob),
				obj{"communication_disabled_until": time.Now().Add(d)})
		}
		bob.sendTo(r.w.General, obj{"content": "hi"}).is(200)
		until(29*24*time.Hour).is(400, 50035)
		until(time.Hour).is(200)
		bob.sendTo(r.w.General, obj{"content": "hi"}).is(403, 50013)
		bob.do("GET", path("/channels/%d/messages", r.w.General), nil).is(200)
		time.Sleep(time.Hour)
		bob.sendTo(r.w.General, obj{"content": "hi"}).is(200)
	})
}

func TestMembers(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	for range 1500 {
		if err := r.AddMember(r.w.Guild, r.AddUser(sandbox.User{Username: "extra"})); err != nil {
			t.Fatal(err)
		}
	}
	members := path("/guilds/%d/members", r.w.Guild)
	var all []sandbox.ID
	for after := sandbox.ID(0); ; after = all[len(all)-1] {
		var page []sandbox.Member
		r.do("GET", path("%s?limit=1000&after=%d", members, after), nil).is(200).into(&page)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			all = append(all, m.User.ID)
		}
	}
	equal(t, "members", len(all), 1506)
	equal(t, "sorted", slices.IsSorted(all), true)
	var one []sandbox.Member
	r.do("GET", members, nil).is(200).into(&one)
	equal(t, "one by default", len(one), 1)
	r.do("GET", members+"?limit=1001", nil).complains("limit", "NUMBER_TYPE_MAX")
	r.do("GET", members+"/search?query=ALI", nil).is(200).into(&one)
	equal(t, "found", one[0].User.ID, r.w.Alice)

	r.do("GET", path("%s/%d", members, r.w.Stranger), nil).is(404, 10007)
	r.do("GET", members+"/5", nil).is(404, 10013)
	member := func(id sandbox.ID, body obj) *answer { return r.do("PATCH", path("%s/%d", members, id), body) }
	member(r.w.Bob, obj{"nick": "0123456789012345678901234567890123"}).complains("nick", "BASE_TYPE_MAX_LENGTH")
	member(r.w.Owner, obj{"nick": "x"}).is(403, 50013)
	member(r.w.Bob, obj{"mute": true}).is(400, 40032)
	member(r.w.Bob, obj{"roles": []any{r.w.AdminRole}}).is(403, 50013)
	equal(t, "roles", len(member(r.w.Bob, obj{"roles": []any{}}).is(200).object()["roles"].([]any)), 0)

	role := func(id sandbox.ID) *answer { return r.do("PUT", path("%s/%d/roles/%d", members, r.w.Bob, id), nil) }
	role(r.w.MemberRole).is(204)
	role(r.w.MemberRole).is(204)
	role(r.w.AdminRole).is(403, 50013)
	role(r.w.BotRole).is(400, 50028)
	role(5).is(404, 10011)
	r.do("DELETE", path("%s/%d", members, r.w.Owner), nil).is(403, 50013)
	r.do("GET", path("/guilds/%d", r.w.OtherGuild), nil).is(404, 10004)
	r.do("GET", path("/guilds/%d/members", r.w.OtherGuild), nil).is(403, 50001)
	r.do("GET", path("/guilds/%d/webhooks", r.w.OtherGuild), nil).is(403, 50013)
}

func TestPagesOfThreadMembers(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	base := path("/channels/%d/thread-members", r.w.Thread)
	for query, want := range map[string][]sandbox.ID{
		"":                       {r.w.Bot, r.w.Alice},
		"?limit=1":               {r.w.Bot, r.w.Alice}, // without members there is one page
		"?with_member=1&limit=1": {r.w.Bot},
		path("?with_member=true&after=%d", r.w.Bot):   {r.w.Alice},
		path("?with_member=true&after=%d", r.w.Alice): nil,
	} {
		var list []sandbox.ThreadMember
		r.do("GET", base+query, nil).is(200).into(&list)
		var got []sandbox.ID
		for _, m := range list {
			got = append(got, m.UserID)
		}
		equal(t, "members of "+query, got, want)
	}
	r.do("GET", base+"?with_member=1&limit=101", nil).complains("limit", "NUMBER_TYPE_MAX")
}

// TestMoveOneRoleAmongAll names all roles to move one, as some libraries do.
func TestMoveOneRoleAmongAll(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	var moves []obj
	for i, id := range []sandbox.ID{r.w.Guild, r.w.ModeratorRole, r.w.MemberRole, r.w.BotRole, r.w.AdminRole} {
		moves = append(moves, obj{"id": id, "position": i})
	}
	var roles []sandbox.Role
	r.do("PATCH", path("/guilds/%d/roles", r.w.Guild), moves).is(200).into(&roles)
	for _, role := range roles {
		for i, move := range moves {
			if move["id"] == role.ID && role.Position != i {
				t.Errorf("role %s is at %d", role.Name, role.Position)
			}
		}
	}
	moves[3]["position"], moves[4]["position"] = 4, 3
	r.do("PATCH", path("/guilds/%d/roles", r.w.Guild), moves).is(403, 50013)
	r.do("PATCH", path("/guilds/%d/roles", r.w.Guild), []obj{{"id": r.w.Guild, "position": 2}}).is(400, 50028)
}

func TestReactions(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{"content": "hi"}).message()
	at := path("/channels/%d/messages/%d/reactions/", r.w.General, m.ID)
	react := func(emoji string) *answer { return r.do("PUT", at+url.PathEscape(emoji)+"/@me", nil) }
	react("👍").is(204)
	react("👍").is(204)
	react("1️⃣").is(204)
	react(path("party:%d", r.w.Emoji)).is(204)
	react("nonsense").is(400, 10014)
	react("party:5").is(400, 10014)
	got := r.do("GET", path("/channels/%d/messages/%d", r.w.General, m.ID), nil).message()
	equal(t, "reactions", len(got.Reactions), 3)
	equal(t, "count", got.Reactions[0].Count, 1)
	equal(t, "me", got.Reactions[0].Me, true)
	for i := range 17 {
		react(string(rune(0x1F600 + i))).is(204)
	}
	react("🚀").is(403, 30010)
	r.do("DELETE", at+url.PathEscape("🚀")+"/@me", nil).is(400, 10014)

	if err := r.SetOverwrite(r.w.General, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermAddReactions | sandbox.PermManageMessages}); err != nil {
		t.Fatal(err)
	}
	react("👍").is(204) // not the first with it
	react("🚀").is(403, 50013)
	r.do("DELETE", path("%s%s/%d", at, url.PathEscape("👍"), r.w.Alice), nil).is(403, 50013)
}

func TestPins(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{"content": "hi"}).message()
	r.do("PUT", path("/channels/%d/messages/pins/%d", r.w.General, m.ID), nil).is(204)
	messages := r.Messages(r.w.General)
	equal(t, "pinned", messages[0].Pinned, true)
	equal(t, "note", messages[1].Type, sandbox.MessagePinned)
	pins := r.do("GET", path("/channels/%d/messages/pins", r.w.General), nil).is(200).object()
	equal(t, "pins", len(pins["items"].([]any)), 1)
	if err := r.SetOverwrite(r.w.General, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermPinMessages}); err != nil {
		t.Fatal(err)
	}
	r.do("DELETE", path("/channels/%d/pins/%d", r.w.General, m.ID), nil).is(403, 50013)
}

func TestThreads(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	m := r.sendTo(r.w.General, obj{"content": "topic"}).message()
	from := path("/channels/%d/messages/%d/threads", r.w.General, m.ID)
	r.do("POST", from, obj{"name": ""}).complains("name", "BASE_TYPE_REQUIRED")
	r.do("POST", from, obj{"name": "t", "auto_archive_duration": 7}).complains("auto_archive_duration", "BASE_TYPE_CHOICES")
	thread := r.do("POST", from, obj{"name": "t"}).is(201).object()
	equal(t, "one id", thread["id"], any(m.ID.String()))
	equal(t, "type", thread["type"], any(11.0))
	r.do("POST", from, obj{"name": "t"}).is(400, 160004)
	got := r.do("GET", path("/channels/%d/messages/%d", r.w.General, m.ID), nil).message()
	equal(t, "flag", got.Flags&sandbox.FlagHasThread != 0, true)

	in := path("/channels/%d", m.ID)
	r.do("POST", in+"/messages", obj{"content": "reply"}).is(200)
	equal(t, "messages", r.do("GET", in, nil).object()["message_count"], any(1.0))
	r.do("PATCH", in, obj{"archived": true}).is(200)
	r.do("PUT", path("%s/thread-members/%d", in, r.w.Bob), nil).is(400, 50083)
	equal(t, "not active", len(r.do("GET", path("/guilds/%d/threads/active", r.w.Guild), nil).object()["threads"].([]any)), 1)
	r.do("POST", in+"/messages", obj{"content": "wakes it"}).is(200)
	equal(t, "active", len(r.do("GET", path("/guilds/%d/threads/active", r.w.Guild), nil).object()["threads"].([]any)), 2)
	r.do("PUT", path("/channels/%d/thread-members/@me", r.w.General), nil).is(400, 50024)

	deny := sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermSendMessagesInThreads}
	if err := r.SetOverwrite(r.w.General, deny); err != nil {
		t.Fatal(err)
	}
	r.do("POST", in+"/messages", obj{"content": "no"}).is(403, 50013)
	r.sendTo(r.w.General, obj{"content": "yes"}).is(200)

	forum := path("/channels/%d/threads", r.w.Forum)
	r.do("POST", forum, obj{"name": "p"}).complains("message", "BASE_TYPE_REQUIRED")
	r.do("POST", forum, obj{"name": "p", "message": obj{}}).is(400, 50006)
	post := r.do("POST", forum, obj{"name": "p", "message": obj{"content": "first"}}).is(201).object()
	equal(t, "one id", post["message"].(obj)["id"], post["id"])
	r.do("POST", path("/channels/%d/threads", r.w.Voice), obj{"name": "p"}).is(400, 50024)
}

func TestWebhooks(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	hooks := path("/channels/%d/webhooks", r.w.General)
	r.do("POST", hooks, obj{"name": "Captain Discord"}).complains("name", "USERNAME_INVALID_CONTAINS")
	r.do("POST", hooks, obj{}).complains("name", "BASE_TYPE_REQUIRED")
	hook := r.do("POST", hooks, obj{"name": "Captain"}).is(200).object()
	open := r.as("")
	open.do("POST", path("/webhooks/%s/wrong", hook["id"]), obj{"content": "x"}).is(401, 50027)
	open.do("POST", "/webhooks/5/wrong", obj{"content": "x"}).is(404, 10015)
	open.do("GET", path("/webhooks/%s", hook["id"]), nil).is(401)
	at := path("/webhooks/%s/%s", hook["id"], hook["token"])
	open.do("POST", at, obj{}).is(400, 50006)
	open.do("POST", at+"?wait=maybe", obj{"content": "x"}).complains("wait", "BOOLEAN_TYPE_PARSE")
	open.do("POST", at, obj{"content": "x", "thread_name": "t"}).is(400, 220003)
	content := path("<@%d> <@&%d> @everyone", r.w.Bob, r.w.MemberRole)
	m := open.do("POST", at+"?wait=true", obj{"content": content, "username": "Alter Ego"}).message()
	equal(t, "author", m.Author.Username, "Alter Ego")
	equal(t, "discriminator", m.Author.Discriminator, "0000")
	equal(t, "webhook", m.WebhookID.String(), hook["id"])
	equal(t, "only users are mentioned", []any{len(m.Mentions), len(m.MentionRoles), m.MentionEveryone}, []any{1, 0, false})
	r.do("PATCH", path("/channels/%d/messages/%d", r.w.General, m.ID), obj{"content": "x"}).is(403, 50005)
	foreign := r.sendTo(r.w.General, obj{"content": "the bot's"}).message()
	open.do("DELETE", path("%s/messages/%d", at, foreign.ID), nil).is(404, 10008)

	forum := r.do("POST", path("/channels/%d/webhooks", r.w.Forum), obj{"name": "Poster"}).is(200).object()
	at = path("/webhooks/%s/%s", forum["id"], forum["token"])
	open.do("POST", at, obj{"content": "x"}).is(400, 220001)
	post := open.do("POST", at+"?wait=true", obj{"content": "x", "thread_name": "t"}).message()
	open.do("POST", path("%s?thread_id=%d", at, post.ID), obj{"content": "more"}).is(204)
	equal(t, "in the post", len(r.Messages(post.ID)), 2)

	in := r.AddInteraction(r.w.General)
	callback := path("/interactions/%d/%s/callback", in.ID, in.Token)
	open.do("POST", callback, obj{"type": 4, "data": obj{"content": "pong"}}).is(204)
	open.do("POST", callback, obj{"type": 4, "data": obj{"content": "pong"}}).is(400, 40060)
	open.do("POST", path("/interactions/%d/wrong/callback", in.ID), obj{"type": 1}).is(404, 10062)
}

func TestEvents(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	var got []string
	cancel := r.Subscribe(func(e sandbox.Event) {
		got = append(got, e.Type)
		equal(t, "guild", e.GuildID, r.w.Guild)
		equal(t, "channel", e.ChannelID, r.w.General)
	})
	m := r.sendTo(r.w.General, obj{"content": "hi"}).message()
	at := path("/channels/%d/messages/%d", r.w.General, m.ID)
	r.do("PATCH", at, obj{"content": "ho"}).is(200)
	r.do("PUT", at+"/reactions/"+url.PathEscape("👍")+"/@me", nil).is(204)
	r.do("POST", path("/channels/%d/typing", r.w.General), nil).is(204)
	r.do("DELETE", at, nil).is(204)
	r.sendTo(r.w.General, obj{}).is(400)
	cancel()
	r.sendTo(r.w.General, obj{"content": "unheard"}).is(200)
	equal(t, "events", got, []string{"MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_REACTION_ADD", "TYPING_START", "MESSAGE_DELETE"})
}
