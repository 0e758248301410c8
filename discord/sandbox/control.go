package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What a test asks for that is not there.
var (
	errNoGuild   = errors.New("sandbox: no such guild")
	errNoChannel = errors.New("sandbox: no such channel")
	errNoUser    = errors.New("sandbox: no such user")
)

// OldID returns an id of a certain age, to give to a message of the past.
func (s *Sandbox) OldID(age time.Duration) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ID(s.now().Add(-age).UnixMilli()-epoch) << 22
}

// AddUser adds a user, or replaces the one of the same id. A zero ID gets a
// new one.
func (s *Sandbox) AddUser(u User) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putUser(u)
}

// RefuseDMs makes a user refuse direct messages, or take them again.
func (s *Sandbox) RefuseDMs(user ID, refuses bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[user]
	if u == nil {
		return errNoUser
	}
	u.refusesDMs = refuses
	return nil
}

// AddToken makes an Authorization header, such as "Bot abc", that of a user.
func (s *Sandbox) AddToken(authorization string, user ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[user] == nil {
		return errNoUser
	}
	s.tokens[s.canonical(authorization)] = user
	return nil
}

// RevokeToken makes an Authorization header worthless.
func (s *Sandbox) RevokeToken(authorization string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoke(s.canonical(authorization), closeTokenRevoked)
}

// AddGuild adds a guild without members, with the role @everyone.
func (s *Sandbox) AddGuild(g Guild) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putGuild(g)
}

// AddMember makes a user a member of a guild, or changes what roles it has.
func (s *Sandbox) AddMember(guild, user ID, roles ...ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[guild]
	switch {
	case g == nil:
		return errNoGuild
	case s.users[user] == nil:
		return errNoUser
	}
	already := g.members[user]
	s.join(g, user, roles...)
	if already != nil {
		g.members[user].JoinedAt = already.JoinedAt
		s.memberChanged(g, g.members[user])
		return nil
	}
	s.publish("GUILD_MEMBER_ADD", guild, 0, func() any { return memberEvent{guild, *g.members[user]} })
	s.guildJoined(g, user)
	return nil
}

// RemoveMember takes a user out of a guild, as leaving does.
func (s *Sandbox) RemoveMember(guild, user ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[guild]
	switch {
	case g == nil:
		return errNoGuild
	case g.members[user] == nil:
		return errNoUser
	}
	s.part(g, g.members[user])
	return nil
}

// AddRole adds a role to a guild, or replaces the one of the same id.
func (s *Sandbox) AddRole(guild ID, r Role) (ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[guild]
	if g == nil {
		return 0, errNoGuild
	}
	if r.ID == 0 {
		r.ID = s.newID()
	}
	r.Colors.Primary = cmp.Or(r.Colors.Primary, r.Color)
	kind := "GUILD_ROLE_CREATE"
	if g.roles[r.ID] != nil {
		kind = "GUILD_ROLE_UPDATE"
	}
	g.roles[r.ID] = &r
	s.roleChanged(kind, g, &r)
	return r.ID, nil
}

// AddChannel adds a channel to the guild that it names, or replaces the one of
// the same id but for its messages. Threads and direct messages come about by
// the API only.
func (s *Sandbox) AddChannel(c Channel) (ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guilds[c.GuildID] == nil {
		return 0, errNoGuild
	}
	if c.Type == ChannelDM || c.isThread() {
		return 0, fmt.Errorf("sandbox: channels of type %d cannot be added", c.Type)
	}
	kind := "CHANNEL_CREATE"
	if s.channels[c.ID] != nil {
		kind = "CHANNEL_UPDATE"
	}
	ch := s.channels[s.putChannel(c)]
	s.publish(kind, ch.GuildID, ch.ID, func() any { return ch.wire() })
	return ch.ID, nil
}

// RemoveChannel deletes a channel, as somebody in Discord would.
func (s *Sandbox) RemoveChannel(channel ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	if ch == nil {
		return errNoChannel
	}
	if ch.GuildID == 0 {
		s.forgetDM(ch)
		return nil
	}
	s.forgetChannel(ch)
	return nil
}

// SetOverwrite changes permissions in a channel.
func (s *Sandbox) SetOverwrite(channel ID, o Overwrite) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	if ch == nil {
		return errNoChannel
	}
	ch.Overwrites = append(slices.DeleteFunc(slices.Clone(ch.Overwrites), func(old Overwrite) bool { return old.ID == o.ID }), o)
	s.publish("CHANNEL_UPDATE", ch.GuildID, ch.ID, func() any { return ch.wire() })
	return nil
}

// AddSticker lets messages carry a sticker.
func (s *Sandbox) AddSticker(st Sticker) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.ID == 0 {
		st.ID = s.newID()
	}
	st.Format = cmp.Or(st.Format, 1)
	s.stickers[st.ID] = st
	return st.ID
}

// AddMessage adds a message to its channel, without any of Discord's checks. A zero ID
// gets a new one; [Sandbox.OldID] makes a message of the past. Without an Author it is
// the bot's. Without Mentions and MentionRoles it mentions those whom its Content names.
func (s *Sandbox) AddMessage(m Message) (ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addMessage(m)
}

func (s *Sandbox) addMessage(m Message) (ID, error) {
	ch := s.channels[m.ChannelID]
	if ch == nil {
		return 0, errNoChannel
	}
	if m.Author == nil {
		m.Author = &User{ID: s.world.Bot}
	}
	u := s.users[m.Author.ID]
	if u == nil {
		return 0, errNoUser
	}
	m.Author = &u.User
	if m.Mentions == nil && m.MentionRoles == nil {
		stated := &message{Message: m}
		s.mention(ch, author{user: m.Author, permissions: s.permissions(m.Author.ID, ch)}, stated, nil)
		m = stated.Message
	}
	if i, found := ch.find(m.ID); m.ID != 0 && found {
		return 0, fmt.Errorf("sandbox: message %d is there already", m.ID)
	} else if m.ID != 0 && i < len(ch.messages) {
		m.Timestamp = timestamp(m.ID.Time())
		m.normalize()
		ch.messages = slices.Insert(ch.messages, i, &message{Message: m})
		return m.ID, nil
	}
	stored := &message{Message: m}
	s.store(ch, stored)
	return stored.ID, nil
}

// Messages returns the messages of a channel, oldest first.
func (s *Sandbox) Messages(channel ID) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	if ch == nil {
		return nil
	}
	out := make([]Message, len(ch.messages))
	for i, m := range ch.messages {
		out[i] = *s.view(m, s.world.Bot)
	}
	return out
}

// DirectMessages returns the channel of the default bot's direct messages with
// a user, or 0 when it was not opened.
func (s *Sandbox) DirectMessages(user ID) (channel ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dms[pair(s.world.Bot, user)]
}

// Channels returns all channels, in order of their ids.
func (s *Sandbox) Channels() []Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Channel, 0, len(s.channels))
	for _, ch := range s.channels {
		c := ch.Channel
		for _, id := range ch.recipients {
			if u := s.users[id]; u != nil && id != s.world.Bot {
				c.Recipients = append(c.Recipients, u.User)
			}
		}
		if c.Thread != nil {
			c.Thread = ptr(*c.Thread)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Channel) int { return cmp.Compare(a.ID, b.ID) })
	return out
}
