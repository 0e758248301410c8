package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	pb "discordproxy/gen/discord_api"
)

// witness is a subscriber to the events of a bot, of one server after the other.
type witness struct {
	bot     int // its number
	mu      sync.Mutex
	seen    map[uint64]bool
	first   uint64      // messages with larger IDs count
	excused [][2]uint64 // between these messages some may be missing, as reported to it
	gaps    int
	open    bool // what is missing before the next message is excused
	last    uint64
	story   []moment
}

// moment is when something happened to a subscriber.
type moment struct {
	at   time.Time
	what string
}

func (w *witness) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, moment{time.Now(), fmt.Sprintf(format, args...)})
}

// around returns what happened to the subscriber in the seconds around a time.
func (w *witness) around(at time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text strings.Builder
	for _, m := range w.story {
		if d := m.at.Sub(at); d.Abs() < 10*time.Second {
			fmt.Fprintf(&text, "    %+8.3f s  %s\n", d.Seconds(), m.what)
		}
	}
	return text.String()
}

// watch reads events, each stream from where the one before has ended, until ctx ends.
func (w *witness) watch(ctx context.Context, f *fleet, subscribed func()) {
	var position *pb.EventPosition
	for ctx.Err() == nil {
		server := f.replicas[rand.IntN(len(f.replicas))] //nolint:gosec // it need not be secret
		w.note("subscribes at server %d after %v", server.number, position)
		stream, err := server.api[w.bot].SubscribeEvents(ctx, &pb.SubscribeEventsRequest{After: position})
		if err == nil {
			for stream.Receive() {
				for _, e := range stream.Msg().GetEvents() {
					w.event(e)
				}
				position = stream.Msg().GetPosition()
				subscribed()
			}
			w.note("the stream ends after %v: %v", position, stream.Err())
			_ = stream.Close()
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

func (w *witness) event(e *pb.Event) {
	if e.GetType() != pb.Event_MESSAGE_CREATE {
		w.note("%.200v", e)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.GetGap() != nil:
		w.gaps++
		w.open = true
	case e.GetGatewayState().GetState() == pb.Event_GatewayState_CONNECTED: // in a session that is not the last one
		w.open = true
	case e.GetType() == pb.Event_MESSAGE_CREATE:
		id := e.GetMessage().GetId()
		if w.first == 0 {
			w.first, w.last = id, id
		}
		if w.open {
			w.excused = append(w.excused, [2]uint64{w.last, id})
			w.open = false
		}
		w.last = max(w.last, id)
		w.seen[id] = true
	}
}

func (w *witness) has(id uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[id]
}

// missed returns the messages that were neither seen nor said to be missing.
func (w *witness) missed(ids []uint64) (missed []uint64) {
	for _, id := range ids {
		excused := slices.ContainsFunc(w.excused, func(e [2]uint64) bool { return e[0] < id && id < e[1] })
		if id > w.first && !w.seen[id] && !excused {
			missed = append(missed, id)
		}
	}
	return missed
}
