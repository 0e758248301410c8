package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// StateInteraction is an interaction and what its bot has answered.
type StateInteraction struct {
	ID            ID     `json:"id"`
	Token         string `json:"token"`
	ApplicationID ID     `json:"application_id"`
	Channel       ID     `json:"channel_id"`
	User          ID     `json:"user"`
	Type          int    `json:"type"`
	Name          string `json:"name,omitempty"`   // of a command
	At            string `json:"at"`               // by the sandbox's clock; "" means the time in the id
	Message       ID     `json:"message,omitzero"` // that has the component

	// Answer is the type of the first answer, in Discord's numbers; 0 for none.
	Answer   int             `json:"answer,omitempty"`
	Original ID              `json:"original,omitzero"` // the message that answered
	Modal    *StateModal     `json:"modal,omitempty"`
	Choices  []commandChoice `json:"choices,omitempty"` // of an autocompletion

	// Opened is the interaction that was answered with the modal which this one
	// submits, an earlier one of the same list.
	Opened ID `json:"opened,omitzero"`
}

// StateModal is a modal that answered an interaction.
type StateModal struct {
	CustomID   string           `json:"custom_id"`
	Title      string           `json:"title"`
	Components []map[string]any `json:"components"`
}

// Answer returns an interaction with what its bot has answered, if it is one of
// the newest 1,000.
func (s *Sandbox) Answer(interaction ID) (StateInteraction, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range slices.Backward(s.stateInteractions()) {
		if in.ID == interaction {
			return in, nil
		}
	}
	return StateInteraction{}, errors.New("sandbox: no such interaction")
}

func (s *Sandbox) stateInteractions() (out []StateInteraction) {
	listed := map[*interaction]bool{}
	for _, token := range s.interactionOrder {
		w := s.interactions[token]
		in := w.interaction
		listed[in] = true
		entry := StateInteraction{
			ID: in.id, Token: token, ApplicationID: w.ID, Channel: w.ChannelID, User: in.user.ID, Type: in.kind, Name: in.name, At: timestamp(in.at),
			Message: in.message, Answer: in.answer, Original: in.original, Modal: in.modal, Choices: in.choices,
		}
		if listed[in.opened] {
			entry.Opened = in.opened.id
		}
		out = append(out, entry)
	}
	return out
}

func (s *Sandbox) fillInteractions(list []StateInteraction) error {
	byID := map[ID]*interaction{}
	for _, in := range list {
		if err := s.fillInteraction(in, byID); err != nil {
			return fmt.Errorf("interaction %d: %w", in.ID, err)
		}
	}
	return nil
}

func (s *Sandbox) fillInteraction(in StateInteraction, earlier map[ID]*interaction) error {
	ch, user := s.channels[in.Channel], s.users[in.User]
	switch {
	case ch == nil:
		return errNoChannel
	case user == nil || s.users[in.ApplicationID] == nil:
		return errNoUser
	case in.ID == 0 || in.Token == "" || s.interactions[in.Token] != nil:
		return errors.New("it needs an id, and a token of its own")
	case in.Type < InteractionCommand || in.Type > InteractionModal:
		return fmt.Errorf("there is no type %d", in.Type)
	case in.Opened != 0 && earlier[in.Opened] == nil:
		return fmt.Errorf("there is no earlier interaction %d, which opened it", in.Opened)
	}
	at, err := parseTime(cmp.Or(in.At, timestamp(in.ID.Time())))
	if err != nil {
		return err
	}
	s.keepInteraction(ch, in.ApplicationID, in.Token, &interaction{
		id: in.ID, kind: in.Type, user: &user.User, name: in.Name, at: at, message: in.Message, answer: in.Answer, original: in.Original,
		modal: in.Modal, choices: in.Choices, opened: earlier[in.Opened],
	})
	earlier[in.ID] = s.interactions[in.Token].interaction
	s.lastID = max(s.lastID, in.ID)
	return nil
}
