package gateway

import (
	"cmp"
	"encoding/json"
	"strconv"
)

// GuildName returns the name of a guild, or "" if it is not known.
func (s *Guilds) GuildName(id uint64) string {
	if s == nil {
		return ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.guilds[strconv.FormatUint(id, 10)].name()
}

// ChannelName returns the names of a channel or thread and of its guild, or "" if they
// are not known. Threads are known after KeepAll alone.
func (s *Guilds) ChannelName(id uint64) (channel, guild string) {
	if s == nil {
		return "", ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	text := strconv.FormatUint(id, 10)
	for _, g := range s.guilds {
		if g.channels != nil {
			for _, o := range *g.channels {
				if o.id == text {
					return nameIn(o.data).Name, g.name()
				}
			}
		}
		if g.rest != nil {
			if thread, ok := g.rest.objects["threads"][id]; ok {
				return nameIn(thread).Name, g.name()
			}
		}
	}
	return "", ""
}

// UserName returns the name of a member of any guild, or "" if it is not known. Members
// are known after KeepAll alone.
func (s *Guilds) UserName(id uint64) string {
	if s == nil {
		return ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.guilds {
		if g.rest != nil {
			if member, ok := g.rest.objects["members"][id]; ok {
				user := nameIn(member).User
				return cmp.Or(user.GlobalName, user.Username)
			}
		}
	}
	return ""
}

// name returns the guild's name. g may be nil.
func (g *guild) name() string {
	var name string
	if g != nil {
		_ = json.Unmarshal(g.fields["name"], &name) // what has another form is no name
	}
	return name
}

// named is an object with a name, or a member.
type named struct {
	Name string `json:"name"`
	User struct {
		Username   string `json:"username"`
		GlobalName string `json:"global_name"`
	} `json:"user"`
}

func nameIn(data json.RawMessage) (n named) {
	_ = json.Unmarshal(data, &n) // what has another form has no name
	return n
}
