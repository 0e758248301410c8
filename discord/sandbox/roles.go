package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

const rolePath = "/guilds/{guild_id}/roles"

var roleRoutes = []route{
	{method: "GET", template: rolePath, handle: (*Sandbox).listRoles},
	{method: "GET", template: rolePath + "/{role_id}", handle: (*Sandbox).getRole},
	{method: "GET", template: rolePath + "/member-counts", handle: (*Sandbox).countRoles},
	{method: "PATCH", template: rolePath, handle: (*Sandbox).moveRoles},
	{method: "POST", template: rolePath, handle: (*Sandbox).createRole},
	{method: "PATCH", template: rolePath + "/{role_id}", handle: (*Sandbox).modifyRole},
	{method: "DELETE", template: rolePath + "/{role_id}", handle: (*Sandbox).deleteRole},
}

// maxRoles is the maximum number of roles in a guild.
const maxRoles = 250

func (s *Sandbox) listRoles(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	return g.sortedRoles(), nil
}

func (s *Sandbox) getRole(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	if r := g.roles[c.id("role_id")]; r != nil {
		return r, nil
	}
	return nil, errUnknownRole
}

func (s *Sandbox) countRoles(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	counts := map[ID]int{}
	for id := range g.roles {
		if id != g.ID {
			counts[id] = 0
		}
	}
	for _, m := range g.members {
		for _, id := range m.Roles {
			counts[id]++
		}
	}
	return counts, nil
}

type roleBody struct {
	Name        *string      `json:"name"`
	Permissions *Permissions `json:"permissions"`
	Color       *int         `json:"color"`
	Hoist       *bool        `json:"hoist"`
	Mentionable *bool        `json:"mentionable"`
}

func (b *roleBody) apply(r *Role) error {
	var f formError
	if b.Name != nil {
		f.length("name", *b.Name, 0, 100)
	}
	if b.Color != nil {
		f.between("color", *b.Color, 0, 0xFFFFFF)
	}
	if err := f.err(); err != nil {
		return err
	}
	setIf(&r.Name, b.Name)
	setIf(&r.Permissions, b.Permissions)
	setIf(&r.Color, b.Color)
	setIf(&r.Hoist, b.Hoist)
	setIf(&r.Mentionable, b.Mentionable)
	r.Colors.Primary = r.Color
	return nil
}

func (s *Sandbox) createRole(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageRoles):
		return nil, errMissingPerms
	case len(g.roles) >= maxRoles:
		return nil, refuse(http.StatusBadRequest, 30005, "Maximum number of server roles reached (250)")
	}
	var body roleBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	r := &Role{ID: s.newID(), Name: "new role", Position: 1, Permissions: g.roles[g.ID].Permissions}
	if err := body.apply(r); err != nil {
		return nil, err
	}
	for _, other := range g.roles {
		if other.Position >= 1 {
			other.Position++
		}
	}
	g.roles[r.ID] = r
	s.audit(c, g.ID, auditRole+auditCreated, r.ID, nil, *r)
	s.roleChanged("GUILD_ROLE_CREATE", g, r)
	return r, nil
}

func (s *Sandbox) roleChanged(kind string, g *guild, r *Role) {
	s.publish(kind, g.ID, 0, func() any {
		return struct {
			GuildID ID   `json:"guild_id"`
			Role    Role `json:"role"`
		}{g.ID, *r}
	})
}

// below finds the role that a call changes, which must be below its caller's.
func (s *Sandbox) below(c *call) (*guild, *Role, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, nil, err
	}
	r := g.roles[c.id("role_id")]
	switch {
	case r == nil:
		return nil, nil, errUnknownRole
	case !p.Has(PermManageRoles) || r.Position >= g.rank(c.user.ID):
		return nil, nil, errMissingPerms
	}
	return g, r, nil
}

func (s *Sandbox) modifyRole(c *call) (any, error) {
	g, r, err := s.below(c)
	if err != nil {
		return nil, err
	}
	var body roleBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	before := snapshot(r)
	if err := body.apply(r); err != nil {
		return nil, err
	}
	s.audit(c, g.ID, auditRole+auditUpdated, r.ID, before, *r)
	s.roleChanged("GUILD_ROLE_UPDATE", g, r)
	return r, nil
}

func (s *Sandbox) deleteRole(c *call) (any, error) {
	g, r, err := s.below(c)
	switch {
	case err != nil:
		return nil, err
	case r.ID == g.ID || r.Managed:
		return nil, refuse(http.StatusBadRequest, 50028, "Invalid Role")
	}
	s.audit(c, g.ID, auditRole+auditDeleted, r.ID, *r, nil)
	delete(g.roles, r.ID)
	for _, m := range g.members {
		if m.has(r.ID) {
			m.Roles = without(append([]ID{}, m.Roles...), r.ID)
		}
	}
	s.publish("GUILD_ROLE_DELETE", g.ID, 0, func() any {
		return struct {
			GuildID ID `json:"guild_id"`
			RoleID  ID `json:"role_id"`
		}{g.ID, r.ID}
	})
	return nil, nil
}

// moveRoles changes the positions of roles. Each of them must be below the
// caller's highest role, before and after.
// https://discord.com/developers/docs/resources/guild#modify-guild-role-positions
func (s *Sandbox) moveRoles(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	var body []struct {
		ID       reqID `json:"id"`
		Position *int  `json:"position"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	for i, move := range body {
		if f.id(strconv.Itoa(i)+".id", move.ID); !move.ID.set {
			f.required(strconv.Itoa(i) + ".id")
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	rank := g.rank(c.user.ID)
	wanted := map[ID]int{}
	for _, move := range body {
		r := g.roles[move.ID.ID]
		switch {
		case r == nil:
			return nil, errUnknownRole
		case move.Position == nil, *move.Position == r.Position: // clients may name all roles to move one
		case r.ID == g.ID:
			return nil, refuse(http.StatusBadRequest, 50028, "Invalid Role")
		case !p.Has(PermManageRoles), r.Position >= rank, *move.Position >= rank:
			return nil, errMissingPerms
		default:
			wanted[r.ID] = max(*move.Position, 1)
		}
	}
	byPosition := func(a, b *Role) int { return cmp.Compare(a.Position, b.Position) }
	order, moved := []*Role{}, []*Role{}
	for _, r := range g.sortedRoles() {
		if _, ok := wanted[r.ID]; ok {
			moved = append(moved, r)
		} else {
			order = append(order, r)
		}
	}
	slices.SortStableFunc(order, byPosition)
	slices.SortStableFunc(moved, func(a, b *Role) int { return cmp.Compare(wanted[a.ID], wanted[b.ID]) })
	for _, r := range moved {
		order = slices.Insert(order, min(wanted[r.ID], len(order)), r)
	}
	for i, r := range order { // @everyone is first, at 0
		if r.Position != i {
			s.audit(c, g.ID, auditRole+auditUpdated, r.ID, map[string]int{"position": r.Position}, map[string]int{"position": i})
			r.Position = i
			s.roleChanged("GUILD_ROLE_UPDATE", g, r)
		}
	}
	return g.sortedRoles(), nil
}
