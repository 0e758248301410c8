package sandbox

import (
	"net/http"
	"slices"
	"strconv"
)

var pruneRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/prune", handle: (*Sandbox).countPrune},
	{method: "POST", template: "/guilds/{guild_id}/prune", handle: (*Sandbox).prune},
	{method: "POST", template: "/guilds/{guild_id}/bulk-ban", handle: (*Sandbox).banMembers},
}

// pruning finds the guild whose members a call counts or kicks.
func (s *Sandbox) pruning(c *call) (*guild, error) {
	g, p, err := s.inGuild(c)
	if err == nil && !p.Has(PermManageGuild|PermKickMembers) {
		err = errMissingPerms
	}
	return g, err
}

// inactive returns the members that a prune removes: offline members that have no roles
// other than these. The sandbox does not track when members were last online.
func (s *Sandbox) inactive(g *guild, roles []ID) []*Member {
	var out []*Member
	for _, id := range g.order {
		m := g.members[id]
		kept := slices.ContainsFunc(m.Roles, func(r ID) bool { return !slices.Contains(roles, r) })
		if !kept && !m.User.Bot && id != g.OwnerID && s.presenceOf(id).Status == StatusOffline {
			out = append(out, m)
		}
	}
	return out
}

func (s *Sandbox) countPrune(c *call) (any, error) {
	g, err := s.pruning(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	q.int("days", 7, 1, 30)
	roles := q.snowflakes("include_roles")
	if err := q.err(); err != nil {
		return nil, err
	}
	return map[string]int{"pruned": len(s.inactive(g, roles))}, nil
}

func (s *Sandbox) prune(c *call) (any, error) {
	g, err := s.pruning(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Days  *int    `json:"days"`
		Count *bool   `json:"compute_prune_count"`
		Roles []reqID `json:"include_roles"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	days := 7
	setIf(&days, body.Days)
	var f formError
	f.between("days", days, 1, 30)
	var roles []ID
	for i, r := range body.Roles {
		f.id(join("include_roles", i), r)
		roles = append(roles, r.ID)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	gone := s.inactive(g, roles)
	for _, m := range gone {
		s.part(g, m)
	}
	s.audit(
		c,
		g.ID,
		auditPrune,
		0,
		nil,
		nil,
		map[string]any{"delete_member_days": strconv.Itoa(days), "members_removed": strconv.Itoa(len(gone))},
	)
	if body.Count != nil && !*body.Count {
		return map[string]any{"pruned": nil}, nil
	}
	return map[string]any{"pruned": len(gone)}, nil
}

func (s *Sandbox) banMembers(c *call) (any, error) {
	g, err := s.banning(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		Users   []reqID `json:"user_ids"`
		Seconds int     `json:"delete_message_seconds"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	f.between("delete_message_seconds", body.Seconds, 0, 7*24*60*60)
	if n := len(body.Users); n < 1 || n > 200 {
		f.add("user_ids", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 200 in length.")
	}
	for i, id := range body.Users {
		f.id(join("user_ids", i), id)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	banned, failed := []ID{}, []ID{}
	for _, id := range body.Users {
		if s.ban(c, g, id.ID) == nil {
			banned = append(banned, id.ID)
		} else {
			failed = append(failed, id.ID)
		}
	}
	if len(banned) == 0 {
		return nil, refuse(http.StatusBadRequest, 500000, "Failed to ban users")
	}
	return map[string][]ID{"banned_users": banned, "failed_users": failed}, nil
}
