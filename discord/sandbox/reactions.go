package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

const reactionsPath = "/channels/{channel_id}/messages/{message_id}/reactions"

var reactionRoutes = []route{
	{method: "PUT", template: reactionsPath + "/{emoji_name}/@me", handle: (*Sandbox).addReaction},
	{method: "DELETE", template: reactionsPath + "/{emoji_name}/@me", handle: (*Sandbox).removeOwnReaction},
	{method: "DELETE", template: reactionsPath + "/{emoji_name}/{user_id}", handle: (*Sandbox).removeUserReaction},
	{method: "DELETE", template: reactionsPath + "/{emoji_name}", handle: (*Sandbox).removeEmojiReactions},
	{method: "DELETE", template: reactionsPath, handle: (*Sandbox).removeAllReactions},
	{method: "GET", template: reactionsPath + "/{emoji_name}", handle: (*Sandbox).listReactions},
}

// Reaction contains the reactions to a message with one emoji.
type Reaction struct {
	Emoji        ReactionEmoji  `json:"emoji"`
	Count        int            `json:"count"`
	CountDetails ReactionCounts `json:"count_details"`
	BurstColors  []string       `json:"burst_colors"`
	MeBurst      bool           `json:"me_burst"`
	Me           bool           `json:"me"`
}

// ReactionCounts splits the count into ordinary and super reactions.
type ReactionCounts struct {
	Burst  int `json:"burst"`
	Normal int `json:"normal"`
}

// ReactionEmoji is an emoji by id, or by name when it is Unicode.
type ReactionEmoji struct {
	ID       nullID `json:"id"`
	Name     string `json:"name"`
	Animated bool   `json:"animated,omitempty"`
}

type reaction struct {
	emoji ReactionEmoji
	users []ID // ascending
}

func (r *reaction) view(viewer ID) Reaction {
	return Reaction{
		Emoji: r.emoji, Count: len(r.users), CountDetails: ReactionCounts{Normal: len(r.users)},
		BurstColors: []string{}, Me: slices.Contains(r.users, viewer),
	}
}

// emoji reads the emoji of a path: "name:id" of a guild's own, else Unicode.
func (s *Sandbox) emoji(name string) (ReactionEmoji, error) {
	if label, number, custom := strings.Cut(name, ":"); custom {
		id, err := ParseID(number)
		if err != nil || label == "" {
			return ReactionEmoji{}, errUnknownEmoji
		}
		lists := [][]Emoji{}
		for _, g := range s.guilds {
			lists = append(lists, g.Emojis)
		}
		for _, u := range s.users {
			lists = append(lists, u.emojis)
		}
		for _, e := range slices.Concat(lists...) {
			if e.ID == id {
				return ReactionEmoji{ID: nullID(id), Name: e.Name, Animated: e.Animated}, nil
			}
		}
		return ReactionEmoji{}, errUnknownEmoji
	}
	if !unicodeEmoji(name) {
		return ReactionEmoji{}, errUnknownEmoji
	}
	return ReactionEmoji{Name: name}, nil
}

// unicodeEmoji reports whether a name is an emoji and not a word. It is an
// approximation: an emoji has a symbol beyond Latin scripts, or is a keycap.
func unicodeEmoji(name string) bool {
	symbol := false
	for _, r := range name {
		switch {
		case r == 0x20E3 || r == 0xA9 || r == 0xAE || r >= 0x2000:
			symbol = true
		case strings.ContainsRune("#*0123456789", r):
		default:
			return false
		}
	}
	return symbol && len(name) <= 64
}

func (m *message) reaction(e ReactionEmoji) *reaction {
	for _, r := range m.reactions {
		if r.emoji.ID == e.ID && (e.ID != 0 || r.emoji.Name == e.Name) {
			return r
		}
	}
	return nil
}

// reacting finds message and emoji of a call.
func (s *Sandbox) reacting(c *call) (*channel, *message, Permissions, ReactionEmoji, error) {
	ch, m, p, err := s.at(c)
	if err != nil {
		return nil, nil, 0, ReactionEmoji{}, err
	}
	e, err := s.emoji(c.value("emoji_name"))
	return ch, m, p, e, err
}

