package gatewayproxy

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/server/internal/access"
)

// Limits of what a session remembers for resuming.
const (
	// maxRemembered is the number of events. The ring of the hub ends earlier by
	// default.
	maxRemembered = 20_000
	// maxOwnBytes limits what is not in the hub, such as members.
	maxOwnBytes = 4 << 20
)

// session is the session of a bot. It survives its connections.
type session struct {
	id     string
	client string // the name of the access client
	hello  identify
	// stale is whether the server's own session was lost since. Proxy.mu guards it.
	stale bool

	mu   sync.Mutex
	conn *connection // nil while nobody is connected
	// rules bind the client as of the newest connection.
	rules func() *access.Client
	left  time.Time
	// cut is whether the server ended the last connection because it shut down.
	cut bool
	// sequence is the number of the last event. places are places in the hub after
	// the events from first on, or 0 where the session cannot continue from.
	sequence, first int64
	places          []uint64
	place           uint64 // the newest one
	// own are events that are not in the hub, and ownGone is the largest number of
	// those that are no longer kept.
	own      []ownEvent
	ownBytes int
	ownGone  int64
	// marks are places that are stored. stored is when it was last necessary because of
	// an event that the hub does not bring back, special whether such events follow
	// each other, open whether what is stored allows for more of them, and saved what
	// is stored.
	marks         []mark
	stored        time.Time
	special, open bool
	saved         string
	// earlier is what an earlier run has stored, nil as soon as a connection has resumed
	// the session, see retrace.
	earlier *savedSession
}

// event is an event as a session gets it.
type event struct {
	kind  string
	data  json.RawMessage
	place uint64 // the place in the hub after it, or 0 where that does not change
	origin
}

// origin is the source of an event.
type origin int

const (
	fromHub   origin = iota
	ofSession        // it answers a command, and is remembered with the session
	made             // such as READY; nobody gets it twice
)

// ownEvent is an event that is for one session alone.
type ownEvent struct {
	sequence int64
	kind     string
	data     json.RawMessage
}

// newSession adds a session. mu of p is held.
func (p *Proxy) newSession(rules func() *access.Client, hello identify, conn *connection) *session {
	p.sweep()
	for len(p.sessions) >= maxSessions {
		var oldest *session
		for _, s := range p.sessions {
			if !s.connected() && (oldest == nil || s.left.Before(oldest.left)) {
				oldest = s
			}
		}
		if oldest == nil {
			break // connections have a limit of their own
		}
		p.forget(oldest)
	}
	s := &session{id: strings.ToLower(rand.Text()), client: rules().Name(), hello: hello, conn: conn, rules: rules, first: 1}
	p.sessions[s.id] = s
	p.stats.Identified++
	return s
}

// sweep forgets sessions that nobody has resumed in time. mu is held.
func (p *Proxy) sweep() {
	cut := false
	for _, s := range p.sessions {
		s.mu.Lock()
		late := s.conn == nil && time.Since(s.left) > resumeWindow
		cut = cut || !late && !s.stale && s.isCut()
		s.mu.Unlock()
		if late {
			p.forget(s)
		}
	}
	if !cut {
		p.earlier = nil // it takes memory
	}
}

// forget ends a session for good. mu is held.
func (p *Proxy) forget(s *session) {
	delete(p.sessions, s.id)
	for guild := range p.voice {
		p.leaveVoice(guild, s)
	}
}

// joinVoice lets a session receive voice credentials of a guild. mu is held.
func (p *Proxy) joinVoice(guild uint64, s *session) {
	if p.voice[guild] == nil {
		p.voice[guild] = make(map[*session]bool)
	}
	p.voice[guild][s] = true
}

// leaveVoice stops a session from receiving voice credentials of a guild. mu is held.
func (p *Proxy) leaveVoice(guild uint64, s *session) {
	delete(p.voice[guild], s)
	if len(p.voice[guild]) == 0 {
		delete(p.voice, guild)
	}
}

func (s *session) connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// detach leaves a session to be resumed, unless another connection has it already.
// cut is whether the server shuts down.
func (s *session) detach(c *connection, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn, s.left, s.cut = nil, time.Now(), cut
	}
}

