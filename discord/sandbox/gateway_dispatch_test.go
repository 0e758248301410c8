package sandbox_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/klauspost/compress/zstd"

	"discordproxy/discord/sandbox"
)

// TestGatewayDispatches causes each event of a session, in order.
func TestGatewayDispatches(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	w := r.w
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.AddToken("Bot alice", w.Alice))
	alice := r.as("Bot alice")
	id := func(a *answer) string { return a.object()["id"].(string) }
	c, _ := r.login(sandbox.IntentsAll)
	full := c.event("GUILD_CREATE")
	equal(t, "members of a small guild", len(full["members"].([]any)), 6)
	c.event("PRESENCE_UPDATE") // of the bot itself

	general := path("/channels/%d", w.General)
	sent := alice.do("POST", general+"/messages", obj{"content": "hi"}).message()
	m := c.event("MESSAGE_CREATE")
	equal(t, "guild", m["guild_id"], any(w.Guild.String()))
	equal(t, "member", len(m["member"].(obj)["roles"].([]any)), 2)
	if m["member"].(obj)["user"] != nil {
		t.Error("the member has its user once more")
	}
	message := path("%s/messages/%d", general, sent.ID)
	alice.do("PATCH", message, obj{"content": "ho"}).is(200)
	equal(t, "content", c.event("MESSAGE_UPDATE")["content"], any("ho"))
	react := message + "/reactions/" + url.PathEscape("👍")
	alice.do("PUT", react+"/@me", nil).is(204)
	equal(t, "emoji", c.event("MESSAGE_REACTION_ADD")["emoji"].(obj)["name"], any("👍"))
	alice.do("DELETE", react+"/@me", nil).is(204)
	equal(t, "by", c.event("MESSAGE_REACTION_REMOVE")["user_id"], any(w.Alice.String()))
	r.do("DELETE", message+"/reactions", nil).is(204)
	c.event("MESSAGE_REACTION_REMOVE_ALL")
	r.do("PUT", path("%s/pins/%d", general, sent.ID), nil).is(204)
	c.event("MESSAGE_UPDATE")
	c.event("CHANNEL_PINS_UPDATE")
	note := c.event("MESSAGE_CREATE")
	alice.do("POST", general+"/typing", nil).is(204)
	typing := c.event("TYPING_START")
	equal(t, "typing", typing["user_id"], any(w.Alice.String()))
	equal(t, "member", typing["member"].(obj)["user"].(obj)["username"], any("alice"))
	thread := id(r.do("POST", message+"/threads", obj{"name": "about that"}).is(201))
	c.event("THREAD_CREATE")
	added := c.event("THREAD_MEMBERS_UPDATE")["added_members"].([]any)
	equal(t, "its first member", added[0].(obj)["user_id"], any(w.Bot.String()))
	c.event("MESSAGE_UPDATE") // it has a thread
	equal(t, "starter", c.event("MESSAGE_CREATE")["type"], any(21.0))
	r.do("PUT", path("/channels/%s/thread-members/%d", thread, w.Bob), nil).is(204)
	c.event("THREAD_MEMBERS_UPDATE")
	r.do("PATCH", "/channels/"+thread, obj{"archived": true}).is(200)
	c.event("THREAD_UPDATE")
	r.do("DELETE", "/channels/"+thread, nil).is(200)
	c.event("THREAD_DELETE")
	r.do("POST", general+"/messages/bulk-delete", obj{"messages": []any{sent.ID, note["id"]}}).is(204)
	equal(t, "messages", len(c.event("MESSAGE_DELETE_BULK")["ids"].([]any)), 2)
	gone := r.do("POST", general+"/messages", obj{"content": "gone"}).message()
	c.event("MESSAGE_CREATE")
	r.do("DELETE", path("%s/messages/%d", general, gone.ID), nil).is(204)
	equal(t, "message", c.event("MESSAGE_DELETE")["id"], any(gone.ID.String()))

	made := id(r.do("POST", path("/guilds/%d/channels", w.Guild), obj{"name": "made"}).is(201))
	equal(t, "channel", c.event("CHANNEL_CREATE")["id"], any(made))
	r.do("PATCH", "/channels/"+made, obj{"name": "renamed"}).is(200)
	c.event("CHANNEL_UPDATE")
	r.do("DELETE", "/channels/"+made, nil).is(200)
	c.event("CHANNEL_DELETE")
	role := id(r.do("POST", path("/guilds/%d/roles", w.Guild), obj{"name": "made"}).is(200))
	c.event("GUILD_ROLE_CREATE")
	r.do("PATCH", path("/guilds/%d/roles/%s", w.Guild, role), obj{"name": "renamed"}).is(200)
	c.event("GUILD_ROLE_UPDATE")
	r.do("DELETE", path("/guilds/%d/roles/%s", w.Guild, role), nil).is(204)
	c.event("GUILD_ROLE_DELETE")
	must(r.AddMember(w.Guild, w.Stranger))
	equal(t, "member", c.event("GUILD_MEMBER_ADD")["user"].(obj)["username"], any("stranger"))
	must(r.AddMember(w.Guild, w.Stranger, w.MemberRole))
	c.event("GUILD_MEMBER_UPDATE")
	r.do("DELETE", path("/guilds/%d/members/%d", w.Guild, w.Stranger), nil).is(204)
	c.event("GUILD_MEMBER_REMOVE")
	must(r.SetPresence(w.Bob, sandbox.Presence{Status: "dnd"}))
	equal(t, "presence", c.event("PRESENCE_UPDATE")["client_status"].(obj)["web"], any("dnd"))

	must(r.AddMember(w.OtherGuild, w.Bot))
	equal(t, "joined", c.event("GUILD_CREATE")["name"], any("Elsewhere"))
	must(r.RemoveMember(w.OtherGuild, w.Bot))
	left := c.event("GUILD_DELETE")
	if _, outage := left["unavailable"]; outage {
		t.Error("leaving looks like an outage")
	}
	must(r.SetGuildAvailable(w.Guild, false))
	equal(t, "outage", c.event("GUILD_DELETE")["unavailable"], any(true))
	alice.do("POST", general+"/messages", obj{"content": "unheard"}).is(200)
	must(r.SetGuildAvailable(w.Guild, true))
	c.event("GUILD_CREATE")

	dm := id(r.do("POST", "/users/@me/channels", obj{"recipient_id": w.Alice}).is(200))
	alice.do("POST", "/channels/"+dm+"/messages", obj{"content": "psst"}).is(200)
	m = c.event("MESSAGE_CREATE")
	if m["guild_id"] != nil || m["member"] != nil {
		t.Errorf("a direct message of guild %v", m["guild_id"])
	}
	// The bot gets no events of what it cannot see.
	_, err := r.AddMessage(sandbox.Message{ChannelID: w.Forbidden, Content: "secret", Author: &sandbox.User{ID: w.Alice}})
	must(err)
	_, err = r.AddMessage(sandbox.Message{ChannelID: w.OtherChannel, Content: "far", Author: &sandbox.User{ID: w.Stranger}})
	must(err)
	c.send(1, nil)
	equal(t, "nothing else", c.next().Op, 11)
}

