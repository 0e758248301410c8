package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
)

// reducible is the data of an event that sessions without the intent for it
// get with less in it.
type reducible interface {
	// reducedFor reports whether a session must get the reduced form.
	reducedFor(ss *session) bool
	reduced() any
}

// dispatch gives an event to every session that may have it. The lock is held.
func (s *Sandbox) dispatch(e Event) {
	var whole, reduced json.RawMessage
	for _, ss := range s.gateway.order {
		if !s.concerns(ss, &e) {
			continue
		}
		kind, data := e.Type, &whole
		r, ok := e.Data.(reducible)
		if ok && r.reducedFor(ss) {
			data = &reduced
		}
		switch {
		case *data != nil:
		case data == &reduced:
			reduced = mustJSON(r.reduced())
		default:
			whole = mustJSON(e.Data)
		}
		s.push(ss, kind, *data)
	}
}

// concerns reports whether an event is for a session.
func (s *Sandbox) concerns(ss *session, e *Event) bool {
	switch {
	case e.User != 0 && e.User != ss.user, !ss.owns(e.GuildID):
		return false
	}
	if needed := intentsOf(e.Type, e.GuildID == 0); needed != 0 && ss.intents&needed == 0 {
		// Of itself a bot hears without the intent.
		if m, ok := e.Data.(memberEvent); !ok || m.User.ID != ss.user || e.Type != "GUILD_MEMBER_UPDATE" {
			return false
		}
	}
	if e.User != 0 {
		return true
	}
	if m, ok := e.Data.(memberEvent); ok && e.Type == "GUILD_MEMBER_ADD" && m.User.ID == ss.user {
		return false // it gets the guild instead
	}
	ch := s.channels[e.ChannelID]
	if e.GuildID == 0 {
		return ch != nil && ch.hasRecipient(ss.user)
	}
	g := s.guilds[e.GuildID]
	if g == nil || g.members[ss.user] == nil || g.unavailable {
		return false
	}
	if e.Type == auditLogEntryCreated && !g.permissions(ss.user, s.clock()).Has(PermViewAuditLog) {
		return false
	}
	// Bots get events about all channels, but events in a channel only if they can view it.
	if ch == nil || strings.HasPrefix(e.Type, "CHANNEL_") && e.Type != "CHANNEL_PINS_UPDATE" {
		return true
	}
	if m, ok := e.Data.(messageEvent); ok && m.Flags&FlagEphemeral != 0 && m.Author.ID != ss.user {
		return false // it is for the one who interacted
	}
	return s.permissions(ss.user, ch).Has(PermViewChannel)
}

// messageEvent is a message as the gateway sends it: with guild and member.
type messageEvent struct {
	*Message
	GuildID ID             `json:"guild_id,omitzero"`
	Member  *partialMember `json:"member,omitempty"`
}

// partialMember is a member without its user.
type partialMember struct {
	*Member
	User *struct{} `json:"user,omitempty"`
}

func (s *Sandbox) eventMessage(ch *channel, m *message) messageEvent {
	out := messageEvent{Message: s.view(m, 0), GuildID: ch.GuildID}
	if g := s.guilds[ch.GuildID]; g != nil && g.members[m.Author.ID] != nil && m.WebhookID == 0 {
		out.Member = &partialMember{Member: ptr(*g.members[m.Author.ID])}
	}
	return out
}

// reducedFor removes contents for bots that neither have the intent, nor wrote the
// message, nor are mentioned in it, nor received it as a direct message.
//
// See https://discord.com/developers/docs/events/gateway#message-content-intent.
func (m messageEvent) reducedFor(ss *session) bool {
	return m.GuildID != 0 && !ss.intents.Has(IntentMessageContent) && m.Author.ID != ss.user && m.ApplicationID != ss.user &&
		!slices.ContainsFunc(m.Mentions, func(u *User) bool { return u.ID == ss.user })
}

func (m messageEvent) reduced() any {
	m.Message = m.Message.withoutContent()
	return m
}

// withoutContent is the message with what depends on the intent left empty, in
// those that it refers to as well.
func (m *Message) withoutContent() *Message {
	out := *m
	out.Content, out.Poll, out.Snapshots = "", nil, nil
	out.Embeds, out.Attachments, out.Components = []Embed{}, []Attachment{}, []map[string]any{}
	if ref, ok := m.Referenced.(*Message); ok && ref != nil {
		out.Referenced = ref.withoutContent()
	}
	return &out
}

// memberEvent is a member with its guild.
type memberEvent struct {
	GuildID ID `json:"guild_id"`
	Member
}

// guildCreate returns a guild as GUILD_CREATE contains it.
//
// See https://discord.com/developers/docs/events/gateway-events#guild-create.
func (s *Sandbox) guildCreate(ss *session, g *guild) map[string]any {
	out := g.wire()
	channels, threads := []any{}, []any{}
	for _, id := range g.channels {
		ch := s.channels[id].Channel
		ch.GuildID = 0 // it is the event's
		channels = append(channels, ch.wire())
	}
	for _, id := range g.threads {
		if ch := s.channels[id]; !ch.Thread.Archived && s.permissions(ss.user, ch).Has(PermViewChannel) {
			threads = append(threads, s.channelView(ch, ss.user))
		}
	}
	members, presences := []*Member{}, []presenceEvent{}
	for _, id := range g.order {
		p := s.presenceEvent(id, 0)
		online := p.Status != StatusOffline
		if id == ss.user || ss.intents.Has(IntentGuildPresences) && (online || len(g.order) <= ss.large) {
			members = append(members, g.members[id])
		}
		if online && ss.intents.Has(IntentGuildPresences) {
			presences = append(presences, p)
		}
	}
	for key, value := range map[string]any{
		"joined_at": g.members[ss.user].JoinedAt, "large": len(g.order) > ss.large, "unavailable": false,
		"member_count": len(g.order), "channels": channels, "threads": threads, "members": members, "presences": presences,
		"voice_states": g.voiceStates(), "stage_instances": []any{}, "guild_scheduled_events": orEmpty(g.scheduled), "soundboard_sounds": []any{},
		"stickers": s.stickerList(g.ID),
	} {
		out[key] = value
	}
	return out
}
