package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const memberPath = "/guilds/{guild_id}/members"

var memberRoutes = []route{
	{method: "GET", template: memberPath, handle: (*Sandbox).listMembers},
	{method: "GET", template: memberPath + "/search", handle: (*Sandbox).searchMembers},
	{method: "GET", template: memberPath + "/{user_id}", handle: (*Sandbox).getMember},
	{method: "PUT", template: memberPath + "/{user_id}", handle: (*Sandbox).addMember, status: http.StatusCreated},
	{method: "PATCH", template: memberPath + "/{user_id}", handle: (*Sandbox).modifyMember},
	{method: "PATCH", template: memberPath + "/@me", handle: (*Sandbox).modifySelf},
	{method: "PATCH", template: memberPath + "/@me/nick", handle: (*Sandbox).modifyOwnNick},
	{method: "DELETE", template: memberPath + "/{user_id}", handle: (*Sandbox).kick},
	{method: "PUT", template: memberPath + "/{user_id}/roles/{role_id}", handle: (*Sandbox).giveRole},
	{method: "DELETE", template: memberPath + "/{user_id}/roles/{role_id}", handle: (*Sandbox).takeRole},
	{method: "GET", template: "/users/@me/guilds/{guild_id}/member", handle: (*Sandbox).getOwnMember, scopes: []string{"guilds.members.read"}},
}

func (s *Sandbox) listMembers(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, after := q.int("limit", 1, 1, 1000), q.snowflake("after")
	if err := q.err(); err != nil {
		return nil, err
	}
	start, found := slices.BinarySearch(g.order, after)
	if found {
		start++
	}
	out := []*Member{}
	for _, id := range g.order[start:min(len(g.order), start+limit)] {
		out = append(out, g.members[id])
	}
	return out, nil
}

func (s *Sandbox) searchMembers(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, text := q.int("limit", 1, 1, 1000), strings.ToLower(q.values.Get("query"))
	if q.length("query", text, 1, 100); q.err() != nil {
		return nil, q.err()
	}
	return g.search(text, limit), nil
}

// search finds members whose names begin with a text in lower case.
func (g *guild) search(text string, limit int) []*Member {
	out := []*Member{}
	for _, id := range g.order {
		m := g.members[id]
		fits := strings.HasPrefix(strings.ToLower(m.User.Username), text) || m.Nick != nil && strings.HasPrefix(strings.ToLower(*m.Nick), text)
		if fits && len(out) < limit {
			out = append(out, m)
		}
	}
	return out
}

// aMember finds the member that a call is about.
func (s *Sandbox) aMember(c *call) (*guild, *Member, Permissions, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, nil, 0, err
	}
	id := c.id("user_id")
	m := g.members[id]
	switch {
	case m != nil:
		return g, m, p, nil
	case s.users[id] == nil:
		return nil, nil, 0, errUnknownUser
	}
	return nil, nil, 0, errUnknownMember
}

func (s *Sandbox) getMember(c *call) (any, error) {
	_, m, _, err := s.aMember(c)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Sandbox) getOwnMember(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	return g.members[c.user.ID], nil
}

// rank is the position of a member's highest role; owners are above all.
func (g *guild) rank(u ID) int {
	if g.OwnerID == u {
		return 1 << 30
	}
	highest := 0
	for _, id := range g.members[u].Roles {
		if r := g.roles[id]; r != nil {
			highest = max(highest, r.Position)
		}
	}
	return highest
}

type memberBody struct {
	Nick    *string  `json:"nick"`
	Roles   *[]reqID `json:"roles"`
	Mute    *bool    `json:"mute"`
	Deaf    *bool    `json:"deaf"`
	Timeout *string  `json:"communication_disabled_until"`
	Flags   *int     `json:"flags"`
	Channel reqID    `json:"channel_id"` // of voice
}