// TestGatewayIntents counts which events reach sessions with certain intents.
func TestGatewayIntents(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	if err := r.AddToken("Bot alice", r.w.Alice); err != nil {
		t.Fatal(err)
	}
	alice := r.as("Bot alice")
	tests := []struct {
		intents sandbox.Intents
		events  []string
	}{
		{0, nil},
		{sandbox.IntentGuildMessages, []string{"MESSAGE_CREATE "}},
		{sandbox.IntentGuildMessages | sandbox.IntentMessageContent, []string{"MESSAGE_CREATE hi"}},
		{sandbox.IntentDirectMessages, []string{"MESSAGE_CREATE psst"}},
		{sandbox.IntentGuildMessageTyping, []string{"TYPING_START "}},
		{sandbox.IntentGuildMessageReactions, []string{"MESSAGE_REACTION_ADD "}},
		{sandbox.IntentGuildMembers, []string{"GUILD_MEMBER_UPDATE "}},
		{sandbox.IntentGuildMessages | sandbox.IntentDirectMessages, []string{"MESSAGE_CREATE ", "MESSAGE_CREATE psst"}},
	}
	var clients []*client
	for _, test := range tests {
		c, _ := r.login(test.intents)
		clients = append(clients, c)
	}
	first, _ := r.login(sandbox.IntentDirectMessages|sandbox.IntentGuildMessages, obj{"shard": []int{0, 1000}})
	other, _ := r.login(sandbox.IntentDirectMessages|sandbox.IntentGuildMessages, obj{"shard": []int{int(uint64(r.w.Guild>>22) % 1000), 1000}})

	sent := alice.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "hi", "embeds": []obj{{"title": "t"}}}).message()
	alice.do("POST", path("/channels/%d/typing", r.w.General), nil).is(204)
	alice.do("PUT", path("/channels/%d/messages/%d/reactions/%s/@me", r.w.General, sent.ID, url.PathEscape("👍")), nil).is(204)
	r.do("PATCH", path("/guilds/%d/members/%d", r.w.Guild, r.w.Bob), obj{"nick": "Bobby"}).is(200)
	dm := r.do("POST", "/users/@me/channels", obj{"recipient_id": r.w.Alice}).is(200).object()["id"].(string)
	alice.do("POST", "/channels/"+dm+"/messages", obj{"content": "psst"}).is(200)

	heard := func(c *client) (out []string) {
		t.Helper()
		c.send(1, nil)
		for {
			p := c.next()
			if p.Op == 11 {
				return out
			}
			var d struct{ Content string }
			if err := json.Unmarshal(p.Data, &d); err != nil {
				t.Fatal(err)
			}
			out = append(out, *p.Type+" "+d.Content)
		}
	}
	for i, test := range tests {
		equal(t, fmt.Sprintf("events with intents %b", test.intents), heard(clients[i]), test.events)
	}
	equal(t, "shard of direct messages", heard(first), []string{"MESSAGE_CREATE psst"})
	equal(t, "shard of the guild", heard(other), []string{"MESSAGE_CREATE "})

	// A reply does not give away what it replies to.
	alice.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "re", "message_reference": obj{"message_id": sent.ID}}).is(200)
	equal(t, "replied to", clients[1].event("MESSAGE_CREATE")["referenced_message"].(obj)["content"], any(""))
	// Contents are for whom they concern.
	r.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": "own"}).is(200)
	equal(t, "own", clients[1].event("MESSAGE_CREATE")["content"], any("own"))
	alice.do("POST", path("/channels/%d/messages", r.w.General), obj{"content": path("<@%d>", r.w.Bot)}).is(200)
	equal(t, "mentioned", clients[1].event("MESSAGE_CREATE")["content"], any(path("<@%d>", r.w.Bot)))
	// Of itself the bot hears without the intent.
	r.do("PATCH", path("/guilds/%d/members/@me", r.w.Guild), obj{"nick": "Sandy"}).is(200)
	equal(t, "itself", clients[0].event("GUILD_MEMBER_UPDATE")["nick"], any("Sandy"))
}

