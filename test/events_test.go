package test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
)

// TestEvents: events from Discord arrive typed over every protocol.
func TestEvents(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb, "--intents", "default,MESSAGE_CONTENT")
	w := sb.World()
	followers := make(map[string]*proxytest.Subscriber)
	for protocol, client := range p.Clients() {
		followers[protocol] = proxytest.Follow(t, client, &pb.SubscribeEventsRequest{})
	}
	client := p.Clients()["gRPC"]
	sent, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "one"})
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Post(t, sb, w.Random, "two")
	if _, err := client.DeleteChannelMessage(t.Context(), &pb.DeleteChannelMessageRequest{ChannelId: uint64(w.General), MessageId: sent.GetMessage().GetId()}); err != nil {
		t.Fatal(err)
	}
	channel, err := sb.AddChannel(sandbox.Channel{GuildID: w.Guild, Name: "new"})
	if err != nil {
		t.Fatal(err)
	}
	role, err := sb.AddRole(w.Guild, sandbox.Role{Name: "fresh"})
	if err != nil {
		t.Fatal(err)
	}
	for protocol, s := range followers {
		t.Run(protocol, func(t *testing.T) {
			s.T = t
			first := s.Until(pb.Event_MESSAGE_CREATE)
			if m := first.GetMessage(); m.GetContent() != "one" || m.GetId() != sent.GetMessage().GetId() || first.GetGuildId() != uint64(w.Guild) || first.GetName() != "MESSAGE_CREATE" || first.GetRaw() != "" {
				t.Errorf("got %v", first)
			}
			second := s.Until(pb.Event_MESSAGE_CREATE)
			if m := second.GetMessage(); m.GetContent() != "two" || m.GetAuthor().GetId() != uint64(w.Alice) || second.GetSequence() != first.GetSequence()+1 {
				t.Errorf("got %v", second)
			}
			if e := s.Until(pb.Event_MESSAGE_DELETE); e.GetMessageDelete().GetId() != sent.GetMessage().GetId() {
				t.Errorf("got %v", e)
			}
			if e := s.Until(pb.Event_CHANNEL_CREATE); e.GetChannel().GetName() != "new" || e.GetChannelId() != uint64(channel) {
				t.Errorf("got %v", e)
			}
			if e := s.Until(pb.Event_GUILD_ROLE_CREATE); e.GetRole().GetRole().GetId() != uint64(role) || e.GetChannelId() != 0 {
				t.Errorf("got %v", e)
			}
			s.Stop()
		})
	}
	raw := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}, ChannelIds: []uint64{uint64(w.Random)}, IncludeRaw: true})
	proxytest.Post(t, sb, w.General, "elsewhere")
	proxytest.Post(t, sb, w.Random, "here")
	if e := raw.Next(); e.GetMessage().GetContent() != "here" || !strings.Contains(e.GetRaw(), `"content":"here"`) {
		t.Errorf("got %v", e)
	}
}

// TestResumeAfterALostStream: no event is missed, or the missed ones are reported.
func TestResumeAfterALostStream(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb, "--event-buffer", "20")
	client := p.Clients()["gRPC"]
	w := sb.World()
	onlyMessages := func(after *pb.EventPosition) *pb.SubscribeEventsRequest {
		return &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}, After: after}
	}
	s := proxytest.Follow(t, client, onlyMessages(nil))
	proxytest.Post(t, sb, w.General, "one")
	first := s.Next()
	position := s.Stop()
	if position.GetSequence() < first.GetSequence() || position.GetEpoch() == "" {
		t.Errorf("after %d the position is %v", first.GetSequence(), position)
	}
	proxytest.Post(t, sb, w.General, "two")
	proxytest.Post(t, sb, w.General, "three")
	s = proxytest.Follow(t, client, onlyMessages(position)) // whether they have arrived or not
	for i := range uint64(2) {
		if e := s.Next(); e.GetSequence() != position.GetSequence()+1+i {
			t.Errorf("event %d is %v", i, e)
		}
	}
	s.Stop()
	s = proxytest.Follow(t, client, onlyMessages(nil))
	last := uint64(0)
	for range 30 {
		proxytest.Post(t, sb, w.General, "more")
		last = s.Next().GetSequence()
	}
	s.Stop()
	s = proxytest.Follow(t, client, onlyMessages(position))
	gap := s.Next().GetGap()
	if gap.GetFirst() != position.GetSequence()+1 || gap.GetLast() != last-20 || gap.GetEpoch() != position.GetEpoch() {
		t.Errorf("the gap is %v, the last is %d", gap, last)
	}
	if e := s.Next(); e.GetSequence() != gap.GetLast()+1 {
		t.Errorf("after the gap comes %d", e.GetSequence())
	}
	s.Stop()
	// Another run of the proxy does not know the numbers.
	other := proxytest.Online(t, sb)
	s = proxytest.Follow(t, other.Clients()["Connect"], onlyMessages(position))
	if gap := s.Next().GetGap(); gap.GetFirst() != position.GetSequence()+1 || gap.GetLast() != 0 || gap.GetEpoch() != position.GetEpoch() {
		t.Errorf("the gap is %v", gap)
	}
}

