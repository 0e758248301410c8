package gateway_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord/gateway"
)

// everythingOf returns Guilds that keep all, after READY names guilds 1 and 2.
func everythingOf(t testing.TB, limit int64, exceeded *int) *gateway.Guilds {
	t.Helper()
	g := gateway.NewGuilds(gateway.IntentsAll)
	g.KeepAll(limit, func() { *exceeded++ })
	g.Changed(gateway.Status{State: gateway.Connected, Ready: json.RawMessage(`{"guilds":[{"id":"1","unavailable":true},{"id":"2","unavailable":true}]}`)})
	return g
}

// create is a GUILD_CREATE with channels and members, their ids from 100 and 1000 on.
func create(guild, channels, members int) string {
	var c, m []string
	for i := range channels {
		c = append(c, fmt.Sprintf(`{"id":"%d","type":0,"name":"c%d"}`, 100+i, i))
	}
	for i := range members {
		m = append(m, fmt.Sprintf(`{"user":{"id":"%d","username":"u%d"},"roles":[]}`, 1000+i, i))
	}
	return fmt.Sprintf(`{"id":"%d","name":"g","roles":[{"id":"%d","name":"@everyone"},{"id":"7","name":"r"}],"emojis":[],"channels":[%s],"members":[%s],"member_count":%d,`+
		`"threads":[{"id":"50","parent_id":"100","name":"t"}],"voice_states":[{"user_id":"1001","channel_id":"101"}],"presences":[{"user":{"id":"1000"}}],`+
		`"joined_at":"2026-01-01T00:00:00Z","large":false,"stage_instances":[],"guild_scheduled_events":[{"id":"60"}],"soundboard_sounds":[{"sound_id":"70"}]}`,
		guild, guild, strings.Join(c, ","), strings.Join(m, ","), members)
}

