package gatewayproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"

	pb "discordproxy/gen/discord_api"
)

// maxMarks is how many places a session has when it is saved.
const maxMarks = 32

// mark is a place in the hub after an event of a session.
type mark struct {
	Sequence int64  `json:"sequence"`
	Place    uint64 `json:"place"`
}

// savedSession is a session as it is stored. It has no key.
type savedSession struct {
	Client   string `json:"client"`
	Intents  int64  `json:"intents"`
	Large    *int   `json:"large_threshold,omitempty"`
	Shard    []int  `json:"shard,omitempty"`
	Compress bool   `json:"compress,omitempty"`
	// Epoch is that of the hub that gave the places.
	Epoch string `json:"epoch"`
	Self  uint64 `json:"self"` // the bot's id
	// Voice are the guilds in which the session gets credentials for voice.
	Voice []uint64 `json:"voice,omitempty"`
	// Marks are places in ascending order. Between the first one and what the session
	// gets after the last one, all events are in the hub.
	Marks []mark `json:"marks"`
	// Open is whether events that are not in the hub may follow the last mark.
	Open bool `json:"open,omitempty"`
	// Sight identifies the rules that selected the events.
	Sight string `json:"sight"`
	// Left is when the last connection ended, or the zero time while there is one.
	Left time.Time `json:"left,omitzero"`
	// Cut reports whether the bot was connected until the run ended, and no other session
	// has continued from this one.
	Cut bool `json:"cut,omitempty"`
}

// Export returns the sessions that changed since the last call, encoded, by their
// ids; nil of one that is gone. done must be called when they are stored, before the
// next call.
func (p *Proxy) Export() (sessions map[string][]byte, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	sessions = make(map[string][]byte)
	for id := range p.stored {
		if p.sessions[id] == nil || p.sessions[id].stale {
			sessions[id] = nil
		}
	}
	var stored []func()
	for id, s := range p.sessions {
		if s.stale {
			continue
		}
		if data, keep := s.export(p.config.Hub.Epoch(), p.self, p.voiceOf(s)); data != nil {
			sessions[id] = data
			stored = append(stored, keep)
		}
	}
	return sessions, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for id, data := range sessions {
			if data == nil {
				delete(p.stored, id)
			} else {
				p.stored[id] = true
			}
		}
		for _, keep := range stored {
			keep()
		}
	}
}

// voiceOf returns the guilds in which a session asked for voice. mu is held.
func (p *Proxy) voiceOf(s *session) (guilds []uint64) {
	for guild, sessions := range p.voice {
		if sessions[s] {
			guilds = append(guilds, guild)
		}
	}
	slices.Sort(guilds)
	return guilds
}

// export returns the session encoded, or nil if it did not change, or if it cannot be
// resumed yet. stored must be called when it is stored.
func (s *session) export(epoch string, self uint64, voice []uint64) (data []byte, stored func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.earlier != nil {
		return s.exportEarlier()
	}
	if len(s.places) == 0 || s.places[len(s.places)-1] == 0 {
		return nil, nil
	}
	s.addMark()
	open := s.special
	encoded, err := json.Marshal(savedSession{
		Client: s.client, Intents: *s.hello.Intents, Large: s.hello.Large, Shard: s.hello.Shard, Compress: s.hello.Compress,
		Epoch: epoch, Self: self, Voice: voice, Marks: s.marks, Open: open, Sight: s.rules().Sight(), Left: s.left,
		Cut: s.conn != nil || s.cut,
	})
	if err != nil || string(encoded) == s.saved {
		return nil, nil
	}
	s.special, s.open = false, s.open && open
	return encoded, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saved, s.open = string(encoded), open
	}
}

// exportEarlier is export for a session of an earlier run. mu is held.
func (s *session) exportEarlier() (data []byte, stored func()) {
	encoded, err := json.Marshal(s.earlier)
	if err != nil || string(encoded) == s.saved {
		return nil, nil
	}
	return encoded, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.saved = string(encoded)
	}
}

// isCut reports whether a bot that begins a session may continue from this one. mu is
// held.
func (s *session) isCut() bool { return s.earlier != nil && s.earlier.Cut }

