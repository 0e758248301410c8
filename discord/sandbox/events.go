package sandbox

import "slices"

// Event is a change in the sandbox, named as the gateway's dispatch
// events are. Data is what the event's "d" holds.
//
// See https://discord.com/developers/docs/events/gateway-events.
type Event struct {
	Type      string
	GuildID   ID // none in direct messages
	ChannelID ID // none when it concerns no channel
	User      ID // the only recipient; 0 means everyone who may see it
	Data      any
}

type subscription struct{ notify func(Event) }

// Subscribe calls notify for every change, in the order in which they happen, until
// cancel is called. It is called with the sandbox's lock held: it must neither block nor
// call the sandbox, and may keep Data but not change it.
func (s *Sandbox) Subscribe(notify func(Event)) (cancel func()) {
	sub := &subscription{notify}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscriptions = append(s.subscriptions, sub)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subscriptions = slices.DeleteFunc(s.subscriptions, func(o *subscription) bool { return o == sub })
	}
}

// publish is the one place where changes are made known. Data is only asked
// for when somebody listens. The lock is held.
func (s *Sandbox) publish(kind string, guild, channel ID, data func() any) {
	if len(s.subscriptions) > 0 || len(s.gateway.order) > 0 {
		s.tell(Event{Type: kind, GuildID: guild, ChannelID: channel, Data: data()})
	}
}

func (s *Sandbox) tell(e Event) {
	for _, sub := range s.subscriptions {
		sub.notify(e)
	}
	s.dispatch(e)
}
