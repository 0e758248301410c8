package gateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Snapshot is one moment of what Guilds keeps after KeepAll. It does not change.
type Snapshot struct {
	// Ready is Discord's READY, or nil before the first one.
	Ready json.RawMessage
	// Guilds are those that the bot is in, in ascending order of ids.
	Guilds []GuildSnapshot
}

// GuildSnapshot is one moment of a guild.
type GuildSnapshot struct {
	ID uint64
	// Members is how many members are kept. Complete is whether these are all.
	Members  int
	Complete bool

	fields  map[string]json.RawMessage // nil while the guild is not available
	roles   *[]object
	lists   map[string][]json.RawMessage
	members map[uint64]json.RawMessage
}

// Available is whether the contents are known. They are not before the guild's
// GUILD_CREATE, during an outage, and when they did not fit.
func (g *GuildSnapshot) Available() bool { return g.fields != nil }

// Snapshot returns what is kept now.
func (s *Guilds) Snapshot() Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.all == nil {
		return Snapshot{}
	}
	snapshot := Snapshot{Ready: s.all.ready}
	for name := range s.all.members {
		id, err := strconv.ParseUint(name, 10, 64)
		if err == nil {
			snapshot.Guilds = append(snapshot.Guilds, s.snapshot(id))
		}
	}
	slices.SortFunc(snapshot.Guilds, func(a, b GuildSnapshot) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return snapshot
}

// GuildSnapshot returns what is kept of one guild now.
func (s *Guilds) GuildSnapshot(id uint64) GuildSnapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.snapshot(id)
}

func (s *Guilds) snapshot(id uint64) GuildSnapshot {
	out := GuildSnapshot{ID: id}
	g := s.guilds[strconv.FormatUint(id, 10)]
	if g == nil || g.rest == nil || !g.unavailable.IsZero() {
		return out
	}
	out.fields = maps.Clone(g.fields)
	maps.Copy(out.fields, g.rest.scalars)
	out.roles = cloned(g.roles)
	out.lists = make(map[string][]json.RawMessage)
	if g.channels != nil {
		channels := make([]json.RawMessage, len(*g.channels))
		for i, o := range *g.channels {
			channels[i] = o.data
		}
		out.lists["channels"] = channels
	}
	for name, objects := range g.rest.objects {
		if name == "members" {
			out.members = maps.Clone(objects)
			continue
		}
		out.lists[name] = slices.Collect(maps.Values(objects))
	}
	var count int
	_ = json.Unmarshal(g.rest.scalars["member_count"], &count) // 0 is never complete
	out.Members = len(out.members)
	out.Complete = count > 0 && out.Members >= count
	return out
}

func cloned(list *[]object) *[]object {
	if list == nil {
		return nil
	}
	list2 := slices.Clone(*list)
	return &list2
}

// Create returns the data of a GUILD_CREATE that holds the guild. Of the members it
// holds the one of the id self and those with a voice state, or with all set every
// one that is kept. allowed returns whether an element of a list, channels among
// them, is to be in it; nil means all.
func (g *GuildSnapshot) Create(self uint64, all bool, allowed func(list string, element json.RawMessage) bool) json.RawMessage {
	fields := maps.Clone(g.fields)
	fields["unavailable"], fields["presences"] = json.RawMessage("false"), json.RawMessage("[]")
	fields["roles"] = orEmpty(array(g.roles))
	for name, list := range g.lists {
		if allowed != nil {
			list = slices.DeleteFunc(slices.Clone(list), func(data json.RawMessage) bool { return !allowed(name, data) })
		}
		fields[name] = joined(list)
	}
	if g.lists["channels"] == nil {
		fields["channels"] = json.RawMessage("[]")
	}
	fields["members"] = joined(g.membersFor(self, all))
	if _, ok := fields["large"]; !ok || !all {
		fields["large"] = strconv.AppendBool(nil, !g.Complete || !all)
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return json.RawMessage("{}") // what was read can be written
	}
	return data
}

func (g *GuildSnapshot) membersFor(self uint64, all bool) []json.RawMessage {
	if all {
		return slices.Collect(maps.Values(g.members))
	}
	var list []json.RawMessage
	if own, ok := g.members[self]; ok {
		list = append(list, own)
	}
	for _, state := range g.lists["voice_states"] {
		var voice struct {
			UserID id              `json:"user_id"`
			Member json.RawMessage `json:"member"`
		}
		if json.Unmarshal(state, &voice) != nil || uint64(voice.UserID) == self {
			continue
		}
		if known, ok := g.members[uint64(voice.UserID)]; ok {
			list = append(list, known)
		} else if len(voice.Member) > 0 && string(voice.Member) != "null" {
			list = append(list, voice.Member)
		}
	}
	return list
}

// AllMembers returns the members that are kept, in ascending order of ids.
func (g *GuildSnapshot) AllMembers() []json.RawMessage {
	list := make([]json.RawMessage, 0, len(g.members))
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		list = append(list, g.members[id])
	}
	return list
}

func joined(list []json.RawMessage) json.RawMessage {
	n := 2
	for _, data := range list {
		n += len(data) + 1
	}
	out := append(make(json.RawMessage, 0, n), '[')
	for i, data := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, data...)
	}
	return append(out, ']')
}

func orEmpty(data json.RawMessage) json.RawMessage {
	if data == nil {
		return json.RawMessage("[]")
	}
	return data
}

// MembersOf returns the members with these ids, and the ids of those that are not
// kept.
func (g *GuildSnapshot) MembersOf(ids []uint64) (found []json.RawMessage, missing []uint64) {
	for _, id := range ids {
		if data, ok := g.members[id]; ok {
			found = append(found, data)
		} else {
			missing = append(missing, id)
		}
	}
	return found, missing
}

// List returns a list of GUILD_CREATE such as soundboard_sounds, without null.
func (g *GuildSnapshot) List(name string) json.RawMessage { return joined(g.lists[name]) }

// HasElement reports whether a list of GUILD_CREATE has an element that matches.
func (g *GuildSnapshot) HasElement(list string, matches func(json.RawMessage) bool) bool {
	return slices.ContainsFunc(g.lists[list], matches)
}

// CreateOutline returns the data of a GUILD_CREATE for somebody who may have some of
// the guild's channels but not the guild: its name and settings, the role of everyone,
// the member of the id self, and the elements of lists that are allowed.
func (g *GuildSnapshot) CreateOutline(self uint64, allowed func(list string, element json.RawMessage) bool) json.RawMessage {
	outline := *g
	outline.fields = make(map[string]json.RawMessage)
	for name, value := range g.fields {
		if len(value) > 0 && value[0] != '[' && value[0] != '{' {
			outline.fields[name] = value
		}
	}
	for _, name := range []string{"emojis", "stickers", "features"} {
		outline.fields[name] = json.RawMessage("[]")
	}
	everyone := strconv.FormatUint(g.ID, 10)
	roles := []object{}
	if g.roles != nil {
		roles = slices.DeleteFunc(slices.Clone(*g.roles), func(o object) bool { return o.id != everyone })
	}
	outline.roles = &roles
	outline.lists = make(map[string][]json.RawMessage, len(g.lists))
	for name := range g.lists {
		if name == "channels" || name == "threads" {
			outline.lists[name] = g.lists[name]
		} else {
			outline.lists[name] = nil
		}
	}
	return outline.Create(self, false, allowed)
}
