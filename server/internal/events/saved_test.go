package events_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"

	pb "discordproxy/gen/discord_api"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// say publishes a message with an id.
func say(h *events.Hub, ids ...int) {
	for _, id := range ids {
		h.Dispatch(gateway.Dispatch{Type: "MESSAGE_CREATE", Data: fmt.Appendf(nil, `{"id":"%d","channel_id":"5"}`, id), Time: time.Unix(1_790_000_000, 0)})
	}
}

// reborn returns the hub of a later run, with what this one exported at some
// time.
func reborn(t *testing.T, x events.Exported, clean bool) *events.Hub {
	t.Helper()
	h := newHub(t, events.Config{MaxEvents: 100})
	h.Restore(x.State, x.Events(), clean)
	return h
}

// got is what a subscriber gets: the ids of messages, states, and gaps.
func got(t *testing.T, s *events.Subscription) (all []string) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		batch, err := s.Next(ctx)
		cancel()
		for _, g := range batch.Gaps {
			all = append(all, fmt.Sprintf("gap %s %d-%d", g.Epoch, g.First, g.Last))
		}
		for _, e := range batch.Events {
			var event pb.Event
			if err := proto.Unmarshal(e.Encode(false), &event); err != nil {
				t.Fatal(err)
			}
			if event.GetMessage() != nil {
				all = append(all, fmt.Sprint(event.GetMessage().GetId()))
			} else {
				all = append(all, event.GetGatewayState().GetState().String())
			}
		}
		if err != nil {
			return all
		}
	}
}

func follow(t *testing.T, h *events.Hub, p events.Position) string {
	t.Helper()
	s, err := h.Subscribe(events.Filter{}, &p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := got(t, s)
	return strings.Join(all, " ")
}

func TestRestoredHub(t *testing.T) {
	const (
		resumed = "resumed"
		begun   = "begun"
	)
	connect := map[string]gateway.Status{
		resumed: {State: gateway.Connected, Resumed: true}, begun: {State: gateway.Connected},
	}
	for name, tt := range map[string]struct {
		clean   bool
		how     string
		again   []int // ids that Discord sends again before it is connected
		reached int   // how many events the subscriber had seen of 5, with 3 saved
		want    string
	}{
		"clean, behind":              {true, resumed, []int{4, 5}, 2, "3 4 5 RESUMED"},
		"crash, behind":              {false, resumed, []int{4, 5}, 1, "2 3 4 5 RESUMED"},
		"crash, ahead":               {false, resumed, []int{4, 5, 6}, 5, "6 RESUMED"},
		"crash, at the last":         {false, resumed, []int{4, 5}, 5, "RESUMED"},
		"crash, other session":       {false, begun, nil, 2, "3 CONNECTED"},
		"crash, ahead, begun":        {false, begun, nil, 5, "gap EPOCH 4-0 CONNECTED"},
		"crash, ahead, less is sent": {false, resumed, nil, 5, "gap  6-0 1 2 3 RESUMED"},
	} {
		for _, early := range []bool{true, false} { // the subscription begins before the bot is connected
			t.Run(fmt.Sprint(name, ", early ", early), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					first := newHub(t, events.Config{})
					say(first, 1, 2, 3)
					saved := first.Export(0)
					say(first, 4, 5)
					h := reborn(t, saved, tt.clean)
					p := events.Position{Epoch: saved.State.Epoch, Sequence: uint64(tt.reached)}
					come := func() {
						say(h, tt.again...)
						h.Changed(connect[tt.how])
					}
					if !early {
						come()
					}
					s, err := h.Subscribe(events.Filter{}, &p)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					if early {
						before := got(t, s)
						come()
						after := got(t, s)
						checkEvents(t, append(before, after...), tt.want, saved.State.Epoch, early)
						return
					}
					all := got(t, s)
					checkEvents(t, all, tt.want, saved.State.Epoch, early)
				})
			})
		}
	}
}

func checkEvents(t *testing.T, all []string, want, epoch string, early bool) {
	t.Helper()
	got := strings.ReplaceAll(strings.Join(all, " "), epoch, "EPOCH")
	if early { // the gap is known later, and by its place alone
		want = strings.ReplaceAll(strings.ReplaceAll(want, "gap EPOCH 4-0", "gap  6-0"), "gap  6-0 1 2 3 RESUMED", "gap  6-0")
	}
	if got != want {
		t.Errorf("the subscriber got %q, want %q", got, want)
	}
}

