package events

import (
	"crypto/rand"
	"encoding/json"
	"time"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
)

// maxEarlier is how many earlier epochs a hub recognizes.
const maxEarlier = 16

// State is the state of a hub, for the hub of a later run.
type State struct {
	Epoch string `json:"epoch"`
	// Next is the number that the next event gets.
	Next uint64 `json:"next"`
	// Earlier are epochs whose numbers this one continues, oldest first.
	Earlier []Earlier `json:"earlier,omitempty"`
}

// Earlier is an epoch that has ended.
type Earlier struct {
	Epoch string `json:"epoch"`
	// Last is the number of its last event that is known.
	Last uint64 `json:"last"`
}

// savedEvent is an event as it is stored.
type savedEvent struct {
	Type       pb.Event_Type   `json:"type"`
	Name       string          `json:"name,omitempty"`
	GuildID    uint64          `json:"guild_id,omitempty"`
	ChannelID  uint64          `json:"channel_id,omitempty"`
	ParentID   uint64          `json:"parent_id,omitempty"`
	Time       time.Time       `json:"time"`
	Data       json.RawMessage `json:"data,omitempty"`
	RawOmitted bool            `json:"raw_omitted,omitempty"`
	State      []byte          `json:"state,omitempty"` // a GatewayState
	Body       []byte          `json:"body,omitempty"`
}

// encodeSaved returns the event as it is stored.
func (e *Event) encodeSaved() ([]byte, error) {
	s := savedEvent{
		Type: e.Type, Name: e.Name, GuildID: e.GuildID, ChannelID: e.ChannelID, ParentID: e.parentID,
		Time: e.Time, Data: e.Data, RawOmitted: e.rawOmitted, Body: e.body,
	}
	if e.State != nil {
		var err error
		if s.State, err = proto.Marshal(e.State); err != nil {
			return nil, err
		}
	}
	return json.Marshal(s)
}

func decodeSaved(data []byte) (*Event, error) {
	var s savedEvent
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	e := &Event{
		Type: s.Type, Name: s.Name, GuildID: s.GuildID, ChannelID: s.ChannelID, parentID: s.ParentID,
		Time: s.Time, Data: s.Data, rawOmitted: s.RawOmitted, body: s.Body,
	}
	if s.State != nil {
		e.State = new(pb.Event_GatewayState)
		if err := proto.Unmarshal(s.State, e.State); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Exported is what a hub has to store: its state, the number of the oldest event
// that it keeps, and the events after a number.
type Exported struct {
	State  State
	First  uint64
	events []*Event
}

// Export returns the state of the hub, and the events that it keeps after one.
func (h *Hub) Export(after uint64) Exported {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := Exported{State: State{h.epoch, h.next, h.earlier}, First: h.first}
	for n := max(after+1, h.first); n < h.next; n++ {
		x.events = append(x.events, *h.at(n))
	}
	return x
}

// Events returns the events as they are stored, by their numbers.
func (x Exported) Events() map[uint64][]byte {
	encoded := make(map[uint64][]byte, len(x.events))
	for _, e := range x.events {
		data, err := e.encodeSaved()
		if err != nil {
			// A place must not be empty. What Discord sent can be written.
			data = []byte("{}")
		}
		encoded[e.sequence] = data
	}
	return encoded
}

// Restore continues from the state and the stored events of an earlier run. Events
// before a missing one are left out. clean is whether that run ended by itself; else
// subscribers may have got further than is known, and what they got comes again,
// with the same numbers, if the gateway's session is resumed. It is called before
// anything else, and does nothing for a state that cannot be.
func (h *Hub) Restore(s State, stored map[uint64][]byte, clean bool) {
	const maxNext = 1 << 60
	if s.Epoch == "" || len(s.Epoch) > 64 || s.Next == 0 || s.Next > maxNext || len(s.Earlier) > maxEarlier {
		return
	}
	first := s.Next
	var kept []*Event
	for first > 1 && s.Next-first < uint64(len(h.ring)) {
		data, found := stored[first-1]
		if !found {
			break
		}
		e, err := decodeSaved(data)
		if err != nil {
			break
		}
		kept = append(kept, e)
		first--
	}
	h.mu.Lock()
	h.epoch, h.earlier, h.first, h.next, h.expecting = s.Epoch, s.Earlier, first, first, !clean
	h.mu.Unlock()
	for i := len(kept) - 1; i >= 0; i-- {
		h.Publish(kept[i])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.published) // by this run
}

// settle ends the time in which subscribers may be ahead. If the session was not
// resumed, other events get the numbers that they have seen: a new epoch begins.
func (h *Hub) settle(resumed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.expecting {
		return
	}
	h.expecting = false
	h.settled = h.next
	if !resumed {
		h.another()
	}
	h.wake()
}

// begin begins a new epoch: from here on, a later run may give the same numbers to other
// events.
func (h *Hub) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.another()
}

// another gives the next events another epoch. The lock must be held.
func (h *Hub) another() {
	h.earlier = append(h.earlier[max(len(h.earlier)-maxEarlier+1, 0):len(h.earlier):len(h.earlier)], Earlier{h.epoch, h.next - 1})
	h.epoch = rand.Text()[:12]
}

// reached returns the number of this epoch up to which a subscriber at a position
// has got, and the gap behind it if there is one.
func (h *Hub) reached(p Position) (n uint64, gap *Gap) {
	epoch, last := p.Epoch == h.epoch, h.next-1
	for _, e := range h.earlier {
		if e.Epoch == p.Epoch {
			epoch, last = true, e.Last
		}
	}
	switch {
	case epoch && p.Sequence <= last, epoch && h.expecting && p.Epoch == h.epoch:
		return p.Sequence, nil
	case epoch && p.Epoch != h.epoch:
		return last, &Gap{Epoch: p.Epoch, First: last + 1}
	}
	// The largest number has no next one.
	gap = &Gap{Epoch: p.Epoch, First: max(p.Sequence, p.Sequence+1)}
	if epoch {
		gap.Epoch = "" // numbers of this run that are still to come are not gone
	}
	return 0, gap
}
