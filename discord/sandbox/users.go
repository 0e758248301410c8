package sandbox

import (
	"fmt"
	"net/http"
	"strings"
)

var userRoutes = []route{
	{method: "GET", template: "/users/@me", handle: (*Sandbox).getMe, scopes: []string{"identify"}},
	{method: "PATCH", template: "/users/@me", handle: (*Sandbox).modifyMe},
	{method: "GET", template: "/users/{user_id}", handle: (*Sandbox).getUser},
	{method: "POST", template: "/users/@me/channels", handle: (*Sandbox).createDM},
}

// selfUser is an account as it sees itself.
type selfUser struct {
	User
	MFAEnabled  bool    `json:"mfa_enabled"`
	Locale      string  `json:"locale"`
	PremiumType int     `json:"premium_type"`
	Email       *string `json:"email"`
	Verified    bool    `json:"verified"`
}

func (s *Sandbox) getMe(c *call) (any, error) {
	return selfUser{User: c.user.User, Locale: "en-US", Verified: true}, nil
}

// modifyMe changes the bot's own name and avatar. The sandbox keeps only whether
// there is an avatar.
func (s *Sandbox) modifyMe(c *call) (any, error) {
	var body struct {
		Username *string `json:"username"`
		Avatar   *string `json:"avatar"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if body.Username != nil {
		f.length("username", clean(*body.Username), 2, 32)
	}
	if body.Avatar != nil && !strings.HasPrefix(*body.Avatar, "data:image/") {
		f.add("avatar", "IMAGE_INVALID", "Invalid image data")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	u := c.user
	if body.Username != nil {
		u.Username = clean(*body.Username)
	}
	if c.has("avatar") {
		u.Avatar = nil
		if body.Avatar != nil {
			u.Avatar = ptr(fmt.Sprintf("%032x", uint64(s.newID())))
		}
	}
	for _, g := range s.guilds {
		if m := g.members[u.ID]; m != nil {
			m.User = u.User
			s.memberChanged(g, m)
		}
	}
	s.tell(Event{Type: "USER_UPDATE", User: u.ID, Data: selfUser{User: u.User, Locale: "en-US", Verified: true}})
	return s.getMe(c)
}

func (s *Sandbox) getUser(c *call) (any, error) {
	u := s.users[c.id("user_id")]
	if u == nil {
		return nil, errUnknownUser
	}
	return &u.User, nil
}

var errCannotDM = refuse(http.StatusBadRequest, 50007, "Cannot send messages to this user")

func (s *Sandbox) createDM(c *call) (any, error) {
	var body struct {
		RecipientID reqID `json:"recipient_id"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if f.id("recipient_id", body.RecipientID); !body.RecipientID.set {
		f.required("recipient_id")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	other := s.users[body.RecipientID.ID]
	switch {
	case other == nil:
		return nil, errInvalidRecipient
	case other.Bot:
		return nil, errCannotDM
	}
	return s.channelView(s.openDM(c.user, other), c.user.ID), nil
}

// pair is the key of two users' direct messages.
func pair(a, b ID) [2]ID { return [2]ID{min(a, b), max(a, b)} }

// openDM returns the direct message channel between two users.
func (s *Sandbox) openDM(from, to *user) *channel {
	key := pair(from.ID, to.ID)
	if ch := s.channels[s.dms[key]]; ch != nil {
		return ch
	}
	if len(s.dmOrder) >= s.config.MaxDMs {
		old := s.channels[s.dmOrder[0]]
		s.dmOrder = s.dmOrder[1:]
		if old != nil {
			s.forgetDM(old)
		}
	}
	ch := &channel{
		Channel:    Channel{ID: s.newID(), Type: ChannelDM},
		recipients: key[:],
	}
	s.channels[ch.ID] = ch
	s.dms[key] = ch.ID
	s.dmOrder = append(s.dmOrder, ch.ID)
	return ch
}

func (s *Sandbox) forgetDM(ch *channel) {
	delete(s.channels, ch.ID)
	delete(s.dms, [2]ID{ch.recipients[0], ch.recipients[1]})
}
