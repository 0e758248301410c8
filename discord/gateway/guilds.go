package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Guilds keeps guilds, their roles and their channels as the gateway's events describe
// them, as the JSON that Discord's API would return. Members, threads and other
// objects are kept only after KeepAll, presences never. It is a Handler, safe for
// concurrent use. A nil *Guilds is empty.
//
// It is current while the gateway is connected, and as old as the loss of the
// connection while it is not. While a guild has an outage, its contents are
// as old as the outage. Of a channel, last_message_id and
// last_pin_timestamp are those of the last change of the channel.
type Guilds struct {
	intents Intents

	mu     sync.RWMutex
	guilds map[string]*guild
	// all is nil before KeepAll.
	all *everything
	// current is whether the gateway is connected, lost since when it is not.
	current bool
	lost    time.Time
	// changed are the guilds whose fields, roles or channels were not exported since
	// they changed.
	changed map[string]bool
	// imported is what KeepAll takes over from an earlier run.
	imported map[string][]byte
	// stored are the parts of guilds that were exported, by guild.
	stored map[string]map[string]bool
}

// guild is one guild. A part that Discord did not send is missing, and is not returned.
type guild struct {
	fields          map[string]json.RawMessage // without roles; not known without a name
	roles, channels *[]object
	// unavailable is since when an outage keeps changes from coming, the zero
	// time without one.
	unavailable time.Time
	// rest is nil before KeepAll.
	rest *rest
}

// object is a role or a channel, with its id as in JSON.
type object struct {
	id   string
	data json.RawMessage
}

// NewGuilds returns Guilds for a session with these intents.
func NewGuilds(intents Intents) *Guilds {
	return &Guilds{
		intents: intents, guilds: make(map[string]*guild), changed: make(map[string]bool),
		stored: make(map[string]map[string]bool),
	}
}

// notGuild are the fields that only a GUILD_CREATE has.
var notGuild = []string{
	"channels", "threads", "members", "presences", "voice_states", "stage_instances", "guild_scheduled_events",
	"soundboard_sounds", "activity_instances", "embedded_activities", "member_count", "joined_at", "large", "lazy", "unavailable",
}

// Guild returns the guild as GET /guilds/{guild_id} would, if what is known of
// it is at most maxAge old.
func (s *Guilds) Guild(id uint64, maxAge time.Duration) (json.RawMessage, bool) {
	// Without IntentGuildExpressions there are no events for changes of emojis.
	return s.answer(id, maxAge, IntentGuilds|IntentGuildExpressions, func(g *guild) json.RawMessage {
		if g.fields["name"] == nil || g.roles == nil {
			return nil
		}
		fields := make(map[string]json.RawMessage, len(g.fields)+1)
		for name, value := range g.fields {
			fields[name] = value
		}
		fields["roles"] = array(g.roles)
		data, err := json.Marshal(fields)
		if err != nil {
			return nil // what was read can be written
		}
		return data
	})
}

// Has reports whether the bot is in a guild, as far as is known.
func (s *Guilds) Has(id uint64) bool {
	name := strconv.FormatUint(id, 10)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.guilds[name] != nil || s.all != nil && s.all.members[name]
}

// Roles returns the roles as GET /guilds/{guild_id}/roles would.
func (s *Guilds) Roles(id uint64, maxAge time.Duration) (json.RawMessage, bool) {
	return s.answer(id, maxAge, IntentGuilds, func(g *guild) json.RawMessage { return array(g.roles) })
}

// Channels returns the channels as GET /guilds/{guild_id}/channels would.
func (s *Guilds) Channels(id uint64, maxAge time.Duration) (json.RawMessage, bool) {
	return s.answer(id, maxAge, IntentGuilds, func(g *guild) json.RawMessage { return array(g.channels) })
}

func (s *Guilds) answer(id uint64, maxAge time.Duration, needed Intents, of func(*guild) json.RawMessage) (json.RawMessage, bool) {
	if s == nil || s.intents&needed != needed {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	g := s.guilds[strconv.FormatUint(id, 10)]
	if g == nil || !s.current && time.Since(s.lost) > maxAge || !g.unavailable.IsZero() && time.Since(g.unavailable) > maxAge {
		return nil, false
	}
	data := of(g)
	return data, data != nil
}

func array(objects *[]object) json.RawMessage {
	if objects == nil {
		return nil
	}
	parts := make([][]byte, len(*objects))
	for i, o := range *objects {
		parts[i] = o.data
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]"))
}

// Changed implements Handler.
func (s *Guilds) Changed(status Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case status.State != Connected:
		if s.current {
			s.current, s.lost = false, status.Since
		}
	case !status.Resumed:
		// All guilds are sent again.
		for id := range s.guilds {
			s.changed[id] = true
		}
		clear(s.guilds)
		s.all.begin(status.Ready)
		s.current = true
	default:
		s.current = true
	}
}

// ids are those by which an event, a role or a channel is known.
type ids struct {
	ID      string `json:"id"`
	GuildID string `json:"guild_id"`
	RoleID  string `json:"role_id"`
}

func idsOf(data json.RawMessage) (i ids) {
	_ = json.Unmarshal(data, &i) // what has another form has none
	return i
}