// takeCut returns the place in the hub from which a session that is about to begin
// continues: the end of what the bot got from an earlier run. Libraries forget their
// sessions when a connection is refused, as it is while the server restarts. That
// the bot is the same one is not certain, but what several bots of a client
// have got differs little. mu is held.
func (p *Proxy) takeCut(client string, intents gateway.Intents) (place uint64, ok bool) {
	if p.earlier == nil {
		return 0, false
	}
	var from *session
	for _, s := range p.sessions {
		s.mu.Lock()
		last := s.lastMark()
		fits := s.isCut() && !s.stale && s.client == client && s.hello.intents() == intents &&
			s.earlier.Epoch == p.config.Hub.Epoch() && last+1 >= p.config.Hub.Stats().First
		if fits && (from == nil || last < place) {
			from, place = s, last
		}
		s.mu.Unlock()
	}
	if from == nil {
		return 0, false
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	if from.earlier == nil {
		return 0, false // the bot resumes it just now
	}
	taken := *from.earlier
	taken.Cut, taken.Left = false, from.left
	from.earlier = &taken
	return place, true
}

// lastMark returns the newest place of a session of an earlier run, or 0 of another
// session. mu is held.
func (s *session) lastMark() uint64 {
	if s.earlier == nil {
		return 0
	}
	return s.earlier.Marks[len(s.earlier.Marks)-1].Place
}

// Restore takes over sessions that were exported by an earlier run, whose hub and
// whose session at Discord were restored as well. What cannot be read is left out.
// It must be called before the first event.
func (p *Proxy) Restore(sessions map[string][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hub := p.config.Hub
	for id, data := range sessions {
		p.stored[id] = true // it is deleted unless it is taken over
		var saved savedSession
		if json.Unmarshal(data, &saved) != nil || len(p.sessions) >= maxSessions || !saved.valid(id, hub.Epoch(), p.config.Intents) {
			continue
		}
		if saved.Left.IsZero() || time.Until(saved.Left) > 0 {
			saved.Left = time.Now()
		}
		p.self = saved.Self
		s := &session{
			id: id, client: saved.Client, left: saved.Left, earlier: &saved, saved: string(data),
			hello: identify{Intents: &saved.Intents, Large: saved.Large, Shard: saved.Shard, Compress: saved.Compress},
		}
		p.sessions[id] = s
		for _, guild := range saved.Voice {
			p.joinVoice(guild, s)
		}
	}
	p.sweep()
}

// valid reports whether the session can be one of a hub.
func (s *savedSession) valid(id, epoch string, allowed gateway.Intents) bool {
	if len(id) < 16 || len(id) > 64 || s.Epoch != epoch || s.Self == 0 || len(s.Marks) == 0 || len(s.Marks) > maxMarks {
		return false
	}
	hello := identify{Properties: json.RawMessage("{}"), Intents: &s.Intents, Large: s.Large, Shard: s.Shard}
	if hello.check(allowed) != nil {
		return false
	}
	last := mark{}
	for _, m := range s.Marks {
		if m.Sequence <= last.Sequence || m.Place == 0 || m.Place < last.Place || m.Place > 1<<60 || m.Sequence > 1<<53 {
			return false
		}
		last = m
	}
	return true
}

// retrace returns the places after the events of a session of an earlier run, from the
// mark before one of them up to it, and nil for a session of this run. It fails when it
// cannot determine exactly which events the client has received. The server's own session
// must be connected.
func (c *connection) retrace(ctx context.Context, s *session, sequence int64) ([]uint64, error) {
	s.mu.Lock()
	saved := s.earlier
	s.mu.Unlock()
	if saved == nil {
		return nil, nil
	}
	from, exact := saved.before(sequence)
	client := access.From(ctx)
	last := saved.Marks[len(saved.Marks)-1]
	switch {
	case from.Sequence == 0:
		return nil, errors.New("the bot is too far behind")
	case !exact && client.Sight() != saved.Sight:
		return nil, errors.New("the rules for its client have changed")
	case saved.Open && sequence > last.Sequence:
		return nil, errors.New("answers may have come that were not stored")
	}
	places := []uint64{from.Place}
	position := &events.Position{Epoch: saved.Epoch, Sequence: from.Place}
	subscription, err := c.proxy.config.Hub.Subscribe(c.filter(ctx, s, c.proxy.selfID()), position)
	if err != nil {
		return nil, err
	}
	defer subscription.Close()
	v := c.view(ctx, s)
	for from.Sequence+int64(len(places)) <= sequence {
		batch, err := c.next(subscription, true)
		if err != nil {
			return nil, fmt.Errorf("it has had more events than are known: %w", err)
		}
		if len(batch.Gaps) > 0 {
			return nil, errStale
		}
		for _, e := range batch.Events {
			if from.Sequence+int64(len(places)) > sequence {
				break
			}
			if e.Type == pb.Event_GATEWAY_STATE {
				if e.State.GetState() == pb.Event_GatewayState_CONNECTED {
					return nil, errStale
				}
				continue
			}
			data, err := v.event(e, c.proxy.config.Guilds)
			if err != nil {
				return nil, err
			}
			if e.Name == guildCreate {
				return nil, errors.New("what it has had of a guild is not known")
			}
			if data != nil {
				places = append(places, e.Sequence())
			}
		}
	}
	return places, nil
}

// before returns the newest mark that is not after an event, and whether it is the
// one after that event. It is the zero mark if there is none.
func (s *savedSession) before(sequence int64) (m mark, exact bool) {
	for _, next := range s.Marks {
		if next.Sequence <= sequence {
			m = next
		}
	}
	return m, m.Sequence == sequence
}