func (s *Sandbox) addReaction(c *call) (any, error) {
	ch, m, p, e, err := s.reacting(c)
	if err != nil {
		return nil, err
	}
	r := m.reaction(e)
	switch {
	case !p.Has(PermReadMessageHistory), r == nil && !p.Has(PermAddReactions):
		return nil, errMissingPerms
	case ch.isThread() && ch.Thread.Archived:
		return nil, refuse(http.StatusBadRequest, 50083, "Thread is archived")
	case r == nil && len(m.reactions) >= 20:
		return nil, refuse(http.StatusForbidden, 30010, "Maximum number of reactions reached (20)")
	case r == nil:
		r = &reaction{emoji: e}
		m.reactions = append(m.reactions, r)
	}
	if i, found := slices.BinarySearch(r.users, c.user.ID); !found {
		r.users = slices.Insert(r.users, i, c.user.ID)
		s.reacted("MESSAGE_REACTION_ADD", ch, m, e, c.user.ID)
	}
	return nil, nil
}

func (s *Sandbox) reacted(kind string, ch *channel, m *message, e ReactionEmoji, by ID) {
	s.publish(kind, ch.GuildID, ch.ID, func() any {
		return struct {
			UserID    ID             `json:"user_id,omitzero"`
			ChannelID ID             `json:"channel_id"`
			MessageID ID             `json:"message_id"`
			GuildID   ID             `json:"guild_id,omitzero"`
			Emoji     *ReactionEmoji `json:"emoji,omitempty"`
			Burst     bool           `json:"burst"`
			Type      int            `json:"type"`
		}{UserID: by, ChannelID: ch.ID, MessageID: m.ID, GuildID: ch.GuildID, Emoji: &e}
	})
}

func (s *Sandbox) removeReaction(c *call, of ID, others bool) (any, error) {
	ch, m, p, e, err := s.reacting(c)
	if err != nil {
		return nil, err
	}
	if others && of != c.user.ID && !p.Has(PermManageMessages) {
		return nil, errMissingPerms
	}
	r := m.reaction(e)
	if r == nil {
		return nil, errUnknownEmoji
	}
	if i, found := slices.BinarySearch(r.users, of); found {
		r.users = slices.Delete(r.users, i, i+1)
		s.reacted("MESSAGE_REACTION_REMOVE", ch, m, e, of)
	}
	if len(r.users) == 0 {
		m.reactions = slices.DeleteFunc(m.reactions, func(o *reaction) bool { return o == r })
	}
	return nil, nil
}

func (s *Sandbox) removeOwnReaction(c *call) (any, error) {
	return s.removeReaction(c, c.user.ID, false)
}

func (s *Sandbox) removeUserReaction(c *call) (any, error) {
	return s.removeReaction(c, c.id("user_id"), true)
}

func (s *Sandbox) removeEmojiReactions(c *call) (any, error) {
	ch, m, p, e, err := s.reacting(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageMessages):
		return nil, errMissingPerms
	}
	r := m.reaction(e)
	if r == nil {
		return nil, errUnknownEmoji
	}
	m.reactions = slices.DeleteFunc(m.reactions, func(o *reaction) bool { return o == r })
	s.reacted("MESSAGE_REACTION_REMOVE_EMOJI", ch, m, e, 0)
	return nil, nil
}

func (s *Sandbox) removeAllReactions(c *call) (any, error) {
	ch, m, p, err := s.at(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageMessages):
		return nil, errMissingPerms
	}
	m.reactions = nil
	s.reacted("MESSAGE_REACTION_REMOVE_ALL", ch, m, ReactionEmoji{}, 0)
	return nil, nil
}

func (s *Sandbox) listReactions(c *call) (any, error) {
	_, m, p, e, err := s.reacting(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermReadMessageHistory):
		return nil, errMissingAccess
	}
	q := c.query()
	limit, after, kind := q.int("limit", 25, 1, 100), q.snowflake("after"), q.int("type", 0, 0, 1)
	if err := q.err(); err != nil {
		return nil, err
	}
	out := []*User{}
	r := m.reaction(e)
	if r == nil || kind == 1 {
		return out, nil
	}
	for _, id := range r.users {
		if u := s.users[id]; id > after && u != nil && len(out) < limit {
			out = append(out, &u.User)
		}
	}
	return out, nil
}
