package gatewayproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"discordproxy/discord/gateway"
	"discordproxy/discord/rawjson"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"
)

const guildCreate = "GUILD_CREATE"

// view is what a session sees, by its intents and the rules for its client.
type view struct {
	client  *access.Client
	intents gateway.Intents
	large   int
	self    uint64
}

// filter returns the filter of a session's events.
func (c *connection) filter(ctx context.Context, s *session, bot uint64) events.Filter {
	intents, self := s.hello.intents(), strconv.FormatUint(bot, 10)
	return events.FilterFunc(func(e *events.Event) bool {
		if !intents.Brings(e.Name, e.GuildID == 0) && !isOwnMember(e, self) {
			return false
		}
		if e.Name == guildCreate {
			return true // view.event makes of it what the client may see
		}
		// The rules may change while the events flow.
		return access.From(ctx).SeesEvent(e.GuildID, e.ChannelID, e.ParentID())
	})
}

// isOwnMember reports whether an event says that the bot's own member has changed,
// which Discord says without an intent.
func isOwnMember(e *events.Event, self string) bool {
	if e.Name != "GUILD_MEMBER_UPDATE" || !bytes.Contains(e.Data, []byte(self)) {
		return false
	}
	var member struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	return json.Unmarshal(e.Data, &member) == nil && member.User.ID == self
}

// ready returns the data of READY.
func (v *view) ready(snapshot gateway.Snapshot, c *connection, s *session) json.RawMessage {
	fields := make(map[string]json.RawMessage)
	_ = json.Unmarshal(snapshot.Ready, &fields) // it was read before
	type unavailable struct {
		ID          string `json:"id"`
		Unavailable bool   `json:"unavailable"`
	}
	guilds := []unavailable{}
	for i := range snapshot.Guilds {
		if g := &snapshot.Guilds[i]; v.sees(g) {
			guilds = append(guilds, unavailable{strconv.FormatUint(g.ID, 10), true})
		}
	}
	for name, value := range map[string]any{
		"v": json.Number(c.version), "session_id": s.id, "resume_gateway_url": c.proxy.URL(c.request), "guilds": guilds,
		"private_channels": []any{}, "presences": []any{}, "relationships": []any{}, "user_settings": struct{}{}, "_trace": []any{},
		"guild_join_requests": []any{},
	} {
		fields[name] = encoded(value)
	}
	delete(fields, "shard")
	if s.hello.Shard != nil {
		fields["shard"] = encoded(s.hello.Shard)
	}
	return encoded(fields)
}

// encoded returns JSON of what always has some.
func encoded(value any) json.RawMessage {
	data, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return data
}

// sees reports whether the session sees a guild, or a channel in it.
func (v *view) sees(g *gateway.GuildSnapshot) bool {
	if v.client.SeesGuild(g.ID) {
		return true
	}
	return g.HasElement("channels", func(channel json.RawMessage) bool { return v.seesElement(g.ID, "channels", channel) })
}

// seesElement reports whether the session sees an element of a list of GUILD_CREATE.
func (v *view) seesElement(guild uint64, list string, data json.RawMessage) bool {
	var o struct {
		ID        rawjson.Snowflake `json:"id"`
		ChannelID rawjson.Snowflake `json:"channel_id"`
		ParentID  rawjson.Snowflake `json:"parent_id"`
	}
	_ = json.Unmarshal(data, &o) // what has another form has no ids
	switch list {
	case "channels":
		return v.client.SeesEvent(guild, uint64(o.ID), 0)
	case "threads":
		return v.client.SeesEvent(guild, uint64(o.ID), uint64(o.ParentID))
	}
	return v.client.SeesEvent(guild, uint64(o.ChannelID), 0)
}

