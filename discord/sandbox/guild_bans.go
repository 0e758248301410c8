package sandbox

import (
	"maps"
	"net/http"
	"slices"
)

const guildBansPath = "/guilds/{guild_id}/bans"

var banRoutes = []route{
	{method: "GET", template: guildBansPath, handle: (*Sandbox).listGuildBans},
	{method: "GET", template: guildBansPath + "/{user_id}", handle: (*Sandbox).getGuildBan},
	{method: "PUT", template: guildBansPath + "/{user_id}", handle: (*Sandbox).banMember},
	{method: "DELETE", template: guildBansPath + "/{user_id}", handle: (*Sandbox).unbanMember},
}

var errUnknownBan = refuse(http.StatusNotFound, 10026, "Unknown Ban")

// guildBan is that a guild wants nothing to do with a user.
type guildBan struct {
	Reason *string `json:"reason"`
	User   User    `json:"user"`
}

// banning finds the guild whose bans a call is about.
func (s *Sandbox) banning(c *call) (*guild, error) {
	g, p, err := s.inGuild(c)
	if err == nil && !p.Has(PermBanMembers) {
		err = errMissingPerms
	}
	return g, err
}

func (s *Sandbox) listGuildBans(c *call) (any, error) {
	g, err := s.banning(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, before, after := q.int("limit", 1000, 1, 1000), q.snowflake("before"), q.snowflake("after")
	if err := q.err(); err != nil {
		return nil, err
	}
	out := []*guildBan{}
	for _, id := range slices.Sorted(maps.Keys(g.bans)) {
		if id > after && (before == 0 || id < before) {
			out = append(out, g.bans[id])
		}
	}
	if over := len(out) - limit; over > 0 && before != 0 {
		return out[over:], nil
	}
	return out[:min(len(out), limit)], nil
}

func (s *Sandbox) getGuildBan(c *call) (any, error) {
	g, err := s.banning(c)
	if err != nil {
		return nil, err
	}
	if ban := g.bans[c.id("user_id")]; ban != nil {
		return ban, nil
	}
	return nil, errUnknownBan
}

func (s *Sandbox) banMember(c *call) (any, error) {
	g, err := s.banning(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Seconds int `json:"delete_message_seconds"`
		Days    int `json:"delete_message_days"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	f.between("delete_message_seconds", body.Seconds, 0, 7*24*60*60)
	f.between("delete_message_days", body.Days, 0, 7)
	if err := f.err(); err != nil {
		return nil, err
	}
	return nil, s.ban(c, g, c.id("user_id"))
}

// ban keeps a user out of a guild.
func (s *Sandbox) ban(c *call, g *guild, user ID) error {
	u, m := s.users[user], g.members[user]
	switch {
	case u == nil:
		return errUnknownUser
	case m != nil && g.rank(c.user.ID) <= g.rank(u.ID):
		return errMissingPerms
	}
	ban := &guildBan{User: u.User}
	if reason := c.reason(); reason != "" {
		ban.Reason = &reason
	}
	g.bans[u.ID] = ban
	if m != nil {
		s.part(g, m)
	}
	s.banChanged("GUILD_BAN_ADD", g, ban)
	s.audit(c, g.ID, auditBan, u.ID, nil, nil)
	return nil
}

func (s *Sandbox) unbanMember(c *call) (any, error) {
	g, err := s.banning(c)
	if err != nil {
		return nil, err
	}
	ban := g.bans[c.id("user_id")]
	if ban == nil {
		return nil, errUnknownBan
	}
	delete(g.bans, ban.User.ID)
	s.banChanged("GUILD_BAN_REMOVE", g, ban)
	s.audit(c, g.ID, auditUnban, ban.User.ID, nil, nil)
	return nil, nil
}

func (s *Sandbox) banChanged(kind string, g *guild, ban *guildBan) {
	s.publish(kind, g.ID, 0, func() any {
		return struct {
			GuildID ID   `json:"guild_id"`
			User    User `json:"user"`
		}{g.ID, ban.User}
	})
}
