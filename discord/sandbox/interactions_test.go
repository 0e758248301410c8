package sandbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

// use simulates an interaction of a user with the bot.
func (r *rig) use(u sandbox.Use) (callback, webhook string) {
	r.t.Helper()
	if u.Channel == 0 {
		u.Channel = r.w.General
	}
	in, err := r.Interact(u)
	if err != nil {
		r.t.Fatal(err)
	}
	return path("/interactions/%d/%s/callback", in.ID, in.Token), path("/webhooks/%d/%s", in.ApplicationID, in.Token)
}

// TestEphemeralMessages: the routes of a channel return no ephemeral message.
func TestEphemeralMessages(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	list := path("/channels/%d/messages", r.w.General)
	first := r.do("POST", list, obj{"content": "first"}).message()
	callback, hook := r.use(sandbox.Use{})
	r.as("").do("POST", callback, obj{"type": 4, "data": obj{"content": "for you", "flags": 64}}).is(204)
	hidden := r.as("").do("GET", hook+"/messages/@original", nil).is(200).message()
	last := r.do("POST", list, obj{"content": "last"}).message()
	for _, query := range []string{"", "?limit=2", path("?after=%d", first.ID-1), path("?before=%d", last.ID+1), path("?around=%d", hidden.ID)} {
		var found []sandbox.Message
		r.do("GET", list+query, nil).is(200).into(&found)
		if len(found) != 2 || found[0].ID != last.ID || found[1].ID != first.ID {
			t.Errorf("messages%s: %+v", query, found)
		}
	}
	r.do("GET", path("%s/%d", list, hidden.ID), nil).is(404, 10008)
	r.do("DELETE", path("%s/%d", list, hidden.ID), nil).is(404, 10008)
	r.as("").do("PATCH", path("%s/messages/%d", hook, hidden.ID), obj{"content": "edited"}).is(200)
}

// answering returns the interaction that a callback's path answers.
func answering(callback string) sandbox.ID {
	id, _ := sandbox.ParseID(strings.Split(callback, "/")[2])
	return id
}

// aButton is an action row with the button "b".
var aButton = []obj{{"type": 1, "components": []obj{{"type": 2, "style": 1, "label": "B", "custom_id": "b"}}}}

// standing is a clock that only Advance moves.
func standing() func() time.Time {
	start := time.Now()
	return func() time.Time { return start }
}

func TestInteractionIsDispatched(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(0)
	command := r.do("POST", path("/applications/%d/commands", r.w.Bot), obj{"name": "roll", "description": "rolls a die"}).is(201).object()
	r.use(sandbox.Use{Name: "roll", User: r.w.Bob, Options: []byte(`[{"name":"sides","type":4,"value":6}]`)})
	d := c.event("INTERACTION_CREATE")
	equal(t, "type", d["type"], any(2.0))
	equal(t, "application", d["application_id"], any(r.w.Bot.String()))
	equal(t, "command", d["data"].(obj)["id"], command["id"])
	equal(t, "options", fmt.Sprint(d["data"].(obj)["options"]), "[map[name:sides type:4 value:6]]")
	equal(t, "member", d["member"].(obj)["user"].(obj)["username"], any("bob"))
	equal(t, "guild", d["guild_id"], any(r.w.Guild.String()))

	r.use(sandbox.Use{Name: "roll", Options: fmt.Appendf(nil, `[{"name":"for","type":1,"options":[{"name":"who","type":9,"value":"%d"},{"name":"where","type":7,"value":"%d"},{"name":"as","type":8,"value":"%d"},{"name":"nobody","type":6,"value":"5"}]}]`, r.w.Bob, r.w.General, r.w.Guild)})
	found := c.event("INTERACTION_CREATE")["data"].(obj)["resolved"].(obj)
	bob := r.w.Bob.String()
	equal(t, "user", found["users"].(obj)[bob].(obj)["username"], any("bob"))
	equal(t, "user of a member", found["members"].(obj)[bob].(obj)["user"], nil)
	equal(t, "channel", found["channels"].(obj)[r.w.General.String()].(obj)["name"], any("general"))
	equal(t, "role", found["roles"].(obj)[r.w.Guild.String()].(obj)["name"], any("@everyone"))
	equal(t, "users", len(found["users"].(obj)), 1)

	dm := r.do("POST", "/users/@me/channels", obj{"recipient_id": r.w.Alice}).is(200).object()["id"].(string)
	channel, _ := sandbox.ParseID(dm)
	r.use(sandbox.Use{Channel: channel})
	d = c.event("INTERACTION_CREATE")
	equal(t, "user", d["user"].(obj)["username"], any("alice"))
	if d["guild_id"] != nil {
		t.Errorf("a direct message of guild %v", d["guild_id"])
	}

	m := r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "press", "components": aButton}).message()
	r.use(sandbox.Use{Type: sandbox.InteractionComponent, CustomID: "b", Message: m.ID})
	d = c.event("INTERACTION_CREATE")
	equal(t, "message", d["message"].(obj)["content"], any("press"))
	for _, wrong := range []sandbox.Use{{Channel: 5}, {Channel: r.w.General, User: 5}, {Channel: r.w.General, Type: 9}} {
		if _, err := r.Interact(wrong); err == nil {
			t.Errorf("accepted %+v", wrong)
		}
	}
}