func TestRefusedSubscriptions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Online(t, sb, "--intents", "GUILDS")
	with := func(types ...pb.Event_Type) *pb.SubscribeEventsRequest {
		return &pb.SubscribeEventsRequest{Types: types}
	}
	for _, tt := range []struct {
		name string
		req  *pb.SubscribeEventsRequest
		code connect.Code
		text string
	}{
		{"an intent", with(pb.Event_MESSAGE_CREATE), connect.CodeFailedPrecondition, "MESSAGE_CREATE needs the intent GUILD_MESSAGES or DIRECT_MESSAGES: add it to the server's --intents"},
		{"a privileged one", with(pb.Event_CHANNEL_CREATE, pb.Event_GUILD_MEMBER_ADD), connect.CodeFailedPrecondition, `Server Members Intent`},
		{"no type", with(pb.Event_UNDEFINED), connect.CodeInvalidArgument, "types.0: 0 is not an event type"},
		{"an unknown type", with(pb.Event_CHANNEL_CREATE, 5000), connect.CodeInvalidArgument, "types.1: 5000 is not an event type"},
		{"no guild", &pb.SubscribeEventsRequest{GuildIds: []uint64{0}}, connect.CodeInvalidArgument, "guild_ids.0: 0 is not an ID"},
		{"many channels", &pb.SubscribeEventsRequest{ChannelIds: make([]uint64, 1001)}, connect.CodeInvalidArgument, "channel_ids: 1001 IDs, at most 1000 allowed"},
	} {
		for protocol, client := range p.Clients() {
			if err := proxytest.Follow(t, client, tt.req).End(); err.Code() != tt.code || !strings.Contains(err.Message(), tt.text) {
				t.Errorf("%s over %s: %v", tt.name, protocol, err)
			}
		}
	}
	sent := len(sb.GatewaySessions())
	off := proxytest.Against(t, sb)
	if err := proxytest.Follow(t, off.Clients()["gRPC"], with()).End(); err.Code() != connect.CodeFailedPrecondition || !strings.Contains(err.Message(), "--no-gateway") {
		t.Errorf("without the gateway: %v", err)
	}
	if n := len(sb.GatewaySessions()); n != sent {
		t.Errorf("%d sessions without the gateway", n-sent)
	}
}

// TestGuildInOutage: what the gateway says of an outage empties no answer, neither
// of a guild that was known nor of one that was not.
func TestGuildInOutage(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb)
	w := sb.World()
	client := p.Clients()["gRPC"]
	s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_GUILD_CREATE}})
	for _, data := range []string{`{"id":"%d","unavailable":true}`, `{"id":"%d"}`, `{"id":"%d","roles":null,"channels":null}`} {
		if err := sb.DispatchGateway("GUILD_CREATE", fmt.Appendf(nil, data, w.Guild), 0); err != nil {
			t.Fatal(err)
		}
		s.Until(pb.Event_GUILD_CREATE)
		for _, age := range []time.Duration{0, time.Hour} {
			cached := durationpb.New(age)
			guild, err := client.GetGuild(t.Context(), &pb.GetGuildRequest{GuildId: uint64(w.Guild), AllowCached: cached})
			if err != nil || guild.GetGuild().GetName() == "" {
				t.Errorf("%s, %s: the guild is %v, %v", data, age, guild, err)
			}
			roles, err := client.ListGuildRoles(t.Context(), &pb.ListGuildRolesRequest{GuildId: uint64(w.Guild), AllowCached: cached})
			if err != nil || len(roles.GetRoles()) == 0 {
				t.Errorf("%s, %s: the roles are %v, %v", data, age, roles, err)
			}
			channels, err := client.GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: uint64(w.Guild), AllowCached: cached})
			if err != nil || len(channels.GetChannels()) == 0 {
				t.Errorf("%s, %s: the channels are %v, %v", data, age, channels, err)
			}
		}
	}
}