// Dispatch implements Handler.
func (s *Guilds) Dispatch(d Dispatch) {
	switch d.Type {
	case "GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE", "GUILD_EMOJIS_UPDATE", "GUILD_STICKERS_UPDATE",
		"GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE", "CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE":
	case "USER_UPDATE":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all.rename(d.Data)
		return
	default:
		if change := changesOfRest[d.Type]; change != nil {
			s.changeRest(d.Data, change)
		}
		return
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(d.Data, &fields) != nil {
		return
	}
	is := idsOf(d.Data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[cmp.Or(is.GuildID, is.ID)] = true
	switch d.Type {
	case "GUILD_CREATE":
		s.all.came(is.ID)
		if unavailable(fields) {
			s.outage(is.ID, d.Time)
			return
		}
		var rest *rest
		if s.all != nil { // before newGuild takes fields apart
			rest = newRest(is.ID, fields)
			s.all.released(s.guilds[is.ID])
		}
		s.guilds[is.ID] = newGuild(is.ID, fields, s.guilds[is.ID])
		s.admit(is.ID, rest)
		return
	case "GUILD_UPDATE":
		if g := s.guilds[is.ID]; g != nil && !unavailable(fields) {
			g.set(fields)
			s.recount(is.ID, g)
		}
		return
	case "GUILD_DELETE":
		s.all.came(is.ID)
		if unavailable(fields) {
			s.outage(is.ID, d.Time)
			return
		}
		s.all.released(s.guilds[is.ID])
		delete(s.guilds, is.ID)
		if s.all != nil {
			delete(s.all.members, is.ID)
			s.all.changed = true
		}
		return
	}
	g := s.guilds[is.GuildID]
	if g == nil {
		return
	}
	switch d.Type {
	case "GUILD_EMOJIS_UPDATE":
		g.setList("emojis", fields)
	case "GUILD_STICKERS_UPDATE":
		g.setList("stickers", fields)
	case "GUILD_ROLE_CREATE", "GUILD_ROLE_UPDATE":
		if d.Type == "GUILD_ROLE_CREATE" {
			g.moveRolesFor(is.GuildID, fields["role"])
		}
		put(g.roles, idsOf(fields["role"]).ID, fields["role"])
	case "GUILD_ROLE_DELETE":
		remove(g.roles, is.RoleID)
	case "CHANNEL_CREATE", "CHANNEL_UPDATE":
		put(g.channels, is.ID, d.Data)
	case "CHANNEL_DELETE":
		remove(g.channels, is.ID)
		g.rest.removeThreadsOf(s.all, is.ID)
	}
	s.recount(is.GuildID, g)
}

// moveRolesFor moves the roles up that are at or above the position of a new one, which
// Discord does without an event for each of them.
func (g *guild) moveRolesFor(guild string, role json.RawMessage) {
	type placed struct {
		ID       string `json:"id"`
		Position *int   `json:"position"`
	}
	var added placed
	if g.roles == nil || json.Unmarshal(role, &added) != nil || added.Position == nil ||
		slices.ContainsFunc(*g.roles, func(o object) bool { return o.id == added.ID }) {
		return
	}
	for i, o := range *g.roles {
		var other placed
		if o.id == guild || json.Unmarshal(o.data, &other) != nil || other.Position == nil { // @everyone stays
			continue
		}
		if *other.Position >= *added.Position {
			(*g.roles)[i].data = merged(o.data, fmt.Appendf(nil, `{"position":%d}`, *other.Position+1))
		}
	}
}

// unavailable reports whether the event is about an outage of the guild: then it
// has none of the guild's fields.
func unavailable(fields map[string]json.RawMessage) bool {
	return string(fields["unavailable"]) == "true"
}

// outage records that a guild has an outage. Its contents stay.
func (s *Guilds) outage(id string, since time.Time) {
	if g := s.guilds[id]; g != nil && g.unavailable.IsZero() {
		g.unavailable = since
	}
}

// newGuild takes a guild from its GUILD_CREATE. Parts that are missing stay as
// they were known.
func newGuild(id string, fields map[string]json.RawMessage, known *guild) *guild {
	g := new(guild)
	if known != nil {
		g.fields, g.roles, g.channels = known.fields, known.roles, known.channels
	}
	if channels, ok := elements(fields["channels"]); ok {
		g.channels = new([]object)
		for _, channel := range channels {
			is := idsOf(channel)
			if is.ID != "" && is.GuildID == "" { // as Discord leaves it out here
				channel = slices.Concat([]byte(`{"guild_id":"`+id+`",`), channel[1:])
			}
			put(g.channels, is.ID, channel)
		}
	}
	g.set(fields)
	return g
}

// set takes the fields and roles that an event has.
func (g *guild) set(fields map[string]json.RawMessage) {
	if roles, ok := elements(fields["roles"]); ok {
		g.roles = new([]object)
		for _, role := range roles {
			put(g.roles, idsOf(role).ID, role)
		}
	}
	delete(fields, "roles")
	for _, name := range notGuild {
		delete(fields, name)
	}
	if g.fields == nil {
		g.fields = make(map[string]json.RawMessage, len(fields))
	}
	for name, value := range fields {
		if name == "name" && string(value) == "null" {
			continue // every guild has one
		}
		g.fields[name] = value
	}
}

// setList takes a field that is a list, if the event has one.
func (g *guild) setList(name string, fields map[string]json.RawMessage) {
	if _, ok := elements(fields[name]); ok {
		g.fields[name] = fields[name]
	}
}

// elements returns the elements of a list. What is null, missing or of another
// form is none.
func elements(data json.RawMessage) (list []json.RawMessage, ok bool) {
	err := json.Unmarshal(data, &list)
	return list, err == nil && list != nil
}

func put(list *[]object, id string, data json.RawMessage) {
	if id == "" || list == nil {
		return
	}
	for i := range *list {
		if (*list)[i].id == id {
			(*list)[i].data = data
			return
		}
	}
	*list = append(*list, object{id, data})
}

func remove(list *[]object, id string) {
	if list != nil {
		*list = slices.DeleteFunc(*list, func(o object) bool { return o.id == id })
	}
}
