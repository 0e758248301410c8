package events_test

import (
	"slices"
	"testing"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"
)

// TestSeeing: a subscriber who sees one channel of a guild gets what is about
// that channel, its threads, or none.
func TestSeeing(t *testing.T) {
	h, err := events.New(events.Config{})
	if err != nil {
		t.Fatal(err)
	}
	filter := events.NewFilter(nil, []uint64{2}, nil).Seeing(func(channel, parent uint64) bool { return channel == 3 || parent == 3 })
	s := subscribe(t, h, filter, nil)
	for _, d := range []gateway.Dispatch{
		{Type: "MESSAGE_CREATE", Data: []byte(`{"id":"1","guild_id":"2","channel_id":"3"}`)},
		{Type: "MESSAGE_CREATE", Data: []byte(`{"id":"1","guild_id":"2","channel_id":"4"}`)},
		{Type: "THREAD_CREATE", Data: []byte(`{"id":"5","guild_id":"2","parent_id":"3"}`)},
		{Type: "THREAD_CREATE", Data: []byte(`{"id":"6","guild_id":"2","parent_id":"4"}`)},
		{Type: "CHANNEL_CREATE", Data: []byte(`{"id":"7","guild_id":"2","parent_id":"3"}`)},
		{Type: "THREAD_MEMBERS_UPDATE", Data: []byte(`{"id":"8","guild_id":"2"}`)},
		{Type: "GUILD_ROLE_DELETE", Data: []byte(`{"guild_id":"2","role_id":"6"}`)},
	} {
		h.Dispatch(d)
	}
	batch, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range batch.Events {
		names = append(names, e.Name)
	}
	if want := []string{"MESSAGE_CREATE", "THREAD_CREATE", "GUILD_ROLE_DELETE"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}