// guild returns the data of a GUILD_CREATE, or nil of a guild that the session does not
// see or whose contents are not known. A client who may have some channels of a guild
// but not the guild gets these channels, and little else.
func (v *view) guild(g *gateway.GuildSnapshot) json.RawMessage {
	if !g.Available() || !v.sees(g) {
		return nil
	}
	all := v.intents&gateway.IntentGuildMembers != 0 && g.Members <= v.large
	allowed := func(list string, data json.RawMessage) bool { return v.seesElement(g.ID, list, data) }
	if !v.client.SeesGuild(g.ID) {
		return g.CreateOutline(v.self, allowed)
	}
	if !v.client.FiltersChannels() {
		allowed = nil
	}
	return g.Create(v.self, all, allowed)
}

// event returns the data of an event as the session sees it, or nil if it does not.
func (v *view) event(e *events.Event, guilds *gateway.Guilds) (json.RawMessage, error) {
	if e.Name == guildCreate {
		// Without presences and members it is made from what is kept.
		const whole = gateway.IntentGuildMembers | gateway.IntentGuildPresences
		may := v.client.SeesGuild(e.GuildID)
		if g := guilds.GuildSnapshot(e.GuildID); !may || g.Available() && (e.Data == nil || v.intents&whole != whole) {
			return v.guild(&g), nil
		}
	}
	if e.Data == nil {
		return nil, errStale // it was too large to be kept
	}
	data := e.Data
	if e.ChannelID == 0 && v.client.FiltersChannels() {
		visible, err := v.client.VisibleEvent(data)
		if err != nil {
			return nil, err
		}
		data = visible
	}
	if v.intents&gateway.IntentMessageContent == 0 && e.GuildID != 0 && (e.Name == "MESSAGE_CREATE" || e.Name == "MESSAGE_UPDATE") {
		data = v.withoutContent(data)
	}
	return data, nil
}

// withoutContent returns a message as Discord sends it to a session without
// MESSAGE_CONTENT: what it says is empty unless the bot wrote it or is mentioned. The
// same holds of the message that it answers.
// https://discord.com/developers/docs/events/gateway#message-content-intent
func (v *view) withoutContent(data json.RawMessage) json.RawMessage {
	fields := make(map[string]json.RawMessage)
	if json.Unmarshal(data, &fields) != nil {
		return data
	}
	referenced := fields["referenced_message"]
	answers := len(referenced) > 0 && referenced[0] == '{'
	concerned := v.isConcerned(data)
	if concerned && !answers {
		return data
	}
	if answers {
		fields["referenced_message"] = v.withoutContent(referenced)
	}
	if concerned {
		return encoded(fields)
	}
	empty(fields)
	var snapshots []map[string]json.RawMessage
	if json.Unmarshal(fields["message_snapshots"], &snapshots) == nil && snapshots != nil {
		for _, snapshot := range snapshots {
			var message map[string]json.RawMessage
			if json.Unmarshal(snapshot["message"], &message) == nil && message != nil {
				empty(message)
				snapshot["message"] = encoded(message)
			}
		}
		fields["message_snapshots"] = encoded(snapshots)
	}
	return encoded(fields)
}

// isConcerned reports whether the bot wrote a message or is mentioned in it.
func (v *view) isConcerned(data json.RawMessage) bool {
	type user struct {
		ID rawjson.Snowflake `json:"id"`
	}
	var message struct {
		Author   user   `json:"author"`
		Mentions []user `json:"mentions"`
	}
	_ = json.Unmarshal(data, &message) // what has another form concerns nobody
	own := func(u user) bool { return uint64(u.ID) == v.self }
	return own(message.Author) || slices.ContainsFunc(message.Mentions, own)
}

// empty takes what a message says out of its fields.
func empty(fields map[string]json.RawMessage) {
	for name, nothing := range map[string]string{"content": `""`, "embeds": "[]", "attachments": "[]", "components": "[]"} {
		if _, ok := fields[name]; ok {
			fields[name] = json.RawMessage(nothing)
		}
	}
	delete(fields, "poll")
}