func TestInteractionCallbacks(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true, Now: standing()})
	open := r.as("")
	original := "/messages/@original"

	// A promise is kept by the first further answer, or by editing it.
	callback, hook := r.use(sandbox.Use{})
	open.do("POST", hook, obj{"content": "too early"}).is(404, 10015)
	open.do("POST", callback, obj{"type": 5, "data": obj{"flags": 64}}).is(204)
	equal(t, "promise", open.do("GET", hook+original, nil).message().Flags, 1<<7|1<<6)
	open.do("POST", callback, obj{"type": 4, "data": obj{"content": "twice"}}).is(400, 40060)
	kept := open.do("POST", hook, obj{"content": "kept"}).message()
	shown := open.do("GET", hook+original, nil).message()
	equal(t, "kept", shown.ID, kept.ID)
	equal(t, "kept", shown.Content, "kept")
	equal(t, "private", shown.Flags, 1<<6)
	more := open.do("POST", hook, obj{"content": "more"}).message()
	open.do("PATCH", path("%s/messages/%d", hook, more.ID), obj{"content": "most"}).is(200)
	equal(t, "messages", len(r.Messages(r.w.General)), 2)
	callback, hook = r.use(sandbox.Use{})
	open.do("POST", callback, obj{"type": 5}).is(204)
	equal(t, "edited", open.do("PATCH", hook+original, obj{"content": "kept"}).message().Flags, 0)
	open.do("DELETE", hook+original, nil).is(204)
	open.do("GET", hook+original, nil).is(404, 10008)

	// With an answer to the answer.
	callback, _ = r.use(sandbox.Use{Name: "ping"})
	out := open.do("POST", callback+"?with_response=true", obj{"type": 4, "data": obj{"content": "pong"}}).is(200).object()
	m := out["resource"].(obj)["message"].(obj)
	equal(t, "content", m["content"], any("pong"))
	equal(t, "type", m["type"], any(20.0))
	equal(t, "name", m["interaction_metadata"].(obj)["name"], any("ping"))

	// Buttons change their message.
	pressed := r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "press", "components": aButton}).message()
	button := sandbox.Use{Type: sandbox.InteractionComponent, CustomID: "b", Message: pressed.ID}
	callback, hook = r.use(button)
	open.do("POST", callback, obj{"type": 7, "data": obj{"content": "pressed"}}).is(204)
	equal(t, "message", open.do("GET", hook+original, nil).message().Content, "pressed")
	callback, hook = r.use(button)
	open.do("POST", callback, obj{"type": 6}).is(204)
	open.do("PATCH", hook+original, obj{"content": "again"}).is(200)
	equal(t, "message", r.Messages(r.w.General)[3].Content, "again")

	// Not every answer fits.
	callback, _ = r.use(sandbox.Use{})
	open.do("POST", callback, obj{"type": 7, "data": obj{"content": "x"}}).complains("type", "BASE_TYPE_CHOICES")
	open.do("POST", callback, obj{"type": 4, "data": obj{}}).is(400, 50006)
	open.do("POST", callback, obj{"type": 9, "data": obj{"title": "t"}}).complains("data.custom_id", "BASE_TYPE_REQUIRED")
	open.do("POST", callback, obj{"type": 9, "data": obj{"title": "t", "custom_id": "c", "components": []obj{{"type": 10, "content": "x"}}}}).is(204)
	callback, _ = r.use(sandbox.Use{Type: sandbox.InteractionAutocomplete})
	open.do("POST", callback, obj{"type": 8, "data": obj{}}).complains("data.choices", "BASE_TYPE_REQUIRED")
	open.do("POST", callback, obj{"type": 8, "data": obj{"choices": []obj{{"name": "a", "value": 1}}}}).is(204)
	in, err := r.Answer(answering(callback))
	if err != nil || in.Answer != 8 || len(in.Choices) != 1 || in.Choices[0].Name != "a" {
		t.Errorf("an autocompletion was answered with %+v, %v", in, err)
	}

	// Three seconds, and fifteen minutes.
	callback, _ = r.use(sandbox.Use{})
	r.Advance(3*time.Second + time.Millisecond)
	open.do("POST", callback, obj{"type": 5}).is(404, 10062)
	callback, hook = r.use(sandbox.Use{})
	open.do("POST", callback, obj{"type": 5}).is(204)
	r.Advance(14 * time.Minute)
	open.do("PATCH", hook+original, obj{"content": "late"}).is(200)
	r.Advance(time.Minute + time.Second)
	open.do("PATCH", hook+original, obj{"content": "later"}).is(401, 50027)
}

