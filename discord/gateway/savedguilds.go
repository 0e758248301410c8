package gateway

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// readyPart is the part with what READY said, under the name of no guild.
	readyPart = "ready"
	// scalarsPart is the part of a guild with its scalars.
	scalarsPart = "scalars"
	// membersOfChunk is about how many members are in one part: one that changes
	// has so many written again.
	membersOfChunk = 1024
)

// SavedGuild is a guild as it is stored, for a later run.
type SavedGuild struct {
	Fields      map[string]json.RawMessage `json:"fields,omitempty"`
	Roles       *[]json.RawMessage         `json:"roles,omitempty"`
	Channels    *[]json.RawMessage         `json:"channels,omitempty"`
	Unavailable time.Time                  `json:"unavailable,omitzero"`
}

// savedReady is the contents of READY, with later changes.
type savedReady struct {
	Ready   json.RawMessage `json:"ready"`
	Guilds  []string        `json:"guilds"`
	Awaited []string        `json:"awaited,omitempty"`
}

// Export returns what changed since it was last called, in parts by their names,
// encoded. A nil part is to be deleted. The parts are those of the moment of the
// call and are encoded when they are read, once.
//
// A guild has a part of its name, with its fields, roles and channels. After KeepAll,
// it has more, whose names begin with its own and a space.
func (s *Guilds) Export() iter.Seq2[string, []byte] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imported = nil
	parts := make(map[string]any)
	for id := range s.changed {
		parts[id] = nil
		g := s.guilds[id]
		if g != nil {
			parts[id] = SavedGuild{maps.Clone(g.fields), data(g.roles), data(g.channels), g.unavailable}
		}
		if g == nil || g.rest == nil {
			s.unstore(id, parts)
		}
	}
	clear(s.changed)
	if s.all != nil && s.all.ready != nil {
		s.exportRest(parts)
	} else { // those of an earlier run are no longer kept current
		for id := range s.stored {
			s.unstore(id, parts)
		}
	}
	return func(yield func(string, []byte) bool) {
		for name, value := range parts {
			var part []byte
			switch value := value.(type) {
			case nil:
			case []json.RawMessage:
				part = joined(value)
			default:
				part, _ = json.Marshal(value) // what was read can be written
			}
			if !yield(name, part) {
				return
			}
		}
	}
}

// unstore adds the deletion of the parts of a guild other than that of its name.
func (s *Guilds) unstore(id string, parts map[string]any) {
	for name := range s.stored[id] {
		parts[partName(id, name)] = nil
	}
	delete(s.stored, id)
}

// partName returns the name of a part of a guild, or of readyPart.
func partName(guild, part string) string {
	if guild == "" {
		return part
	}
	return guild + " " + part
}

// partOf returns the part of a guild in which an element of a list is.
func partOf(list string, id uint64, chunks int) string {
	if list != "members" {
		return list
	}
	// Above these bits a snowflake counts milliseconds.
	return list + " " + strconv.FormatUint(id>>22%uint64(chunks), 10) + "/" + strconv.Itoa(chunks)
}

// touch notes that a part changed.
func (r *rest) touch(e *everything, part string) {
	r.dirty[part] = true
	e.dirty[r.guild] = true
}

func (s *Guilds) exportRest(parts map[string]any) {
	if e := s.all; e.changed {
		e.changed = false
		parts[readyPart] = savedReady{e.ready, slices.Collect(maps.Keys(e.members)), slices.Collect(maps.Keys(e.awaited))}
		s.stored[""] = map[string]bool{readyPart: true}
	}
	for id := range s.all.dirty {
		if g := s.guilds[id]; g != nil && g.rest != nil {
			s.exportGuild(g.rest, parts)
		}
	}
	clear(s.all.dirty)
}

// exportGuild adds the parts of a guild that changed.
func (s *Guilds) exportGuild(r *rest, parts map[string]any) {
	if members := len(r.objects["members"]); members > 2*membersOfChunk*r.chunks {
		for r.chunks*membersOfChunk < members {
			r.chunks *= 2
		}
		r.fresh = true
	}
	stored := s.stored[r.guild]
	if stored == nil {
		stored = make(map[string]bool)
		s.stored[r.guild] = stored
	}
	if r.fresh {
		r.dirty[scalarsPart] = true
		maps.Copy(r.dirty, stored)
	}
	now := make(map[string]any)
	if r.dirty[scalarsPart] {
		now[scalarsPart] = maps.Clone(r.scalars)
	}
	for list, objects := range r.objects {
		if !r.fresh && !r.touched(list) {
			continue
		}
		for id, element := range objects {
			name := partOf(list, id, r.chunks)
			if r.fresh || r.dirty[name] {
				elements, _ := now[name].([]json.RawMessage)
				now[name] = append(elements, element)
			}
		}
	}
	for name := range r.dirty {
		if now[name] == nil && stored[name] {
			parts[partName(r.guild, name)] = nil
			delete(stored, name)
		}
	}
	for name, value := range now {
		parts[partName(r.guild, name)] = value
		stored[name] = true
	}
	clear(r.dirty)
	r.fresh = false
}

