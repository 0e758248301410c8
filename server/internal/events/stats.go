package events

import (
	"maps"

	pb "discordproxy/gen/discord_api"
)

// Stats is a hub at one moment.
type Stats struct {
	// Subscribers is the number of subscriptions.
	Subscribers int
	// Behind is the number of subscriptions that ended because they were too
	// slow.
	Behind uint64
	// First and Last are the numbers of the oldest and the newest event that
	// are kept; Last is smaller when there are none.
	First, Last uint64
	// Bytes is the memory of the events that are kept.
	Bytes int64
	// Published is the number of published events, by type.
	Published map[pb.Event_Type]uint64
}

// Stats returns what the hub holds, and what it has held.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{
		Subscribers: h.subscribers, Behind: h.behind,
		First: h.first, Last: h.next - 1, Bytes: h.bytes,
		Published: maps.Clone(h.published),
	}
}
