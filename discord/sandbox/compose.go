package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// messageBody is the body of a request that posts a message, as a bot or as a webhook.
type messageBody struct {
	Content         *string          `json:"content"`
	Nonce           json.RawMessage  `json:"nonce"`
	EnforceNonce    bool             `json:"enforce_nonce"`
	TTS             bool             `json:"tts"`
	Embed           *embedBody       `json:"embed"` // v9 and before
	Embeds          []embedBody      `json:"embeds"`
	AllowedMentions *allowedMentions `json:"allowed_mentions"`
	Reference       *referenceBody   `json:"message_reference"`
	Components      []map[string]any `json:"components"`
	StickerIDs      []reqID          `json:"sticker_ids"`
	Attachments     []attachmentBody `json:"attachments"`
	Flags           int              `json:"flags"`
	Poll            *pollBody        `json:"poll"`

	// Of webhooks only.
	Username   *string `json:"username"`
	AvatarURL  *string `json:"avatar_url"`
	ThreadName *string `json:"thread_name"`
	Tags       []reqID `json:"applied_tags"`
}

type referenceBody struct {
	Type      int   `json:"type"`
	MessageID reqID `json:"message_id"`
	ChannelID reqID `json:"channel_id"`
	GuildID   reqID `json:"guild_id"`
	Must      *bool `json:"fail_if_not_exists"`
}

// join makes the path of a list's element.
func join(path string, i int) string { return path + "." + strconv.Itoa(i) }

// clean is a body without null bytes and surrounding space.
func clean(text string) string {
	if strings.IndexByte(text, 0) >= 0 {
		text = strings.ReplaceAll(text, "\x00", "")
	}
	return strings.TrimSpace(text)
}

// author is the author of a message, and the rules that apply.
type author struct {
	user        *User
	webhook     *Webhook    // nil for a bot's own messages
	permissions Permissions // in the channel
}