// TestRefusedAddress: the token does not go to a gateway elsewhere, and /readyz
// and a subscriber say so.
func TestRefusedAddress(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{URL: "ws://elsewhere.test/gateway"}); err != nil {
		t.Fatal(err)
	}
	p := proxytest.Against(t, sb, "--no-gateway=false")
	const want = `the token was not sent to the gateway address "ws://elsewhere.test/gateway", which Discord's answer names: its host is not that of the API, 127.0.0.1`
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, page := get(t, http.DefaultClient, "http://"+p.Address+"/readyz")
		if strings.Contains(string(page), want) {
			break
		}
		if time.Since(began) > proxytest.Patience {
			t.Fatalf("/readyz says %s", page)
		}
	}
	s := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{})
	if state := s.State(pb.Event_GatewayState_DISCONNECTED); state.GetReason() != want {
		t.Errorf("a subscriber gets the reason %q", state.GetReason())
	}
	if n := sb.GatewayCounts().Identifies; n > 0 {
		t.Errorf("%d IDENTIFYs", n)
	}
}

// TestLargeEventArrives: an event larger than a client of gRPC takes reaches it
// without what is too large, and the stream continues.
func TestLargeEventArrives(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb, "--intents", "default,MESSAGE_CONTENT")
	for protocol, client := range p.Clients() {
		s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{IncludeRaw: true})
		if err := sb.DispatchGateway("GUILD_CREATE", []byte(`{"id":"9","name":"large"}`), 8<<20); err != nil {
			t.Fatal(err)
		}
		if e := s.Until(pb.Event_GUILD_CREATE); e.GetGuild().GetName() != "large" || e.GetRaw() != "" || !e.GetRawOmitted() || e.GetPayloadOmitted() || proto.Size(e) > 4<<20 {
			t.Errorf("%s: %d bytes, raw omitted: %t", protocol, proto.Size(e), e.GetRawOmitted())
		}
		proxytest.Post(t, sb, sb.World().General, "after it")
		if e := s.Until(pb.Event_MESSAGE_CREATE); e.GetMessage().GetContent() != "after it" || e.GetRaw() == "" || e.GetRawOmitted() {
			t.Errorf("%s: then %v", protocol, e)
		}
		s.Stop()
	}
}

// TestUnknownPositions: a position of another run, or larger than every
// number, is answered with a gap, then with all that is kept.
func TestUnknownPositions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb)
	for protocol, client := range p.Clients() {
		s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{})
		epoch := s.Stop().GetEpoch()
		for _, after := range []*pb.EventPosition{{Epoch: epoch, Sequence: 1<<64 - 1}, {Epoch: epoch, Sequence: 1 << 40}, {Epoch: "before", Sequence: 1<<64 - 1}, {Epoch: "before", Sequence: 3}, {Sequence: 1}} {
			s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{After: after})
			gap := s.Next().GetGap()
			if gap == nil || gap.GetFirst() < after.GetSequence() || gap.GetLast() != 0 || gap.GetEpoch() == epoch {
				t.Errorf("%s, after %v: the gap is %v", protocol, after, gap)
			}
			if e := s.Next(); e.GetSequence() != 1 {
				t.Errorf("%s, after %v: then %v", protocol, after, e)
			}
			s.Stop()
		}
	}
}

