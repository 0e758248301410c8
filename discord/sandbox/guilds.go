package sandbox

import "slices"

var guildRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/channels", handle: (*Sandbox).listGuildChannels},
}

// insert keeps a list of ids ascending and without doubles.
func insert(list []ID, id ID) []ID {
	i, found := slices.BinarySearch(list, id)
	if found {
		return list
	}
	return slices.Insert(list, i, id)
}

// inGuild finds the guild that a call is about. Of guilds that the caller is
// not in, Discord says Missing Access below the guild itself.
func (s *Sandbox) inGuild(c *call) (*guild, *Member, error) {
	g := s.guilds[c.id("guild_id")]
	if g == nil {
		return nil, nil, errUnknownGuild
	}
	m := g.members[c.user.ID]
	if m == nil {
		return nil, nil, errMissingAccess
	}
	return g, m, nil
}

func (s *Sandbox) listGuildChannels(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(g.channels))
	for i, id := range g.channels {
		out[i] = s.channels[id].wire()
	}
	return out, nil
}
