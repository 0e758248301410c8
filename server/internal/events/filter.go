package events

import (
	pb "discordproxy/gen/discord_api"
)

// Filter selects the events that a subscriber wants. The zero value selects all except
// those that must be requested by type.
type Filter struct {
	types            map[pb.Event_Type]bool
	guilds, channels map[uint64]bool
	sees             func(channel, parent uint64) bool // nil means everything
	accepts          func(*Event) bool                 // decides alone unless nil
}

// FilterFunc returns a filter for the events that accepts allows, and for changes of
// the connection. accepts is called with the hub's lock held: it must be quick and
// not call the hub.
func FilterFunc(accepts func(*Event) bool) Filter { return Filter{accepts: accepts} }

// Seeing returns the filter without the events of channels that sees does not
// allow. The parent is that of a thread, where the event says it, or 0.
func (f Filter) Seeing(sees func(channel, parent uint64) bool) Filter {
	f.sees = sees
	return f
}

// NewFilter returns the filter of a request. Empty lists mean all.
func NewFilter(types []pb.Event_Type, guilds, channels []uint64) Filter {
	return Filter{types: set(types), guilds: set(guilds), channels: set(channels)}
}

func set[T comparable](list []T) map[T]bool {
	if len(list) == 0 {
		return nil
	}
	m := make(map[T]bool, len(list))
	for _, v := range list {
		m[v] = true
	}
	return m
}

// matches reports whether the subscriber wants the event. What became of the
// connection concerns everybody.
func (f Filter) matches(e *Event) bool {
	if e.Type == pb.Event_GATEWAY_STATE {
		return true
	}
	if f.accepts != nil {
		return f.accepts(e)
	}
	if f.types == nil && kinds[e.Type].asked || f.types != nil && !f.types[e.Type] {
		return false
	}
	if f.sees != nil && e.ChannelID != 0 && !f.sees(e.ChannelID, e.parentID) {
		return false
	}
	return (f.guilds == nil || f.guilds[e.GuildID]) && (f.channels == nil || f.channels[e.ChannelID])
}