// TestPresence: the bot shows the presence of the flags, and is offline after the server
// has stopped.
func TestPresence(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Online(t, sb, "--status", "dnd", "--activity", "selling things", "--intents", "GUILDS,GUILD_MEMBERS")
	session := sb.GatewaySessions()[0]
	if session.Presence.Status != "dnd" || fmt.Sprint(session.Intents) != fmt.Sprint(sandbox.Intents(3)) {
		t.Errorf("the session is %+v", session)
	}
	if text := fmt.Sprintf("%+v", session.Presence); !strings.Contains(text, "selling things") {
		t.Errorf("the presence is %s", text)
	}
	s := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{})
	began := time.Now()
	if code := p.Stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	if err := s.End(); err.Code() != connect.CodeUnavailable {
		t.Errorf("the stream ended with %v", err)
	}
	// The next run resumes the session.
	if n := len(sb.GatewaySessions()); n != 1 {
		t.Errorf("%d sessions can be resumed, not 1", n)
	}
}

// TestPresenceWithoutData: a session that no run can resume ends with the server.
func TestPresenceWithoutData(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Online(t, sb, "--no-data")
	if code := p.Stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	// Discord may read the close frame after the server has ended.
	for began := time.Now(); len(sb.GatewaySessions()) != 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > proxytest.Patience {
			t.Fatalf("%d sessions are left: the connection was not closed cleanly", len(sb.GatewaySessions()))
		}
	}
}

// TestGatewayFaults: after every fault, events arrive again, including those that were missed.
func TestGatewayFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// disturb does it to a proxy that is online.
		disturb func(*sandbox.Sandbox) error
		state   pb.Event_GatewayState_State // that follows
	}{
		{"drop", func(sb *sandbox.Sandbox) error { return sb.DropGateway(0) }, pb.Event_GatewayState_RESUMED},
		{"RECONNECT", func(sb *sandbox.Sandbox) error { return sb.SendGateway(0, 7) }, pb.Event_GatewayState_RESUMED},
		{"closed with 4000", func(sb *sandbox.Sandbox) error { return sb.CloseGateway(0, 4000, "") }, pb.Event_GatewayState_RESUMED},
		{"closed with 4009", func(sb *sandbox.Sandbox) error { return sb.CloseGateway(0, 4009, "") }, pb.Event_GatewayState_CONNECTED},
		{"invalid session", func(sb *sandbox.Sandbox) error { return sb.InvalidateSessions(0, false) }, pb.Event_GatewayState_CONNECTED},
		{"invalid but resumable session", func(sb *sandbox.Sandbox) error { return sb.InvalidateSessions(0, true) }, pb.Event_GatewayState_RESUMED},
		{"drop, then RECONNECT first", func(sb *sandbox.Sandbox) error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, First: []int{7}}), sb.DropGateway(0))
		}, pb.Event_GatewayState_RESUMED},
		{"drop, then ACK first", func(sb *sandbox.Sandbox) error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, First: []int{11}}), sb.DropGateway(0))
		}, pb.Event_GatewayState_RESUMED},
		{"invalid session, then ACK and RECONNECT before READY", func(sb *sandbox.Sandbox) error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, BeforeReady: []int{11, 7}}), sb.InvalidateSessions(0, false))
		}, pb.Event_GatewayState_CONNECTED},
		{"drops while it reconnects", func(sb *sandbox.Sandbox) error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 2, Refuse: sandbox.RefuseReset}), sb.DropGateway(0))
		}, pb.Event_GatewayState_RESUMED},
		{"503 while it reconnects", func(sb *sandbox.Sandbox) error {
			return errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Count: 1, Refuse: sandbox.RefuseStatus}), sb.DropGateway(0))
		}, pb.Event_GatewayState_RESUMED},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			p := proxytest.Online(t, sb)
			w := sb.World()
			s := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{})
			proxytest.Post(t, sb, w.General, "before")
			s.Until(pb.Event_MESSAGE_CREATE)
			if err := tt.disturb(sb); err != nil {
				t.Fatal(err)
			}
			lost := s.State(pb.Event_GatewayState_DISCONNECTED)
			if lost.GetReason() == "" || lost.GetResumable() != (tt.state == pb.Event_GatewayState_RESUMED) {
				t.Errorf("lost with %v", lost)
			}
			if tt.state == pb.Event_GatewayState_RESUMED {
				// What happened meanwhile arrives before the event that reports the resumption.
				proxytest.Post(t, sb, w.General, "meanwhile")
				s.Until(pb.Event_MESSAGE_CREATE)
			}
			s.State(tt.state)
			proxytest.Post(t, sb, w.General, "after")
			s.Until(pb.Event_MESSAGE_CREATE)
		})
	}
}

