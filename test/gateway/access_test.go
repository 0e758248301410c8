package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	"github.com/coder/websocket"
)

// channelsOf returns the ids of the channels of a GUILD_CREATE, and the names of its
// roles.
func channelsOf(t *testing.T, p payload) (channels []sandbox.ID, roles []string) {
	t.Helper()
	var g struct {
		Channels, Roles []struct {
			ID   sandbox.ID
			Name string
		}
	}
	if err := json.Unmarshal(p.Data, &g); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Channels {
		channels = append(channels, c.ID)
	}
	for _, r := range g.Roles {
		roles = append(roles, r.Name)
	}
	return channels, roles
}

// TestGatewayProxyAccess: rules apply to bots as to subscriptions.
func TestGatewayProxyAccess(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	other := sb.AddGuild(sandbox.Guild{Name: "Other", OwnerID: w.Owner})
	if err := sb.AddMember(other, w.Bot); err != nil {
		t.Fatal(err)
	}
	otherChannel, err := sb.AddChannel(sandbox.Channel{GuildID: other, Name: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	second := w.Random
	rule := func(name, rest string) (key, entry string) { return ruleOf(t, name, rest) }
	everything, e1 := rule("everything", "")
	guild, e2 := rule("guild", fmt.Sprintf("    guilds: [%q]\n", w.Guild.String()))
	both, e3 := rule("both", fmt.Sprintf("    guilds: [%q]\n    channels: [%q]\n", w.Guild.String(), w.General.String()))
	channel, e4 := rule("channel", fmt.Sprintf("    channels: [%q]\n", w.General.String()))
	sender, e5 := rule("sender", "    methods: [SendChannelMessage, GET /gateway/bot]\n")
	p, _ := guardedBots(t, sb, "clients:\n"+e1+e2+e3+e4+e5)

	for name, tt := range map[string]struct {
		key            string
		sees           []sandbox.ID // of general, second, otherChannel
		guilds         []sandbox.ID
		whole, outline bool
	}{
		"everything": {everything, []sandbox.ID{w.General, second, otherChannel}, []sandbox.ID{w.Guild, other}, true, false},
		"guild":      {guild, []sandbox.ID{w.General, second}, []sandbox.ID{w.Guild}, true, false},
		"both":       {both, []sandbox.ID{w.General}, []sandbox.ID{w.Guild}, false, false},
		"channel":    {channel, []sandbox.ID{w.General}, []sandbox.ID{w.Guild}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := dialBot(t, gatewayURL(p))
			ready := b.ready(tt.key, intentGuilds|intentMembers|intentMessages|intentContent|intentTyping)
			var guilds []struct{ ID sandbox.ID }
			if err := json.Unmarshal(ready["guilds"], &guilds); err != nil || len(guilds) != len(tt.guilds) {
				t.Errorf("guilds are %s, want %v", ready["guilds"], tt.guilds)
			}
			for range tt.guilds {
				p := b.until("GUILD_CREATE")
				channels, roles := channelsOf(t, p)
				for _, id := range []sandbox.ID{w.General, second, otherChannel} {
					inIt := strings.Contains(string(p.Data), `"id":"`+w.Guild.String()+`"`) == (id != otherChannel)
					if got, want := slices.Contains(channels, id), inIt && slices.Contains(tt.sees, id); got != want {
						t.Errorf("GUILD_CREATE has channel %d: %t", id, got)
					}
				}
				if tt.outline && (len(roles) != 1 || roles[0] != "@everyone" || len(channels) != 1 || strings.Contains(string(p.Data), `"bob"`)) {
					t.Errorf("an outline has the roles %q and says %s", roles, p.Data)
				}
			}
			for _, id := range []sandbox.ID{second, otherChannel, w.General} {
				say(t, sb, id, "to "+id.String())
			}
			var heard []sandbox.ID
			for {
				m := b.until("MESSAGE_CREATE")
				var message struct {
					Channel sandbox.ID `json:"channel_id"`
				}
				if err := json.Unmarshal(m.Data, &message); err != nil {
					t.Fatal(err)
				}
				heard = append(heard, message.Channel)
				if message.Channel == w.General {
					break
				}
			}
			slices.Sort(heard)
			want := slices.Sorted(slices.Values(tt.sees))
			if !slices.Equal(heard, want) {
				t.Errorf("heard of %v, want %v", heard, want)
			}
		})
	}

	for name, tt := range map[string]struct {
		url, token string
		code       websocket.StatusCode
		reason     string
	}{
		"no right":           {"/gateway", sender, 4004, "client sender may not call SubscribeEvents"},
		"no key":             {"/gateway", "discordproxy", 4004, "a key is required: use it as the token in IDENTIFY"},
		"an unknown key":     {"/gateway", "dp_" + strings.Repeat("x", 43), 4004, "the token in IDENTIFY is unknown"},
		"another token":      {"/gateway", "MTIz.abc.def", 4004, "the token in IDENTIFY is unknown: use a client key or the bot's own token"},
		"an unknown in path": {"/k/dp_" + strings.Repeat("x", 43) + "/gateway", "discordproxy", 4004, "the key in the path is unknown"},
		"another with a key": {"/k/" + everything + "/gateway", "MTIz.abc.def", 4004, "Authentication failed"},
	} {
		b := dialBot(t, "ws://"+p.Address+tt.url+"?v=10&encoding=json")
		b.send(2, identity(tt.token, intentGuilds))
		if closed := b.closedWith(); closed.Code != tt.code || !strings.Contains(closed.Reason, tt.reason) || strings.Contains(closed.Reason, tt.token) && tt.token != "discordproxy" {
			t.Errorf("%s: closed with %v", name, closed)
		}
	}

	// Libraries that check the shape of a token have the key in the path.
	resp, err := get(t, "http://"+p.Address+"/k/"+guild+"/api/v10/gateway/bot")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var found struct{ URL string }
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || found.URL != "ws://"+p.Address+"/k/"+guild+"/gateway" {
		t.Errorf("the gateway is at %q, %v", found.URL, err)
	}
	for _, token := range []string{"discordproxy", "MTIz.abc.discordproxy", guild, w.Token} {
		b := dialBot(t, found.URL+"?v=10&encoding=json")
		b.ready(token, intentGuilds)
		if b.resume != found.URL {
			t.Errorf("resuming is at %q", b.resume)
		}
		b.until("GUILD_CREATE")
	}
	// A session is its client's alone.
	b := dialBot(t, gatewayURL(p))
	b.ready(everything, intentGuilds)
	b.until("GUILD_CREATE")
	b.until("GUILD_CREATE")
	thief := dialBot(t, gatewayURL(p))
	thief.send(6, map[string]any{"token": guild, "session_id": b.session, "seq": b.seq})
	if m := thief.next(); m.Op != 9 {
		t.Errorf("another client resumed a session: %+v", m)
	}
}

// TestGatewayProxyRevoked: a client that is removed loses its connection, and one
// that may see less sees less from then on.
func TestGatewayProxyRevoked(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	second := w.Random
	removed, e1 := ruleOf(t, "removed", "")
	narrowed, e2 := ruleOf(t, "narrowed", fmt.Sprintf("    guilds: [%q]\n", w.Guild.String()))
	p, file := guardedBots(t, sb, "clients:\n"+e1+e2)
	a, b := dialBot(t, gatewayURL(p)), dialBot(t, gatewayURL(p))
	a.ready(removed, intentMessages|intentContent)
	b.ready(narrowed, intentMessages|intentContent)
	narrow := fmt.Sprintf("clients:\n%s    channels: [%q]\n", e2, w.General.String())
	if err := os.WriteFile(file, []byte(narrow), 0o600); err != nil {
		t.Fatal(err)
	}
	if closed := a.closedWith(); closed.Code != 4004 || !strings.Contains(closed.Reason, "client removed was removed") {
		t.Errorf("closed with %v", closed)
	}
	say(t, sb, second, "secret")
	say(t, sb, w.General, "public")
	if m := b.until("MESSAGE_CREATE"); contentOf(m) != "public" {
		t.Errorf("heard %+v", m)
	}
}

// TestGatewayProxyCommands: presence, members and voice are passed on to those who
// may, and refused in the log's words to others.
func TestGatewayProxyCommands(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	if _, err := sb.AddMembers(w.Guild, 2500); err != nil {
		t.Fatal(err)
	}
	all, e1 := ruleOf(t, "all", "")
	listener, e2 := ruleOf(t, "listener", "    methods: [SubscribeEvents]\n")
	p, _ := guardedBots(t, sb, "clients:\n"+e1+e2)

	a, b := dialBot(t, gatewayURL(p)), dialBot(t, gatewayURL(p))
	for _, bot := range []*bot{a, b} {
		bot.ready(all, intentGuilds|intentMembers)
		bot.until("GUILD_CREATE")
	}
	// Both ask at the same time, and again when the answer is known.
	for round := range 2 {
		for i, bot := range []*bot{a, b} {
			bot.send(8, map[string]any{"guild_id": w.Guild.String(), "query": "", "limit": 0, "nonce": fmt.Sprint("n", i)})
		}
		for i, bot := range []*bot{a, b} {
			members := make(map[string]bool)
			for index := 0; ; index++ {
				var chunk struct {
					Index   int `json:"chunk_index"`
					Count   int `json:"chunk_count"`
					Nonce   string
					Members []struct{ User struct{ ID string } }
				}
				if err := json.Unmarshal(bot.until("GUILD_MEMBERS_CHUNK").Data, &chunk); err != nil || chunk.Index != index || chunk.Nonce != fmt.Sprint("n", i) {
					t.Fatalf("round %d: chunk %+v, %v", round, chunk, err)
				}
				for _, m := range chunk.Members {
					members[m.User.ID] = true
				}
				if index == chunk.Count-1 {
					break
				}
			}
			if len(members) < 2500 {
				t.Errorf("round %d: bot %d got %d members", round, i, len(members))
			}
		}
	}
	a.send(8, map[string]any{"guild_id": []string{w.Guild.String()}, "user_ids": []string{w.Bob.String(), "1"}, "nonce": "x"})
	if m := string(a.until("GUILD_MEMBERS_CHUNK").Data); !strings.Contains(m, `"username":"bob"`) || !strings.Contains(m, `"not_found":["1"]`) || !strings.Contains(m, `"nonce":"x"`) {
		t.Errorf("asked for two users, got %s", m)
	}

	a.send(8, map[string]any{"guild_id": w.Guild, "query": "bo", "limit": 1, "user_ids": nil})
	if m := string(a.until("GUILD_MEMBERS_CHUNK").Data); !strings.Contains(m, `"username":"bob"`) || strings.Contains(m, "not_found") {
		t.Errorf("asked by name, got %s", m)
	}

	a.send(3, map[string]any{"status": "dnd", "since": nil, "afk": false, "activities": []any{map[string]any{"name": "a game", "type": 0}}})
	bot := w.Bot
	for sb.Presence(bot).Status != "dnd" || sb.Presence(bot).Activities[0].Name != "a game" {
		time.Sleep(time.Millisecond)
	}
	// discordgo's form, within IDENTIFY.
	c := dialBot(t, gatewayURL(p))
	c.ready(all, intentGuilds, "presence", map[string]any{"game": map[string]any{"name": "old", "type": 0}, "status": "idle", "since": 0})
	for sb.Presence(bot).Status != "idle" {
		time.Sleep(time.Millisecond)
	}
	d := dialBot(t, gatewayURL(p))
	d.ready(all, intentGuilds, "presence", map[string]any{"status": "online", "activities": []any{}})
	a.send(4, map[string]any{"guild_id": w.Guild.String(), "channel_id": w.Voice.String(), "self_mute": false, "self_deaf": true})
	a.send(3, map[string]any{"status": "invisible"})
	for sb.Presence(bot).Status != "offline" {
		time.Sleep(time.Millisecond)
	}

	e := dialBot(t, gatewayURL(p))
	e.ready(listener, intentGuilds|intentMembers)
	e.until("GUILD_CREATE")
	e.send(3, map[string]any{"status": "dnd"})
	e.send(4, map[string]any{"guild_id": w.Guild.String(), "channel_id": w.Voice.String()})
	e.send(8, map[string]any{"guild_id": w.Guild.String(), "query": "", "limit": 0, "nonce": "y"})
	if m := string(e.until("GUILD_MEMBERS_CHUNK").Data); !strings.Contains(m, `"members":[]`) || !strings.Contains(m, `"nonce":"y"`) {
		t.Errorf("without the right got %s", m)
	}
	_ = e.ws.CloseNow()
	again := dialBot(t, gatewayURL(p))
	again.send(6, map[string]any{"token": listener, "session_id": e.session, "seq": e.seq - 1})
	if m := again.next(); m.Seq != e.seq || !strings.Contains(string(m.Data), `"members":[]`) || !strings.Contains(string(m.Data), `"nonce":"y"`) {
		t.Errorf("without the right the answer comes again as %+v", m)
	}
	if sb.Presence(bot).Status != "offline" {
		t.Error("a presence was passed on without the right")
	}
	log := p.Output()
	for _, want := range []string{"client listener may not call ListGuildMembers", "client listener may not call presence", "client listener may not call PATCH /guilds/{guild_id}/voice-states/@me"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if strings.Contains(log, all) || strings.Contains(log, listener) || strings.Contains(log, w.Token) {
		t.Error("the log has a key or the token")
	}
	named := regexp.MustCompile(`peer=127\.0\.0\.1:\d+ .*protocol=gateway request_id=\w`)
	for line := range strings.Lines(log) {
		if strings.Contains(line, "protocol=gateway") && !named.MatchString(line) {
			t.Errorf("a line does not say from where a bot connected: %s", line)
		}
	}
	if n := sb.GatewayCounts(); n.Identifies != 1 {
		t.Errorf("%+v at Discord", n)
	}
}

// TestGatewayProxyBrowsers: a web page cannot use the bot by the placeholder, neither
// from its own origin nor by a name that it has given the server's address.
func TestGatewayProxyBrowsers(t *testing.T) {
	p := through(t, sandbox.New(sandbox.Config{}))
	for name, options := range map[string]*websocket.DialOptions{
		"origin":    {HTTPHeader: http.Header{"Origin": {"http://pages.example"}}},
		"null":      {HTTPHeader: http.Header{"Origin": {"null"}}},
		"port":      {HTTPHeader: http.Header{"Origin": {"http://127.0.0.1:1"}}},
		"site":      {HTTPHeader: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Dest": {"websocket"}}},
		"rebinding": {Host: "pages.example:50051", HTTPHeader: http.Header{"Origin": {"http://pages.example:50051"}}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
		ws, resp, err := websocket.Dial(ctx, gatewayURL(p), options) //nolint:bodyclose // the library closes it
		cancel()
		if err == nil {
			_ = ws.CloseNow()
			t.Errorf("%s: a page connects", name)
			continue
		}
		if resp == nil || resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %v, %+v", name, err, resp)
		}
	}
}

// TestGatewayProxyRevokedVoice: a bot that lost the right to join a voice channel, or
// has left it, gets no more credentials for voice.
func TestGatewayProxyRevokedVoice(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	guild := w.Guild.String()
	removed, e1 := ruleOf(t, "removed", "")
	narrowed, e2 := ruleOf(t, "narrowed", fmt.Sprintf("    channels: [%q, %q]\n", w.General.String(), w.Voice.String()))
	stays, e3 := ruleOf(t, "stays", "")
	p, file := guardedBots(t, sb, fmt.Sprintf("clients:\n%s%s    guilds: [%q]\n%s", e1, e2, guild, e3))
	a, b, c := dialBot(t, gatewayURL(p)), dialBot(t, gatewayURL(p)), dialBot(t, gatewayURL(p))
	a.ready(removed, intentMessages|intentContent)
	b.ready(narrowed, intentMessages|intentContent)
	c.ready(stays, intentMessages|intentContent)
	join := map[string]any{"guild_id": guild, "channel_id": w.Voice.String(), "self_mute": false, "self_deaf": false}
	credential := json.RawMessage(fmt.Sprintf(`{"guild_id":%q,"token":"secret","endpoint":"voice.example"}`, guild))
	b.send(4, join)
	c.send(4, join)
	bots := []*bot{b, c}
	for _, bot := range bots {
		bot.send(1, nil) // answered when the command before it was read
		for p := bot.next(); p.Op != 11; p = bot.next() {
		}
	}
	if err := sb.DispatchGateway("VOICE_SERVER_UPDATE", credential, 0); err != nil {
		t.Fatal(err)
	}
	for _, bot := range bots {
		bot.until("VOICE_SERVER_UPDATE")
	}
	narrow := fmt.Sprintf("clients:\n%s%s", e2, e3)
	if err := os.WriteFile(file, []byte(narrow), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = a.closedWith() // the rules are in effect
	c.send(4, map[string]any{"guild_id": guild, "channel_id": nil})
	c.send(1, nil)
	for p := c.next(); p.Op != 11; p = c.next() {
	}
	if err := sb.DispatchGateway("VOICE_SERVER_UPDATE", credential, 0); err != nil {
		t.Fatal(err)
	}
	say(t, sb, w.General, "after")
	for name, bot := range map[string]*bot{"without the right": b, "that left": c} {
		// Both ways to the bot are past the credential then: events, and answers.
		seen := map[string]bool{}
		for !seen["MESSAGE_CREATE"] || !seen["GUILD_MEMBERS_CHUNK"] {
			p := bot.next()
			if p.Type == "MESSAGE_CREATE" {
				bot.send(8, map[string]any{"guild_id": guild, "user_ids": []string{w.Bob.String()}})
			}
			if p.Type == "VOICE_SERVER_UPDATE" {
				t.Errorf("a bot %s gets %s", name, p.Data)
			}
			seen[p.Type] = true
		}
	}
}

// TestGatewayProxyForeignVoice: a bot joins no voice channel of a guild that its client
// may not see, and gets no credentials for voice there.
func TestGatewayProxyForeignVoice(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	foreign := sb.AddGuild(sandbox.Guild{Name: "foreign"})
	if err := sb.AddMember(foreign, w.Bot); err != nil {
		t.Fatal(err)
	}
	channel, err := sb.AddChannel(sandbox.Channel{GuildID: foreign, Type: sandbox.ChannelVoice, Name: "talk"})
	if err != nil {
		t.Fatal(err)
	}
	narrow, e1 := ruleOf(t, "narrow", fmt.Sprintf("    guilds: [%q]\n    channels: [\"*\"]\n", w.Guild.String()))
	wide, e2 := ruleOf(t, "wide", "")
	p, _ := guardedBots(t, sb, "clients:\n"+e1+e2)
	a, b := dialBot(t, gatewayURL(p)), dialBot(t, gatewayURL(p))
	a.ready(narrow, intentMessages|intentContent)
	b.ready(wide, intentMessages|intentContent)
	for _, bot := range []*bot{a, b} {
		for guild, channel := range map[sandbox.ID]sandbox.ID{foreign: channel, w.Guild: w.Voice} {
			bot.send(4, map[string]any{"guild_id": guild.String(), "channel_id": channel.String(), "self_mute": false, "self_deaf": false})
		}
		bot.send(1, nil) // answered when the commands before it were read
		for p := bot.next(); p.Op != 11; p = bot.next() {
		}
	}
	for _, guild := range []sandbox.ID{foreign, w.Guild} {
		credential := json.RawMessage(fmt.Sprintf(`{"guild_id":%q,"token":"secret","endpoint":"voice.example"}`, guild.String()))
		if err := sb.DispatchGateway("VOICE_SERVER_UPDATE", credential, 0); err != nil {
			t.Fatal(err)
		}
	}
	guildOf := func(p payload) string {
		var data struct {
			GuildID string `json:"guild_id"`
		}
		_ = json.Unmarshal(p.Data, &data)
		return data.GuildID
	}
	// Both were sent in this order: who gets the second one first does not get the first.
	if got := guildOf(a.until("VOICE_SERVER_UPDATE")); got != w.Guild.String() {
		t.Errorf("a bot gets a credential for the guild %s, which it may not see", got)
	}
	if got := guildOf(b.until("VOICE_SERVER_UPDATE")); got != foreign.String() {
		t.Errorf("a bot gets a credential for the guild %s first", got)
	}
	if log := p.Output(); strings.Count(log, "client narrow may not") != 1 || strings.Contains(log, "client wide may not") {
		t.Errorf("the refusal is not in the log once:\n%s", log)
	}
}