// touched reports whether an element of a list has changed.
func (r *rest) touched(list string) bool {
	for name := range r.dirty {
		if name == list || strings.HasPrefix(name, list+" ") {
			return true
		}
	}
	return false
}

// Import takes over the parts that were exported by an earlier run, as they were at a
// moment. Parts of guilds that cannot be read are left out. It must be called before
// KeepAll and before the first event, and only if the session of that run is going to
// be resumed.
func (s *Guilds) Import(parts map[string][]byte, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, encoded := range parts {
		id, part, more := strings.Cut(name, " ")
		switch {
		case name == readyPart:
			s.stored[""] = map[string]bool{readyPart: true}
		case more:
			if s.stored[id] == nil {
				s.stored[id] = make(map[string]bool)
			}
			s.stored[id][part] = true
		default:
			var saved SavedGuild
			if json.Unmarshal(encoded, &saved) == nil {
				s.guilds[id] = &guild{
					fields:      saved.Fields,
					roles:       objects(saved.Roles),
					channels:    objects(saved.Channels),
					unavailable: saved.Unavailable,
				}
			}
		}
	}
	s.current, s.lost = false, at
	s.imported = parts
}

// restore takes over what an earlier run kept of guilds, all of it or nothing.
func (s *Guilds) restore() {
	parts := s.imported
	s.imported = nil
	var saved savedReady
	if json.Unmarshal(parts[readyPart], &saved) != nil || saved.Ready == nil {
		return
	}
	rests := make(map[string]*rest)
	for id, names := range s.stored {
		if id == "" {
			continue
		}
		r, ok := restOf(id, names, parts)
		if !ok || s.guilds[id] == nil {
			return
		}
		rests[id] = r
	}
	s.all.begin(saved.Ready)
	s.all.changed = false
	clear(s.all.members)
	clear(s.all.awaited)
	for _, id := range saved.Guilds {
		s.all.members[id] = true
	}
	for _, id := range saved.Awaited {
		s.all.awaited[id] = true
	}
	for id, r := range rests {
		before := r.len()
		s.admit(id, r)
		switch {
		case s.guilds[id] == nil: // it does not fit any more
			s.changed[id] = true
		case r.len() < before: // not all of it does
			r.fresh = true
		default: // it is stored
			clear(r.dirty)
			delete(s.all.dirty, id)
		}
	}
}

// len returns the number of elements.
func (r *rest) len() (n int) {
	for _, objects := range r.objects {
		n += len(objects)
	}
	return n
}

// restOf reads the rest of a guild from its parts.
func restOf(id string, names map[string]bool, parts map[string][]byte) (r *rest, ok bool) {
	var scalars map[string]json.RawMessage
	if !names[scalarsPart] || json.Unmarshal(parts[partName(id, scalarsPart)], &scalars) != nil || scalars == nil {
		return nil, false
	}
	lists := make(map[string][]json.RawMessage)
	chunks := 0
	for name := range names {
		if name == scalarsPart {
			continue
		}
		list, chunk, _ := strings.Cut(name, " ")
		read, ok := elements(parts[partName(id, name)])
		if !ok || keysOfRest[list] == nil {
			return nil, false
		}
		lists[list] = append(lists[list], read...)
		if _, of, found := strings.Cut(chunk, "/"); found {
			n, err := strconv.Atoi(of)
			if err != nil || n < 1 || n > 1<<20 || chunks != 0 && chunks != n {
				return nil, false
			}
			chunks = n
		}
	}
	r = restWith(id, scalars, lists)
	r.chunks, r.fresh = max(chunks, 1), false
	return r, true
}

// HasReady reports whether what a session begins with is known: READY, and the guilds
// as far as they have come. After a restart it is if it was saved.
func (s *Guilds) HasReady() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all != nil && s.all.ready != nil
}

func data(list *[]object) *[]json.RawMessage {
	if list == nil {
		return nil
	}
	all := make([]json.RawMessage, len(*list))
	for i, o := range *list {
		all[i] = o.data
	}
	return &all
}

func objects(list *[]json.RawMessage) *[]object {
	if list == nil {
		return nil
	}
	all := make([]object, len(*list))
	for i, data := range *list {
		all[i] = object{idsOf(data).ID, data}
	}
	return &all
}
