package sandbox

import "encoding/json"

// resolved holds the objects that the options of a command name by their ids,
// by their kinds and ids.
//
// See https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-resolved-data-structure.
type resolved map[string]map[ID]any

func (r resolved) add(kind string, id ID, object any) {
	if r[kind] == nil {
		r[kind] = make(map[ID]any)
	}
	r[kind][id] = object
}

// len returns the number of objects.
func (r resolved) len() (n int) {
	for _, objects := range r {
		n += len(objects)
	}
	return n
}

// resolve finds what options name that a user gave in a channel. Options of
// another form than Discord's name nothing.
func (s *Sandbox) resolve(r resolved, ch *channel, by ID, options json.RawMessage) {
	var list []struct {
		Type    int             `json:"type"`
		Value   json.RawMessage `json:"value"`
		Options json.RawMessage `json:"options"`
	}
	_ = json.Unmarshal(options, &list)
	for _, option := range list {
		s.resolve(r, ch, by, option.Options)
		var id ID
		if json.Unmarshal(option.Value, &id) != nil {
			continue
		}
		s.resolveID(r, ch, by, option.Type, id)
	}
}

// resolveID adds what an id names as the value of a kind of option.
func (s *Sandbox) resolveID(r resolved, ch *channel, by ID, kind int, id ID) {
	switch kind {
	case optionUser:
		s.resolveUser(r, ch, id)
	case optionRole:
		s.resolveRole(r, ch, id)
	case optionMention:
		s.resolveUser(r, ch, id)
		s.resolveRole(r, ch, id)
	case optionChannel:
		if c := s.channels[id]; c != nil {
			r.add("channels", id, map[string]any{
				"id": id, "name": c.Name, "type": c.Type, "guild_id": c.GuildID, "parent_id": nullID(c.ParentID), "permissions": s.permissions(by, c),
			})
		}
	}
}

func (s *Sandbox) resolveUser(r resolved, ch *channel, id ID) {
	user := s.users[id]
	if user == nil {
		return
	}
	r.add("users", id, user.User)
	if m := s.memberOf(ch.GuildID, id); m != nil {
		var member map[string]any
		_ = json.Unmarshal(mustJSON(m), &member)
		delete(member, "user")
		delete(member, "deaf")
		delete(member, "mute")
		member["permissions"] = s.permissions(id, ch)
		r.add("members", id, member)
	}
}

func (s *Sandbox) resolveRole(r resolved, ch *channel, id ID) {
	if g := s.guilds[ch.GuildID]; g != nil && g.roles[id] != nil {
		r.add("roles", id, *g.roles[id])
	}
}