// number gives an event its number, and remembers the place in the hub after it. It
// reports false when another connection has taken the session over. unsaved is whether
// the session must be saved before the event is sent: a later run could not know that
// the event had a number.
func (s *session) number(c *connection, e event) (sequence int64, unsaved, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return 0, false, false
	}
	s.sequence++
	if e.place > 0 {
		s.place = e.place
	}
	s.places = append(s.places, s.place)
	if e.origin != fromHub {
		unsaved = s.notesSpecial(e.origin)
	}
	if len(s.places) > maxRemembered {
		drop := len(s.places) - maxRemembered*3/4
		s.places = slices.Clone(s.places[drop:])
		s.first += int64(drop)
	}
	if e.origin == ofSession {
		s.own = append(s.own, ownEvent{s.sequence, e.kind, e.data})
		s.ownBytes += len(e.data)
		for s.ownBytes > maxOwnBytes {
			s.ownBytes -= len(s.own[0].data)
			s.ownGone = s.own[0].sequence
			s.own[0] = ownEvent{}
			s.own = s.own[1:]
		}
	}
	return s.sequence, unsaved, true
}

// notesSpecial remembers that the newest event is one that the hub does not bring
// back, and reports whether that must be stored first. mu is held.
func (s *session) notesSpecial(from origin) bool {
	if from == ofSession {
		s.marks = nil // a later run has nothing to send it from
	}
	if s.place == 0 {
		return false // the session has not begun
	}
	// Of many at the same time, the first but one allows for the others.
	s.special = time.Since(s.stored) < burst
	s.stored = time.Now()
	s.addMark()
	return !s.open
}

// burst is how soon events follow each other that are not stored one by one.
const burst = 50 * time.Millisecond

// addMark remembers the place of the newest event for a later run. mu is held.
func (s *session) addMark() {
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return m.Sequence >= s.sequence })
	s.marks = append(s.marks[max(0, len(s.marks)-maxMarks+1):], mark{s.sequence, s.place})
}

// reach notes that up to a place in the hub there is nothing else for the session.
func (s *session) reach(c *connection, place uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.places) - 1; s.conn == c && last >= 0 && s.places[last] > 0 && place > s.place {
		s.place, s.places[last] = place, place
	}
}

// rewind takes the session back to an event for a new connection. It returns the
// place in the hub to continue from, and events that are not in the hub. ok is false
// when the session cannot continue from there, ahead when it has not come so far yet.
// retraced is what retrace returned.
func (s *session) rewind(sequence int64, retraced []uint64, c *connection, rules func() *access.Client) (
	old *connection, place uint64, own []ownEvent, ok, ahead bool,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.earlier != nil { // no other connection was faster
		s.earlier = nil
		s.first, s.sequence, s.places = sequence+1-int64(len(retraced)), sequence, retraced
		s.marks, s.saved = []mark{{s.first, retraced[0]}}, "" // what comes next is saved in any case
	}
	if sequence > s.sequence {
		return nil, 0, nil, false, true
	}
	if sequence < s.first || sequence < s.ownGone || s.places[sequence-s.first] == 0 {
		return nil, 0, nil, false, false
	}
	place = s.places[sequence-s.first]
	s.places = s.places[:sequence-s.first+1]
	for _, e := range s.own {
		if e.sequence > sequence {
			own = append(own, e)
			s.ownBytes -= len(e.data)
		}
	}
	s.own = s.own[:len(s.own)-len(own)]
	s.sequence, s.place = sequence, place
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return m.Sequence > sequence })
	old, s.conn, s.rules, s.left = s.conn, c, rules, time.Time{}
	return old, place, slices.Clone(own), true, false
}

// offer sends an event that is for this session alone, if it has a connection. It
// does not wait.
func (s *session) offer(kind string, data json.RawMessage) {
	s.mu.Lock()
	conn, rules := s.conn, s.rules
	s.mu.Unlock()
	if conn != nil {
		conn.queue.put(len(data), func() error { return conn.answer(rules(), kind, data) })
	}
}
