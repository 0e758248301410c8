package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

var messageRoutes = []route{
	{method: "POST", template: "/channels/{channel_id}/messages", handle: (*Sandbox).createMessage},
	{method: "GET", template: "/channels/{channel_id}/messages", handle: (*Sandbox).listMessages},
	{method: "GET", template: "/channels/{channel_id}/messages/{message_id}", handle: (*Sandbox).getMessage},
	{method: "PATCH", template: "/channels/{channel_id}/messages/{message_id}", handle: (*Sandbox).editMessage},
	{method: "DELETE", template: "/channels/{channel_id}/messages/{message_id}", handle: (*Sandbox).deleteMessage},
	{method: "POST", template: "/channels/{channel_id}/messages/bulk-delete", handle: (*Sandbox).bulkDelete},
	{method: "POST", template: "/channels/{channel_id}/messages/{message_id}/crosspost", handle: (*Sandbox).crosspost},
	{method: "POST", template: "/channels/{channel_id}/typing", handle: (*Sandbox).typing},
}

// Message types and flags that the sandbox sets.
const (
	MessageDefault       = 0
	MessagePinned        = 6
	MessageThreadCreated = 18
	MessageReply         = 19
	MessageCommand       = 20
	MessageThreadStarter = 21
	MessagePollResult    = 46

	FlagCrossposted           = 1 << 0
	FlagSuppressEmbeds        = 1 << 2
	FlagHasThread             = 1 << 5
	FlagEphemeral             = 1 << 6
	FlagSuppressNotifications = 1 << 12
	FlagVoiceMessage          = 1 << 13
	FlagHasSnapshot           = 1 << 14
	FlagComponentsV2          = 1 << 15
)

// Message is a message as Discord shows it.
// See https://discord.com/developers/docs/resources/message.
type Message struct {
	Type            int               `json:"type"`
	Content         string            `json:"content"`
	Mentions        []*User           `json:"mentions"`
	MentionRoles    []ID              `json:"mention_roles"`
	Attachments     []Attachment      `json:"attachments"`
	Embeds          []Embed           `json:"embeds"`
	Timestamp       string            `json:"timestamp"`
	EditedTimestamp *string           `json:"edited_timestamp"`
	Flags           int               `json:"flags"`
	Components      []map[string]any  `json:"components"`
	ID              ID                `json:"id"`
	ChannelID       ID                `json:"channel_id"`
	Author          *User             `json:"author"`
	Pinned          bool              `json:"pinned"`
	MentionEveryone bool              `json:"mention_everyone"`
	TTS             bool              `json:"tts"`
	Nonce           json.RawMessage   `json:"nonce,omitempty"` // string or number, as it was sent
	WebhookID       ID                `json:"webhook_id,omitzero"`
	ApplicationID   ID                `json:"application_id,omitzero"`
	Reference       *MessageReference `json:"message_reference,omitempty"`
	Referenced      any               `json:"referenced_message,omitempty"` // *Message; a nil one was deleted
	Snapshots       []Snapshot        `json:"message_snapshots,omitempty"`
	Thread          any               `json:"thread,omitempty"`
	Reactions       []Reaction        `json:"reactions,omitempty"`
	StickerItems    []Sticker         `json:"sticker_items,omitempty"`
	Poll            *Poll             `json:"poll,omitempty"`
	Position        *int              `json:"position,omitempty"` // in a thread

	Interaction *InteractionMetadata `json:"interaction_metadata,omitempty"`
}

// MessageReference says which message another one replies to or forwards.
type MessageReference struct {
	Type      int `json:"type"`
	MessageID ID  `json:"message_id,omitzero"`
	ChannelID ID  `json:"channel_id"`
	GuildID   ID  `json:"guild_id,omitzero"`
}

// Snapshot is a forwarded message.
type Snapshot struct {
	Message SnapshotMessage `json:"message"`
}

// SnapshotMessage is the part of a message that is forwarded.
type SnapshotMessage struct {
	Type            int              `json:"type"`
	Content         string           `json:"content"`
	Mentions        []*User          `json:"mentions"`
	MentionRoles    []ID             `json:"mention_roles"`
	Attachments     []Attachment     `json:"attachments"`
	Embeds          []Embed          `json:"embeds"`
	Timestamp       string           `json:"timestamp"`
	EditedTimestamp *string          `json:"edited_timestamp"`
	Flags           int              `json:"flags"`
	Components      []map[string]any `json:"components"`
}

// Sticker is a sticker in a message.
type Sticker struct {
	ID     ID     `json:"id"`
	Name   string `json:"name"`
	Format int    `json:"format_type"` // 1 PNG, 2 APNG, 3 Lottie, 4 GIF

	// Not shown in messages.
	GuildID     ID     `json:"guild_id,omitzero"` // none is Discord's own
	Description string `json:"description,omitempty"`
	Tags        string `json:"tags,omitempty"`
}

