package sandbox_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/description"
)

// eventSchemas are the schemas of Discord's description that parts of an
// event's data have. The description has REST answers only, whose objects the
// gateway sends, too. An empty path is the data itself.
var eventSchemas = map[string]map[string]string{
	"READY":               {"user": "UserResponse"},
	"MESSAGE_CREATE":      {"": "MessageResponse"},
	"MESSAGE_UPDATE":      {"": "MessageResponse"},
	"THREAD_CREATE":       {"": "ThreadResponse"},
	"THREAD_UPDATE":       {"": "ThreadResponse"},
	"GUILD_ROLE_CREATE":   {"role": "GuildRoleResponse"},
	"GUILD_ROLE_UPDATE":   {"role": "GuildRoleResponse"},
	"GUILD_MEMBER_ADD":    {"": "GuildMemberResponse"},
	"GUILD_BAN_ADD":       {"user": "UserResponse"},
	"GUILD_MEMBERS_CHUNK": {"members": "GuildMemberResponse"},
	"GUILD_CREATE": {
		"roles": "GuildRoleResponse", "members": "GuildMemberResponse", "emojis": "EmojiResponse", "threads": "ThreadResponse",
	},
}

// checkEvent compares an event's data with what is known of its shape.
func checkEvent(t testing.TB, kind string, data json.RawMessage) {
	t.Helper()
	var d map[string]any
	if json.Unmarshal(data, &d) != nil {
		return
	}
	presences, _ := d["presences"].([]any)
	if kind == "PRESENCE_UPDATE" {
		presences = append(presences, d)
	}
	for _, p := range presences {
		p := p.(map[string]any)
		_, clients := p["client_status"].(map[string]any)
		_, activities := p["activities"].([]any)
		_, user := p["user"].(map[string]any)
		if !clients || !activities || !user {
			t.Errorf("%s has a presence %v", kind, p)
		}
	}
	d10, err := description.Load()
	if err != nil {
		t.Fatal(err)
	}
	if d10 == nil {
		return
	}
	for key, schema := range eventSchemas[kind] {
		list, isList := d[key].([]any)
		if !isList {
			if list = []any{d[key]}; key == "" {
				list = []any{d}
			}
		}
		for _, one := range list {
			b, err := json.Marshal(one)
			if err == nil {
				err = d10.Validate("openapi.json#/components/schemas/"+schema, b)
			}
			if err != nil {
				t.Errorf("%s %s: %v\n%s", kind, key, err, fmt.Sprint(one))
			}
		}
	}
}

// TestPresences: users who are online are shown in presences, and others are not.
func TestPresences(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	if err := r.SetPresence(r.w.Alice, sandbox.Presence{Status: sandbox.StatusIdle}); err != nil {
		t.Fatal(err)
	}
	c, _ := r.login(sandbox.IntentGuilds | sandbox.IntentGuildPresences | sandbox.IntentGuildMembers)
	shown := fmt.Sprint(c.event("GUILD_CREATE")["presences"])
	equal(t, "presences", shown, fmt.Sprintf(
		"[map[activities:[] client_status:map[web:online] status:online user:map[id:%d]] map[activities:[] client_status:map[web:idle] status:idle user:map[id:%d]]]", r.w.Bot, r.w.Alice))
	c.event("PRESENCE_UPDATE") // the bot's own
	if err := r.SetPresence(r.w.Alice, sandbox.Presence{Status: sandbox.StatusOffline}); err != nil {
		t.Fatal(err)
	}
	equal(t, "clients", fmt.Sprint(c.event("PRESENCE_UPDATE")["client_status"]), "map[]")
	c.send(8, obj{"guild_id": r.w.Guild, "query": "", "limit": 0, "presences": true})
	equal(t, "presences", len(c.event("GUILD_MEMBERS_CHUNK")["presences"].([]any)), 1)
}
