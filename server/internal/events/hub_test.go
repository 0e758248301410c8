package events_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
)

func newHub(t *testing.T, c events.Config) *events.Hub {
	t.Helper()
	h, err := events.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func subscribe(t *testing.T, h *events.Hub, f events.Filter, after *events.Position) *events.Subscription {
	t.Helper()
	s, err := h.Subscribe(f, after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func next(t *testing.T, s *events.Subscription) events.Batch {
	t.Helper()
	b, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// message publishes a message to a channel of a guild.
func message(h *events.Hub, guild, channel uint64, content string) {
	h.Dispatch(gateway.Dispatch{
		Type: "MESSAGE_CREATE", Time: time.Now(),
		Data: fmt.Appendf(nil, `{"id":"1","guild_id":"%d","channel_id":"%d","content":%q}`, guild, channel, content),
	})
}

func decode(t *testing.T, e *events.Event) *pb.Event {
	t.Helper()
	m := new(pb.Event)
	if err := proto.Unmarshal(e.Encode(false), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// numbers returns the sequence numbers of a batch.
func numbers(t *testing.T, b events.Batch) []uint64 {
	t.Helper()
	list := []uint64{}
	for _, e := range b.Events {
		list = append(list, decode(t, e).GetSequence())
	}
	return list
}

func wantNumbers(t *testing.T, b events.Batch, want ...uint64) {
	t.Helper()
	if got := numbers(t, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got the events %d, want %d", got, want)
	}
}

func TestResumeAfterPosition(t *testing.T) {
	h := newHub(t, events.Config{MaxEvents: 5})
	s := subscribe(t, h, events.Filter{}, nil)
	start := next(t, s)
	if len(start.Events) > 0 || start.Position.Sequence != 0 || start.Position.Epoch == "" {
		t.Errorf("the first batch is %+v", start)
	}
	for range 3 {
		message(h, 1, 2, "hi")
	}
	b := next(t, s)
	wantNumbers(t, b, 1, 2, 3)
	for range 4 {
		message(h, 1, 2, "hi")
	}
	wantNumbers(t, next(t, subscribe(t, h, events.Filter{}, &b.Position)), 4, 5, 6, 7)

	epoch := start.Position.Epoch
	for _, tt := range []struct {
		name  string
		after events.Position
		gaps  []events.Gap
		first uint64
	}{
		{"nothing is gone", events.Position{Epoch: epoch, Sequence: 2}, nil, 3},
		{"some are gone", start.Position, []events.Gap{{Epoch: epoch, First: 1, Last: 2}}, 3},
		{"another run", events.Position{Epoch: "before", Sequence: 70}, []events.Gap{{Epoch: "before", First: 71}, {Epoch: epoch, First: 1, Last: 2}}, 3},
		{"another run, the largest number", events.Position{Epoch: "before", Sequence: math.MaxUint64}, []events.Gap{{Epoch: "before", First: math.MaxUint64}, {Epoch: epoch, First: 1, Last: 2}}, 3},
		{"another run, the beginning", events.Position{Epoch: "before"}, []events.Gap{{Epoch: "before", First: 1}, {Epoch: epoch, First: 1, Last: 2}}, 3},
		{"no run", events.Position{Sequence: 5}, []events.Gap{{First: 6}, {Epoch: epoch, First: 1, Last: 2}}, 3},
		{"a number of the future", events.Position{Epoch: epoch, Sequence: 8}, []events.Gap{{First: 9}, {Epoch: epoch, First: 1, Last: 2}}, 3},
		{"the largest number", events.Position{Epoch: epoch, Sequence: math.MaxUint64}, []events.Gap{{First: math.MaxUint64}, {Epoch: epoch, First: 1, Last: 2}}, 3},
	} {
		b := next(t, subscribe(t, h, events.Filter{}, &tt.after))
		if !reflect.DeepEqual(b.Gaps, tt.gaps) || numbers(t, b)[0] != tt.first || b.Position.Sequence != 7 {
			t.Errorf("%s: %+v", tt.name, b)
		}
	}
	if b := next(t, subscribe(t, h, events.Filter{}, &events.Position{Epoch: epoch, Sequence: 7})); len(b.Events)+len(b.Gaps) > 0 {
		t.Errorf("behind the newest: %+v", b)
	}
}

// TestBehind: a slow subscriber learns how far it has got, and others are unaffected.
func TestBehind(t *testing.T) {
	h := newHub(t, events.Config{MaxEvents: 10})
	slow, quick := subscribe(t, h, events.Filter{}, nil), subscribe(t, h, events.Filter{}, nil)
	next(t, slow)
	next(t, quick)
	message(h, 1, 2, "hi")
	wantNumbers(t, next(t, slow), 1)
	for i := range uint64(20) {
		message(h, 1, 2, "hi")
		if i == 0 {
			wantNumbers(t, next(t, quick), 1, 2)
		} else {
			wantNumbers(t, next(t, quick), i+2)
		}
	}
	_, err := slow.Next(t.Context())
	behind, ok := errors.AsType[*events.BehindError](err)
	if !ok || behind.Position.Sequence != 1 || behind.First != 12 {
		t.Fatalf("a slow subscriber ends with %v", err)
	}
	b := next(t, subscribe(t, h, events.Filter{}, &behind.Position))
	if want := []events.Gap{{Epoch: behind.Position.Epoch, First: 2, Last: 11}}; !reflect.DeepEqual(b.Gaps, want) {
		t.Errorf("then its gaps are %v", b.Gaps)
	}
	if s := h.Stats(); s.Behind != 1 || s.Subscribers != 3 || s.Published[pb.Event_MESSAGE_CREATE] != 21 || len(s.Published) != 1 {
		t.Errorf("counted are %+v", s)
	}
}

// TestStates: an outage and a lost session are each reported once, also to subscribers
// that arrive during the outage.
func TestStates(t *testing.T) {
	h := newHub(t, events.Config{MaxEvents: 4})
	s := subscribe(t, h, events.NewFilter([]pb.Event_Type{pb.Event_TYPING_START}, nil, nil), nil)
	if b := next(t, s); b.Lost != nil {
		t.Errorf("before anything was lost, %v is reported", b.Lost)
	}
	start := next(t, subscribe(t, h, events.Filter{}, nil)).Position
	lost := func(reason string, resumable bool) {
		h.Changed(gateway.Status{State: gateway.Disconnected, Reason: reason, Resumable: resumable})
	}
	lost("first", true)
	lost("again", true)
	message(h, 1, 2, "made up for")
	lost("and again", true)
	lost("gone", false)
	lost("still", false)
	for _, c := range []struct {
		name  string
		after *events.Position
		lost  string
	}{
		{"who comes meanwhile", nil, "gone"},
		{"who was there before", &start, ""},
		{"another's", &events.Position{Epoch: start.Epoch, Sequence: 3}, "gone"},
	} {
		b := next(t, subscribe(t, h, events.Filter{}, c.after))
		if b.Lost.GetReason() != c.lost {
			t.Errorf("%v is reported to %s", b.Lost, c.name)
		}
	}
	h.Changed(gateway.Status{State: gateway.Connected})
	lost("second", true)
	h.Changed(gateway.Status{State: gateway.Connected, Resumed: true})
	if b := next(t, subscribe(t, h, events.Filter{}, nil)); b.Lost != nil {
		t.Errorf("after the outage %v is reported", b.Lost)
	}
	var states []string
	for _, e := range next(t, subscribe(t, h, events.Filter{}, &events.Position{Epoch: start.Epoch, Sequence: 2})).Events {
		states = append(states, decode(t, e).GetGatewayState().GetState().String())
	}
	if got := strings.Join(states, " "); got != "DISCONNECTED CONNECTED DISCONNECTED RESUMED" {
		t.Errorf("replayed are %s", got)
	}
}

// TestPause: a pause is the loss of the connection with a reason of its own,
// which is reported once.
func TestPause(t *testing.T) {
	h := newHub(t, events.Config{})
	start := next(t, subscribe(t, h, events.Filter{}, nil)).Position
	h.Changed(gateway.Status{State: gateway.Disconnected, Reason: "lost"})
	h.Changed(gateway.Status{State: gateway.Paused, Reason: "only the reserve is left"})
	h.Changed(gateway.Status{State: gateway.Disconnected, Reason: "lost again"})
	b := next(t, subscribe(t, h, events.Filter{}, &start))
	wantNumbers(t, b, 1, 2)
	if state := decode(t, b.Events[1]).GetGatewayState(); state.GetReason() != "only the reserve is left" || state.GetState() != pb.Event_GatewayState_DISCONNECTED || state.GetResumable() {
		t.Errorf("%v is reported", state)
	}
	if b := next(t, subscribe(t, h, events.Filter{}, nil)); b.Lost.GetReason() != "only the reserve is left" {
		t.Errorf("%v is reported to a new subscriber", b.Lost)
	}
}

func TestBytes(t *testing.T) {
	h := newHub(t, events.Config{MaxBytes: 10_000})
	for range 100 {
		message(h, 1, 2, "hi")
	}
	if s := h.Stats(); s.Bytes > 10_000 || s.Bytes < 9_000 || s.Last != 100 {
		t.Errorf("kept is %+v", s)
	}
	// The newest is kept whatever its size, and alone.
	h.Publish(&events.Event{Type: pb.Event_UNTYPED, Data: make([]byte, 50_000)})
	if s := h.Stats(); s.First != 101 || s.Last != 101 {
		t.Errorf("kept is %+v", s)
	}
	message(h, 1, 2, "hi")
	if s := h.Stats(); s.First != 102 || s.Bytes > 10_000 {
		t.Errorf("kept is %+v", s)
	}
}

// TestLargeEvents: JSON above a bound is left out, a payload too, and the event
// says so; whatever an event is, a client of gRPC can take it.
func TestLargeEvents(t *testing.T) {
	const raw, payload = 1 << 20, 2 << 20
	content := func(n int) string {
		return fmt.Sprintf(`{"id":"1","channel_id":"2","content":%q}`, strings.Repeat("x", n))
	}
	for _, tt := range []struct {
		name, kind, data             string
		raw                          bool // wanted
		hasRaw, rawGone, payloadGone bool
	}{
		{"small", "MESSAGE_CREATE", content(10), true, true, false, false},
		{"small, not asked for", "MESSAGE_CREATE", content(10), false, false, false, false},
		{"at the bound", "MESSAGE_CREATE", content(raw - 44), true, true, false, false},
		{"above the bound", "MESSAGE_CREATE", content(raw), true, false, true, false},
		{"above the bound, not asked for", "MESSAGE_CREATE", content(raw), false, false, false, false},
		{"a payload above the bound", "MESSAGE_CREATE", content(payload), true, false, true, true},
		{"a payload above the bound, not asked for", "MESSAGE_CREATE", content(8 << 20), false, false, false, true},
		{"a guild of 8 MB", "GUILD_CREATE", fmt.Sprintf(`{"id":"2","name":"g","members":[%q]}`, strings.Repeat("x", 8<<20)), true, false, true, false},
		{"untyped", "ODD", `{"x":1}`, false, true, false, false},
		{"untyped, above the bound", "ODD", content(raw), false, false, true, false},
		{"grows when it is made valid", "MESSAGE_CREATE", `{"id":"1","channel_id":"2","content":"` + strings.Repeat("x\xff", raw/2-100) + `"}`, true, false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub(t, events.Config{})
			s := subscribe(t, h, events.Filter{}, nil)
			next(t, s)
			h.Dispatch(gateway.Dispatch{Type: tt.kind, Data: []byte(tt.data), Time: time.Now()})
			e := next(t, s).Events[0]
			data := e.Encode(tt.raw)
			if len(data) > 4<<20-(512<<10) {
				t.Errorf("it takes %d bytes", len(data))
			}
			m := new(pb.Event)
			if err := proto.Unmarshal(data, m); err != nil {
				t.Fatal(err)
			}
			if m.GetRaw() != "" != tt.hasRaw || m.GetRawOmitted() != tt.rawGone || m.GetPayloadOmitted() != tt.payloadGone || m.GetSequence() != 1 || m.GetName() != tt.kind {
				t.Errorf("raw %d bytes, omitted %t; payload omitted %t; number %d", len(m.GetRaw()), m.GetRawOmitted(), m.GetPayloadOmitted(), m.GetSequence())
			}
			if typed := m.GetPayload() != nil; typed != (tt.kind != "ODD" && !tt.payloadGone) {
				t.Errorf("it has a payload: %t", typed)
			}
		})
	}
}

// TestLargeGuilds: a hundred large guilds leave the events before them in the
// buffer, and the newest guilds whole.
func TestLargeGuilds(t *testing.T) {
	h := newHub(t, events.Config{MaxBytes: 4 << 20})
	start := next(t, subscribe(t, h, events.Filter{}, nil)).Position
	for range 1000 {
		message(h, 1, 2, "hi")
	}
	for i := range 100 {
		h.Dispatch(gateway.Dispatch{Type: []string{"GUILD_CREATE", "ODD"}[i%2], Time: time.Now(), Data: fmt.Appendf(nil, `{"id":"%d","name":"g","description":%q,"members":[%q]}`, i+1, strings.Repeat("y", 70<<10), strings.Repeat("x", 100<<10))})
	}
	if stats := h.Stats(); stats.First != 1 || stats.Bytes > 2<<20 {
		t.Errorf("kept from %d, %d bytes", stats.First, stats.Bytes)
	}
	s := subscribe(t, h, events.Filter{}, &start)
	for got := uint64(0); got < 1100; {
		for _, e := range next(t, s).Events {
			got++
			m := new(pb.Event)
			if err := proto.Unmarshal(e.Encode(true), m); err != nil {
				t.Fatal(err)
			}
			if m.GetSequence() != got {
				t.Fatalf("after %d came %d", got-1, m.GetSequence())
			}
			if got <= 1000 {
				continue
			}
			whole, guild := m.GetRaw() != "", m.GetType() == pb.Event_GUILD_CREATE
			if whole == m.GetRawOmitted() || guild && (m.GetPayload() == nil) != m.GetPayloadOmitted() || !guild && m.GetPayloadOmitted() || m.GetTime() == nil {
				t.Fatalf("event %d: raw %t, omitted %t, payload omitted %t", got, whole, m.GetRawOmitted(), m.GetPayloadOmitted())
			}
			if guild && m.GetGuildId() != got-1000 {
				t.Fatalf("event %d is of the guild %d", got, m.GetGuildId())
			}
			if got > 1098 && !whole {
				t.Errorf("event %d is not whole", got)
			}
			if got == 1001 && (whole || !m.GetPayloadOmitted()) {
				t.Errorf("the first guild is kept: raw %t, payload omitted %t", whole, m.GetPayloadOmitted())
			}
		}
	}
}

func TestFilter(t *testing.T) {
	h := newHub(t, events.Config{})
	publish := func() {
		message(h, 1, 10, "1")
		message(h, 2, 20, "2")
		message(h, 0, 30, "3")
		h.Dispatch(gateway.Dispatch{Type: "GUILD_ROLE_DELETE", Data: []byte(`{"guild_id":"1","role_id":"5"}`)})
		h.Dispatch(gateway.Dispatch{Type: "PRESENCE_UPDATE", Data: []byte(`{"guild_id":"1","user":{"id":"5"}}`)})
		h.Dispatch(gateway.Dispatch{Type: "AUTO_MODERATION_RULE_CREATE", Data: []byte(`{"guild_id":"1"}`)})
		h.Dispatch(gateway.Dispatch{Type: "THREAD_DELETE", Data: []byte(`{"id":"10","guild_id":"1","parent_id":"4"}`)})
		h.Changed(gateway.Status{State: gateway.Disconnected})
	}
	for _, tt := range []struct {
		name   string
		filter events.Filter
		want   []uint64
	}{
		{"all", events.Filter{}, []uint64{1, 2, 3, 4, 6, 7, 8}},
		{"type", events.NewFilter([]pb.Event_Type{pb.Event_MESSAGE_CREATE}, nil, nil), []uint64{1, 2, 3, 8}},
		{"asked for", events.NewFilter([]pb.Event_Type{pb.Event_PRESENCE_UPDATE}, nil, nil), []uint64{5, 8}},
		{"untyped", events.NewFilter([]pb.Event_Type{pb.Event_UNTYPED}, nil, nil), []uint64{6, 8}},
		{"only the connection", events.NewFilter([]pb.Event_Type{pb.Event_GATEWAY_STATE}, nil, nil), []uint64{8}},
		{"guild", events.NewFilter(nil, []uint64{1}, nil), []uint64{1, 4, 6, 7, 8}},
		{"channels", events.NewFilter(nil, nil, []uint64{10, 30}), []uint64{1, 3, 7, 8}},
		{"both", events.NewFilter(nil, []uint64{2}, []uint64{10, 20}), []uint64{2, 8}},
	} {
		h = newHub(t, events.Config{})
		s := subscribe(t, h, tt.filter, nil)
		publish()
		b := next(t, s)
		if got := numbers(t, b); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		if b.Position.Sequence != 8 {
			t.Errorf("%s: the position is %d", tt.name, b.Position.Sequence)
		}
	}
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, events.Config{})
		s := subscribe(t, h, events.NewFilter(nil, []uint64{7}, nil), nil)
		next(t, s)
		began := time.Now()
		// Events that do not match are no sign of life, but move the position.
		for range 10 {
			message(h, 1, 2, "hi")
		}
		b := next(t, s)
		if took := time.Since(began); took != events.Heartbeat || len(b.Events) > 0 || b.Position.Sequence != 10 {
			t.Errorf("after %s: %+v", took, b)
		}
	})
}

// TestPace: a single event arrives immediately, many arrive together.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, events.Config{})
		s := subscribe(t, h, events.Filter{}, nil)
		next(t, s)
		var publishing sync.WaitGroup
		first := time.Now().Add(time.Second)
		publishing.Go(func() {
			time.Sleep(time.Second)
			for range 1000 {
				message(h, 1, 2, "hi")
				// Never at the moment when a batch goes: which is first then
				// would be chance.
				time.Sleep(time.Millisecond + time.Microsecond)
			}
		})
		batches, got := 0, uint64(0)
		for ; got < 1000; batches++ {
			b := next(t, s)
			if late := time.Since(first); batches == 0 && late > 0 {
				t.Errorf("the first event came after %s", late)
			}
			for _, n := range numbers(t, b) {
				if got++; n != got {
					t.Fatalf("event %d came as the %dth", n, got)
				}
			}
		}
		publishing.Wait()
		if batches < 20 || batches > 60 {
			t.Errorf("1000 events in a second came in %d batches", batches)
		}
	})
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, events.Config{MaxSubscribers: 2})
		s, waits := subscribe(t, h, events.Filter{}, nil), subscribe(t, h, events.Filter{}, nil)
		if _, err := h.Subscribe(events.Filter{}, nil); !errors.Is(err, events.ErrFull) {
			t.Errorf("a third subscriber: %v", err)
		}
		next(t, waits)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			next(t, waits)
			if _, err := waits.Next(t.Context()); !errors.Is(err, rpc.ErrShuttingDown) {
				t.Errorf("who waits ends with %v", err)
			}
		})
		synctest.Wait()
		message(h, 1, 2, "hi")
		h.Changed(gateway.Status{State: gateway.Off})
		message(h, 1, 2, "too late")
		waiting.Wait()
		wantNumbers(t, next(t, s), 1)
		if _, err := s.Next(t.Context()); !errors.Is(err, rpc.ErrShuttingDown) {
			t.Errorf("ends with %v", err)
		}
		if _, err := h.Subscribe(events.Filter{}, nil); !errors.Is(err, rpc.ErrShuttingDown) {
			t.Errorf("who comes later gets %v", err)
		}
		ended := newHub(t, events.Config{})
		s = subscribe(t, ended, events.Filter{}, nil)
		ended.Changed(gateway.Status{State: gateway.Ended, Reason: "no"})
		if got := decode(t, next(t, s).Events[0]).GetGatewayState(); got.GetState() != pb.Event_GatewayState_ENDED || got.GetReason() != "no" {
			t.Errorf("the last event is %v", got)
		}
		if _, err := s.Next(t.Context()); err == nil || err.Error() != "no" {
			t.Errorf("ends with %v", err)
		}
	})
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := subscribe(t, newHub(t, events.Config{}), events.Filter{}, nil)
		next(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("ends with %v", err)
		}
	})
}

