package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// State is the sandbox's world in a form that can be kept in a file: users with
// their tokens, guilds with everything in them, direct messages, messages,
// webhooks, commands, invites, interactions and rate limits. It leaves out
// sessions of the gateway, grants of OAuth2, faults, the log of calls, and how
// much of each limit is used. Everything but users is optional in a state
// written by hand, and so are most fields: a guild gets its role @everyone, a
// member the time of joining.
type State struct {
	// World names what the default world holds. Its Bot is the default bot; none
	// means the first bot.
	World    World         `json:"world"`
	Users    []StateUser   `json:"users"`
	Guilds   []StateGuild  `json:"guilds"`
	Direct   []StateDirect `json:"direct"`
	Messages []StateText   `json:"messages"` // of all channels
	Webhooks []Webhook     `json:"webhooks"`
	Commands []Command     `json:"commands"`
	Invites  []StateInvite `json:"invites"`

	CommandPermissions []*commandPermissions `json:"command_permissions,omitempty"`
	Interactions       []StateInteraction    `json:"interactions,omitempty"` // oldest first
	Stickers           []Sticker             `json:"stickers,omitempty"`     // Discord's own

	// Limits replace all rate limits; nil keeps those of [Config]. So do the
	// global limit and the one of invalid calls.
	Limits       []Limit       `json:"limits"`
	GlobalLimit  *GlobalLimit  `json:"global_limit"`
	InvalidLimit *InvalidLimit `json:"invalid_limit"`
}

// StateUser is a user. Tokens are whole Authorization headers, such as
// "Bot abc".
type StateUser struct {
	User
	RefusesDMs  bool           `json:"refuses_dms,omitempty"`
	Tokens      []string       `json:"tokens,omitempty"`
	Emojis      []Emoji        `json:"emojis,omitempty"`      // of a bot's application
	Application map[string]any `json:"application,omitempty"` // what was changed of it
	Presence    *Presence      `json:"presence,omitempty"`    // nil means offline, unless a client is connected
}

// StateGuild is a guild with what is in it.
type StateGuild struct {
	Guild
	Settings  map[string]any   `json:"settings,omitempty"`
	Roles     []Role           `json:"roles"`
	Members   []StateMember    `json:"members"`
	Channels  []StateChannel   `json:"channels"` // threads, too
	Bans      []StateBan       `json:"bans,omitempty"`
	Voice     []VoiceState     `json:"voice_states,omitempty"`
	Scheduled []ScheduledEvent `json:"scheduled_events,omitempty"`
	Stickers  []Sticker        `json:"stickers,omitempty"`
	Audit     []auditEntry     `json:"audit_log,omitempty"`   // oldest first
	Outage    bool             `json:"unavailable,omitempty"` // whether the guild has an outage
}

// StateMember is a member of a guild.
type StateMember struct {
	User     ID      `json:"user"`
	Roles    []ID    `json:"roles"`
	Nick     *string `json:"nick,omitempty"`
	JoinedAt string  `json:"joined_at,omitempty"`
	Timeout  *string `json:"communication_disabled_until,omitempty"`
	Flags    int     `json:"flags,omitempty"`
	Avatar   *string `json:"avatar,omitempty"`
	Banner   *string `json:"banner,omitempty"`
	Pending  bool    `json:"pending,omitempty"`
	Premium  *string `json:"premium_since,omitempty"`
	Mute     bool    `json:"mute,omitempty"`
	Deaf     bool    `json:"deaf,omitempty"`
}

// channelFields are a channel's fields without its JSON method, which leaves out
// those that Discord does not show for the channel's type.
type channelFields Channel

// StateChannel is a channel or a thread with its members.
type StateChannel struct {
	channelFields
	ThreadMembers []ThreadMember `json:"thread_members,omitempty"`
}

// StateBan is a ban.
type StateBan struct {
	User   ID      `json:"user"`
	Reason *string `json:"reason"`
}

// StateDirect is a direct message channel between two users.
type StateDirect struct {
	ID    ID    `json:"id"`
	Users [2]ID `json:"users"`
}

// StateText is a message with its reactions and votes.
type StateText struct {
	Message
	Reacted  []StateReaction `json:"reacted,omitempty"`
	Votes    map[int][]ID    `json:"votes,omitempty"`
	PinnedAt string          `json:"pinned_at,omitempty"`
}

// StateReaction contains the users who reacted with an emoji.
type StateReaction struct {
	Emoji ReactionEmoji `json:"emoji"`
	Users []ID          `json:"users"`
}

// StateInvite is an invite.
type StateInvite struct {
	Code      string `json:"code"`
	Channel   ID     `json:"channel_id"`
	Inviter   ID     `json:"inviter"`
	CreatedAt string `json:"created_at"`
	Age       int    `json:"max_age"` // seconds
	Uses      int    `json:"max_uses"`
	Temporary bool   `json:"temporary,omitempty"`
}

