package gateway_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/gateway"
)

const guildIntents = gateway.IntentGuilds | gateway.IntentGuildExpressions

func TestGuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateway.NewGuilds(guildIntents)
		want := func(what string, known func(uint64, time.Duration) (json.RawMessage, bool), maxAge time.Duration, want string) {
			t.Helper()
			data, ok := known(7, maxAge)
			if want == "" {
				if ok {
					t.Errorf("%s: %s is known", what, data)
				}
				return
			}
			var a, b any
			if err := json.Unmarshal(data, &a); err != nil {
				t.Fatalf("%s: %v: %s", what, err, data)
			}
			_ = json.Unmarshal([]byte(want), &b)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s: %s, want %s", what, data, want)
			}
		}
		tell := func(name, data string) { g.Dispatch(gateway.Dispatch{Type: name, Data: []byte(data)}) }

		want("before anything", g.Channels, time.Hour, "")
		g.Changed(gateway.Status{State: gateway.Connected})
		tell("CHANNEL_CREATE", `{"id":"1","guild_id":"7"}`) // of a guild that is not known
		tell("GUILD_UPDATE", `{"id":"7"}`)
		want("an unknown guild", g.Channels, 0, "")
		tell("GUILD_CREATE", `{"id":"7","name":"g","roles":[{"id":"7"}],"channels":[{"id":"1","name":"a"},{"id":"2"}],"members":[{}],"presences":[{}],"joined_at":"x","emojis":[]}`)
		want("channels", g.Channels, 0, `[{"id":"1","guild_id":"7","name":"a"},{"id":"2","guild_id":"7"}]`)
		want("roles", g.Roles, 0, `[{"id":"7"}]`)
		want("guild", g.Guild, 0, `{"id":"7","name":"g","roles":[{"id":"7"}],"emojis":[]}`)

		tell("CHANNEL_UPDATE", `{"id":"1","guild_id":"7","name":"b"}`)
		tell("CHANNEL_DELETE", `{"id":"2","guild_id":"7"}`)
		tell("CHANNEL_CREATE", `{"id":"3","guild_id":"7"}`)
		tell("GUILD_ROLE_CREATE", `{"guild_id":"7","role":{"id":"8"}}`)
		tell("GUILD_ROLE_UPDATE", `{"guild_id":"7","role":{"id":"8","name":"r"}}`)
		tell("GUILD_ROLE_DELETE", `{"guild_id":"7","role_id":"7"}`)
		tell("GUILD_EMOJIS_UPDATE", `{"guild_id":"7","emojis":[{"id":"9"}]}`)
		tell("MESSAGE_CREATE", `{"guild_id":"7"}`)
		tell("CHANNEL_CREATE", `[]`)
		tell("CHANNEL_CREATE", `{"guild_id":"7"}`)
		want("changed channels", g.Channels, 0, `[{"id":"1","guild_id":"7","name":"b"},{"id":"3","guild_id":"7"}]`)
		want("changed roles", g.Roles, 0, `[{"id":"8","name":"r"}]`)
		want("changed guild", g.Guild, 0, `{"id":"7","name":"g","roles":[{"id":"8","name":"r"}],"emojis":[{"id":"9"}]}`)
		tell("GUILD_UPDATE", `{"id":"7","name":"h","roles":[]}`)
		want("updated guild", g.Guild, 0, `{"id":"7","name":"h","roles":[],"emojis":[{"id":"9"}]}`)
		want("channels of an updated guild", g.Channels, 0, `[{"id":"1","guild_id":"7","name":"b"},{"id":"3","guild_id":"7"}]`)

		g.Changed(gateway.Status{State: gateway.Disconnected, Since: time.Now()})
		time.Sleep(time.Minute)
		g.Changed(gateway.Status{State: gateway.Disconnected, Since: time.Now()}) // is no newer loss
		want("younger than it is", g.Roles, 59*time.Second, "")
		want("as old as it may be", g.Roles, time.Minute, `[]`)
		g.Changed(gateway.Status{State: gateway.Connected, Resumed: true})
		want("resumed", g.Roles, 0, `[]`)
		g.Changed(gateway.Status{State: gateway.Connected})
		want("a new session", g.Roles, time.Hour, "")
		tell("GUILD_CREATE", `{"id":"7","name":"g","roles":[],"channels":[]}`)
		want("empty", g.Channels, 0, `[]`)
		tell("GUILD_DELETE", `{"id":"7"}`)
		want("gone", g.Channels, time.Hour, "")

		want("without a gateway", (*gateway.Guilds)(nil).Channels, time.Hour, "")
	})
}