// contents are the ids in the lists of a GUILD_CREATE, in order.
func contents(t testing.TB, data json.RawMessage, list string) []string {
	t.Helper()
	var fields map[string]json.RawMessage
	var elements []struct {
		ID      string
		UserID  string `json:"user_id"`
		SoundID string `json:"sound_id"`
		User    struct{ ID string }
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(fields[list], &elements); err != nil || elements == nil {
		t.Fatalf("%s: %s, %v", list, fields[list], err)
	}
	ids := []string{}
	for _, e := range elements {
		ids = append(ids, e.ID+e.UserID+e.SoundID+e.User.ID)
	}
	slices.Sort(ids)
	return ids
}

// TestKeepAll: events change what a GUILD_CREATE of the guild would be.
func TestKeepAll(t *testing.T) {
	g := everythingOf(t, 1<<20, new(int))
	if g.Settled() {
		t.Error("settled before a GUILD_CREATE")
	}
	dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
	dispatch("GUILD_CREATE", create(1, 2, 3))
	dispatch("GUILD_DELETE", `{"id":"2","unavailable":true}`)
	if !g.Settled() {
		t.Error("not settled after all guilds")
	}
	snapshot := g.Snapshot()
	if len(snapshot.Guilds) != 2 || !snapshot.Guilds[0].Available() || snapshot.Guilds[1].Available() || !snapshot.Guilds[0].Complete {
		t.Fatalf("the snapshot is %+v", snapshot)
	}
	for _, tt := range []struct {
		kind, data, list string
		want             []string
	}{
		{"", "", "channels", []string{"100", "101"}},
		{"", "", "roles", []string{"1", "7"}},
		{"", "", "presences", []string{}},
		{"", "", "voice_states", []string{"1001"}},
		{"", "", "soundboard_sounds", []string{"70"}},
		{"THREAD_CREATE", `{"id":"51","guild_id":"1","parent_id":"101"}`, "threads", []string{"50", "51"}},
		{"THREAD_UPDATE", `{"id":"50","guild_id":"1","parent_id":"100","thread_metadata":{"archived":true}}`, "threads", []string{"51"}},
		{"THREAD_UPDATE", `{"id":"50","guild_id":"1","parent_id":"100","thread_metadata":{"archived":false}}`, "threads", []string{"50", "51"}},
		{"THREAD_LIST_SYNC", `{"guild_id":"1","channel_ids":["101"],"threads":[{"id":"52","parent_id":"101"}],"members":[{"id":"52","user_id":"9"}]}`, "threads", []string{"50", "52"}},
		{"CHANNEL_DELETE", `{"id":"101","guild_id":"1"}`, "threads", []string{"50"}},
		{"THREAD_LIST_SYNC", `{"guild_id":"1","threads":[]}`, "threads", []string{}},
		{"GUILD_MEMBER_ADD", `{"guild_id":"1","user":{"id":"1003"}}`, "members", []string{"1000", "1001", "1002", "1003"}},
		{"GUILD_MEMBER_REMOVE", `{"guild_id":"1","user":{"id":"1000"}}`, "members", []string{"1001", "1002", "1003"}},
		{"GUILD_MEMBERS_CHUNK", `{"guild_id":"1","members":[{"user":{"id":"1009"}}]}`, "members", []string{"1001", "1002", "1003", "1009"}},
		{"VOICE_STATE_UPDATE", `{"guild_id":"1","user_id":"1002","channel_id":"100"}`, "voice_states", []string{"1001", "1002"}},
		{"VOICE_STATE_UPDATE", `{"guild_id":"1","user_id":"1001","channel_id":null}`, "voice_states", []string{"1002"}},
		{"STAGE_INSTANCE_CREATE", `{"guild_id":"1","id":"80"}`, "stage_instances", []string{"80"}},
		{"STAGE_INSTANCE_DELETE", `{"guild_id":"1","id":"80"}`, "stage_instances", []string{}},
		{"GUILD_SCHEDULED_EVENT_CREATE", `{"guild_id":"1","id":"61"}`, "guild_scheduled_events", []string{"60", "61"}},
		{"GUILD_SOUNDBOARD_SOUND_DELETE", `{"guild_id":"1","sound_id":"70"}`, "soundboard_sounds", []string{}},
		{"GUILD_ROLE_DELETE", `{"guild_id":"1","role_id":"7"}`, "roles", []string{"1"}},
		{"GUILD_MEMBER_ADD", `{"guild_id":"404","user":{"id":"5"}}`, "members", []string{"1001", "1002", "1003", "1009"}},
		{"GUILD_MEMBER_ADD", `[]`, "members", []string{"1001", "1002", "1003", "1009"}},
	} {
		if tt.kind != "" {
			dispatch(tt.kind, tt.data)
		}
		now := g.GuildSnapshot(1)
		if got := contents(t, now.Create(1, true, nil), tt.list); !slices.Equal(got, tt.want) {
			t.Errorf("after %s %s, %s are %v, want %v", tt.kind, tt.data, tt.list, got, tt.want)
		}
	}
	dispatch("GUILD_MEMBER_UPDATE", `{"guild_id":"1","user":{"id":"1001","username":"u1"},"nick":"n"}`)
	now := g.GuildSnapshot(1)
	if members, _ := now.MembersOf([]uint64{1001}); !strings.Contains(string(members[0]), `"nick":"n"`) || !strings.Contains(string(members[0]), `"roles":[]`) {
		t.Errorf("an update of a member makes it %s", members[0])
	}
	if got := contents(t, now.Create(1001, false, nil), "members"); !slices.Equal(got, []string{"1001", "1002"}) { // itself, and who is in voice
		t.Errorf("without members there are %v", got)
	}
	first := snapshot.Guilds[0]
	if got := contents(t, first.Create(1, true, nil), "members"); !slices.Equal(got, []string{"1000", "1001", "1002"}) {
		t.Errorf("the snapshot has changed to %v", got)
	}
	dispatch("GUILD_DELETE", `{"id":"1"}`)
	if left := g.Snapshot().Guilds; len(left) != 1 {
		t.Errorf("after the guild was left there are %v", left)
	}
}

// TestKeepAllThreadMembers: a GUILD_CREATE says which threads the bot has joined. In
// THREAD_MEMBERS_UPDATE, its own membership comes with that of others.
func TestKeepAllThreadMembers(t *testing.T) {
	g := everythingOf(t, 1<<20, new(int))
	dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
	g.Changed(gateway.Status{State: gateway.Connected, Ready: json.RawMessage(`{"user":{"id":"9"},"guilds":[{"id":"1"}]}`)})
	dispatch("GUILD_CREATE", create(1, 1, 1))
	for _, tt := range []struct{ data, want string }{
		{`{"id":"50","guild_id":"1","member_count":2,"added_members":[{"id":"50","user_id":"8"}]}`, `"member_count":2,"name":"t"`},
		{
			`{"id":"50","guild_id":"1","member_count":4,"added_members":[{"id":"50","user_id":"7"},{"id":"50","user_id":"9","flags":1,"member":{"nick":"n"},"presence":null}]}`,
			`"member":{"flags":1,"id":"50","user_id":"9"},"member_count":4,"name":"t"`,
		},
		{"", `"member":{"flags":1,"id":"50","user_id":"9"},"member_count":4,"name":"t"`},
		{`{"id":"50","guild_id":"1","member_count":3,"removed_member_ids":["8"]}`, `"member":{"flags":1,"id":"50","user_id":"9"},"member_count":3,"name":"t"`},
		{`{"id":"50","guild_id":"1","removed_member_ids":["7","9"]}`, `"id":"50","member_count":3,"name":"t"`},
		{`{"id":"51","guild_id":"1","member_count":1,"added_members":[{"id":"51","user_id":"9"}]}`, `"id":"50","member_count":3,"name":"t"`}, // not known
		{`{"id":"50","guild_id":"1","added_members":5}`, `"id":"50","member_count":3,"name":"t"`},
	} {
		if tt.data == "" {
			dispatch("THREAD_CREATE", `{"id":"50","guild_id":"1","parent_id":"100","name":"t"}`)
		} else {
			dispatch("THREAD_MEMBERS_UPDATE", tt.data)
		}
		now := g.GuildSnapshot(1)
		var created struct {
			Threads []json.RawMessage `json:"threads"`
		}
		if err := json.Unmarshal(now.Create(9, true, nil), &created); err != nil || len(created.Threads) != 1 || !strings.Contains(string(created.Threads[0]), tt.want) {
			t.Errorf("after %s the threads are %s, want %s, %v", tt.data, created.Threads, tt.want, err)
		}
	}
}

// TestKeepAllOwnUser: a bot that connects later has the name that the bot has then.
func TestKeepAllOwnUser(t *testing.T) {
	g := everythingOf(t, 1<<20, new(int))
	dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
	g.Changed(gateway.Status{State: gateway.Connected, Ready: json.RawMessage(`{"v":10,"user":{"id":"9","username":"old","bot":true},"guilds":[{"id":"1"}]}`)})
	before := g.Snapshot().Ready
	dispatch("USER_UPDATE", `{"id":"8","username":"another"}`)
	dispatch("USER_UPDATE", `{"id":"9","username":"new"}`)
	if got := string(g.Snapshot().Ready); got != `{"guilds":[{"id":"1"}],"user":{"bot":true,"id":"9","username":"new"},"v":10}` {
		t.Errorf("READY is %s", got)
	}
	if !strings.Contains(string(before), "old") {
		t.Errorf("the snapshot has changed to %s", before)
	}
	stored := false
	for _, part := range g.Export() {
		stored = stored || strings.Contains(string(part), `"username":"new"`)
	}
	if !stored {
		t.Error("the change is not stored")
	}
}

// TestKeepAllBound: objects that do not fit are left out and reported once; deleted
// objects free space for new ones.
func TestKeepAllBound(t *testing.T) {
	exceeded := 0
	g := everythingOf(t, 20_000, &exceeded)
	dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
	for range 10 { // again and again takes no more
		dispatch("GUILD_CREATE", create(1, 10, 50))
	}
	if one := g.GuildSnapshot(1); one.Members != 50 || exceeded != 0 {
		t.Fatalf("%d members, exceeded %d times", one.Members, exceeded)
	}
	dispatch("GUILD_CREATE", create(2, 10, 500))
	two := g.GuildSnapshot(2)
	if !two.Available() || two.Members < 10 || two.Members > 100 || two.Complete || exceeded != 1 {
		t.Errorf("%d members, exceeded %d times", two.Members, exceeded)
	}
	dispatch("GUILD_CREATE", create(3, 400, 1))
	if three := g.GuildSnapshot(3); three.Available() || exceeded != 1 {
		t.Errorf("a guild that does not fit: %+v, exceeded %d times", three, exceeded)
	}
	if n := len(g.Snapshot().Guilds); n != 3 {
		t.Errorf("%d guilds are known", n)
	}
	dispatch("GUILD_DELETE", `{"id":"2"}`)
	dispatch("GUILD_MEMBER_ADD", `{"guild_id":"1","user":{"id":"9999"}}`)
	if one := g.GuildSnapshot(1); one.Members != 51 {
		t.Errorf("%d members after another guild has gone", one.Members)
	}
}

// TestKeepAllBoundOfChanges: a guild that grows by changes is bounded as one that comes.
// Its members are dropped for that, and if it does not fit without them, the guild is.
func TestKeepAllBoundOfChanges(t *testing.T) {
	const limit = 50_000
	text := strings.Repeat("x", 2000)
	for _, tt := range []struct{ kind, data string }{
		{"CHANNEL_CREATE", `{"id":"%d","guild_id":"1","topic":"` + text + `"}`},
		{"CHANNEL_UPDATE", `{"id":"%d","guild_id":"1","topic":"` + text + `"}`},
		{"GUILD_ROLE_CREATE", `{"guild_id":"1","role":{"id":"%d","name":"` + text + `"}}`},
		{"GUILD_ROLE_UPDATE", `{"guild_id":"1","role":{"id":"%d","name":"` + text + `"}}`},
		{"GUILD_UPDATE", `{"id":"1","name":"g","%d":"` + text + `"}`},
		{"GUILD_EMOJIS_UPDATE", `{"guild_id":"1","emojis":["%d` + strings.Repeat(text, 20) + `"]}`},
		{"GUILD_STICKERS_UPDATE", `{"guild_id":"1","stickers":["%d` + strings.Repeat(text, 20) + `"]}`},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			exceeded := 0
			g := everythingOf(t, limit, &exceeded)
			dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
			dispatch("GUILD_CREATE", create(1, 1, 150))
			members := 150
			for i := range 2 * limit / len(text) {
				dispatch(tt.kind, fmt.Sprintf(tt.data, 10_000+i))
				one := g.GuildSnapshot(1)
				if !one.Available() {
					break
				}
				if n := len(one.Create(1, true, nil)); n > limit {
					t.Fatalf("after %d changes, %d of %d bytes are kept", i+1, n, limit)
				}
				members = one.Members
			}
			if members == 150 || exceeded != 1 {
				t.Errorf("%d members, exceeded %d times", members, exceeded)
			}
		})
	}
	exceeded := 0
	g := everythingOf(t, limit, &exceeded)
	dispatch := func(kind, data string) { g.Dispatch(gateway.Dispatch{Type: kind, Data: json.RawMessage(data)}) }
	dispatch("GUILD_CREATE", create(1, 1, 10))
	dispatch("GUILD_CREATE", create(2, 1, 10))
	for range 100 { // again and again takes no more, and what is deleted frees its space
		dispatch("CHANNEL_CREATE", `{"id":"8","guild_id":"1","topic":"`+text+`"}`)
		dispatch("CHANNEL_UPDATE", `{"id":"8","guild_id":"1","topic":"`+text+`"}`)
		dispatch("CHANNEL_DELETE", `{"id":"8","guild_id":"1"}`)
		dispatch("GUILD_ROLE_CREATE", `{"guild_id":"1","role":{"id":"8","name":"`+text+`"}}`)
		dispatch("GUILD_ROLE_DELETE", `{"guild_id":"1","role_id":"8"}`)
	}
	if one := g.GuildSnapshot(1); one.Members != 10 || exceeded != 0 {
		t.Errorf("%d members, exceeded %d times", one.Members, exceeded)
	}
	dispatch("GUILD_EMOJIS_UPDATE", `{"guild_id":"1","emojis":["`+strings.Repeat(text, 30)+`"]}`)
	if one := g.GuildSnapshot(1); one.Available() || exceeded != 1 {
		t.Errorf("a guild that does not fit is available: %t, exceeded %d times", one.Available(), exceeded)
	}
	if two := g.GuildSnapshot(2); two.Members != 10 {
		t.Errorf("the other guild has %d members", two.Members)
	}
	dispatch("GUILD_CREATE", create(1, 1, 10))
	if one := g.GuildSnapshot(1); one.Members != 10 {
		t.Errorf("%d members in the guild that fits again", one.Members)
	}
}