// message is a stored message with the fields that depend on the reader.
type message struct {
	Message
	reactions []*reaction
	votes     map[int][]ID // in its poll, by answer; ascending
	pinnedAt  time.Time
}

type nonceKey struct {
	author ID
	nonce  string
}

type nonceEntry struct {
	channel, message ID
	at               time.Time
}

// nonceLifetime is the "past few minutes" in which a nonce is remembered.
const nonceLifetime = 5 * time.Minute

// find returns the place of a message; messages are in order of their ids.
func (ch *channel) find(id ID) (int, bool) { return place(ch.messages, id) }

func place(messages []*message, id ID) (int, bool) {
	return slices.BinarySearchFunc(messages, id, func(m *message, id ID) int { return cmp.Compare(m.ID, id) })
}

func (m *message) ephemeral() bool { return m.Flags&FlagEphemeral != 0 }

// public returns the messages that the channel's routes show. Ephemeral ones
// are reached by the token of their interaction alone.
func (ch *channel) public() []*message {
	if !slices.ContainsFunc(ch.messages, (*message).ephemeral) {
		return ch.messages
	}
	return slices.DeleteFunc(slices.Clone(ch.messages), (*message).ephemeral)
}

func (ch *channel) message(id ID) *message {
	if i, found := ch.find(id); found {
		return ch.messages[i]
	}
	return nil
}

// store puts a message, which has all but its time and mostly its id, into a
// channel.
func (s *Sandbox) store(ch *channel, m *message) {
	if m.ID == 0 {
		m.ID = s.newID()
	}
	m.ChannelID = ch.ID
	m.Timestamp = timestamp(m.ID.Time())
	m.normalize()
	if len(ch.messages) >= s.config.MaxMessages {
		ch.messages[0] = nil
		ch.messages = ch.messages[1:]
	}
	ch.messages = append(ch.messages, m)
	ch.LastMessageID = m.ID
	if ch.isThread() {
		ch.MessageCount++
		ch.TotalMessageSent++
		m.Position = ptr(ch.TotalMessageSent - 1)
	}
	s.publish("MESSAGE_CREATE", ch.GuildID, ch.ID, func() any { return s.eventMessage(ch, m) })
}

// normalize makes empty lists of what may not be null.
func (m *Message) normalize() {
	m.Mentions = orEmpty(m.Mentions)
	m.MentionRoles = orEmpty(m.MentionRoles)
	m.Attachments = orEmpty(m.Attachments)
	m.Embeds = orEmpty(m.Embeds)
	m.Components = orEmpty(m.Components)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// view is a message as someone sees it.
func (s *Sandbox) view(m *message, viewer ID) *Message {
	out := m.Message
	out.Reactions = nil
	for _, r := range m.reactions {
		out.Reactions = append(out.Reactions, r.view(viewer))
	}
	if m.Reference != nil && (m.Type == MessageReply || m.Type == MessageThreadStarter || m.Type == MessagePollResult) {
		var ref *Message
		if ch := s.channels[m.Reference.ChannelID]; ch != nil {
			if found := ch.message(m.Reference.MessageID); found != nil {
				copied := found.Message
				copied.Thread = nil
				ref = &copied
			}
		}
		out.Referenced = ref
	}
	if m.Poll != nil {
		out.Poll = m.counted(viewer)
	}
	if m.Flags&FlagHasThread != 0 {
		if thread := s.channels[m.ID]; thread != nil {
			out.Thread = s.channelView(thread, viewer)
		}
	}
	return &out
}

// at finds the message that a call is about.
func (s *Sandbox) at(c *call) (*channel, *message, Permissions, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, nil, 0, err
	}
	m := ch.message(c.id("message_id"))
	if m == nil || m.ephemeral() {
		return nil, nil, 0, errUnknownMessage
	}
	return ch, m, p, nil
}

func (s *Sandbox) listMessages(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit := q.int("limit", 50, 1, 100)
	before, after, around := q.snowflake("before"), q.snowflake("after"), q.snowflake("around")
	if err := q.err(); err != nil {
		return nil, err
	}
	out := []*Message{}
	if !p.Has(PermReadMessageHistory) || !ch.takesMessages() {
		return out, nil
	}
	messages := ch.public()
	start, end := 0, len(messages)
	switch {
	case around != 0:
		i, _ := place(messages, around)
		start = max(0, i-limit/2)
		end = min(end, start+limit)
	case before != 0:
		end, _ = place(messages, before)
		start = max(0, end-limit)
	case after != 0:
		i, found := place(messages, after)
		if found {
			i++
		}
		start, end = i, min(end, i+limit)
	default:
		start = max(0, end-limit)
	}
	for _, m := range slices.Backward(messages[start:end]) {
		out = append(out, s.view(m, c.user.ID))
	}
	return out, nil
}

