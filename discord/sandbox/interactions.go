package sandbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const callbackPath = "/interactions/{interaction_id}/{interaction_token}/callback"

var interactionRoutes = []route{
	{method: "POST", template: callbackPath, handle: (*Sandbox).answerInteraction, open: true},
}

// Kinds of interactions.
//
// See https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-interaction-type.
const (
	InteractionCommand      = 2
	InteractionComponent    = 3
	InteractionAutocomplete = 4
	InteractionModal        = 5
)

// Kinds of answers to an interaction.
const (
	callbackPong         = 1
	callbackMessage      = 4
	callbackDeferred     = 5
	callbackDeferUpdate  = 6
	callbackUpdate       = 7
	callbackAutocomplete = 8
	callbackModal        = 9
	callbackActivity     = 12
)

// How long an interaction waits for its first answer, and for further ones.
const (
	callbackWindow = 3 * time.Second
	followupWindow = 15 * time.Minute
)

// flagLoading is a message that a bot has promised.
const flagLoading = 1 << 7

// Interaction is the event that a bot receives when a user uses one of its commands or components.
type Interaction struct {
	ID            ID     `json:"id"`
	Token         string `json:"token"`
	ApplicationID ID     `json:"application_id"` // the id in /webhooks/{id}/{token} for further answers
}

// interaction is what a webhook of an interaction is about.
type interaction struct {
	id       ID
	kind     int
	user     *User
	name     string
	at       time.Time
	message  ID  // that has the component
	answer   int // the type of the first answer; 0 for none
	original ID  // the message that answered

	modal   *StateModal
	choices []commandChoice
	opened  *interaction // that was answered with the modal which this one submits
}

// InteractionMetadata says which interaction a message answers.
type InteractionMetadata struct {
	ID     ID            `json:"id"`
	Type   int           `json:"type"`
	User   *User         `json:"user"`
	Owners map[string]ID `json:"authorizing_integration_owners"`

	Name      string               `json:"name,omitempty"`                            // of a command
	Message   ID                   `json:"interacted_message_id,omitzero"`            // of a component
	Original  ID                   `json:"original_response_message_id,omitzero"`     // of a further answer
	Triggered *InteractionMetadata `json:"triggering_interaction_metadata,omitempty"` // of a modal: what opened it
}

// AddInteraction pretends that Alice used a command of the default bot in a
// channel. The newest 1,000 interactions are kept.
func (s *Sandbox) AddInteraction(channel ID) Interaction {
	in, _ := s.Interact(Use{Channel: channel})
	return in
}

// Interact simulates an interaction of a user with a bot, and sends
// INTERACTION_CREATE. The newest 1,000 interactions are kept.
func (s *Sandbox) Interact(u Use) (Interaction, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.User, u.Bot = cmp.Or(u.User, s.world.Alice), cmp.Or(u.Bot, s.world.Bot)
	u.Type, u.Name = u.kind(), cmp.Or(u.Name, "ping")
	ch, user := s.channels[u.Channel], s.users[u.User]
	switch {
	case ch == nil:
		return Interaction{}, errNoChannel
	case user == nil || s.users[u.Bot] == nil:
		return Interaction{}, errNoUser
	case u.Type < InteractionCommand || u.Type > InteractionModal:
		return Interaction{}, fmt.Errorf("sandbox: an interaction of type %d", u.Type)
	}
	data, err := s.used(ch, &u)
	if err != nil {
		return Interaction{}, err
	}
	if u.Data == nil {
		u.Data = mustJSON(data)
	}
	id := s.newID()
	w := s.keepInteraction(ch, u.Bot, "aW50ZXJhY3Rpb246"+s.token(id), &interaction{
		id: id, kind: u.Type, user: &user.User, name: u.Name, at: s.now(), message: u.Message, opened: u.opened,
	})
	s.tell(Event{Type: "INTERACTION_CREATE", GuildID: ch.GuildID, ChannelID: ch.ID, User: u.Bot, Data: s.interactionEvent(w, ch, user, u)})
	return Interaction{id, w.Token, w.ID}, nil
}