// BenchmarkKeepAll shows the memory of 100 guilds with 500 channels and 500 members
// each: with what bots need, and without.
func BenchmarkKeepAll(b *testing.B) {
	for name, all := range map[string]bool{"on": true, "off": false} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				g := gateway.NewGuilds(gateway.IntentsAll)
				exceeded := 0
				if all {
					g.KeepAll(150<<20, func() { exceeded++ })
				}
				g.Changed(gateway.Status{State: gateway.Connected})
				before := inUse()
				for i := range 100 {
					g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: realistic(i)})
				}
				b.ReportMetric(float64(inUse()-before)/(1<<20), "MiB")
				if exceeded > 0 {
					b.Error("it does not fit")
				}
				runtime.KeepAlive(g)
			}
		})
	}
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// realistic is a GUILD_CREATE whose channels and members are as large as Discord's.
func realistic(i int) json.RawMessage {
	var c, m []string
	for n := range 500 {
		c = append(c, fmt.Sprintf(`{"version":1764000000000,"type":0,"topic":"what this channel is for, in a sentence or two as people write","rate_limit_per_user":0,"position":%[1]d,`+
			`"permission_overwrites":[{"type":0,"id":"11000000000000%05[1]d","deny":"1024","allow":"0"},{"type":0,"id":"12000000000000%05[1]d","deny":"0","allow":"1024"}],`+
			`"parent_id":"13000000000000%05[1]d","name":"a-channel-%[1]d","last_message_id":"14000000000000%05[1]d","id":"1%03[2]d0000000000%05[1]d","icon_emoji":{"name":"👍","id":null},"flags":0}`, n, i))
		m = append(m, fmt.Sprintf(`{"user":{"username":"somebody%05[1]d","public_flags":0,"primary_guild":null,"id":"2%03[2]d0000000000%05[1]d","global_name":"Some Body %[1]d","display_name_styles":null,"discriminator":"0","collectibles":null,"bot":false,`+
			`"avatar_decoration_data":null,"avatar":"0123456789abcdef0123456789abcdef"},"roles":["11000000000000%05[1]d","12000000000000%05[1]d"],"premium_since":null,"pending":false,"nick":null,"mute":false,"joined_at":"2024-01-02T03:04:05.678000+00:00",`+
			`"flags":0,"deaf":false,"communication_disabled_until":null,"banner":null,"avatar":null}`, n, i))
	}
	return json.RawMessage(fmt.Sprintf(`{"id":"9%03d","name":"g","roles":[],"emojis":[],"stickers":[],"member_count":500,"channels":[%s],"members":[%s]}`, i, strings.Join(c, ","), strings.Join(m, ",")))
}
