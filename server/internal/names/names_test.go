package names_test

import (
	"fmt"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server/internal/names"
)

func newNames(t *testing.T, guilds *gateway.Guilds) *names.Names {
	t.Helper()
	n, err := names.New(guilds)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGateway: the gateway's state has names without any call, and they follow its
// events.
func TestGateway(t *testing.T) {
	g := gateway.NewGuilds(gateway.IntentGuilds | gateway.IntentGuildMembers)
	g.KeepAll(1<<20, nil)
	n := newNames(t, g)
	tell := func(name, data string) { g.Dispatch(gateway.Dispatch{Type: name, Data: []byte(data)}) }
	g.Changed(gateway.Status{State: gateway.Connected})
	tell("GUILD_CREATE", `{"id":"7","name":"Guild","roles":[],"member_count":1,
		"channels":[{"id":"1","name":"ops"}],"threads":[{"id":"2","name":"thread","parent_id":"1"}],
		"members":[{"user":{"id":"3","username":"ann","global_name":"Ann"}}]}`)
	tell("CHANNEL_UPDATE", `{"id":"1","guild_id":"7","name":"alerts"}`)
	for id, want := range map[uint64]string{1: "alerts", 2: "thread"} {
		if got, ok := n.Channel(id); !ok || got.Name != want || got.Guild != "Guild" {
			t.Errorf("channel %d is %v, want %s", id, got, want)
		}
	}
	guild, _ := n.Guild(7)
	user, _ := n.User(3)
	if guild.Name != "Guild" || user.Name != "Ann" {
		t.Errorf("guild and user are %v and %v", guild, user)
	}
	if got, ok := n.Channel(9); ok {
		t.Errorf("an unknown channel is %v", got)
	}
}

// TestAnswers: without the gateway, names come from answers that were seen, and what
// is of another form is no name.
func TestAnswers(t *testing.T) {
	n := newNames(t, nil)
	n.Learn(discord.ListMyGuilds, []byte(`[{"id":"7","name":"Guild"}]`))
	n.Learn(discord.GetChannel, []byte(`{"id":"1","name":"ops","guild_id":"7"}`))
	n.Learn(discord.ListGuildMembers, []byte(`[{"user":{"id":"3","username":"ann"}},{"user":null},{}]`))
	n.Learn(discord.GetUser, []byte(`{"id":"4","username":"bob","global_name":"Bob"}`))
	for _, odd := range []string{"", "null", "[", `{"id":7}`, `"text"`, `[[]]`, `{"id":"x","name":"y"}`} {
		n.Learn(discord.GetChannel, []byte(odd))
	}
	n.Learn(discord.GetMessage, []byte(`{"id":"5","name":"no channel"}`))
	channel, _ := n.Channel(1)
	ann, _ := n.User(3)
	bob, _ := n.User(4)
	if channel.Name != "ops" || channel.Guild != "Guild" || ann.Name != "ann" || bob.Name != "Bob" {
		t.Errorf("the names are %v, %v and %v", channel, ann, bob)
	}
	if got, ok := n.Channel(5); ok {
		t.Errorf("a message has become the channel %v", got)
	}
	// A user is no channel of the same ID.
	if got, ok := n.Channel(3); ok {
		t.Errorf("a user has become the channel %v", got)
	}
}

// TestBound: the names of answers are bounded, and the newest remain.
func TestBound(t *testing.T) {
	n := newNames(t, nil)
	for i := range 20_000 {
		n.Learn(discord.GetUser, fmt.Appendf(nil, `{"id":"%d","username":"u"}`, i+1))
	}
	known := 0
	for i := range 20_000 {
		if _, ok := n.User(uint64(i + 1)); ok {
			known++
		}
	}
	if _, ok := n.User(20_000); known != 10_000 || !ok {
		t.Errorf("%d names are known", known)
	}
}