// TestGatewayVoiceStates: a bot joins voice channels and leaves them.
func TestGatewayVoiceStates(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	stage, err := r.AddChannel(sandbox.Channel{GuildID: r.w.Guild, Type: sandbox.ChannelStage, Name: "stage"})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := r.login(sandbox.IntentGuildVoiceStates)
	join := func(guild, channel any, mute bool) {
		c.send(4, obj{"guild_id": guild, "channel_id": channel, "self_mute": mute, "self_deaf": false})
	}
	join(r.w.Guild, r.w.Voice, true)
	joined := c.event("VOICE_STATE_UPDATE")
	equal(t, "channel", joined["channel_id"], any(r.w.Voice.String()))
	equal(t, "user", joined["user_id"], any(r.w.Bot.String()))
	equal(t, "muted", joined["self_mute"], any(true))
	at := path("/guilds/%d/voice-states/@me", r.w.Guild)
	equal(t, "over REST", r.do("GET", at, nil).is(200).object()["channel_id"], any(r.w.Voice.String()))
	join(r.w.Guild, r.w.General, false)    // no voice channel
	join(r.w.OtherGuild, r.w.Voice, false) // a guild without the bot
	join(r.w.Guild, 5, false)
	join(r.w.Guild, stage, false)
	moved := c.event("VOICE_STATE_UPDATE")
	equal(t, "moved to", moved["channel_id"], any(stage.String()))
	equal(t, "session", moved["session_id"], joined["session_id"])
	join(r.w.Guild, nil, false)
	equal(t, "left", c.event("VOICE_STATE_UPDATE")["channel_id"], nil)
	r.do("GET", at, nil).is(404)
	join(r.w.Guild, nil, false) // has left already
	if err := r.SetOverwrite(r.w.Voice, sandbox.Overwrite{ID: r.w.Bot, Type: sandbox.OverwriteMember, Deny: sandbox.PermConnect}); err != nil {
		t.Fatal(err)
	}
	join(r.w.Guild, r.w.Voice, false)
	c.send(1, nil)
	equal(t, "after the ack", c.next().Op, 11)
	c.send(4, "x")
	c.closed(sandbox.CloseDecodeError)
}