// TestZombie: a connection on which no heartbeat is acknowledged is given up.
func TestZombie(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{})
	limits := sb.GatewayLimits()
	limits.HeartbeatInterval, limits.Sends = 200*time.Millisecond, 0
	sb.SetGatewayLimits(limits)
	p := proxytest.Online(t, sb)
	s := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{})
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{NoAcks: true}); err != nil {
		t.Fatal(err)
	}
	if lost := s.State(pb.Event_GatewayState_DISCONNECTED); !strings.Contains(lost.GetReason(), "heartbeat") {
		t.Errorf("lost with %v", lost)
	}
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
		t.Fatal(err)
	}
	s.State(pb.Event_GatewayState_RESUMED)
}

// TestFatalClose: Discord closes the session permanently. Subscribers get the reason, and
// calls continue.
func TestFatalClose(t *testing.T) {
	t.Parallel()
	for code, reason := range map[int]string{
		4004: "token", 4010: "shard", 4011: "more guilds", 4012: "version", 4013: "GUILD_MEMBERS", 4014: "Server Members Intent",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{})
			p := proxytest.Online(t, sb, "--intents", "default,GUILD_MEMBERS", "--log-console-level", "ERROR")
			client := p.Clients()["gRPC"]
			s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{})
			if err := sb.CloseGateway(0, code, "go away"); err != nil {
				t.Fatal(err)
			}
			if state := s.State(pb.Event_GatewayState_ENDED); !strings.Contains(state.GetReason(), reason) {
				t.Errorf("the state is %v", state)
			}
			for range 2 {
				if err := s.End(); err.Code() != connect.CodeFailedPrecondition || !strings.Contains(err.Message(), reason) {
					t.Errorf("the stream ended with %v", err)
				}
				s = proxytest.Follow(t, client, &pb.SubscribeEventsRequest{})
			}
			if _, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "still here"}); err != nil {
				t.Error(err)
			}
			if n := strings.Count(p.Output(), "closed the gateway session permanently"); n != 1 {
				t.Errorf("%d lines in the log: %s", n, p.Output())
			}
			// It is ready all the same, and says why no events arrive.
			if status, text := get(t, http.DefaultClient, "http://"+p.Address+"/readyz"); status != http.StatusOK || !strings.HasPrefix(string(text), "ready\nwarning: no events arrive: ") || !strings.Contains(string(text), reason) {
				t.Errorf("ready is %d %q", status, text)
			}
			if g := watch(t, p).Msg().GetProxy().GetGateway(); g.GetState() != "ended" || !strings.Contains(g.GetReason(), reason) || g.GetSince() == nil {
				t.Errorf("the status is %v", g)
			}
			if _, text := get(t, http.DefaultClient, "http://"+p.Address+"/metrics"); !strings.Contains(string(text), "\ndiscordproxy_gateway_state{state=\"ended\"} 1\n") {
				t.Error("the metrics do not tell the end")
			}
		})
	}
}

// TestOutage: a lost connection is reported once, also to those who subscribe meanwhile.
func TestOutage(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb)
	before := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{})
	if err := errors.Join(sb.SetGatewayFaults(sandbox.GatewayFaults{Refuse: sandbox.RefuseReset}), sb.DropGateway(0)); err != nil {
		t.Fatal(err)
	}
	lost := before.State(pb.Event_GatewayState_DISCONNECTED)
	meanwhile := make(map[string]*proxytest.Subscriber)
	for protocol, client := range p.Clients() {
		s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_TYPING_START}})
		if e := s.Next(); e.GetSequence() != 0 || !proto.Equal(e.GetGatewayState(), lost) {
			t.Errorf("over %s the first event is %v", protocol, e)
		}
		meanwhile[protocol] = s
	}
	if err := sb.SetGatewayFaults(sandbox.GatewayFaults{}); err != nil {
		t.Fatal(err)
	}
	for protocol, s := range meanwhile {
		if e := s.Next(); e.GetSequence() == 0 || e.GetGatewayState().GetState() != pb.Event_GatewayState_RESUMED {
			t.Errorf("over %s the next event is %v", protocol, e)
		}
	}
	if e := before.Until(pb.Event_GATEWAY_STATE); e.GetGatewayState().GetState() != pb.Event_GatewayState_RESUMED {
		t.Errorf("the loss is followed by %v", e)
	}
}

