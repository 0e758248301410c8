package gateway

import (
	"encoding/json"
	"slices"
	"strconv"

	"discordproxy/discord/rawjson"
)

// everything is what Guilds keeps after KeepAll in addition to guilds, roles and
// channels. The lock of Guilds guards it.
type everything struct {
	maxBytes int64
	exceeded func() // nil after its call
	// hasMembers is whether there are events for changes of members.
	hasMembers bool
	bytes      int64
	ready      json.RawMessage
	self       id // the bot's
	// members are the ids of the guilds that the bot is in.
	members map[string]bool
	// awaited are the guilds among them whose GUILD_CREATE has not arrived.
	awaited map[string]bool
	// changed is whether ready, members or awaited were not exported since they
	// changed, and dirty are the guilds of whose rest that is true.
	changed bool
	dirty   map[string]bool
}

// overhead is about what an object takes in memory next to its JSON, in bytes.
const overhead = 96

// KeepAll makes s keep everything in a GUILD_CREATE except presences, so that Snapshot
// can return it. It must be called before the first event.
//
// What is kept takes at most about maxBytes of memory. Objects beyond that are not
// kept: members, threads and other single objects are missing in snapshots, and a
// guild whose fields, roles and channels do not fit is in them without its contents.
// exceeded is called once when that happens for the first time, with a lock held:
// it must not call s.
func (s *Guilds) KeepAll(maxBytes int64, exceeded func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = &everything{
		maxBytes:   maxBytes,
		exceeded:   exceeded,
		hasMembers: s.intents&IntentGuildMembers != 0,
		members:    make(map[string]bool),
		awaited:    make(map[string]bool),
		dirty:      make(map[string]bool),
	}
	s.restore()
}

// begin takes READY: all guilds are sent again. It may be called on nil.
func (e *everything) begin(ready json.RawMessage) {
	if e == nil {
		return
	}
	var r struct {
		Guilds []struct {
			ID string `json:"id"`
		} `json:"guilds"`
		User struct {
			ID id `json:"id"`
		} `json:"user"`
	}
	_ = json.Unmarshal(ready, &r) // a guild that is not listed is known by its GUILD_CREATE
	e.self = r.User.ID
	e.ready, e.bytes, e.changed = ready, int64(len(ready)), true
	clear(e.members)
	clear(e.awaited)
	for _, g := range r.Guilds {
		e.members[g.ID], e.awaited[g.ID] = true, true
	}
}

// rename takes a change of the bot's own user into READY. It may be called on nil.
func (e *everything) rename(user json.RawMessage) {
	if e == nil || e.self == 0 || elementOf(user).ID != e.self {
		return
	}
	var ready map[string]json.RawMessage
	if json.Unmarshal(e.ready, &ready) != nil {
		return
	}
	ready["user"] = merged(ready["user"], user)
	if data, err := json.Marshal(ready); err == nil {
		e.bytes += int64(len(data) - len(e.ready))
		e.ready, e.changed = data, true
	}
}

// came notes that Discord has said something of a guild. It may be called on nil.
func (e *everything) came(id string) {
	if e != nil && e.awaited[id] {
		delete(e.awaited, id)
		e.changed = true
	}
}

// Settled reports whether the GUILD_CREATEs of all guilds in READY have come. It is
// true before KeepAll.
func (s *Guilds) Settled() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all == nil || len(s.all.awaited) == 0 || s.intents&IntentGuilds == 0
}

// take counts bytes and reports whether they fit.
func (e *everything) take(n int64) bool {
	if n > 0 && e.bytes+n > e.maxBytes {
		if e.exceeded != nil {
			e.exceeded()
			e.exceeded = nil
		}
		return false
	}
	e.bytes += n
	return true
}

// released gives back what a guild took. Both may be nil.
func (e *everything) released(g *guild) {
	if e != nil && g != nil && g.rest != nil {
		e.bytes -= g.rest.core
		for _, objects := range g.rest.objects {
			for _, data := range objects {
				e.bytes -= sizeOf(data)
			}
		}
	}
}

func sizeOf(data json.RawMessage) int64 { return int64(len(data)) + overhead }

