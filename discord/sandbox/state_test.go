package sandbox_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
)

// encode writes a state as JSON.
func encode(t *testing.T, s *sandbox.Sandbox) string {
	t.Helper()
	b, err := json.MarshalIndent(s.State(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestState copies a state with one object of each kind from one sandbox to another.
func TestState(t *testing.T) {
	now := standing()
	r := newRig(t, sandbox.Config{Unlimited: true, Now: now})
	w := r.w
	other := r.AddUser(sandbox.User{Username: "second", Bot: true})
	if err := r.AddToken("Bot second", other); err != nil {
		t.Fatal(err)
	}
	guild := r.AddGuild(sandbox.Guild{Name: "Second", OwnerID: w.Alice})
	for _, u := range []sandbox.ID{w.Bot, other} {
		if err := r.AddMember(guild, u); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SetVoiceState(sandbox.VoiceState{GuildID: w.Guild, UserID: w.Bob, ChannelID: w.Voice, SelfMute: true}); err != nil {
		t.Fatal(err)
	}
	r.AddSticker(sandbox.Sticker{Name: "wave", GuildID: w.Guild})
	r.AddSticker(sandbox.Sticker{Name: "Discord's own"})
	if err := r.SetPresence(w.Alice, sandbox.Presence{Status: sandbox.StatusIdle}); err != nil {
		t.Fatal(err)
	}
	if err := r.SetGuildAvailable(w.OtherGuild, false); err != nil {
		t.Fatal(err)
	}
	r.SetLimit(sandbox.Limit{Name: "names", Routes: []string{"GET /channels/{channel_id}"}, Limit: 1, Window: time.Hour})
	r.SetGlobalLimit(sandbox.GlobalLimit{Limit: 40})
	dm := r.do("POST", "/users/@me/channels", obj{"recipient_id": w.Alice}).is(200).object()["id"].(string)
	r.do("POST", "/channels/"+dm+"/messages", obj{"content": "hi"}).is(200)
	r.do("POST", path("/channels/%d/messages", w.General), obj{"content": "x", "components": aButton}).is(200)
	poll := r.do("POST", path("/channels/%d/messages", w.General), obj{"poll": obj{"question": obj{"text": "q"}, "answers": []obj{{"poll_media": obj{"text": "a"}}}}}).message()
	if err := r.Vote(w.General, poll.ID, w.Alice, 1); err != nil {
		t.Fatal(err)
	}
	r.do("POST", path("/channels/%d/threads", w.General), obj{"name": "private"}).is(201)
	r.do("POST", path("/applications/%d/commands", w.Bot), obj{"name": "ping", "description": "d"}).is(201)
	r.do("POST", path("/channels/%d/invites", w.General), obj{}).is(200)
	r.do("PUT", path("/guilds/%d/bans/%d", w.Guild, w.NoDMs), nil).is(204)
	r.do("PATCH", path("/guilds/%d", w.Guild), obj{"verification_level": 3}).is(200)
	r.do("POST", path("/guilds/%d/scheduled-events", w.Guild), obj{"name": "talk", "privacy_level": 2, "entity_type": 2, "scheduled_start_time": timestampAfter(r, 1e12), "channel_id": w.Voice}).is(200)
	if _, err := r.AddMembers(w.Guild, 2500); err != nil {
		t.Fatal(err)
	}
	asks, _ := r.use(sandbox.Use{Name: "ask", User: w.Bob})
	r.as("").do("POST", asks, obj{"type": 9, "data": obj{"custom_id": "form", "title": "Form", "components": []obj{{"type": 18, "label": "Which", "component": obj{
		"type": 3, "custom_id": "which", "options": []obj{{"label": "A", "value": "a"}},
	}}, {"type": 18, "label": "Why", "component": obj{"type": 4, "custom_id": "why", "style": 1, "max_length": 20}}}}}).is(204)
	waits, hook := r.use(sandbox.Use{Name: "wait"})

	var state sandbox.State
	before := encode(t, r.Sandbox)
	if err := json.Unmarshal([]byte(before), &state); err != nil {
		t.Fatal(err)
	}
	into := newRig(t, sandbox.Config{Now: now})
	if err := into.SetState(state); err != nil {
		t.Fatal(err)
	}
	if after := encode(t, into.Sandbox); after != before {
		for i := range before {
			if i >= len(after) || before[i] != after[i] {
				t.Fatalf("it differs at %q, which was %q", after[max(0, i-200):min(len(after), i+50)], before[max(0, i-200):i+50])
			}
		}
	}
	into.as("Bot second").do("GET", path("/guilds/%d", guild), nil).is(200)
	into.do("GET", path("/channels/%s/messages", dm), nil).is(200)
	into.do("GET", path("/channels/%d/messages", w.General), nil).is(200)
	into.do("GET", path("/channels/%d/messages", w.Announcement), nil).is(200)
	into.do("GET", path("/guilds/%d/members?limit=1000", w.Guild), nil).is(200)
	into.do("GET", path("/guilds/%d/voice-states/%d", w.Guild, w.Bob), nil).is(200)
	if _, err := into.Interact(sandbox.Use{Channel: w.General, CustomID: "b"}); err != nil {
		t.Error(err)
	}
	into.as("").do("POST", asks, obj{"type": 4, "data": obj{"content": "again"}}).is(400, 40060)
	into.as("").do("POST", waits, obj{"type": 4, "data": obj{"content": "waited"}}).is(204)
	into.as("").do("GET", hook+"/messages/@original", nil).is(200)
	into.use(sandbox.Use{CustomID: "form", User: w.Bob, Fields: map[string]any{"which": "a", "why": "because"}})
	into.do("GET", path("/channels/%d", w.General), nil).is(200)
	into.do("GET", path("/channels/%d", w.General), nil).is(429)
	log := into.do("GET", path("/guilds/%d/audit-logs?action_type=22", w.Guild), nil).is(200).object()["audit_log_entries"].([]any)
	if len(log) != 1 || log[0].(obj)["target_id"] != w.NoDMs.String() {
		t.Errorf("the audit log has the bans %v", log)
	}
	m := into.do("POST", path("/channels/%d/messages", w.General), obj{"content": "new"}).message()
	if m.ID <= poll.ID {
		t.Errorf("the new message has the id %d", m.ID)
	}
}

// TestStateByHand reads small states, and states with mistakes.
func TestStateByHand(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	set := func(text string) error {
		t.Helper()
		var state sandbox.State
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			t.Fatal(err)
		}
		return r.SetState(state)
	}
	const small = `{"users": [{"id": "1", "username": "bot", "bot": true}, {"id": "2", "username": "ann"}],
		"guilds": [{"id": "10", "name": "G", "owner_id": "2", "members": [{"user": "1"}, {"user": "2"}], "channels": [{"id": "11", "name": "c"}]}],
		"messages": [{"channel_id": "11", "content": "hi", "author": {"id": "2"}}]}`
	if err := set(small); err != nil {
		t.Fatal(err)
	}
	var list []obj
	r.do("GET", "/channels/11/messages", nil).is(200).into(&list)
	equal(t, "author", list[0]["author"].(obj)["username"], any("ann"))
	r.do("GET", path("/channels/%d", r.w.General), nil).is(404, 10003)
	for _, wrong := range []string{
		`{}`, `{"users": [{"username": "x", "bot": true}]}`, `{"users": [{"id": "1", "username": "x"}]}`,
		`{"users": [{"id": "1", "bot": true}], "guilds": [{"id": "2", "members": [{"user": "3"}]}]}`,
		`{"users": [{"id": "1", "bot": true}], "guilds": [{"id": "2", "members": [{"user": "1", "roles": ["9"]}]}]}`,
		`{"users": [{"id": "1", "bot": true}], "messages": [{"channel_id": "3"}]}`,
		`{"users": [{"id": "1", "bot": true}], "guilds": [{"id": "2", "channels": [{"id": "5", "type": 11, "parent_id": "6"}]}]}`,
		`{"users": [{"id": "1", "bot": true}], "webhooks": [{"id": "2", "channel_id": "3"}]}`,
		`{"users": [{"id": "1", "bot": true}], "interactions": [{"id": "2", "token": "t", "type": 2, "application_id": "1", "user": "1", "channel_id": "3"}]}`,
	} {
		if err := set(wrong); err == nil {
			t.Errorf("accepted %s", wrong)
		}
	}
	r.do("GET", "/channels/11", nil).is(200) // a mistake changes nothing
	r.Reset()
	r.do("GET", path("/channels/%d", r.w.General), nil).is(200)
	if ids, err := r.AddMembers(r.w.Guild, 0); err == nil {
		t.Error(fmt.Sprint(ids))
	}
}