// TestSlowSubscriber: a subscriber that does not read delays nobody, and learns what it
// missed when it reads on.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Online(t, sb, "--event-buffer", "50", "--intents", "default,MESSAGE_CONTENT")
	client := p.Clients()["gRPC"]
	slow, err := client.SubscribeEvents(t.Context(), &pb.SubscribeEventsRequest{IncludeRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if !slow.Receive() {
		t.Fatal(slow.Err())
	}
	quick := proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}})
	received, last := uint64(0), slow.Msg().GetPosition().GetSequence()
	text := strings.Repeat("x", 60_000) // streams are not compressed
	for range 150 {                     // more than the network buffers
		proxytest.Post(t, sb, sb.World().General, text)
		quick.Next()
	}
	first := last
	for slow.Receive() {
		for _, e := range slow.Msg().GetEvents() {
			if e.GetSequence() > 0 {
				received++
			}
		}
		last = slow.Msg().GetPosition().GetSequence()
	}
	status, ok := errors.AsType[*connect.Error](slow.Err())
	if !ok || status.Code() != connect.CodeResourceExhausted || len(status.Details()) != 1 {
		t.Fatalf("after %d events it ended with %v", received, slow.Err())
	}
	detail, err := status.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	position := detail.(*pb.EventPosition)
	if position.GetSequence() != last || received != last-first {
		t.Errorf("received %d, from %d to %d, and its position is %v", received, first, last, position)
	}
	s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{After: position})
	if gap := s.Next().GetGap(); gap.GetFirst() != last+1 || gap.GetLast() <= gap.GetFirst() {
		t.Errorf("then the gap is %v", gap)
	}
}

// TestAllowCached: what the gateway has sent costs no call, and is what Discord
// would answer.
func TestAllowCached(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Online(t, sb).Clients()["gRPC"]
	guild := uint64(sb.World().Guild)
	s := proxytest.Follow(t, client, &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_CHANNEL_CREATE}, After: &pb.EventPosition{}})
	if _, err := sb.AddChannel(sandbox.Channel{GuildID: sb.World().Guild, Name: "new"}); err != nil {
		t.Fatal(err)
	}
	s.Until(pb.Event_CHANNEL_CREATE)
	for _, ask := range []func(age *durationpb.Duration) (proto.Message, error){
		func(age *durationpb.Duration) (proto.Message, error) {
			return client.GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: guild, AllowCached: age})
		},
		func(age *durationpb.Duration) (proto.Message, error) {
			return client.ListGuildRoles(t.Context(), &pb.ListGuildRolesRequest{GuildId: guild, AllowCached: age})
		},
		func(age *durationpb.Duration) (proto.Message, error) {
			return client.GetGuild(t.Context(), &pb.GetGuildRequest{GuildId: guild, AllowCached: age})
		},
	} {
		sb.ResetStats()
		cached, err := ask(durationpb.New(0))
		if err != nil {
			t.Fatal(err)
		}
		if n := sb.Stats().Calls; n != 0 {
			t.Errorf("%T cost %d calls", cached, n)
		}
		fresh, err := ask(nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := sb.Stats().Calls; n != 1 {
			t.Errorf("%T cost %d calls when Discord was to be asked", cached, n)
		}
		if diff := cmp.Diff(fresh, cached, protocmp.Transform()); diff != "" {
			t.Errorf("%T differs: %s", cached, diff)
		}
		if _, err := ask(durationpb.New(-1)); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%T of a negative age: %v", cached, err)
		}
	}
	res, err := client.GetGuild(t.Context(), &pb.GetGuildRequest{GuildId: guild, WithCounts: true, AllowCached: durationpb.New(time.Hour)})
	if err != nil || res.GetGuild().GetApproximateMemberCount() == 0 {
		t.Errorf("with counts: %v, %v", res, err)
	}
}