// compose checks a body and makes a message of it that is not stored yet.
func (s *Sandbox) compose(c *call, ch *channel, by author, body *messageBody) (*message, error) {
	m := &message{}
	m.Author = by.user
	m.TTS = body.TTS && by.permissions.Has(PermSendTTSMessages)
	if by.webhook != nil {
		m.WebhookID = by.webhook.ID
		m.ApplicationID = ID(by.webhook.ApplicationID)
	}
	var f formError
	if body.Content != nil {
		m.Content = clean(*body.Content)
		f.length("content", m.Content, 0, 2000)
	}
	m.Nonce = body.nonce(&f)
	settable := FlagSuppressEmbeds | FlagSuppressNotifications | FlagVoiceMessage | FlagComponentsV2 | FlagEphemeral
	m.Flags = body.Flags & settable
	s.composeParts(c, &f, ch, m, body, nil)
	if len(body.StickerIDs) > 3 {
		f.add("sticker_ids", "BASE_TYPE_MAX_LENGTH", "Must be 3 or fewer in length.")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	for i, id := range body.StickerIDs {
		f.id(join("sticker_ids", i), id)
		sticker, ok := s.stickers[id.ID]
		if !ok {
			return nil, refuse(http.StatusBadRequest, 50081, "Invalid Sticker")
		}
		m.StickerItems = append(m.StickerItems, sticker.item())
	}
	if body.Poll != nil {
		m.Poll = body.Poll.make(&f, s.now())
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	if body.Reference != nil {
		if err := s.refer(ch, by, m, body.Reference); err != nil {
			return nil, err
		}
	}
	if m.empty() && m.Flags&FlagHasSnapshot == 0 {
		return nil, errEmptyMessage
	}
	if err := by.mayPost(m); err != nil {
		return nil, err
	}
	s.mention(ch, by, m, body.AllowedMentions)
	return m, nil
}

// mayPost checks the permissions that single parts of a message need.
func (a author) mayPost(m *message) error {
	need := Permissions(0)
	if len(m.Attachments) > 0 {
		need |= PermAttachFiles
	}
	if len(m.Embeds) > 0 {
		need |= PermEmbedLinks
	}
	if m.Poll != nil {
		need |= PermSendPolls
	}
	if m.Flags&FlagVoiceMessage != 0 {
		need |= PermSendVoiceMessages
	}
	if a.webhook == nil && !a.permissions.Has(need) {
		return errMissingPerms
	}
	return nil
}

// composeParts reads the parts that edits have too. kept are the attachments
// that the message has already.
func (s *Sandbox) composeParts(c *call, f *formError, ch *channel, m *message, body *messageBody, kept []Attachment) {
	if c.version < 10 && body.Embed != nil && len(body.Embeds) == 0 {
		body.Embeds = []embedBody{*body.Embed}
	}
	m.Attachments = s.attach(c, f, ch, body.Attachments, kept)
	if body.AllowedMentions != nil {
		body.AllowedMentions.check(f)
	}
	m.Embeds = composeEmbeds(f, body.Embeds, m.Attachments)
	m.Components = s.composeComponents(f, body.Components, m.Flags&FlagComponentsV2 != 0, m.Attachments)
	if m.Flags&FlagComponentsV2 == 0 {
		return
	}
	for _, legacy := range []struct {
		key  string
		used bool
	}{
		{"content", m.Content != ""},
		{"embeds", len(m.Embeds) > 0},
		{"sticker_ids", len(body.StickerIDs) > 0},
		{"poll", body.Poll != nil},
	} {
		if legacy.used {
			f.add(legacy.key, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
				"The '"+legacy.key+"' field cannot be used when using MessageFlags.IS_COMPONENTS_V2")
		}
	}
}

func (m *Message) empty() bool {
	return m.Content == "" && len(m.Embeds) == 0 && len(m.Components) == 0 && len(m.StickerItems) == 0 &&
		len(m.Attachments) == 0 && m.Poll == nil
}

// nonce checks and returns the nonce as it was sent.
func (b *messageBody) nonce(f *formError) json.RawMessage {
	raw := bytes.TrimSpace(b.Nonce)
	switch {
	case len(raw) == 0 || string(raw) == "null" || string(raw) == `""`:
		return nil
	case raw[0] == '"':
		var text string
		_ = json.Unmarshal(raw, &text) // the body was valid JSON
		f.length("nonce", text, 0, 25)
	default:
		if _, err := strconv.ParseInt(string(raw), 10, 64); err != nil {
			f.add("nonce", "NONCE_TYPE_INVALID", "Nonce must be a string or an integer.")
		}
	}
	return slices.Clone(raw)
}

func nonceText(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// refer makes a message a reply or a forward.
func (s *Sandbox) refer(ch *channel, by author, m *message, ref *referenceBody) error {
	var f formError
	if f.id("message_reference.message_id", ref.MessageID); !ref.MessageID.set {
		f.required("message_reference.message_id")
	}
	f.id("message_reference.channel_id", ref.ChannelID)
	if ref.Type != 0 && ref.Type != 1 {
		f.add("message_reference.type", "BASE_TYPE_CHOICES", "Value must be one of (0, 1).")
	}
	if ref.Type == 1 && !ref.ChannelID.set {
		f.required("message_reference.channel_id")
	}
	if err := f.err(); err != nil {
		return err
	}
	if !by.permissions.Has(PermReadMessageHistory) {
		return refuse(http.StatusForbidden, 160002, "Cannot reply without permission to read message history")
	}
	from := ch
	if ref.ChannelID.set && ref.ChannelID.ID != ch.ID {
		if ref.Type == 0 {
			return invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
		}
		from = s.channels[ref.ChannelID.ID]
		if from == nil || !s.permissions(by.user.ID, from).Has(PermViewChannel|PermReadMessageHistory) {
			return errUnknownChannel
		}
	}
	target := from.message(ref.MessageID.ID)
	if target == nil {
		if ref.Type == 0 && ref.Must != nil && !*ref.Must {
			return nil
		}
		return invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
	}
	m.Reference = &MessageReference{Type: ref.Type, MessageID: target.ID, ChannelID: from.ID, GuildID: from.GuildID}
	if ref.Type == 0 {
		m.Type = MessageReply
		return nil
	}
	m.Flags |= FlagHasSnapshot
	m.Snapshots = []Snapshot{{SnapshotMessage{
		Type: target.Type, Content: target.Content, Mentions: target.Mentions, MentionRoles: target.MentionRoles,
		Attachments: target.Attachments, Embeds: target.Embeds, Timestamp: target.Timestamp,
		EditedTimestamp: target.EditedTimestamp, Flags: target.Flags, Components: target.Components,
	}}}
	return nil
}

// mayWrite checks that someone may send to a channel at all.
func (s *Sandbox) mayWrite(u ID, ch *channel, p Permissions) error {
	switch {
	case ch.Type == ChannelForum || ch.Type == ChannelMedia:
		return refuse(http.StatusBadRequest, 40058, "Cannot send messages in a forum channel")
	case !ch.takesMessages():
		return errNonText
	case ch.GuildID == 0:
		return s.mayDM(u, ch)
	case ch.isThread():
		if !p.Has(PermSendMessagesInThreads) {
			return errMissingPerms
		}
		if ch.Thread.Locked && !p.Has(PermManageThreads) {
			return refuse(http.StatusForbidden, 160005, "Thread is locked")
		}
	case !p.Has(PermSendMessages):
		return errMissingPerms
	}
	return nil
}

// mayDM checks that the other side takes direct messages.
func (s *Sandbox) mayDM(u ID, ch *channel) error {
	for _, id := range ch.recipients {
		other := s.users[id]
		if id == u || other == nil {
			continue
		}
		if other.refusesDMs {
			return refuse(http.StatusForbidden, 50007, "Cannot send messages to this user")
		}
		mutual := false
		for _, g := range s.guilds {
			mutual = mutual || g.members[u] != nil && g.members[id] != nil
		}
		if !mutual {
			return refuse(http.StatusForbidden, 50278, "Cannot send messages to this user due to having no mutual guilds")
		}
	}
	return nil
}

func (s *Sandbox) createMessage(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	if err := s.mayWrite(c.user.ID, ch, p); err != nil {
		return nil, err
	}
	var body messageBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	m, err := s.compose(c, ch, author{user: &c.user.User, permissions: p}, &body)
	if err != nil {
		return nil, err
	}
	if m.Nonce != nil {
		key := nonceKey{c.user.ID, nonceText(m.Nonce)}
		if old, ok := s.nonces[key]; ok && body.EnforceNonce && c.now.Sub(old.at) < nonceLifetime {
			if in := s.channels[old.channel]; in != nil {
				if existing := in.message(old.message); existing != nil {
					c.deduplicated = true
					return s.view(existing, c.user.ID), nil
				}
			}
			return nil, errUnknownMessage
		}
	}
	if ch.isThread() {
		s.wake(ch)
	}
	s.store(ch, m)
	s.remember(c, m)
	return s.view(m, c.user.ID), nil
}

// remember notes the nonce of a stored message.
func (s *Sandbox) remember(c *call, m *message) {
	if m.Nonce == nil {
		return
	}
	key := nonceKey{c.user.ID, nonceText(m.Nonce)}
	if _, known := s.nonces[key]; !known {
		if len(s.nonceOrder) >= s.config.MaxNonces {
			delete(s.nonces, s.nonceOrder[0])
			s.nonceOrder = s.nonceOrder[1:]
		}
		s.nonceOrder = append(s.nonceOrder, key)
	}
	s.nonces[key] = nonceEntry{m.ChannelID, m.ID, c.now}
}

func (s *Sandbox) editMessage(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	if err != nil {
		return nil, err
	}
	var body messageBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	own := m.Author.ID == c.user.ID && m.WebhookID == 0
	if !own {
		for _, key := range []string{"content", "embeds", "embed", "components", "attachments", "allowed_mentions"} {
			if c.has(key) {
				return nil, errNotAuthor
			}
		}
		if len(c.files) > 0 || !p.Has(PermManageMessages) {
			return nil, errNotAuthor
		}
	}
	if ch.isThread() && ch.Thread.Archived {
		return nil, refuse(http.StatusBadRequest, 50083, "Thread is archived")
	}
	return s.edit(c, ch, m, author{user: &c.user.User, permissions: p}, &body)
}

// edit applies a body to a stored message: keys that are absent leave what
// there is, null removes.
func (s *Sandbox) edit(c *call, ch *channel, m *message, by author, body *messageBody) (any, error) {
	next := &message{Message: m.Message}
	var f formError
	if c.has("content") {
		next.Content = ""
		if body.Content != nil {
			next.Content = clean(*body.Content)
			f.length("content", next.Content, 0, 2000)
		}
	}
	if c.has("flags") {
		const changeable = FlagSuppressEmbeds
		next.Flags = next.Flags&^changeable | body.Flags&changeable | body.Flags&FlagComponentsV2
	}
	parts := &message{Message: Message{Flags: next.Flags, Content: next.Content}}
	s.composeParts(c, &f, ch, parts, body, m.Attachments)
	if err := f.err(); err != nil {
		return nil, err
	}
	if c.has("embeds") || c.version < 10 && c.has("embed") {
		next.Embeds = parts.Embeds
	}
	if c.has("components") {
		next.Components = parts.Components
	}
	if c.has("attachments") || len(c.files) > 0 {
		next.Attachments = parts.Attachments
	}
	if next.empty() && m.Flags&FlagHasSnapshot == 0 {
		return nil, errEmptyMessage
	}
	if c.has("content") {
		next.Mentions, next.MentionRoles, next.MentionEveryone = nil, nil, false
		s.mention(ch, by, next, body.AllowedMentions)
	}
	next.EditedTimestamp = ptr(timestamp(c.now))
	next.normalize()
	next.Flags &^= flagLoading
	m.Message = next.Message
	s.changed(ch, m)
	return s.view(m, by.user.ID), nil
}