// TestRestoredEvents: a subscriber gets the same event after a restart.
func TestRestoredEvents(t *testing.T) {
	h := newHub(t, events.Config{})
	at := time.Unix(1_790_000_000, 5)
	for _, d := range []gateway.Dispatch{
		{Type: "MESSAGE_CREATE", Data: []byte(`{"id":"1","channel_id":"5","content":"hi\u0000","guild_id":"7"}`), Time: at},
		{Type: "THREAD_CREATE", Data: []byte(`{"id":"9","parent_id":"5","guild_id":"7"}`), Time: at},
		{Type: "SOMETHING_NEW", Data: []byte(`[1,2,{"a":null}]`), Time: at},
		{Type: "GUILD_CREATE", Data: []byte(`{"id":"7","name":"` + strings.Repeat("large ", 100_000) + `"}`), Time: at},
		{Type: "GUILD_CREATE", Data: []byte(`{"id":"8","name":"` + strings.Repeat("larger ", 300_000) + `"}`), Time: at},
		{Type: "ODD", Data: nil, Time: at},
	} {
		h.Dispatch(d)
	}
	h.Changed(gateway.Status{State: gateway.Paused, Reason: "why", Since: at})
	next := reborn(t, h.Export(0), true)
	read := func(h *events.Hub) (all []*pb.Event) {
		s, err := h.Subscribe(events.Filter{}, &events.Position{Epoch: h.Export(0).State.Epoch})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for len(all) < 7 {
			batch, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range batch.Events {
				for _, raw := range []bool{true, false} {
					var event pb.Event
					if err := proto.Unmarshal(e.Encode(raw), &event); err != nil {
						t.Fatal(err)
					}
					all = append(all, &event)
				}
			}
		}
		return all
	}
	if diff := cmp.Diff(read(h), read(next), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if a, b := h.Stats(), next.Stats(); a.Bytes != b.Bytes || a.First != b.First || a.Last != b.Last {
		t.Errorf("%+v, after the restart %+v", a, b)
	}
}

// TestBadState restores invalid states. The hub is then empty, or leaves out the events
// after a missing one.
func TestBadState(t *testing.T) {
	h := newHub(t, events.Config{})
	say(h, 1, 2, 3, 4, 5)
	x := h.Export(0)
	for name, s := range map[string]events.State{
		"none": {}, "no number": {Epoch: "e"}, "large number": {Epoch: "e", Next: 1<<64 - 1}, "long epoch": {Epoch: strings.Repeat("e", 100), Next: 3},
	} {
		next := newHub(t, events.Config{})
		next.Restore(s, x.Events(), false)
		if stats := next.Stats(); stats.First != 1 || stats.Last != 0 {
			t.Errorf("%s: %+v", name, stats)
		}
	}
	stored := x.Events()
	delete(stored, 3)
	stored[2] = []byte("{")
	next := newHub(t, events.Config{})
	next.Restore(x.State, stored, true)
	if stats := next.Stats(); stats.First != 4 || stats.Last != 5 {
		t.Errorf("%+v", stats)
	}
	small := newHub(t, events.Config{MaxEvents: 2})
	small.Restore(x.State, x.Events(), true)
	if got := follow(t, small, events.Position{Epoch: x.State.Epoch, Sequence: 1}); got != "gap "+x.State.Epoch+" 2-3 4 5" {
		t.Errorf("got %q", got)
	}
}

// TestStatesThatCannotBeSaved: what happens to the connection while another run may continue
// from an older state gets no number that this run would give to an event of Discord's.
func TestStatesThatCannotBeSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unsaved := false
		h := newHub(t, events.Config{MaxEvents: 100, Unsaved: func() bool { return unsaved }})
		say(h, 1, 2)
		saved := h.Export(0)
		unsaved = true
		s, err := h.Subscribe(events.Filter{}, &events.Position{Epoch: h.Epoch()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		h.Changed(gateway.Status{State: gateway.Disconnected, Resumable: true})
		if all := got(t, s); strings.Join(all, " ") != "1 2" {
			t.Errorf("with a lost connection: %q", all)
		}
		position := events.Position{Epoch: h.Epoch(), Sequence: 2}
		h.Changed(gateway.Status{State: gateway.Connected, Resumed: true})
		say(h, 3)
		if all := got(t, s); strings.Join(all, " ") != "3" {
			t.Errorf("with the session resumed: %q", all)
		}
		// Another run gets the same events again.
		next := reborn(t, saved, false)
		again, err := next.Subscribe(events.Filter{}, &position)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		say(next, 3)
		if all := got(t, again); strings.Join(all, " ") != "3" {
			t.Errorf("of another run: %q", all)
		}
		// A new session begins another epoch, which the other run does not know.
		h.Changed(gateway.Status{State: gateway.Connected})
		say(h, 4)
		if all := got(t, s); strings.Join(all, " ") != "CONNECTED 4" {
			t.Errorf("with a new session: %q", all)
		}
		if h.Epoch() == position.Epoch {
			t.Error("the epoch is the same")
		}
		late, err := next.Subscribe(events.Filter{}, &events.Position{Epoch: h.Epoch(), Sequence: 5})
		if err != nil {
			t.Fatal(err)
		}
		defer late.Close()
		if all := got(t, late); len(all) == 0 || !strings.HasPrefix(all[0], "gap "+h.Epoch()) {
			t.Errorf("of another run, after the new session: %q", all)
		}
	})
}

// TestEpochWhileConnecting: the epoch may change while others ask for it.
func TestEpochWhileConnecting(t *testing.T) {
	h, err := events.New(events.Config{Unsaved: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	var connecting sync.WaitGroup
	connecting.Go(func() {
		for range 100 {
			h.Changed(gateway.Status{State: gateway.Connected, Since: time.Now()})
		}
	})
	for range 100 {
		if h.Epoch() == "" {
			t.Error("there is no epoch")
		}
	}
	connecting.Wait()
}
