package events

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/discord/rawjson"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Event is a kept event. It is encoded once, when the first subscriber wants it.
type Event struct {
	Type      pb.Event_Type
	Name      string // Discord's
	GuildID   uint64 // 0 outside of guilds
	ChannelID uint64 // 0 when it concerns none
	Data      json.RawMessage
	State     *pb.Event_GatewayState // of a GATEWAY_STATE
	Time      time.Time

	parentID uint64 // of a thread, where the event says it
	sequence uint64
	// size is about what the event takes in memory, in bytes.
	size int64
	// rawOmitted is whether there was JSON that is not kept.
	rawOmitted bool
	// body is the encoded event without its number and its JSON, or nil before it
	// is needed.
	body    []byte
	once    sync.Once
	encoded []byte
}

// Bounds of an event. A client of gRPC takes responses of up to 4 MiB by
// default: an event of the largest size fits, with a batch of others.
const (
	maxRawBytes     = 1 << 20
	maxPayloadBytes = 2 << 20
	// overhead is what an event takes next to its data.
	overhead = 256
	// large is the size from which only some events are kept whole.
	large = 64 << 10
)

// prepare readies an event for the hub: one that is large is encoded now, and
// loses the JSON that nobody can get.
func (e *Event) prepare() {
	if int64(len(e.Data)) > large/2 {
		e.body = e.encode()
		if len(e.Data) > maxRawBytes {
			e.Data, e.rawOmitted = nil, true
		}
		e.size = overhead + int64(len(e.Data)+len(e.body))
		return
	}
	e.size = overhead + 2*int64(len(e.Data)) + int64(len(e.body)) // its encoded form is about as large
}

// Sequence returns the event's number in its hub, or 0 before Publish.
func (e *Event) Sequence() uint64 { return e.sequence }

// ParentID returns the channel of a thread, where the event says it, or 0.
func (e *Event) ParentID() uint64 { return e.parentID }

// WithData returns the event with its JSON replaced.
func (e *Event) WithData(data json.RawMessage) *Event {
	return &Event{
		Type: e.Type, Name: e.Name, GuildID: e.GuildID, ChannelID: e.ChannelID, Data: data, State: e.State, Time: e.Time,
		parentID: e.parentID, sequence: e.sequence, rawOmitted: e.rawOmitted,
	}
}

// smaller returns the event without its JSON, or without its payload when it has
// no JSON, or nil when there is nothing more to leave out. Subscribers that hold
// the event itself are not disturbed.
func (e *Event) smaller() *Event {
	s := &Event{
		Type: e.Type, Name: e.Name, GuildID: e.GuildID, ChannelID: e.ChannelID, State: e.State, Time: e.Time,
		parentID: e.parentID, sequence: e.sequence, rawOmitted: true,
	}
	switch {
	case e.Data != nil && e.Type != pb.Event_UNTYPED:
		s.body = e.body
	case len(e.body) > overhead:
		m := s.header()
		m.PayloadOmitted = e.Type != pb.Event_UNTYPED
		m.RawOmitted = e.Type == pb.Event_UNTYPED
		s.body = marshal(m)
	default:
		return nil
	}
	s.size = overhead + int64(len(s.body))
	return s
}

// Encode returns the event as an encoded discord_api.Event, with its JSON if
// raw is set or if it has no other form. JSON of more than maxRawBytes, and a
// payload of more than maxPayloadBytes, are left out, and the event says so.
func (e *Event) Encode(raw bool) []byte {
	e.once.Do(func() {
		body := e.body
		if body == nil {
			body = e.encode()
		}
		// The encoding of a message is that of its fields, one after the other.
		if e.sequence > 0 {
			e.encoded = protowire.AppendVarint(protowire.AppendTag(nil, sequenceField.Number(), protowire.VarintType), e.sequence)
		}
		e.encoded = append(e.encoded, body...)
	})
	if !raw || e.Type == pb.Event_UNTYPED || e.Data == nil && !e.rawOmitted {
		return e.encoded
	}
	out := slices.Clone(e.encoded)
	if text, ok := e.text(); ok {
		return protowire.AppendString(protowire.AppendTag(out, rawField.Number(), protowire.BytesType), text)
	}
	return protowire.AppendVarint(protowire.AppendTag(out, rawOmittedField.Number(), protowire.VarintType), 1)
}

