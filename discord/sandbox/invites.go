package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

var inviteRoutes = []route{
	{method: "POST", template: "/channels/{channel_id}/invites", handle: (*Sandbox).createInvite},
	{method: "GET", template: "/channels/{channel_id}/invites", handle: (*Sandbox).channelInvites},
	{method: "GET", template: "/guilds/{guild_id}/invites", handle: (*Sandbox).guildInvites},
	{method: "GET", template: "/guilds/{guild_id}/vanity-url", handle: (*Sandbox).getVanityURL},
	{method: "GET", template: "/invites/{code}", handle: (*Sandbox).getInvite, open: true, perIP: true},
	{method: "DELETE", template: "/invites/{code}", handle: (*Sandbox).deleteInvite},
}

// maxInvites is the maximum number of invites in a guild.
const maxInvites = 1000

var errUnknownInvite = refuse(http.StatusNotFound, 10006, "Unknown Invite")

// invite is an invite to a channel of a guild. Nobody uses it.
type invite struct {
	code           string
	guild, channel ID
	inviter        *User
	at             time.Time
	age            int // seconds, or 0 for ever
	uses           int // 0 for any number
	temporary      bool
}

func (i *invite) expired(now time.Time) bool {
	return i.age > 0 && now.Sub(i.at) >= time.Duration(i.age)*time.Second
}

func (s *Sandbox) inviteView(i *invite, counts bool) map[string]any {
	g, ch := s.guilds[i.guild], s.channels[i.channel]
	wire := g.wire()
	guild := map[string]any{}
	for _, key := range []string{
		"id", "name", "splash", "banner", "description", "icon", "features", "verification_level", "vanity_url_code", "nsfw_level", "nsfw",
		"premium_subscription_count",
	} {
		guild[key] = wire[key]
	}
	out := map[string]any{
		"type": 0, "code": i.code, "inviter": i.inviter, "max_age": i.age, "max_uses": i.uses, "uses": 0, "temporary": i.temporary,
		"created_at": timestamp(i.at), "expires_at": nil, "guild": guild, "guild_id": g.ID, "flags": 0,
		"channel": map[string]any{"id": ch.ID, "name": ch.Name, "type": ch.Type},
	}
	if i.age > 0 {
		out["expires_at"] = timestamp(i.at.Add(time.Duration(i.age) * time.Second))
	}
	if counts {
		out["approximate_member_count"], out["approximate_presence_count"] = len(g.members), 1
	}
	return out
}

// invitesOf are invites that hold, in order of their making.
func (s *Sandbox) invitesOf(want func(*invite) bool) []*invite {
	var out []*invite
	s.invites = slices.DeleteFunc(s.invites, func(i *invite) bool { return i.expired(s.now()) || s.channels[i.channel] == nil })
	for _, i := range s.invites {
		if want(i) {
			out = append(out, i)
		}
	}
	return out
}

func (s *Sandbox) inviteViews(list []*invite) []any {
	out := []any{}
	for _, i := range list {
		out = append(out, s.inviteView(i, false))
	}
	return out
}

func (s *Sandbox) createInvite(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case ch.GuildID == 0:
		return nil, errOnDM
	case ch.isThread() || ch.Type == ChannelCategory:
		return nil, errChannelType
	case !p.Has(PermCreateInstantInvite):
		return nil, errMissingPerms
	}
	var body struct {
		Age       *int `json:"max_age"`
		Uses      int  `json:"max_uses"`
		Temporary bool `json:"temporary"`
		Unique    bool `json:"unique"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	age := 86400
	setIf(&age, body.Age)
	var f formError
	f.between("max_age", age, 0, 604800)
	f.between("max_uses", body.Uses, 0, 100)
	if err := f.err(); err != nil {
		return nil, err
	}
	mine := s.invitesOf(func(i *invite) bool { return i.guild == ch.GuildID })
	if !body.Unique {
		for _, i := range mine {
			if i.channel == ch.ID && i.inviter.ID == c.user.ID && i.age == age && i.uses == body.Uses && i.temporary == body.Temporary {
				return s.inviteView(i, false), nil
			}
		}
	}
	if len(mine) >= maxInvites {
		return nil, refuse(http.StatusBadRequest, 30016, "Maximum number of invites reached (1000)")
	}
	i := &invite{
		code: s.token(s.newID())[:8], guild: ch.GuildID, channel: ch.ID, inviter: &c.user.User,
		at: c.now, age: age, uses: body.Uses, temporary: body.Temporary,
	}
	s.invites = append(s.invites, i)
	s.audit(
		c,
		ch.GuildID,
		auditInvite+auditCreated,
		0,
		nil,
		map[string]any{"code": i.code, "channel_id": ch.ID, "max_age": age, "max_uses": i.uses},
	)
	s.publish("INVITE_CREATE", i.guild, i.channel, func() any {
		return map[string]any{
			"channel_id": i.channel, "guild_id": i.guild, "code": i.code, "created_at": timestamp(i.at), "inviter": i.inviter,
			"max_age": i.age, "max_uses": i.uses, "temporary": i.temporary, "uses": 0,
		}
	})
	return s.inviteView(i, false), nil
}

func (s *Sandbox) channelInvites(c *call) (any, error) {
	ch, p, err := s.visible(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageChannels):
		return nil, errMissingPerms
	}
	return s.inviteViews(s.invitesOf(func(i *invite) bool { return i.channel == ch.ID })), nil
}

func (s *Sandbox) guildInvites(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageGuild):
		return nil, errMissingPerms
	}
	return s.inviteViews(s.invitesOf(func(i *invite) bool { return i.guild == g.ID })), nil
}

func (s *Sandbox) getVanityURL(c *call) (any, error) {
	_, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageGuild):
		return nil, errMissingPerms
	}
	return map[string]any{"code": nil, "uses": 0}, nil
}

func (s *Sandbox) oneInvite(c *call) (*invite, error) {
	found := s.invitesOf(func(i *invite) bool { return strings.EqualFold(i.code, c.value("code")) })
	if len(found) == 0 {
		return nil, errUnknownInvite
	}
	return found[0], nil
}

func (s *Sandbox) getInvite(c *call) (any, error) {
	i, err := s.oneInvite(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	counts := q.bool("with_counts")
	if err := q.err(); err != nil {
		return nil, err
	}
	return s.inviteView(i, counts), nil
}

func (s *Sandbox) deleteInvite(c *call) (any, error) {
	i, err := s.oneInvite(c)
	if err != nil {
		return nil, err
	}
	if !s.permissions(c.user.ID, s.channels[i.channel]).Has(PermManageChannels) {
		return nil, errMissingPerms
	}
	out := s.inviteView(i, false)
	s.invites = slices.DeleteFunc(s.invites, func(o *invite) bool { return o == i })
	s.audit(c, i.guild, auditInvite+auditDeleted, 0, map[string]any{"code": i.code, "channel_id": i.channel}, nil)
	s.publish("INVITE_DELETE", i.guild, i.channel, func() any {
		return map[string]any{"channel_id": i.channel, "guild_id": i.guild, "code": i.code}
	})
	return out, nil
}