// TestBooks: whatever subscribers do, each event is received once or reported as missed.
func TestBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, events.Config{MaxEvents: 50})
		const total = 5000
		var all sync.WaitGroup
		for range 20 {
			sleepy := time.Duration(rand.N(200)) * time.Millisecond
			all.Go(func() {
				position := &events.Position{}
				received, gone := uint64(0), uint64(0)
				for received+gone < total {
					s, err := h.Subscribe(events.Filter{}, position)
					if err != nil {
						t.Error(err)
						return
					}
					for range 1 + rand.N(20) {
						b, err := s.Next(t.Context())
						if err != nil {
							if _, ok := errors.AsType[*events.BehindError](err); !ok {
								t.Error(err)
							}
							break
						}
						for _, gap := range b.Gaps {
							if gap.Last > 0 {
								gone += gap.Last - gap.First + 1
							}
						}
						received += uint64(len(b.Events))
						position = &b.Position
						time.Sleep(rand.N(sleepy + 1))
						if received+gone >= total {
							break
						}
					}
					s.Close()
				}
				if received+gone != total {
					t.Errorf("received %d, gone %d", received, gone)
				}
			})
		}
		for i := range total {
			message(h, 1, 2, "hi")
			if i%100 == 0 {
				time.Sleep(rand.N(100 * time.Millisecond))
			} else {
				time.Sleep(time.Millisecond)
			}
		}
		all.Wait()
		if n := h.Stats().Subscribers; n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	})
}