// State returns what is in the world.
func (s *Sandbox) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{World: s.world}
	for _, id := range slices.Sorted(maps.Keys(s.users)) {
		u := s.users[id]
		entry := StateUser{User: u.User, RefusesDMs: u.refusesDMs, Emojis: u.emojis, Application: u.application}
		for _, token := range slices.Sorted(maps.Keys(s.tokens)) {
			if s.tokens[token] == id {
				entry.Tokens = append(entry.Tokens, token)
			}
		}
		if p, ok := s.gateway.presences[id]; ok {
			entry.Presence = &p
		}
		out.Users = append(out.Users, entry)
	}
	for _, id := range slices.Sorted(maps.Keys(s.guilds)) {
		out.Guilds = append(out.Guilds, s.stateOf(s.guilds[id]))
	}
	for _, id := range slices.Sorted(maps.Keys(s.channels)) {
		ch := s.channels[id]
		if ch.GuildID == 0 {
			out.Direct = append(out.Direct, StateDirect{id, [2]ID(ch.recipients)})
		}
		for _, m := range ch.messages {
			text := StateText{Message: m.Message, Votes: m.votes}
			for _, r := range m.reactions {
				text.Reacted = append(text.Reacted, StateReaction{r.emoji, r.users})
			}
			if m.Pinned {
				text.PinnedAt = timestamp(m.pinnedAt)
			}
			out.Messages = append(out.Messages, text)
		}
	}
	out.Webhooks = s.webhooksOf(func(*webhook) bool { return true })
	for _, list := range s.commands {
		for _, c := range list {
			out.Commands = append(out.Commands, *c)
		}
	}
	slices.SortFunc(out.Commands, func(a, b Command) int { return cmp.Compare(a.ID, b.ID) })
	for _, i := range s.invitesOf(func(*invite) bool { return true }) {
		out.Invites = append(out.Invites, StateInvite{i.code, i.channel, i.inviter.ID, timestamp(i.at), i.age, i.uses, i.temporary})
	}
	out.CommandPermissions, out.Interactions = s.commandPermissions, s.stateInteractions()
	out.Stickers = s.stickersOf(0)
	out.Limits, out.GlobalLimit, out.InvalidLimit = s.limiter.sorted(), ptr(s.limiter.global), ptr(s.invalidLimit)
	return out
}

func (s *Sandbox) stateOf(g *guild) StateGuild {
	out := StateGuild{
		Guild: g.Guild, Settings: g.settings, Scheduled: g.scheduled, Audit: g.audit, Outage: g.unavailable, Stickers: s.stickersOf(g.ID),
	}
	for _, r := range g.sortedRoles() {
		out.Roles = append(out.Roles, *r)
	}
	for _, id := range g.order {
		m := g.members[id]
		out.Members = append(out.Members, StateMember{
			id, m.Roles, m.Nick, m.JoinedAt, m.TimeoutUntil, m.Flags, m.Avatar, m.Banner, m.Pending, m.PremiumSince, m.Mute, m.Deaf,
		})
	}
	for _, id := range slices.Concat(g.channels, g.threads) {
		ch := StateChannel{channelFields: channelFields(s.channels[id].Channel)}
		for _, u := range slices.Sorted(maps.Keys(s.channels[id].threadMembers)) {
			ch.ThreadMembers = append(ch.ThreadMembers, *s.channels[id].threadMembers[u])
		}
		out.Channels = append(out.Channels, ch)
	}
	for _, id := range slices.Sorted(maps.Keys(g.bans)) {
		out.Bans = append(out.Bans, StateBan{id, g.bans[id].Reason})
	}
	for _, id := range slices.Sorted(maps.Keys(g.voice)) {
		out.Voice = append(out.Voice, g.voice[id])
	}
	return out
}

// SetState puts another world in the place of this one; all else is as after
// [Sandbox.Reset]. A mistake changes nothing.
func (s *Sandbox) SetState(in State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.state
	s.clear()
	if err := s.populate(&in); err != nil {
		s.state = before
		return errControl{fmt.Errorf("sandbox: state: %w", err)}
	}
	for _, c := range s.conns {
		c.end(closeReset)
	}
	return nil
}

// ReadState puts the world that JSON describes in the place of this one, see
// [Sandbox.SetState]. Unknown fields are mistakes.
func (s *Sandbox) ReadState(b []byte) error {
	var in State
	if err := strict(b, &in); err != nil {
		return errControl{fmt.Errorf("sandbox: state: %w", err)}
	}
	return s.SetState(in)
}