func TestGatewayMembers(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	for i := range 1500 {
		u := r.AddUser(sandbox.User{Username: fmt.Sprintf("user%d", i)})
		if err := r.AddMember(r.w.Guild, u); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := r.login(sandbox.IntentGuilds | sandbox.IntentGuildMembers | sandbox.IntentGuildPresences)
	guild := c.event("GUILD_CREATE")
	equal(t, "large", guild["large"], any(true))
	equal(t, "members online", len(guild["members"].([]any)), 1)
	c.event("PRESENCE_UPDATE")
	ask := func(more obj) {
		t.Helper()
		d := obj{"guild_id": r.w.Guild.String(), "nonce": "n"}
		for k, v := range more {
			d[k] = v
		}
		c.send(8, d)
	}
	ask(obj{"query": "", "limit": 0, "presences": true})
	one, two := c.event("GUILD_MEMBERS_CHUNK"), c.event("GUILD_MEMBERS_CHUNK")
	equal(t, "sizes", []int{len(one["members"].([]any)), len(two["members"].([]any))}, []int{1000, 506})
	equal(t, "count", []any{one["chunk_index"], two["chunk_index"], two["chunk_count"], two["nonce"]}, []any{0.0, 1.0, 2.0, "n"})
	equal(t, "presences", len(one["presences"].([]any)), 1)
	ask(obj{"query": "", "limit": 0})
	if after := c.event("RATE_LIMITED")["retry_after"].(float64); after <= 0 || after > 30 {
		t.Errorf("again after %v s", after)
	}
	ask(obj{"query": "user", "limit": 0})
	equal(t, "found", len(c.event("GUILD_MEMBERS_CHUNK")["members"].([]any)), 100)
	ask(obj{"guild_id": []string{r.w.Guild.String()}, "user_ids": []any{r.w.Alice, 5}})
	chunk := c.event("GUILD_MEMBERS_CHUNK")
	equal(t, "not found", fmt.Sprint(chunk["not_found"]), "[5]")
	equal(t, "found", len(chunk["members"].([]any)), 1)
	ask(obj{"query": "ali", "limit": 1, "user_ids": nil})
	equal(t, "null is no list", len(c.event("GUILD_MEMBERS_CHUNK")["members"].([]any)), 1)
	c.send(8, obj{"guild_id": r.w.Guild})
	c.closed(sandbox.CloseDecodeError)
}

func TestGatewayCompression(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{})
	read := func(c *client) (websocket.MessageType, []byte) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		kind, b, err := c.ws.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return kind, b
	}
	// Payloads by themselves: short ones are text.
	c := r.dial("?v=10&encoding=json")
	kind, _ := read(c)
	equal(t, "HELLO", kind, websocket.MessageText)
	c.send(2, identify(sandbox.IntentGuilds, obj{"compress": true}))
	for _, want := range []string{"READY", "GUILD_CREATE"} {
		kind, b := read(c)
		equal(t, want, kind, websocket.MessageBinary)
		z, err := zlib.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		var p payload
		if err := json.NewDecoder(z).Decode(&p); err != nil {
			t.Fatal(err)
		}
		equal(t, "event", *p.Type, want)
	}
	c.send(1, nil)
	kind, _ = read(c)
	equal(t, "ACK", kind, websocket.MessageText)

	// One stream for the whole connection, flushed after each payload.
	for i, stream := range []struct {
		method string
		end    []byte // of each payload
		open   func(io.Reader) (io.Reader, error)
	}{
		{"zlib-stream", []byte{0, 0, 255, 255}, func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }},
		{"zstd-stream", nil, func(r io.Reader) (io.Reader, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		}},
	} {
		t.Run(stream.method, func(t *testing.T) {
			c := r.dial("?v=10&encoding=json&compress=" + stream.method)
			readStream(t, c, read, stream.end, stream.open)
			equal(t, "compressed", r.GatewayConnections()[i+1].Compressed, true)
		})
	}
}

// readStream logs in over a compressed connection.
func readStream(t *testing.T, c *client, read func(*client) (websocket.MessageType, []byte), end []byte, open func(io.Reader) (io.Reader, error)) {
	in, out := io.Pipe()
	defer in.Close()
	payloads := make(chan payload, 10)
	go func() {
		z, err := open(in)
		if err != nil {
			t.Error(err)
			return
		}
		for d := json.NewDecoder(z); ; {
			var p payload
			if d.Decode(&p) != nil {
				return
			}
			payloads <- p
		}
	}()
	next := func() payload {
		t.Helper()
		kind, b := read(c)
		equal(t, "kind", kind, websocket.MessageBinary)
		if !bytes.HasSuffix(b, end) {
			t.Errorf("not flushed: % x", b)
		}
		if _, err := out.Write(b); err != nil {
			t.Fatal(err)
		}
		return <-payloads
	}
	equal(t, "HELLO", next().Op, 10)
	c.send(2, identify(sandbox.IntentGuilds, obj{"compress": true}))
	equal(t, "READY", *next().Type, "READY")
	equal(t, "GUILD_CREATE", *next().Type, "GUILD_CREATE")
}
