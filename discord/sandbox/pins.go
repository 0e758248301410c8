package sandbox

import (
	"net/http"
	"slices"
	"time"
)

// The old pin routes still work.
var pinRoutes = []route{
	{method: "GET", template: "/channels/{channel_id}/messages/pins", handle: (*Sandbox).listPins},
	{method: "PUT", template: "/channels/{channel_id}/messages/pins/{message_id}", handle: (*Sandbox).pin},
	{method: "DELETE", template: "/channels/{channel_id}/messages/pins/{message_id}", handle: (*Sandbox).unpin},
	{method: "GET", template: "/channels/{channel_id}/pins", handle: (*Sandbox).listPinsOld},
	{method: "PUT", template: "/channels/{channel_id}/pins/{message_id}", handle: (*Sandbox).pin},
	{method: "DELETE", template: "/channels/{channel_id}/pins/{message_id}", handle: (*Sandbox).unpin},
}

const maxPins = 250

func (s *Sandbox) listPins(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit := q.int("limit", 50, 1, 50)
	var before time.Time
	if text := q.values.Get("before"); text != "" {
		if before, err = parseTime(text); err != nil {
			q.add("before", "DATE_TIME_TYPE_PARSE", "Could not parse "+text+". Should be ISO8601.")
		}
	}
	if err := q.err(); err != nil {
		return nil, err
	}
	type item struct {
		PinnedAt string   `json:"pinned_at"`
		Message  *Message `json:"message"`
	}
	out := struct {
		Items   []item `json:"items"`
		HasMore bool   `json:"has_more"`
	}{Items: []item{}}
	if !p.Has(PermReadMessageHistory) {
		return out, nil
	}
	for _, id := range ch.pins {
		m := ch.message(id)
		if m == nil || !before.IsZero() && !m.pinnedAt.Before(before) {
			continue
		}
		if len(out.Items) == limit {
			out.HasMore = true
			break
		}
		out.Items = append(out.Items, item{timestamp(m.pinnedAt), s.view(m, c.user.ID)})
	}
	return out, nil
}

func (s *Sandbox) listPinsOld(c *call) (any, error) {
	ch, p, err := s.visible(c)
	if err != nil {
		return nil, err
	}
	out := []*Message{}
	if !p.Has(PermReadMessageHistory) {
		return out, nil
	}
	for _, id := range ch.pins[:min(len(ch.pins), 50)] {
		if m := ch.message(id); m != nil {
			out = append(out, s.view(m, c.user.ID))
		}
	}
	return out, nil
}

func (s *Sandbox) pin(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermPinMessages):
		return nil, errMissingPerms
	case m.Pinned:
		return nil, nil
	case len(ch.pins) >= maxPins:
		return nil, refuse(http.StatusBadRequest, 30003, "Maximum number of pins reached for the channel (250)")
	}
	m.Pinned, m.pinnedAt = true, c.now
	ch.pins = slices.Insert(ch.pins, 0, m.ID)
	ch.LastPin = timestamp(c.now)
	s.changed(ch, m)
	s.pinsChanged(ch)
	s.audit(c, ch.GuildID, auditPin, m.Author.ID, nil, nil, map[string]any{"channel_id": ch.ID, "message_id": m.ID})
	note := &message{Message: Message{
		Type: MessagePinned, Author: &c.user.User,
		Reference: &MessageReference{MessageID: m.ID, ChannelID: ch.ID, GuildID: ch.GuildID},
	}}
	s.store(ch, note)
	return nil, nil
}

func (s *Sandbox) unpin(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermPinMessages):
		return nil, errMissingPerms
	case !m.Pinned:
		return nil, errUnknownMessage
	}
	m.Pinned = false
	ch.pins = slices.DeleteFunc(ch.pins, func(id ID) bool { return id == m.ID })
	s.changed(ch, m)
	s.pinsChanged(ch)
	s.audit(c, ch.GuildID, auditUnpin, m.Author.ID, nil, nil, map[string]any{"channel_id": ch.ID, "message_id": m.ID})
	return nil, nil
}

func (s *Sandbox) pinsChanged(ch *channel) {
	s.publish("CHANNEL_PINS_UPDATE", ch.GuildID, ch.ID, func() any {
		return struct {
			GuildID   ID     `json:"guild_id,omitzero"`
			ChannelID ID     `json:"channel_id"`
			LastPin   string `json:"last_pin_timestamp,omitempty"`
		}{ch.GuildID, ch.ID, ch.LastPin}
	})
}