func (s *Sandbox) populate(in *State) error {
	s.world = in.World
	for _, u := range in.Users {
		if u.ID == 0 {
			return fmt.Errorf("the user %q has no id", u.Username)
		}
		s.putUser(u.User)
		stored := s.users[u.ID]
		stored.refusesDMs, stored.emojis, stored.application = u.RefusesDMs, u.Emojis, u.Application
		for _, token := range u.Tokens {
			s.tokens[s.canonical(token)] = u.ID
		}
		if u.Presence != nil {
			u.Presence.Activities = orEmpty(u.Presence.Activities)
			s.gateway.presences[u.ID] = *u.Presence
		}
		if s.world.Bot == 0 && u.Bot {
			s.world.Bot = u.ID
		}
	}
	if s.users[s.world.Bot] == nil {
		return fmt.Errorf("no user is a bot")
	}
	s.world.Token = s.config.Token
	s.tokens["Bot "+s.config.Token] = s.world.Bot
	for i := range in.Guilds {
		if err := s.fillGuild(&in.Guilds[i]); err != nil {
			return fmt.Errorf("guild %d: %w", in.Guilds[i].ID, err)
		}
	}
	for _, d := range in.Direct {
		a, b := s.users[d.Users[0]], s.users[d.Users[1]]
		if d.ID == 0 || a == nil || b == nil {
			return fmt.Errorf("direct messages %d: %w", d.ID, errNoUser)
		}
		key := pair(a.ID, b.ID)
		s.channels[d.ID] = &channel{Channel: Channel{ID: d.ID, Type: ChannelDM}, recipients: key[:]}
		s.dms[key] = d.ID
		s.dmOrder = append(s.dmOrder, d.ID)
	}
	for i := range in.Messages {
		if err := s.fillMessage(&in.Messages[i]); err != nil {
			return fmt.Errorf("message %d: %w", in.Messages[i].ID, err)
		}
	}
	for _, w := range in.Webhooks {
		ch := s.channels[w.ChannelID]
		if ch == nil || w.ID == 0 {
			return fmt.Errorf("webhook %d: %w", w.ID, errNoChannel)
		}
		w.GuildID, w.Type, w.Token = ch.GuildID, 1, cmp.Or(w.Token, s.token(w.ID))
		s.webhooks[w.ID] = &webhook{Webhook: w}
	}
	for _, c := range in.Commands {
		scope := commandScope{cmp.Or(c.ApplicationID, s.world.Bot), c.GuildID}
		version := c.Version
		s.keep(&c, scope, c.ID)
		c.Version = cmp.Or(version, c.Version)
		s.lastID = max(s.lastID, c.ID, c.Version)
		s.commands[scope] = append(s.commands[scope], &c)
	}
	for _, i := range in.Invites {
		ch, by := s.channels[i.Channel], s.users[i.Inviter]
		if ch == nil || by == nil {
			return fmt.Errorf("invite %s: %w", i.Code, errNoChannel)
		}
		at, err := parseTime(i.CreatedAt)
		if err != nil {
			return err
		}
		s.invites = append(s.invites, &invite{i.Code, ch.GuildID, ch.ID, &by.User, at, i.Age, i.Uses, i.Temporary})
	}
	s.fillStickers(in.Stickers, 0)
	s.commandPermissions = in.CommandPermissions
	if err := s.fillInteractions(in.Interactions); err != nil {
		return err
	}
	s.fillLimits(in)
	// New ids come after all others.
	for _, ids := range [][]ID{
		slices.Collect(maps.Keys(s.users)), slices.Collect(maps.Keys(s.guilds)),
		slices.Collect(maps.Keys(s.channels)), slices.Collect(maps.Keys(s.webhooks)),
	} {
		if len(ids) > 0 {
			s.lastID = max(s.lastID, slices.Max(ids))
		}
	}
	return nil
}

// fillLimits puts the limits of a state in the place of the configured ones.
func (s *Sandbox) fillLimits(in *State) {
	if in.Limits != nil {
		global := s.limiter.global
		s.limiter = newLimiter(true, in.Limits...)
		s.limiter.global = global
	}
	if in.GlobalLimit != nil {
		s.limiter.global = *in.GlobalLimit
	}
	if in.InvalidLimit != nil {
		s.invalidLimit = *in.InvalidLimit
	}
}