func (s *Sandbox) modifyMember(c *call) (any, error) {
	g, m, p, err := s.aMember(c)
	if err != nil {
		return nil, err
	}
	var body memberBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if body.Nick != nil {
		f.length("nick", *body.Nick, 0, 32)
	}
	var until time.Time
	if body.Timeout != nil {
		if until, err = parseTime(*body.Timeout); err != nil {
			f.add("communication_disabled_until", "DATE_TIME_TYPE_PARSE", "Could not parse "+*body.Timeout+". Should be ISO8601.")
		} else if until.Sub(c.at) > 28*24*time.Hour {
			f.add("communication_disabled_until", "COMMUNICATION_DISABLED_UNTIL_TOO_FAR", "Timeouts cannot be longer than 28 days.")
		}
	}
	roles := m.Roles
	if body.Roles != nil {
		roles = []ID{}
		for i, r := range *body.Roles {
			f.id(join("roles", i), r)
			roles = append(roles, r.ID)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	self := m.User.ID == c.user.ID
	above := self || g.rank(c.user.ID) > g.rank(m.User.ID)
	switch {
	case c.has("nick") && (!above || !p.Has(PermManageNicknames)),
		c.has("communication_disabled_until") && (self || !above || !p.Has(PermModerateMembers)),
		body.Mute != nil && !p.Has(PermMuteMembers), body.Deaf != nil && !p.Has(PermDeafenMembers):
		return nil, errMissingPerms
	}
	if err := s.moveVoice(c, g, m, p, &body); err != nil {
		return nil, err
	}
	for _, id := range slices.Concat(roles, m.Roles) {
		if slices.Contains(roles, id) != m.has(id) {
			if err := g.mayGrant(c, p, id); err != nil {
				return nil, err
			}
		}
	}
	before := *m
	m.Roles = roles
	if c.has("nick") {
		if m.Nick = body.Nick; m.Nick != nil && *m.Nick == "" {
			m.Nick = nil
		}
	}
	if c.has("communication_disabled_until") {
		m.TimeoutUntil, m.timeoutExpiry = nil, until
		if body.Timeout != nil {
			m.TimeoutUntil = ptr(timestamp(until))
		}
	}
	setIf(&m.Flags, body.Flags)
	s.auditRoles(c, g, m, before.Roles)
	was, is := before, *m
	was.Roles, is.Roles = nil, nil
	if changes(was, is) != nil {
		s.audit(c, g.ID, auditMember, m.User.ID, was, is)
	}
	s.memberChanged(g, m)
	if c.version < 8 {
		return nil, nil
	}
	return m, nil
}

// moveVoice moves, mutes or deafens a member who is in a voice channel.
func (s *Sandbox) moveVoice(c *call, g *guild, m *Member, p Permissions, body *memberBody) error {
	if body.Mute == nil && body.Deaf == nil && !c.has("channel_id") {
		return nil
	}
	v, there := g.voice[m.User.ID]
	if !there {
		return errNotInVoice
	}
	setIf(&v.Mute, body.Mute)
	setIf(&v.Deaf, body.Deaf)
	if c.has("channel_id") {
		ch := s.channels[body.Channel.ID]
		switch {
		case !p.Has(PermMoveMembers):
			return errMissingPerms
		case body.Channel.set && (ch == nil || ch.GuildID != g.ID || ch.Type != ChannelVoice && ch.Type != ChannelStage):
			return errUnknownChannel
		}
		v.ChannelID = body.Channel.ID
	}
	s.setVoice(g, v)
	return nil
}

func (s *Sandbox) memberChanged(g *guild, m *Member) {
	s.publish("GUILD_MEMBER_UPDATE", g.ID, 0, func() any {
		return memberEvent{g.ID, *m}
	})
}

// memberOf is a copy of a member, or nil of who is none.
func (s *Sandbox) memberOf(guild, user ID) *Member {
	if g := s.guilds[guild]; g != nil && g.members[user] != nil {
		return ptr(*g.members[user])
	}
	return nil
}

func (s *Sandbox) modifySelf(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Nick *string `json:"nick"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	m := g.members[c.user.ID]
	if c.has("nick") {
		var f formError
		if body.Nick != nil {
			f.length("nick", *body.Nick, 0, 32)
		}
		switch {
		case f.err() != nil:
			return nil, f.err()
		case !p.Has(PermChangeNickname):
			return nil, errMissingPerms
		}
		before := *m
		if m.Nick = body.Nick; m.Nick != nil && *m.Nick == "" {
			m.Nick = nil
		}
		if changes(before, *m) != nil {
			s.audit(c, g.ID, auditMember, m.User.ID, before, *m)
		}
		s.memberChanged(g, m)
	}
	return m, nil
}

// modifyOwnNick is the older way to change the own nickname, which several libraries
// still use.
func (s *Sandbox) modifyOwnNick(c *call) (any, error) {
	changed, err := s.modifySelf(c)
	if err != nil {
		return nil, err
	}
	return struct {
		Nick *string `json:"nick"`
	}{changed.(*Member).Nick}, nil
}

func (s *Sandbox) kick(c *call) (any, error) {
	g, m, p, err := s.aMember(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermKickMembers) || g.rank(c.user.ID) <= g.rank(m.User.ID):
		return nil, errMissingPerms
	}
	s.part(g, m)
	s.audit(c, g.ID, auditKick, m.User.ID, nil, nil)
	return nil, nil
}

// auditRoles notes which roles a member got and lost.
func (s *Sandbox) auditRoles(c *call, g *guild, m *Member, before []ID) {
	type part struct {
		ID   ID     `json:"id"`
		Name string `json:"name"`
	}
	difference := func(in, without []ID) (out []part) {
		for _, id := range in {
			if r := g.roles[id]; r != nil && !slices.Contains(without, id) {
				out = append(out, part{id, r.Name})
			}
		}
		return out
	}
	after := map[string]any{}
	if added := difference(m.Roles, before); added != nil {
		after["$add"] = added
	}
	if removed := difference(before, m.Roles); removed != nil {
		after["$remove"] = removed
	}
	if len(after) > 0 {
		s.audit(c, g.ID, auditMemberRole, m.User.ID, nil, after)
	}
}

// part takes a member out of a guild.
func (s *Sandbox) part(g *guild, m *Member) {
	delete(g.members, m.User.ID)
	g.order = without(g.order, m.User.ID)
	if v, there := g.voice[m.User.ID]; there {
		v.ChannelID = 0
		s.setVoice(g, v)
	}
	s.guildLeft(g, m.User.ID, false)
	s.publish("GUILD_MEMBER_REMOVE", g.ID, 0, func() any {
		return struct {
			GuildID ID   `json:"guild_id"`
			User    User `json:"user"`
		}{g.ID, m.User}
	})
}

// mayGrant checks that a caller may give and take a role: it must lie below
// the highest of its own.
func (g *guild) mayGrant(c *call, p Permissions, role ID) error {
	r := g.roles[role]
	switch {
	case r == nil:
		return errUnknownRole
	case role == g.ID || r.Managed:
		return refuse(http.StatusBadRequest, 50028, "Invalid Role")
	case !p.Has(PermManageRoles) || r.Position >= g.rank(c.user.ID):
		return errMissingPerms
	}
	return nil
}

func (s *Sandbox) giveRole(c *call) (any, error) { return s.changeRole(c, true) }

func (s *Sandbox) takeRole(c *call) (any, error) { return s.changeRole(c, false) }

func (s *Sandbox) changeRole(c *call, has bool) (any, error) {
	g, m, p, err := s.aMember(c)
	if err != nil {
		return nil, err
	}
	role := c.id("role_id")
	if err := g.mayGrant(c, p, role); err != nil {
		return nil, err
	}
	if m.has(role) == has {
		return nil, nil
	}
	before := m.Roles
	m.Roles = without(slices.Clone(m.Roles), role)
	if has {
		m.Roles = append(m.Roles, role)
	}
	s.auditRoles(c, g, m, before)
	s.memberChanged(g, m)
	return nil, nil
}