func TestCommands(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	commands := path("/applications/%d/commands", r.w.Bot)
	guild := path("/applications/%d/guilds/%d/commands", r.w.Bot, r.w.Guild)
	r.do("GET", path("/applications/%d/commands", r.w.OtherBot), nil).is(403, 20012)
	r.do("GET", path("/applications/%d/guilds/%d/commands", r.w.Bot, r.w.OtherGuild), nil).is(403, 50001)

	first := r.do("POST", commands, obj{"name": "ping", "description": "d"}).is(201).object()
	same := r.do("POST", commands, obj{"name": "ping", "description": "e"}).is(200).object()
	equal(t, "id of the same name", same["id"], first["id"])
	var list []obj
	r.do("PUT", commands, []obj{{"name": "pong", "description": "d"}, {"name": "ping", "description": "f"}}).is(200).into(&list)
	equal(t, "id of the same name", list[1]["id"], first["id"])
	r.do("PATCH", path("%s/%s", commands, list[1]["id"]), obj{"name": "pong"}).complains("name", "APPLICATION_COMMANDS_DUPLICATE_NAME")
	r.do("GET", path("%s/%s", guild, list[1]["id"]), nil).is(404, 10063)
	r.do("PUT", commands, []obj{}).is(200).into(&list)
	equal(t, "commands", len(list), 0)

	option := func(more obj) obj {
		o := obj{"type": 3, "name": "o", "description": "d"}
		for k, v := range more {
			o[k] = v
		}
		return o
	}
	for _, test := range []struct {
		command    obj
		path, code string
	}{
		{obj{"description": "d"}, "name", "BASE_TYPE_REQUIRED"},
		{obj{"name": "Ping", "description": "d"}, "name", "APPLICATION_COMMAND_INVALID_NAME"},
		{obj{"name": "a b", "description": "d"}, "name", "APPLICATION_COMMAND_INVALID_NAME"},
		{obj{"name": strings.Repeat("a", 33), "description": "d"}, "name", "BASE_TYPE_BAD_LENGTH"},
		{obj{"name": "a"}, "description", "BASE_TYPE_REQUIRED"},
		{obj{"name": "a", "type": 2, "description": "d"}, "description", "BASE_TYPE_MAX_LENGTH"},
		{obj{"name": "a", "type": 7}, "type", "BASE_TYPE_CHOICES"},
		{obj{"name": "a", "description": "d", "options": make([]obj, 26)}, "options", "BASE_TYPE_MAX_LENGTH"},
		{obj{"name": "a", "description": "d", "options": []obj{option(obj{"type": 12})}}, "options.0.type", "BASE_TYPE_CHOICES"},
		{obj{"name": "a", "description": "d", "options": []obj{option(nil), option(nil)}}, "options.1.name", "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"},
		{obj{"name": "a", "description": "d", "options": []obj{option(nil), option(obj{"name": "p", "required": true})}}, "options.1", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"},
		{obj{"name": "a", "description": "d", "options": []obj{option(obj{"choices": []obj{{"name": "n"}}})}}, "options.0.choices.0.value", "BASE_TYPE_REQUIRED"},
		{obj{"name": "a", "description": "d", "options": []obj{option(obj{"options": []obj{option(nil)}})}}, "options.0.type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID"},
	} {
		r.do("POST", commands, test.command).complains(test.path, test.code)
		r.do("PUT", guild, []obj{test.command}).complains("0."+test.path, test.code)
	}
	r.do("PUT", guild, []obj{{"name": "a", "description": "d"}, {"name": "a", "description": "d"}}).complains("1", "APPLICATION_COMMANDS_DUPLICATE_NAME")
	var many []obj
	for i := range 101 {
		many = append(many, obj{"name": fmt.Sprint("c", i), "description": "d"})
	}
	r.do("PUT", guild, many).is(400, 30032)
	r.do("PUT", guild, many[:100]).is(200)
	r.do("POST", guild, many[100]).is(400, 30032)
}

func TestGuildBans(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	c, _ := r.login(sandbox.IntentGuildModeration | sandbox.IntentGuildMembers)
	bans := path("/guilds/%d/bans", r.w.Guild)
	r.do("PUT", path("%s/%d", bans, r.w.Owner), nil).is(403, 50013)
	r.do("PUT", bans+"/5", nil).is(404, 10013)
	r.do("PUT", path("%s/%d", bans, r.w.Bob), obj{"delete_message_seconds": 604801}).complains("delete_message_seconds", "NUMBER_TYPE_MAX")
	r.do("PUT", path("%s/%d", bans, r.w.Bob), nil).is(204)
	c.event("GUILD_MEMBER_REMOVE")
	equal(t, "banned", c.event("GUILD_BAN_ADD")["user"].(obj)["username"], any("bob"))
	r.do("PUT", path("%s/%d", bans, r.w.Stranger), nil).is(204)
	c.event("GUILD_BAN_ADD")
	var list []obj
	r.do("GET", path("%s?after=%d", bans, r.w.Bob), nil).is(200).into(&list)
	equal(t, "bans after Bob's", len(list), 1)
	r.do("DELETE", path("%s/%d", bans, r.w.Bob), nil).is(204)
	c.event("GUILD_BAN_REMOVE")
	r.do("GET", path("%s/%d", bans, r.w.Bob), nil).is(404, 10026)
}
