// Package events keeps the newest events from Discord's gateway, and the position of
// each subscriber.
//
// Events are kept once, in one ring. A subscriber is a position in it: a slow
// subscriber falls behind and delays nobody else.
package events

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "discordproxy/gen/discord_api"
)

// The defaults of Config.
const (
	DefaultMaxEvents      = 10_000
	DefaultMaxBytes       = 64 << 20
	DefaultMaxSubscribers = 5_000
)

// Config bounds a Hub. For every number 0 means the default of that name; a
// negative one is refused.
type Config struct {
	// MaxEvents is the number of events that are kept.
	MaxEvents int
	// MaxBytes bounds the memory of the events that are kept. The newest one
	// is kept whatever its size is. Large events, of more than 64 KiB, take at
	// most a quarter of it: the oldest of them lose first their JSON and then
	// their payload, so that a few large guilds leave space for other events.
	MaxBytes int64
	// MaxSubscribers is the number of subscriptions at one time.
	MaxSubscribers int
	// Unsaved reports whether events may at the moment be unknown to a later run that
	// continues from the last saved state. Nil means never.
	Unsaved func() bool
}

// Times of a subscription.
const (
	// Heartbeat is the longest time without a batch; after it, a subscriber gets an empty one.
	Heartbeat = 15 * time.Second
	// pace is how long an event may wait for company, so that many events do
	// not wake many subscribers each. The first after a pause never waits.
	pace = 20 * time.Millisecond
)

// Bounds of a batch.
const (
	maxBatch      = 256
	maxBatchBytes = 256 << 10
)

// Position is a place between two events.
type Position struct {
	// Epoch names the series of numbers that the number belongs to. A run of the hub
	// begins with a new one or that of an earlier run, and may begin others.
	Epoch string
	// Sequence is the number of the event before this place.
	Sequence uint64
}

// Gap is a range of events that are no longer kept.
type Gap struct {
	Epoch string
	// First and Last are the numbers that are gone. Last is 0 when it is not
	// known, since this run did not give out the position. Epoch is then that
	// of the position, or empty when it was this run's.
	First, Last uint64
}

// Batch contains the events that are ready for a subscriber. A batch with only a position
// is a heartbeat.
type Batch struct {
	Gaps []Gap
	// Lost says why no events arrive. It is set in the first batch of a subscription that
	// begins while the connection is lost, otherwise nil.
	Lost     *pb.Event_GatewayState
	Events   []*Event
	Position Position
}

// BehindError means that a subscriber was too slow: events after its position are no longer kept.
type BehindError struct {
	Position Position
	// First is the oldest number that is kept.
	First uint64
}

func (e *BehindError) Error() string {
	return fmt.Sprintf(
		"the client reads too slowly: events %d to %d were dropped before it received them; subscribe again after the position in the details",
		e.Position.Sequence+1,
		e.First-1,
	)
}

// ErrFull means that the maximum number of subscribers is reached.
var ErrFull = errors.New("too many subscribers")

// Hub keeps the newest events. It is safe for concurrent use.
type Hub struct {
	maxBytes       int64
	maxSubscribers int
	unsaved        func() bool

	mu    sync.Mutex
	epoch string
	ring  []*Event // event n stands at n % len(ring)
	first uint64   // number of the oldest event that is kept
	next  uint64   // number that the next event gets
	bytes int64
	// large are the numbers of the large events, largeBytes what they take.
	large      []uint64
	largeBytes int64
	// changed is closed when something happened, or nil while nobody waits.
	changed     chan struct{}
	subscribers int
	lost        *Event // that reported the loss of the connection, or nil while it is connected
	published   map[pb.Event_Type]uint64
	behind      uint64 // subscriptions that ended with a BehindError
	ended       error
	earlier     []Earlier
	// expecting is whether subscribers may have seen events of an earlier run that
	// are still to come again; settled is the number that was next when that ended.
	expecting bool
	settled   uint64
}

// New returns an empty hub with an epoch of its own.
func New(c Config) (*Hub, error) {
	if c.MaxEvents < 0 || c.MaxBytes < 0 || c.MaxSubscribers < 0 {
		return nil, errors.New("events: a bound is negative")
	}
	h := &Hub{
		epoch:    rand.Text()[:12],
		maxBytes: c.MaxBytes, maxSubscribers: c.MaxSubscribers, unsaved: c.Unsaved,
		first: 1, next: 1, published: make(map[pb.Event_Type]uint64),
	}
	size := c.MaxEvents
	if size == 0 {
		size = DefaultMaxEvents
	}
	h.ring = make([]*Event, size)
	if h.maxBytes == 0 {
		h.maxBytes = DefaultMaxBytes
	}
	if h.maxSubscribers == 0 {
		h.maxSubscribers = DefaultMaxSubscribers
	}
	if h.unsaved == nil {
		h.unsaved = func() bool { return false }
	}
	return h, nil
}

// Epoch returns the epoch of the next event; see Position.
func (h *Hub) Epoch() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.epoch
}

