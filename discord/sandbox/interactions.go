package sandbox

import "net/http"

var interactionRoutes = []route{
	{method: "POST", template: "/interactions/{interaction_id}/{interaction_token}/callback", handle: (*Sandbox).answerInteraction, open: true},
}

// Interaction is what a bot gets when somebody uses one of its commands.
type Interaction struct {
	ID            ID     `json:"id"`
	Token         string `json:"token"`
	ApplicationID ID     `json:"application_id"` // the id in /webhooks/{id}/{token} for further answers
}

// AddInteraction pretends that somebody used a command of the default bot in
// a channel. The newest 1,000 are kept.
func (s *Sandbox) AddInteraction(channel ID) Interaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.newID()
	w := &webhook{interaction: true, Webhook: Webhook{
		ID: s.world.Bot, Type: 3, ChannelID: channel, ApplicationID: nullID(s.world.Bot), Token: "aW50ZXJhY3Rpb246" + s.token(id),
	}}
	if ch := s.channels[channel]; ch != nil {
		w.GuildID = ch.GuildID
	}
	if len(s.interactionOrder) >= 1000 {
		delete(s.interactions, s.interactionOrder[0])
		s.interactionOrder = s.interactionOrder[1:]
	}
	s.interactions[w.Token] = w
	s.interactionOrder = append(s.interactionOrder, w.Token)
	return Interaction{id, w.Token, w.ID}
}

// Kinds of answers to an interaction.
const (
	callbackPong     = 1
	callbackMessage  = 4
	callbackDeferred = 5
)

func (s *Sandbox) answerInteraction(c *call) (any, error) {
	w := s.interactions[c.value("interaction_token")]
	switch {
	case w == nil || s.channels[w.ChannelID] == nil:
		return nil, refuse(http.StatusNotFound, 10062, "Unknown interaction")
	case w.answered:
		return nil, refuse(http.StatusBadRequest, 40060, "Interaction has already been acknowledged.")
	}
	var body struct {
		Type int          `json:"type"`
		Data *messageBody `json:"data"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Data == nil {
		body.Data = &messageBody{}
	}
	switch body.Type {
	case callbackMessage, callbackDeferred:
		ch := s.channels[w.ChannelID]
		var m *message
		if body.Type == callbackMessage {
			var err error
			if m, err = s.compose(c, ch, s.speaker(w, body.Data), body.Data); err != nil {
				return nil, err
			}
		} else {
			const loading = 1 << 7
			m = &message{Message: Message{Author: &s.users[w.ID].User, WebhookID: w.ID, ApplicationID: w.ID, Flags: loading}}
		}
		m.Type, m.Nonce = MessageCommand, nil
		s.store(ch, m)
		w.original = m.ID
	case callbackPong, 6, 7, 8, 9, 12:
	default:
		return nil, invalid("type", "BASE_TYPE_CHOICES", "Value must be one of (1, 4, 5, 6, 7, 8, 9, 12).")
	}
	w.answered = true
	return nil, nil
}