// TestPositionsOfRoles: a new role moves those above it up, as it does at Discord.
func TestPositionsOfRoles(t *testing.T) {
	g := gateway.NewGuilds(guildIntents)
	tell := func(name, data string) { g.Dispatch(gateway.Dispatch{Type: name, Data: []byte(data)}) }
	g.Changed(gateway.Status{State: gateway.Connected})
	tell("GUILD_CREATE", `{"id":"7","name":"g","roles":[{"id":"7","position":0},{"id":"1","position":1},{"id":"2","position":2}],"channels":[]}`)
	for _, event := range []string{"GUILD_ROLE_CREATE", "GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE"} { // the second one comes again
		tell(event, `{"guild_id":"7","role":{"id":"8","position":1}}`)
		want := `[{"id":"7","position":0},{"id":"1","position":2},{"id":"2","position":3},{"id":"8","position":1}]`
		if got, _ := g.Roles(7, 0); string(got) != want {
			t.Errorf("after %s the roles are %s, want %s", event, got, want)
		}
	}
	tell("GUILD_ROLE_CREATE", `{"guild_id":"7","role":{"id":"9","position":3}}`)
	want := `[{"id":"7","position":0},{"id":"1","position":2},{"id":"2","position":4},{"id":"8","position":1},{"id":"9","position":3}]`
	if got, _ := g.Roles(7, 0); string(got) != want {
		t.Errorf("the roles are %s, want %s", got, want)
	}
}

// TestPartsOfGuilds: parts of a guild that Discord does not send keep their known values,
// or stay unknown; they never become empty.
func TestPartsOfGuilds(t *testing.T) {
	const whole = `{"id":"7","name":"g","icon":"i","emojis":[{"id":"9"}],"roles":[{"id":"7"}],"channels":[{"id":"1","guild_id":"7"}]}`
	const guildAnswer, roleAnswer, channelAnswer = `{"emojis":[{"id":"9"}],"icon":"i","id":"7","name":"g","roles":[{"id":"7"}]}`, `[{"id":"7"}]`, `[{"id":"1","guild_id":"7"}]`
	for name, tt := range map[string]struct {
		events   []string // names and data in turn
		maxAge   time.Duration
		guild    string
		roles    string
		channels string
	}{
		"an outage when the session begins": {[]string{"GUILD_CREATE", `{"id":"7","unavailable":true}`}, time.Hour, "", "", ""},
		"an outage":                         {[]string{"GUILD_CREATE", whole, "GUILD_CREATE", `{"id":"7","unavailable":true}`}, time.Hour, guildAnswer, roleAnswer, channelAnswer},
		"an outage, to a strict client":     {[]string{"GUILD_CREATE", whole, "GUILD_CREATE", `{"id":"7","unavailable":true}`}, 0, "", "", ""},
		"an outage, reported as a loss":     {[]string{"GUILD_CREATE", whole, "GUILD_DELETE", `{"id":"7","unavailable":true}`}, time.Hour, guildAnswer, roleAnswer, channelAnswer},
		"an outage, loss, strict":           {[]string{"GUILD_CREATE", whole, "GUILD_DELETE", `{"id":"7","unavailable":true}`}, 0, "", "", ""},
		"an outage as an update":            {[]string{"GUILD_CREATE", whole, "GUILD_UPDATE", `{"id":"7","unavailable":true}`}, 0, guildAnswer, roleAnswer, channelAnswer},
		"the end of an outage":              {[]string{"GUILD_DELETE", `{"id":"7","unavailable":true}`, "GUILD_CREATE", whole}, 0, guildAnswer, roleAnswer, channelAnswer},
		"the end of an outage, known":       {[]string{"GUILD_CREATE", whole, "GUILD_DELETE", `{"id":"7","unavailable":true}`, "GUILD_CREATE", whole}, 0, guildAnswer, roleAnswer, channelAnswer},
		"the bot left":                      {[]string{"GUILD_CREATE", whole, "GUILD_DELETE", `{"id":"7"}`}, time.Hour, "", "", ""},
		"the bot left, said at length":      {[]string{"GUILD_CREATE", whole, "GUILD_DELETE", `{"id":"7","unavailable":false}`}, time.Hour, "", "", ""},
		"nothing but an id":                 {[]string{"GUILD_CREATE", `{"id":"7"}`}, time.Hour, "", "", ""},
		"no roles":                          {[]string{"GUILD_CREATE", `{"id":"7","name":"g","roles":null,"channels":[]}`}, 0, "", "", `[]`},
		"no channels":                       {[]string{"GUILD_CREATE", `{"id":"7","name":"g","roles":[]}`}, 0, `{"id":"7","name":"g","roles":[]}`, `[]`, ""},
		"channels of another form":          {[]string{"GUILD_CREATE", `{"id":"7","name":"g","roles":{},"channels":"x"}`}, 0, "", "", ""},
		"null among the channels":           {[]string{"GUILD_CREATE", `{"id":"7","name":"g","roles":[null,1],"channels":[null,{},[],{"id":"1","guild_id":"7"}]}`}, 0, `{"id":"7","name":"g","roles":[]}`, `[]`, channelAnswer},
		"again without parts":               {[]string{"GUILD_CREATE", whole, "GUILD_CREATE", `{"id":"7","name":"g","roles":null}`}, 0, guildAnswer, roleAnswer, channelAnswer},
		"an update of one field":            {[]string{"GUILD_CREATE", whole, "GUILD_UPDATE", `{"id":"7","icon":null}`}, 0, `{"emojis":[{"id":"9"}],"icon":null,"id":"7","name":"g","roles":[{"id":"7"}]}`, roleAnswer, channelAnswer},
		"an update without a name":          {[]string{"GUILD_CREATE", whole, "GUILD_UPDATE", `{"id":"7","name":null,"roles":null}`}, 0, guildAnswer, roleAnswer, channelAnswer},
		"emojis that are none":              {[]string{"GUILD_CREATE", whole, "GUILD_EMOJIS_UPDATE", `{"guild_id":"7"}`, "GUILD_EMOJIS_UPDATE", `{"guild_id":"7","emojis":null}`}, 0, guildAnswer, roleAnswer, channelAnswer},
		"changes of what is not known":      {[]string{"GUILD_CREATE", `{"id":"7","name":"g"}`, "CHANNEL_CREATE", `{"id":"1","guild_id":"7"}`, "GUILD_ROLE_CREATE", `{"guild_id":"7","role":{"id":"7"}}`, "CHANNEL_DELETE", `{"id":"1","guild_id":"7"}`}, time.Hour, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gateway.NewGuilds(guildIntents)
				g.Changed(gateway.Status{State: gateway.Connected})
				for i := 0; i < len(tt.events); i += 2 {
					g.Dispatch(gateway.Dispatch{Type: tt.events[i], Data: []byte(tt.events[i+1]), Time: time.Now()})
				}
				time.Sleep(time.Minute)
				for what, want := range map[string]string{"guild": tt.guild, "roles": tt.roles, "channels": tt.channels} {
					ask := map[string]func(uint64, time.Duration) (json.RawMessage, bool){"guild": g.Guild, "roles": g.Roles, "channels": g.Channels}[what]
					if data, ok := ask(7, tt.maxAge); ok != (want != "") || string(data) != want {
						t.Errorf("%s: %s, want %s", what, data, want)
					}
				}
			})
		})
	}
}