// keepInteraction makes the webhook by which a bot answers an interaction.
func (s *Sandbox) keepInteraction(ch *channel, bot ID, token string, in *interaction) *webhook {
	if len(s.interactionOrder) >= 1000 {
		delete(s.interactions, s.interactionOrder[0])
		s.interactionOrder = s.interactionOrder[1:]
	}
	s.interactions[token] = &webhook{
		Webhook:     Webhook{ID: bot, Type: 3, ChannelID: ch.ID, GuildID: ch.GuildID, ApplicationID: nullID(bot), Token: token},
		interaction: in,
	}
	s.interactionOrder = append(s.interactionOrder, token)
	return s.interactions[token]
}

// interactionEvent is an interaction as its bot gets it.
func (s *Sandbox) interactionEvent(w *webhook, ch *channel, user *user, u Use) map[string]any {
	context := 1 // direct messages with the bot
	out := map[string]any{
		"id": w.interaction.id, "application_id": w.ID, "type": u.Type, "token": w.Token, "version": 1, "data": u.Data,
		"channel_id": ch.ID, "channel": s.channelView(ch, w.ID), "locale": "en-US", "entitlements": []any{},
		"app_permissions": s.permissions(w.ID, ch), "attachment_size_limit": s.config.UploadLimit,
		"authorizing_integration_owners": owners(ch.GuildID),
	}
	if m := s.memberOf(ch.GuildID, user.ID); m != nil {
		context = 0
		out["member"] = struct {
			Member
			Permissions Permissions `json:"permissions"`
		}{*m, s.permissions(user.ID, ch)}
	} else {
		out["user"] = user.User
	}
	if ch.GuildID != 0 {
		out["guild_id"], out["guild_locale"] = ch.GuildID, "en-US"
		out["guild"] = map[string]any{"id": ch.GuildID, "locale": "en-US", "features": []string{}}
	}
	if m := ch.message(u.Message); m != nil {
		out["message"] = s.view(m, w.ID)
	}
	out["context"] = context
	return out
}

// owners says by whom an application is installed: here by the guild, or 0 of
// direct messages.
func owners(guild ID) map[string]ID { return map[string]ID{"0": guild} }

// callbacks are the kinds of answers to a kind of interaction.
func callbacks(kind int, on ID) []int {
	switch {
	case kind == InteractionAutocomplete:
		return []int{callbackAutocomplete}
	case kind == InteractionModal && on == 0:
		return []int{callbackMessage, callbackDeferred, callbackActivity}
	case kind == InteractionModal:
		return []int{callbackMessage, callbackDeferred, callbackDeferUpdate, callbackUpdate, callbackActivity}
	case kind == InteractionComponent:
		return []int{callbackMessage, callbackDeferred, callbackDeferUpdate, callbackUpdate, callbackModal, callbackActivity}
	}
	return []int{callbackMessage, callbackDeferred, callbackModal, callbackActivity}
}