// text returns the event's JSON, unless it is too large or not kept.
func (e *Event) text() (string, bool) {
	if e.rawOmitted || len(e.Data) > maxRawBytes {
		return "", false
	}
	text := strings.ToValidUTF8(string(e.Data), "\uFFFD")
	return text, len(text) <= maxRawBytes
}

var (
	eventFields     = (*pb.Event)(nil).ProtoReflect().Descriptor().Fields()
	sequenceField   = eventFields.ByName("sequence")
	rawField        = eventFields.ByName("raw")
	rawOmittedField = eventFields.ByName("raw_omitted")
)

// header is the event without its number and what it says.
func (e *Event) header() *pb.Event {
	return &pb.Event{Time: timestamppb.New(e.Time), Type: e.Type, Name: e.Name, GuildId: e.GuildID, ChannelId: e.ChannelID}
}

func (e *Event) encode() []byte {
	m := e.header()
	switch {
	case e.State != nil:
		m.Payload = &pb.Event_GatewayState_{GatewayState: e.State}
	case e.Type == pb.Event_UNTYPED:
		text, ok := e.text()
		m.Raw, m.RawOmitted = text, !ok
		if !ok {
			m.Raw = ""
		}
	default:
		if field := kinds[e.Type].payload; field != nil {
			// Parts that are not understood are left out; the event is delivered in any case.
			_ = discordjson.Unmarshal(e.Data, m.ProtoReflect().Mutable(field).Message().Interface())
			if proto.Size(m) > maxPayloadBytes {
				m.ProtoReflect().Clear(field)
				m.PayloadOmitted = true
			}
		}
	}
	return marshal(m)
}

func marshal(m *pb.Event) []byte {
	data, err := proto.Marshal(m)
	if err != nil {
		// Texts are valid and nothing is required: this cannot happen.
		return nil
	}
	return data
}

// Of returns an event from Discord.
func Of(d gateway.Dispatch) *Event {
	e := &Event{Type: pb.Event_UNTYPED, Name: d.Type, Data: d.Data, Time: d.Time}
	if number, ok := pb.Event_Type_value[d.Type]; ok {
		if _, ok := kinds[pb.Event_Type(number)]; ok {
			e.Type = pb.Event_Type(number)
		}
	}
	var ids struct {
		ID        rawjson.Snowflake `json:"id"`
		GuildID   rawjson.Snowflake `json:"guild_id"`
		ChannelID rawjson.Snowflake `json:"channel_id"`
		ParentID  rawjson.Snowflake `json:"parent_id"`
	}
	_ = json.Unmarshal(d.Data, &ids) // what has another form has no ids
	e.GuildID, e.ChannelID = uint64(ids.GuildID), uint64(ids.ChannelID)
	switch e.Type {
	case pb.Event_CHANNEL_CREATE, pb.Event_CHANNEL_UPDATE, pb.Event_CHANNEL_DELETE,
		pb.Event_THREAD_CREATE, pb.Event_THREAD_UPDATE, pb.Event_THREAD_DELETE:
		e.ChannelID = uint64(ids.ID)
		if strings.HasPrefix(d.Type, "THREAD_") {
			e.parentID = uint64(ids.ParentID)
		}
	case pb.Event_GUILD_CREATE, pb.Event_GUILD_UPDATE, pb.Event_GUILD_DELETE:
		e.GuildID = uint64(ids.ID)
	}
	switch d.Type {
	case "THREAD_MEMBER_UPDATE", "THREAD_MEMBERS_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE", "VOICE_CHANNEL_START_TIME_UPDATE":
		e.ChannelID = uint64(ids.ID)
	}
	return e
}