// rest is what a guild has in addition to its fields, roles and channels.
type rest struct {
	guild string // its id
	// core is what fields, roles and channels take, in bytes.
	core int64
	// scalars are member_count, joined_at and large.
	scalars map[string]json.RawMessage
	// objects are lists of GUILD_CREATE by their name. Which field identifies an
	// element is in keysOfRest.
	objects map[string]map[uint64]json.RawMessage
	// chunks is the number of parts that the members are stored in, a power of 2.
	chunks int
	// dirty are the parts that were not exported since they changed. fresh is
	// whether all of them have to be.
	dirty map[string]bool
	fresh bool
}

// keysOfRest are the lists of a GUILD_CREATE that are kept, and the function that
// returns what identifies an element.
var keysOfRest = map[string]func(json.RawMessage) uint64{
	"threads":                field(func(o element) id { return o.ID }),
	"members":                field(func(o element) id { return o.User.ID }),
	"voice_states":           field(func(o element) id { return o.UserID }),
	"stage_instances":        field(func(o element) id { return o.ID }),
	"guild_scheduled_events": field(func(o element) id { return o.ID }),
	"soundboard_sounds":      field(func(o element) id { return o.SoundID }),
}

// element is what identifies an element of a list, and where it belongs.
type element struct {
	ID        id `json:"id"`
	GuildID   id `json:"guild_id"`
	ChannelID id `json:"channel_id"`
	ParentID  id `json:"parent_id"`
	UserID    id `json:"user_id"`
	SoundID   id `json:"sound_id"`
	User      struct {
		ID id `json:"id"`
	} `json:"user"`
	Metadata struct {
		Archived bool `json:"archived"`
	} `json:"thread_metadata"`
}

type id = rawjson.Snowflake

func elementOf(data json.RawMessage) (o element) {
	_ = json.Unmarshal(data, &o) // what has another form has no id
	return o
}

func field(of func(element) id) func(json.RawMessage) uint64 {
	return func(data json.RawMessage) uint64 { return uint64(of(elementOf(data))) }
}

// newRest takes the rest of a GUILD_CREATE.
func newRest(id string, fields map[string]json.RawMessage) *rest {
	scalars := make(map[string]json.RawMessage)
	for _, name := range []string{"member_count", "joined_at", "large"} {
		if value, ok := fields[name]; ok {
			scalars[name] = value
		}
	}
	lists := make(map[string][]json.RawMessage)
	for name := range keysOfRest {
		lists[name], _ = elements(fields[name])
	}
	return restWith(id, scalars, lists)
}

// restWith returns a rest that was not stored.
func restWith(guild string, scalars map[string]json.RawMessage, lists map[string][]json.RawMessage) *rest {
	r := &rest{
		guild: guild, scalars: scalars, objects: make(map[string]map[uint64]json.RawMessage),
		chunks: 1, dirty: make(map[string]bool), fresh: true,
	}
	for name, key := range keysOfRest {
		r.objects[name] = make(map[uint64]json.RawMessage, len(lists[name]))
		for _, data := range lists[name] {
			if id := key(data); id != 0 {
				r.objects[name][id] = data
			}
		}
	}
	return r
}

// admit adds the rest of a guild whose GUILD_CREATE has come, as far as it fits.
func (s *Guilds) admit(id string, r *rest) {
	if s.all == nil {
		return
	}
	g := s.guilds[id]
	s.all.changed = s.all.changed || !s.all.members[id]
	s.all.members[id], s.all.dirty[id] = true, true
	if r.core = g.size(); !s.all.take(r.core) {
		delete(s.guilds, id)
		return
	}
	g.rest = r
	objects := r.objects
	r.objects = make(map[string]map[uint64]json.RawMessage, len(objects))
	for name, list := range objects {
		r.objects[name] = make(map[uint64]json.RawMessage, len(list))
		for id, data := range list {
			r.put(s.all, name, id, data)
		}
	}
}

// recount counts fields, roles and channels of a guild again after a change. If they do
// not fit any more, they take the place of members, which snapshots show to be
// incomplete, or the guild is left out: a list without a channel would be wrong.
func (s *Guilds) recount(id string, g *guild) {
	if s.all == nil || g.rest == nil {
		return
	}
	core := g.size()
	fits := s.all.take(core - g.rest.core)
	for member := range g.rest.objects["members"] {
		if fits {
			break
		}
		g.rest.remove(s.all, "members", member)
		fits = s.all.take(core - g.rest.core)
	}
	if !fits {
		s.all.released(g)
		delete(s.guilds, id)
		return
	}
	g.rest.core = core
}