func TestGuildsWithoutIntents(t *testing.T) {
	for intents, want := range map[gateway.Intents][2]bool{0: {}, gateway.IntentGuilds: {true, false}, guildIntents: {true, true}} {
		g := gateway.NewGuilds(intents)
		g.Changed(gateway.Status{State: gateway.Connected})
		g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: []byte(`{"id":"7","name":"g","roles":[],"channels":[]}`)})
		_, channels := g.Channels(7, 0)
		_, guild := g.Guild(7, 0)
		if channels != want[0] || guild != want[1] {
			t.Errorf("with %s channels are known: %t, the guild: %t", intents, channels, guild)
		}
	}
}

// maxGuildsMemory is what 100 guilds of 500 channels may take, however many
// members they have: here 50,000 in the first one, and 500 in each other.
const maxGuildsMemory = 48 << 20

func manyMembers(guild int) int {
	if guild == 0 {
		return 50_000
	}
	return 500
}

func TestGuildsMemory(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	g := gateway.NewGuilds(guildIntents)
	g.Changed(gateway.Status{State: gateway.Connected})
	for i := range 100 {
		var channels, members []string
		for j := range 500 {
			overwrites := strings.Repeat(`{"id":"1100000000000000123","type":0,"allow":"1024","deny":"2048"},`, 4)
			channels = append(channels, fmt.Sprintf(`{"id":"11%08d%08d","type":0,"name":"channel-%d","topic":"What this channel is about, in a line","position":%d,"parent_id":"1100000000000000456","flags":0,"last_message_id":"1100000000000000789","nsfw":false,"rate_limit_per_user":0,"permission_overwrites":[%s]}`, i, j, j, j, overwrites[:len(overwrites)-1]))
		}
		for j := range manyMembers(i) {
			members = append(members, fmt.Sprintf(`{"user":{"id":"12%08d%08d","username":"user%d","avatar":"0123456789abcdef0123456789abcdef","discriminator":"0"},"roles":["1100000000000000123"],"joined_at":"2026-01-01T00:00:00.000000+00:00","nick":null,"deaf":false,"mute":false}`, i, j, j))
		}
		g.Dispatch(gateway.Dispatch{Type: "GUILD_CREATE", Data: fmt.Appendf(nil, `{"id":"%d","name":"g","roles":[],"channels":[%s],"members":[%s]}`,
			i+1, strings.Join(channels, ","), strings.Join(members, ","))})
	}
	took := heap() - before
	t.Logf("100 guilds of 500 channels take %d MiB", took>>20)
	if took > maxGuildsMemory {
		t.Errorf("they take %d bytes, more than %d", took, maxGuildsMemory)
	}
	if data, ok := g.Channels(100, 0); !ok || strings.Count(string(data), `"guild_id":"100"`) != 500 {
		t.Error("the channels are not known")
	}
}