func (s *Sandbox) fillGuild(in *StateGuild) error {
	if in.ID == 0 {
		return errNoGuild
	}
	s.putGuild(in.Guild)
	g := s.guilds[in.ID]
	g.settings, g.scheduled, g.audit, g.unavailable = in.Settings, in.Scheduled, in.Audit, in.Outage
	for _, r := range in.Roles {
		g.roles[r.ID] = &r
	}
	for _, m := range in.Members {
		if s.users[m.User] == nil {
			return fmt.Errorf("member %d: %w", m.User, errNoUser)
		}
		for _, r := range m.Roles {
			if g.roles[r] == nil {
				return fmt.Errorf("member %d: there is no role %d", m.User, r)
			}
		}
		s.join(g, m.User, m.Roles...)
		stored := g.members[m.User]
		stored.Nick, stored.Flags, stored.TimeoutUntil = m.Nick, m.Flags, m.Timeout
		stored.Avatar, stored.Banner, stored.Pending, stored.PremiumSince = m.Avatar, m.Banner, m.Pending, m.Premium
		stored.Mute, stored.Deaf = m.Mute, m.Deaf
		stored.JoinedAt = cmp.Or(m.JoinedAt, stored.JoinedAt)
		if m.Timeout != nil {
			var err error
			if stored.timeoutExpiry, err = parseTime(*m.Timeout); err != nil {
				return err
			}
		}
	}
	for _, c := range in.Channels {
		if c.ID == 0 {
			return fmt.Errorf("the channel %q has no id", c.Name)
		}
		ch := Channel(c.channelFields)
		ch.GuildID = g.ID
		if !ch.isThread() {
			s.putChannel(ch)
			continue
		}
		if ch.Thread == nil {
			made := timestamp(ch.ID.Time())
			ch.Thread = &ThreadMetadata{ArchiveTimestamp: made, CreateTimestamp: made, AutoArchive: 4320}
		}
		thread := &channel{Channel: ch, threadMembers: map[ID]*ThreadMember{}}
		for _, m := range c.ThreadMembers {
			m.ID = ch.ID
			thread.threadMembers[m.UserID] = &m
		}
		s.channels[ch.ID] = thread
		g.threads = insert(g.threads, ch.ID)
	}
	for _, id := range g.threads {
		if s.channels[s.channels[id].ParentID] == nil {
			return fmt.Errorf("thread %d: %w", id, errNoChannel)
		}
	}
	for _, b := range in.Bans {
		if s.users[b.User] == nil {
			return fmt.Errorf("ban of %d: %w", b.User, errNoUser)
		}
		g.bans[b.User] = &guildBan{Reason: b.Reason, User: s.users[b.User].User}
	}
	for _, v := range in.Voice {
		if g.members[v.UserID] == nil || s.channels[v.ChannelID] == nil {
			return fmt.Errorf("voice state of %d: %w", v.UserID, errNoChannel)
		}
		v.GuildID = g.ID
		s.setVoice(g, v)
	}
	s.fillStickers(in.Stickers, g.ID)
	for _, e := range g.audit {
		s.lastID = max(s.lastID, e.ID)
	}
	return nil
}

func (s *Sandbox) fillStickers(list []Sticker, guild ID) {
	for _, st := range list {
		st.GuildID = guild
		s.stickers[st.ID] = st
		s.lastID = max(s.lastID, st.ID)
	}
}

func (s *Sandbox) fillMessage(in *StateText) error {
	ch := s.channels[in.ChannelID]
	switch {
	case ch == nil:
		return errNoChannel
	case in.ID == 0:
		in.ID = s.newID()
	}
	m := &message{Message: in.Message, votes: in.Votes}
	if m.Author == nil {
		m.Author = &User{ID: s.world.Bot}
	}
	if u := s.users[m.Author.ID]; u != nil {
		m.Author = &u.User
	} else if m.WebhookID == 0 {
		return errNoUser
	}
	for _, r := range in.Reacted {
		m.reactions = append(m.reactions, &reaction{r.Emoji, slices.Sorted(slices.Values(r.Users))})
	}
	m.Timestamp = timestamp(m.ID.Time())
	m.normalize()
	i, found := ch.find(m.ID)
	if found {
		return fmt.Errorf("its id is taken")
	}
	ch.messages = slices.Insert(ch.messages, i, m)
	ch.LastMessageID = max(ch.LastMessageID, m.ID)
	if m.Pinned {
		var err error
		if m.pinnedAt, err = parseTime(cmp.Or(in.PinnedAt, m.Timestamp)); err != nil {
			return err
		}
		ch.pins = append([]ID{m.ID}, ch.pins...)
	}
	s.lastID = max(s.lastID, m.ID)
	return nil
}

// AddMembers adds new users to a guild, as many as are asked for, and returns
// their IDs.
func (s *Sandbox) AddMembers(guild ID, count int) ([]ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[guild]
	switch {
	case g == nil:
		return nil, errNoGuild
	case count < 1 || count > 100_000:
		return nil, cannot("1 to 100000 members can be added in one request, not %d", count)
	}
	out := make([]ID, 0, count)
	for range count {
		id := s.newID()
		s.putUser(User{ID: id, Username: fmt.Sprint("member", len(g.order)+1)})
		s.join(g, id)
		out = append(out, id)
		s.publish("GUILD_MEMBER_ADD", guild, 0, func() any { return memberEvent{guild, *g.members[id]} })
	}
	return out, nil
}