// kind is what is known of one of Discord's events.
type kind struct {
	// payload is the field of discord_api.Event that it fills, or nil for none.
	payload protoreflect.FieldDescriptor
	// intents bring it, each of them some. 0 means that none is needed.
	intents gateway.Intents
	// asked: it comes only to those who name it.
	asked bool
}

func payload(name protoreflect.Name, intents gateway.Intents) kind {
	return kind{payload: eventFields.ByName(name), intents: intents}
}

const (
	messageIntents  = gateway.IntentGuildMessages | gateway.IntentDirectMessages
	reactionIntents = gateway.IntentGuildMessageReactions | gateway.IntentDirectMessageReactions
	typingIntents   = gateway.IntentGuildMessageTyping | gateway.IntentDirectMessageTyping
)

// DefaultIntents are all that Discord gives to every bot.
const DefaultIntents = gateway.IntentsAll &^ gateway.IntentsPrivileged

// kinds are Discord's events that have a type.
var kinds = map[pb.Event_Type]kind{
	pb.Event_MESSAGE_CREATE:                payload("message", messageIntents),
	pb.Event_MESSAGE_UPDATE:                payload("message", messageIntents),
	pb.Event_MESSAGE_DELETE:                payload("message_delete", messageIntents),
	pb.Event_MESSAGE_DELETE_BULK:           payload("message_delete", gateway.IntentGuildMessages),
	pb.Event_MESSAGE_REACTION_ADD:          payload("reaction", reactionIntents),
	pb.Event_MESSAGE_REACTION_REMOVE:       payload("reaction", reactionIntents),
	pb.Event_MESSAGE_REACTION_REMOVE_ALL:   payload("reaction", reactionIntents),
	pb.Event_MESSAGE_REACTION_REMOVE_EMOJI: payload("reaction", reactionIntents),
	pb.Event_GUILD_MEMBER_ADD:              payload("member", gateway.IntentGuildMembers),
	pb.Event_GUILD_MEMBER_REMOVE:           payload("member", gateway.IntentGuildMembers),
	pb.Event_GUILD_MEMBER_UPDATE:           payload("member", gateway.IntentGuildMembers),
	pb.Event_GUILD_BAN_ADD:                 payload("ban", gateway.IntentGuildModeration),
	pb.Event_GUILD_BAN_REMOVE:              payload("ban", gateway.IntentGuildModeration),
	pb.Event_GUILD_ROLE_CREATE:             payload("role", gateway.IntentGuilds),
	pb.Event_GUILD_ROLE_UPDATE:             payload("role", gateway.IntentGuilds),
	pb.Event_GUILD_ROLE_DELETE:             payload("role", gateway.IntentGuilds),
	pb.Event_CHANNEL_CREATE:                payload("channel", gateway.IntentGuilds),
	pb.Event_CHANNEL_UPDATE:                payload("channel", gateway.IntentGuilds),
	pb.Event_CHANNEL_DELETE:                payload("channel", gateway.IntentGuilds),
	pb.Event_THREAD_CREATE:                 payload("channel", gateway.IntentGuilds),
	pb.Event_THREAD_UPDATE:                 payload("channel", gateway.IntentGuilds),
	pb.Event_THREAD_DELETE:                 payload("channel", gateway.IntentGuilds),
	pb.Event_GUILD_CREATE:                  payload("guild", gateway.IntentGuilds),
	pb.Event_GUILD_UPDATE:                  payload("guild", gateway.IntentGuilds),
	pb.Event_GUILD_DELETE:                  payload("guild_delete", gateway.IntentGuilds),
	pb.Event_INTERACTION_CREATE:            payload("interaction", 0),
	pb.Event_TYPING_START:                  payload("typing", typingIntents),
	pb.Event_PRESENCE_UPDATE:               {payload: eventFields.ByName("presence"), intents: gateway.IntentGuildPresences, asked: true},
}

// Intents returns the intents, at least one of which is needed for events of a
// type, or 0 when none is.
func Intents(t pb.Event_Type) gateway.Intents { return kinds[t].intents }