// size returns what fields, roles and channels take, in bytes.
func (g *guild) size() (n int64) {
	for _, value := range g.fields {
		n += sizeOf(value)
	}
	for _, list := range []*[]object{g.roles, g.channels} {
		if list != nil {
			for _, o := range *list {
				n += sizeOf(o.data)
			}
		}
	}
	return n
}

// put keeps an element unless it does not fit.
func (r *rest) put(e *everything, name string, id uint64, data json.RawMessage) {
	if id == 0 {
		return
	}
	r.remove(e, name, id)
	if e.take(sizeOf(data)) {
		r.objects[name][id] = data
		r.touch(e, partOf(name, id, r.chunks))
	}
}

func (r *rest) remove(e *everything, name string, id uint64) {
	if old, ok := r.objects[name][id]; ok {
		e.bytes -= sizeOf(old)
		delete(r.objects[name], id)
		r.touch(e, partOf(name, id, r.chunks))
	}
}

// removeThreadsOf removes the threads of a channel. r may be nil.
func (r *rest) removeThreadsOf(e *everything, channel string) {
	if r == nil {
		return
	}
	parent, _ := strconv.ParseUint(channel, 10, 64)
	for thread, data := range r.objects["threads"] {
		if uint64(elementOf(data).ParentID) == parent {
			r.remove(e, "threads", thread)
		}
	}
}

// count changes member_count.
func (r *rest) count(e *everything, by int) {
	var n int
	if json.Unmarshal(r.scalars["member_count"], &n) == nil {
		r.scalars["member_count"] = strconv.AppendInt(nil, int64(max(n+by, 0)), 10)
		r.touch(e, scalarsPart)
	}
}

// changeRest applies an event to its guild.
func (s *Guilds) changeRest(data json.RawMessage, change func(*everything, *rest, element, json.RawMessage)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		return
	}
	o := elementOf(data)
	if g := s.guilds[strconv.FormatUint(uint64(o.GuildID), 10)]; g != nil && g.rest != nil {
		change(s.all, g.rest, o, data)
	}
}

// changesOfRest are the events that change the rest of a guild.
var changesOfRest = map[string]func(*everything, *rest, element, json.RawMessage){
	// Of a thread that is known, it says that the bot was added.
	"THREAD_CREATE": func(e *everything, r *rest, o element, data json.RawMessage) {
		r.put(e, "threads", uint64(o.ID), merged(r.objects["threads"][uint64(o.ID)], data))
	},
	"THREAD_UPDATE": func(e *everything, r *rest, o element, data json.RawMessage) {
		if o.Metadata.Archived {
			r.remove(e, "threads", uint64(o.ID))
			return
		}
		r.put(e, "threads", uint64(o.ID), merged(r.objects["threads"][uint64(o.ID)], data))
	},
	"THREAD_DELETE":         removeElement("threads"),
	"THREAD_LIST_SYNC":      syncThreads,
	"THREAD_MEMBER_UPDATE":  joinThread,
	"THREAD_MEMBERS_UPDATE": countThreadMembers,
	"GUILD_MEMBER_ADD": func(e *everything, r *rest, o element, data json.RawMessage) {
		r.put(e, "members", uint64(o.User.ID), data)
		r.count(e, 1)
	},
	"GUILD_MEMBER_UPDATE": func(e *everything, r *rest, o element, data json.RawMessage) {
		if old, ok := r.objects["members"][uint64(o.User.ID)]; ok {
			r.put(e, "members", uint64(o.User.ID), merged(old, data))
		}
	},
	"GUILD_MEMBER_REMOVE": func(e *everything, r *rest, o element, _ json.RawMessage) {
		r.remove(e, "members", uint64(o.User.ID))
		r.count(e, -1)
	},
	"GUILD_MEMBERS_CHUNK": func(e *everything, r *rest, _ element, data json.RawMessage) {
		var chunk struct {
			Members []json.RawMessage `json:"members"`
		}
		_ = json.Unmarshal(data, &chunk) // one of another form has none
		if !e.hasMembers {
			return // nothing would keep them current
		}
		for _, member := range chunk.Members {
			r.put(e, "members", keysOfRest["members"](member), member)
		}
	},
	"VOICE_STATE_UPDATE": func(e *everything, r *rest, o element, data json.RawMessage) {
		if o.ChannelID == 0 {
			r.remove(e, "voice_states", uint64(o.UserID))
			return
		}
		r.put(e, "voice_states", uint64(o.UserID), data)
	},
	"STAGE_INSTANCE_CREATE":         putElement("stage_instances"),
	"STAGE_INSTANCE_UPDATE":         putElement("stage_instances"),
	"STAGE_INSTANCE_DELETE":         removeElement("stage_instances"),
	"GUILD_SCHEDULED_EVENT_CREATE":  putElement("guild_scheduled_events"),
	"GUILD_SCHEDULED_EVENT_UPDATE":  putElement("guild_scheduled_events"),
	"GUILD_SCHEDULED_EVENT_DELETE":  removeElement("guild_scheduled_events"),
	"GUILD_SOUNDBOARD_SOUND_CREATE": putElement("soundboard_sounds"),
	"GUILD_SOUNDBOARD_SOUND_UPDATE": putElement("soundboard_sounds"),
	"GUILD_SOUNDBOARD_SOUND_DELETE": removeElement("soundboard_sounds"),
}

