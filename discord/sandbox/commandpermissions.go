package sandbox

import (
	"net/http"
	"slices"
)

var commandPermissionRoutes = []route{
	{method: "GET", template: guildCommandsPath + "/permissions", handle: (*Sandbox).listCommandPermissions},
	{method: "GET", template: guildCommandsPath + "/{command_id}/permissions", handle: (*Sandbox).getCommandPermissions},
	{
		method:   "PUT",
		template: guildCommandsPath + "/{command_id}/permissions",
		handle:   (*Sandbox).setCommandPermissions,
		scopes:   []string{"applications.commands.permissions.update"},
	},
}

// commandPermissions decides who may use a command in a guild. The application's own ID
// means all of its commands.
type commandPermissions struct {
	ID            ID                  `json:"id"`
	ApplicationID ID                  `json:"application_id"`
	GuildID       ID                  `json:"guild_id"`
	Permissions   []commandPermission `json:"permissions"`
}

type commandPermission struct {
	ID         reqID `json:"id"`
	Type       int   `json:"type"` // 1 role, 2 user, 3 channel
	Permission bool  `json:"permission"`
}

func (s *Sandbox) listCommandPermissions(c *call) (any, error) {
	scope, err := s.commanding(c)
	if err != nil {
		return nil, err
	}
	out := []*commandPermissions{}
	for _, p := range s.commandPermissions {
		if p.ApplicationID == scope.application && p.GuildID == scope.guild {
			out = append(out, p)
		}
	}
	return out, nil
}

// permitting finds the permissions of the command that a call is about, whose
// application is the caller's or the one that the caller has granted its token.
func (s *Sandbox) permitting(c *call) (*commandPermissions, int, error) {
	application, guild, id := c.id("application_id"), c.id("guild_id"), c.id("command_id")
	caller := c.user.ID
	if c.grant != nil {
		caller = c.grant.application
	}
	switch {
	case application != caller:
		return nil, 0, errApplication
	case s.guilds[guild] == nil || s.guilds[guild].members[c.user.ID] == nil:
		return nil, 0, errMissingAccess
	}
	known := id == application
	for _, scope := range []commandScope{{application, guild}, {application, 0}} {
		known = known || slices.ContainsFunc(s.commands[scope], func(o *Command) bool { return o.ID == id })
	}
	if !known {
		return nil, 0, refuse(http.StatusNotFound, 10063, "Unknown application command")
	}
	i := slices.IndexFunc(s.commandPermissions, func(p *commandPermissions) bool { return p.ID == id && p.GuildID == guild })
	return &commandPermissions{ID: id, ApplicationID: application, GuildID: guild}, i, nil
}

func (s *Sandbox) getCommandPermissions(c *call) (any, error) {
	_, i, err := s.permitting(c)
	switch {
	case err != nil:
		return nil, err
	case i < 0:
		return nil, refuse(http.StatusNotFound, 10066, "Unknown application command permissions")
	}
	return s.commandPermissions[i], nil
}

func (s *Sandbox) setCommandPermissions(c *call) (any, error) {
	if c.grant == nil {
		return nil, refuse(http.StatusForbidden, 20001, "Bots cannot use this endpoint")
	}
	set, i, err := s.permitting(c)
	if err != nil {
		return nil, err
	}
	if p := s.guilds[set.GuildID].permissions(c.user.ID, c.at); !p.Has(PermManageGuild | PermManageRoles) {
		return nil, errMissingPerms
	}
	var body struct {
		Permissions []commandPermission `json:"permissions"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if len(body.Permissions) > 100 {
		f.add("permissions", "BASE_TYPE_MAX_LENGTH", "Must be 100 or fewer in length.")
	}
	for i, p := range body.Permissions {
		if f.id(join("permissions", i)+".id", p.ID); p.Type < 1 || p.Type > 3 {
			f.add(join("permissions", i)+".type", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3).")
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	set.Permissions = orEmpty(body.Permissions)
	if s.commandPermissions = slices.Clone(s.commandPermissions); i >= 0 {
		s.commandPermissions[i] = set
	} else {
		s.commandPermissions = append(s.commandPermissions, set)
	}
	s.audit(c, set.GuildID, auditCommandPerms, set.ID, nil, nil, map[string]any{"application_id": set.ApplicationID})
	s.tell(Event{Type: "APPLICATION_COMMAND_PERMISSIONS_UPDATE", GuildID: set.GuildID, User: set.ApplicationID, Data: set})
	return set, nil
}
