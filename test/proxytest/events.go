package proxytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// Patience is how long a test waits for a condition. It is long because it only
// bounds how long a failure takes.
const Patience = time.Minute

// Subscriber collects the events of one stream.
type Subscriber struct {
	T      testing.TB // the test that fails
	leave  context.CancelFunc
	Events chan *pb.Event // without heartbeats
	ended  chan struct{}

	mu       sync.Mutex
	position *pb.EventPosition
	err      error // valid when ended is closed
}

// Follow subscribes, and returns when the subscription has begun.
func Follow(t testing.TB, client discordapiconnect.DiscordApiClient, req *pb.SubscribeEventsRequest) *Subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &Subscriber{T: t, leave: cancel, Events: make(chan *pb.Event, 100_000), ended: make(chan struct{})}
	begun := make(chan struct{})
	go func() {
		defer close(s.ended)
		stream, err := client.SubscribeEvents(ctx, req)
		if err != nil {
			s.err = err
			return
		}
		begin := sync.OnceFunc(func() { close(begun) })
		for stream.Receive() {
			if len(stream.Msg().GetEvents()) == 0 {
				t.Error("a response without events")
			}
			s.mu.Lock()
			s.position = stream.Msg().GetPosition()
			s.mu.Unlock()
			for _, e := range stream.Msg().GetEvents() {
				if e.GetType() != pb.Event_HEARTBEAT {
					s.Events <- e
				}
			}
			begin()
		}
		s.err = stream.Err()
		_ = stream.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-s.ended
	})
	select {
	case <-begun:
	case <-s.ended:
	case <-time.After(Patience):
		t.Fatal("the subscription does not begin")
	}
	return s
}

// Next returns the next event.
func (s *Subscriber) Next() *pb.Event {
	s.T.Helper()
	select {
	case e := <-s.Events:
		return e
	case <-s.ended:
		select {
		case e := <-s.Events:
			return e
		default:
			s.T.Fatalf("the stream ended with %v", s.err)
		}
	case <-time.After(Patience):
		s.T.Fatal("no event comes")
	}
	return nil
}

// Until returns the next event of a type, and drops those before it.
func (s *Subscriber) Until(wanted pb.Event_Type) *pb.Event {
	s.T.Helper()
	for {
		if e := s.Next(); e.GetType() == wanted {
			return e
		}
	}
}

// State waits until the connection to the gateway is in a state.
func (s *Subscriber) State(wanted pb.Event_GatewayState_State) *pb.Event_GatewayState {
	s.T.Helper()
	for {
		if state := s.Until(pb.Event_GATEWAY_STATE).GetGatewayState(); state.GetState() == wanted {
			return state
		}
	}
}

// Stop ends the subscription and returns its position.
func (s *Subscriber) Stop() *pb.EventPosition {
	s.leave()
	<-s.ended
	return s.position
}

// End waits for the end of the stream that the server decides on.
func (s *Subscriber) End() *connect.Error {
	s.T.Helper()
	select {
	case <-s.ended:
	case <-time.After(Patience):
		s.T.Fatal("the stream does not end")
	}
	status, ok := errors.AsType[*connect.Error](s.err)
	if !ok {
		s.T.Fatalf("the stream ended with %v", s.err)
	}
	return status
}

// Online starts the server with a gateway session and waits until the sandbox's
// guild has arrived, after which no event comes by itself.
func Online(t testing.TB, sb *sandbox.Sandbox, args ...string) *Proxy {
	t.Helper()
	p := Against(t, sb, append([]string{"--no-gateway=false", "--global-rate-limit", "0"}, args...)...)
	deadline := time.After(Patience)
	for tick := time.Tick(10 * time.Millisecond); !strings.Contains(p.metrics(t), `discordproxy_events_total{type="GUILD_CREATE"} `); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatal("the server does not connect to the gateway")
		}
	}
	return p
}

func (p *Proxy) metrics(t testing.TB) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Post posts a message to a channel as Alice, a user of the sandbox.
func Post(t testing.TB, sb *sandbox.Sandbox, channel sandbox.ID, content string) sandbox.ID {
	t.Helper()
	id, err := sb.AddMessage(sandbox.Message{ChannelID: channel, Content: content, Author: &sandbox.User{ID: sb.World().Alice}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}