func putElement(list string) func(*everything, *rest, element, json.RawMessage) {
	return func(e *everything, r *rest, _ element, data json.RawMessage) {
		r.put(e, list, keysOfRest[list](data), data)
	}
}

func removeElement(list string) func(*everything, *rest, element, json.RawMessage) {
	return func(e *everything, r *rest, _ element, data json.RawMessage) {
		r.remove(e, list, keysOfRest[list](data))
	}
}

// syncThreads takes the active threads of channels that the bot sees from then on.
func syncThreads(e *everything, r *rest, _ element, data json.RawMessage) {
	var sync struct {
		Channels []string          `json:"channel_ids"` // nil means all
		Threads  []json.RawMessage `json:"threads"`
		Members  []json.RawMessage `json:"members"` // the bot's own
	}
	if json.Unmarshal(data, &sync) != nil {
		return
	}
	for _, channel := range sync.Channels {
		r.removeThreadsOf(e, channel)
	}
	if sync.Channels == nil {
		for thread := range r.objects["threads"] {
			r.remove(e, "threads", thread)
		}
	}
	for _, thread := range sync.Threads {
		r.put(e, "threads", keysOfRest["threads"](thread), thread)
	}
	for _, member := range sync.Members {
		joinThread(e, r, elementOf(member), member)
	}
}

// joinThread notes the bot's own membership in its thread, as Discord shows it.
func joinThread(e *everything, r *rest, o element, data json.RawMessage) {
	if thread, ok := r.objects["threads"][uint64(o.ID)]; ok {
		r.put(e, "threads", uint64(o.ID), merged(thread, slices.Concat([]byte(`{"member":`), data, []byte("}"))))
	}
}

// countThreadMembers takes the number of a thread's members, and notes whether the bot
// itself was added or removed, which Discord says by no other event.
func countThreadMembers(e *everything, r *rest, o element, data json.RawMessage) {
	var update struct {
		Count   json.RawMessage              `json:"member_count"`
		Added   []map[string]json.RawMessage `json:"added_members"`
		Removed []id                         `json:"removed_member_ids"`
	}
	var fields map[string]json.RawMessage
	thread := r.objects["threads"][uint64(o.ID)]
	if json.Unmarshal(thread, &fields) != nil || json.Unmarshal(data, &update) != nil {
		return
	}
	if update.Count != nil {
		fields["member_count"] = update.Count
	}
	for _, member := range update.Added {
		var user id
		if json.Unmarshal(member["user_id"], &user) != nil || user != e.self {
			continue
		}
		delete(member, "member") // the member of the guild
		delete(member, "presence")
		if own, err := json.Marshal(member); err == nil {
			fields["member"] = own
		}
	}
	if slices.Contains(update.Removed, e.self) {
		delete(fields, "member")
	}
	if changed, err := json.Marshal(fields); err == nil {
		r.put(e, "threads", uint64(o.ID), changed)
	}
}

// merged returns an object with the fields of another one in place of its own.
func merged(old, update json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(old, &fields) != nil || json.Unmarshal(update, &fields) != nil {
		return update
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return update // what was read can be written
	}
	return data
}