// Publish numbers an event and keeps it. It never waits for subscribers. The
// event must not be changed any more.
func (h *Hub) Publish(e *Event) {
	e.prepare() // without the lock: it may take milliseconds
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != nil {
		return
	}
	e.sequence = h.next
	h.next++
	h.published[e.Type]++
	if e.Type == pb.Event_GATEWAY_STATE {
		h.lost = nil
		if e.State.GetState() == pb.Event_GatewayState_DISCONNECTED {
			h.lost = e
		}
	}
	if e.size > large {
		h.reserve(e)
	}
	h.bytes += e.size
	for h.next-h.first > uint64(len(h.ring)) || h.bytes > h.maxBytes && h.first < e.sequence {
		oldest := h.at(h.first)
		h.bytes -= (*oldest).size
		if len(h.large) > 0 && h.large[0] == h.first {
			h.large = h.large[1:]
			h.largeBytes -= (*oldest).size
		}
		*oldest = nil
		h.first++
	}
	*h.at(e.sequence) = e
	h.wake()
}

// reserve makes place for a large event among the large ones: it takes the JSON
// of the oldest, then their payloads.
func (h *Hub) reserve(e *Event) {
	h.largeBytes += e.size
	for range 2 {
		kept := h.large[:0]
		for _, n := range h.large {
			old := h.at(n)
			if h.largeBytes > h.maxBytes/4 {
				if s := (*old).smaller(); s != nil {
					h.bytes += s.size - (*old).size
					h.largeBytes += s.size - (*old).size
					*old = s
				}
			}
			if (*old).size > large {
				kept = append(kept, n)
			} else {
				h.largeBytes -= (*old).size
			}
		}
		h.large = kept
	}
	h.large = append(h.large, e.sequence)
}

func (h *Hub) at(n uint64) **Event { return &h.ring[n%uint64(len(h.ring))] }

func (h *Hub) wake() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// End ends every subscription with err, after it has received all kept events.
// Later events are not kept, and later calls of End have no effect.
func (h *Hub) End(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended == nil {
		h.ended = err
		h.wake()
	}
}

// Subscription is the position of one subscriber. It must be used by one goroutine.
type Subscription struct {
	hub    *Hub
	filter Filter
	gaps   []Gap
	lost   *pb.Event_GatewayState // see Batch
	next   uint64                 // number of the first event that was not looked at
	begun  bool
	ahead  bool      // whether it may have seen events that are still to come again
	looked time.Time // when events were last looked for
}

// Subscribe returns a place behind the newest event, or behind a position that
// the subscriber had reached before. A position that this hub did not give out
// is answered with a gap of unknown length and all that is kept. It returns
// ErrFull or the error that End was called with. Close must be called in the end.
func (h *Hub) Subscribe(filter Filter, after *Position) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != nil {
		return nil, h.ended
	}
	if h.subscribers >= h.maxSubscribers {
		return nil, ErrFull
	}
	s := &Subscription{hub: h, filter: filter, next: h.next}
	if after != nil {
		reached, gap := h.reached(*after)
		if gap != nil {
			s.gaps = append(s.gaps, *gap)
		}
		s.next = reached + 1
		s.ahead = s.next > h.next
		if s.next < h.first {
			s.gaps = append(s.gaps, Gap{Epoch: h.epoch, First: s.next, Last: h.first - 1})
			s.next = h.first
		}
	}
	if h.lost != nil && h.lost.sequence < s.next {
		s.lost = h.lost.State
	}
	h.subscribers++
	return s, nil
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.subscribers--
}

// Next waits for events that match and returns them. The first batch comes
// immediately, and an empty one whenever there was nothing for the time of Heartbeat.
// It returns a *BehindError, the error that End was called with, or that of
// ctx.
func (s *Subscription) Next(ctx context.Context) (Batch, error) {
	heartbeat := time.NewTimer(Heartbeat)
	defer heartbeat.Stop()
	for {
		batch, changed, err := s.look()
		if err != nil {
			return batch, err
		}
		if len(batch.Events) > 0 || !s.begun {
			s.begun = true
			return batch, nil
		}
		select {
		case <-ctx.Done():
			return batch, context.Cause(ctx)
		case <-heartbeat.C:
			return batch, nil
		case <-changed:
		}
		if wait := pace - time.Since(s.looked); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return batch, context.Cause(ctx)
			case <-timer.C:
			}
		}
	}
}

// look takes what matches. Without anything it returns a channel that is
// closed when there may be more.
func (s *Subscription) look() (batch Batch, changed <-chan struct{}, err error) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	s.looked = time.Now()
	if s.next > h.settled && s.ahead && !h.expecting {
		// What it has seen beyond did not come again.
		s.gaps = append(s.gaps, Gap{First: s.next})
		s.next = h.settled
	}
	s.ahead = s.ahead && h.expecting
	batch.Position = Position{h.epoch, s.next - 1}
	if s.next < h.first {
		h.behind++
		return batch, nil, &BehindError{batch.Position, h.first}
	}
	batch.Gaps, s.gaps = s.gaps, nil
	batch.Lost, s.lost = s.lost, nil
	bytes := int64(0)
	for ; s.next < h.next && len(batch.Events) < maxBatch && bytes < maxBatchBytes; s.next++ {
		if e := *h.at(s.next); s.filter.matches(e) {
			batch.Events = append(batch.Events, e)
			bytes += e.size
		}
	}
	batch.Position.Sequence = s.next - 1
	if len(batch.Events) > 0 || !s.begun {
		return batch, nil, nil
	}
	if h.ended != nil {
		return batch, nil, h.ended
	}
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return batch, h.changed, nil
}