func (s *Sandbox) getMessage(c *call) (any, error) {
	_, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermReadMessageHistory):
		return nil, errMissingAccess
	}
	return s.view(m, c.user.ID), nil
}

// undeletable are the system messages that nobody may delete.
func undeletable(kind int) bool { return kind >= 1 && kind <= 5 || kind == MessageThreadStarter }

func (s *Sandbox) deleteMessage(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case undeletable(m.Type):
		return nil, refuse(http.StatusForbidden, 50021, "Cannot execute action on a system message")
	case m.Author.ID == c.user.ID:
	case ch.GuildID == 0:
		return nil, errOnDM
	case !p.Has(PermManageMessages):
		return nil, errMissingPerms
	}
	s.remove(ch, m.ID)
	if m.Author.ID != c.user.ID {
		s.audit(c, ch.GuildID, auditMessageDelete, m.Author.ID, nil, nil, map[string]any{"channel_id": ch.ID, "count": "1"})
	}
	return nil, nil
}

// remove deletes a message, if it is there.
func (s *Sandbox) remove(ch *channel, id ID) {
	if s.drop(ch, id) {
		s.publish("MESSAGE_DELETE", ch.GuildID, ch.ID, func() any {
			return struct {
				ID        ID `json:"id"`
				ChannelID ID `json:"channel_id"`
				GuildID   ID `json:"guild_id,omitzero"`
			}{id, ch.ID, ch.GuildID}
		})
	}
}

func (s *Sandbox) drop(ch *channel, id ID) bool {
	i, found := ch.find(id)
	if !found {
		return false
	}
	ch.messages = slices.Delete(ch.messages, i, i+1)
	ch.pins = slices.DeleteFunc(ch.pins, func(p ID) bool { return p == id })
	if ch.isThread() {
		ch.MessageCount--
	}
	return true
}

func (s *Sandbox) bulkDelete(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case ch.GuildID == 0:
		return nil, errOnDM
	case !p.Has(PermManageMessages):
		return nil, errMissingPerms
	}
	var body struct {
		Messages []reqID `json:"messages"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if body.Messages == nil {
		f.required("messages")
	}
	var ids []ID
	for i, r := range body.Messages {
		f.id(join("messages", i), r)
		ids = append(ids, r.ID)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) < 2 || len(ids) > 100 {
		return nil, refuse(http.StatusBadRequest, 50016,
			"Provided too few or too many messages to delete. Must provide at least 2 and fewer than 100 messages to delete")
	}
	if c.now.Sub(ids[0].Time()) > 14*24*time.Hour {
		return nil, refuse(http.StatusBadRequest, 50034, "You can only bulk delete messages that are under 14 days old.")
	}
	gone := []ID{}
	for _, id := range ids {
		if s.drop(ch, id) {
			gone = append(gone, id)
		}
	}
	s.audit(c, ch.GuildID, auditBulkDelete, ch.ID, nil, nil, map[string]any{"count": strconv.Itoa(len(gone))})
	s.publish("MESSAGE_DELETE_BULK", ch.GuildID, ch.ID, func() any {
		return struct {
			IDs       []ID `json:"ids"`
			ChannelID ID   `json:"channel_id"`
			GuildID   ID   `json:"guild_id"`
		}{gone, ch.ID, ch.GuildID}
	})
	return nil, nil
}

func (s *Sandbox) crosspost(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case ch.Type != ChannelAnnouncement:
		return nil, errChannelType
	case !p.Has(PermSendMessages) || m.Author.ID != c.user.ID && !p.Has(PermManageMessages):
		return nil, errMissingPerms
	case m.Flags&FlagCrossposted != 0:
		return nil, refuse(http.StatusBadRequest, 40033, "This message has already been crossposted.")
	}
	m.Flags |= FlagCrossposted
	s.changed(ch, m)
	return s.view(m, c.user.ID), nil
}

// changed publishes that a message is not as it was.
func (s *Sandbox) changed(ch *channel, m *message) {
	s.publish("MESSAGE_UPDATE", ch.GuildID, ch.ID, func() any { return s.eventMessage(ch, m) })
}

func (s *Sandbox) typing(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case !ch.takesMessages():
		return nil, errNonText
	case !p.Has(PermSendMessages):
		return nil, errMissingPerms
	}
	s.publish("TYPING_START", ch.GuildID, ch.ID, func() any {
		return struct {
			ChannelID ID      `json:"channel_id"`
			GuildID   ID      `json:"guild_id,omitzero"`
			UserID    ID      `json:"user_id"`
			Timestamp int64   `json:"timestamp"`
			Member    *Member `json:"member,omitempty"`
		}{ch.ID, ch.GuildID, c.user.ID, c.now.Unix(), s.memberOf(ch.GuildID, c.user.ID)}
	})
	return nil, nil
}