func (s *Sandbox) answerInteraction(c *call) (any, error) {
	w := s.interactions[c.value("interaction_token")]
	if w == nil || s.channels[w.ChannelID] == nil || w.interaction.id != c.id("interaction_id") {
		return nil, refuse(http.StatusNotFound, 10062, "Unknown interaction")
	}
	in := w.interaction
	switch {
	case in.answer != 0:
		return nil, refuse(http.StatusBadRequest, 40060, "Interaction has already been acknowledged.")
	case c.now.Sub(in.at) > callbackWindow:
		return nil, refuse(http.StatusNotFound, 10062, "Unknown interaction")
	}
	var body struct {
		Type int             `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if allowed := callbacks(in.kind, in.message); body.Type != callbackPong && !slices.Contains(allowed, body.Type) {
		return nil, invalid(
			"type",
			"BASE_TYPE_CHOICES",
			"Value must be one of ("+strings.Trim(strings.ReplaceAll(fmt.Sprint(allowed), " ", ", "), "[]")+").",
		)
	}
	m, err := s.carryOutCallback(c.within(body.Data), w, body.Type)
	if err != nil {
		return nil, err
	}
	in.answer = body.Type
	q := c.query()
	with := q.bool("with_response")
	if err := q.err(); err != nil || !with {
		return nil, err
	}
	shown := map[string]any{"id": in.id, "type": in.kind}
	out := map[string]any{"interaction": shown}
	if m != nil {
		shown["response_message_id"] = m.ID
		shown["response_message_loading"] = m.Flags&flagLoading != 0
		shown["response_message_ephemeral"] = m.Flags&FlagEphemeral != 0
		out["resource"] = map[string]any{"type": body.Type, "message": s.view(m, 0)}
	}
	return out, nil
}

// within is a call whose body is a part of this one's.
func (c *call) within(body json.RawMessage) *call {
	part := *c
	part.body, part.keys = body, nil
	return &part
}

// carryOutCallback does what an answer to an interaction says, and returns the
// message that it is about, if any.
func (s *Sandbox) carryOutCallback(c *call, w *webhook, kind int) (*message, error) {
	in, ch := w.interaction, s.channels[w.ChannelID]
	switch kind {
	case callbackAutocomplete, callbackModal:
		return nil, s.checkCallback(c, in, kind)
	case callbackMessage, callbackDeferred:
		var body messageBody
		if err := c.decode(&body); err != nil {
			return nil, err
		}
		m := &message{
			Message: Message{Author: &s.users[w.ID].User, WebhookID: w.ID, ApplicationID: w.ID, Flags: flagLoading | body.Flags&FlagEphemeral},
		}
		if kind == callbackMessage {
			var err error
			if m, err = s.compose(c, ch, s.speaker(w, &body), &body); err != nil {
				return nil, err
			}
		}
		m.Type, m.Nonce = MessageDefault, nil
		switch {
		case in.kind == InteractionCommand:
			m.Type = MessageCommand
		case in.message != 0:
			m.Type = MessageReply
			m.Reference = &MessageReference{MessageID: in.message, ChannelID: ch.ID, GuildID: ch.GuildID}
		}
		m.Interaction = in.metadata(ch)
		s.store(ch, m)
		in.original = m.ID
		return m, nil
	case callbackDeferUpdate, callbackUpdate:
		m := ch.message(in.message)
		if m == nil {
			return nil, errUnknownMessage
		}
		in.original = m.ID
		if kind == callbackDeferUpdate {
			return m, nil
		}
		var body messageBody
		if err := c.decode(&body); err != nil {
			return nil, err
		}
		_, err := s.edit(c, ch, m, author{user: m.Author, webhook: &w.Webhook, permissions: PermAll}, &body)
		return m, err
	}
	return nil, nil
}

// metadata says what a message answers; a further answer names the first.
func (in *interaction) metadata(ch *channel) *InteractionMetadata {
	out := &InteractionMetadata{ID: in.id, Type: in.kind, User: in.user, Owners: owners(ch.GuildID), Original: in.original}
	switch in.kind {
	case InteractionCommand:
		out.Name = in.name
	case InteractionComponent:
		out.Message = in.message
	case InteractionModal:
		if in.opened != nil {
			out.Triggered = in.opened.metadata(ch)
			out.Triggered.Original = 0
		}
	}
	return out
}

// checkCallback checks answers that make no message.
func (s *Sandbox) checkCallback(c *call, in *interaction, kind int) error {
	var body struct {
		Choices    *[]commandChoice `json:"choices"`
		CustomID   string           `json:"custom_id"`
		Title      string           `json:"title"`
		Components []map[string]any `json:"components"`
	}
	if err := c.decode(&body); err != nil {
		return err
	}
	var f formError
	if kind == callbackModal {
		f.length("data.custom_id", body.CustomID, 1, 100)
		f.length("data.title", body.Title, 1, 45)
		modal := s.composeModal(&f, "data.components", body.Components)
		if err := f.err(); err != nil {
			return err
		}
		in.modal = &StateModal{body.CustomID, body.Title, modal}
		return nil
	}
	if body.Choices == nil {
		f.required("data.choices")
		return f.err()
	}
	f.choices("data.choices", *body.Choices)
	if err := f.err(); err != nil {
		return err
	}
	in.choices = *body.Choices
	return nil
}
