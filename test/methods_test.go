package test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// methodCase is one call of a method of the contract, what it costs and what
// it does. It is run over every protocol.
type methodCase struct {
	method string
	name   string // what is special about the case
	// request arranges the pretend Discord and returns the request.
	request func(*scene) proto.Message
	// cost are the calls to Discord, by method and template.
	cost map[string]int
	// check looks at the answers, one unless the method streams, and at what
	// the pretend Discord holds.
	check func(*scene, []proto.Message)
}

// methodCases are all cases. A method without one fails TestMethodsAreTested.
var methodCases = slices.Concat(sendingCases, messageCases, channelCases, statusCases)

// scene is a proxy before a pretend Discord of its own.
type scene struct {
	*testing.T
	sb     *sandbox.Sandbox
	w      sandbox.World
	client discordapiconnect.DiscordApiClient
}

// message puts a message of the bot into a channel.
func (s *scene) message(channel sandbox.ID, content string) uint64 {
	s.Helper()
	id, err := s.sb.AddMessage(sandbox.Message{ChannelID: channel, Content: content})
	if err != nil {
		s.Fatal(err)
	}
	return uint64(id)
}

// stored returns a message that the pretend Discord holds, nil if it does not.
func (s *scene) stored(channel sandbox.ID, id uint64) *sandbox.Message {
	for _, m := range s.sb.Messages(channel) {
		if uint64(m.ID) == id {
			return &m
		}
	}
	return nil
}

// call calls a method of the generated client by name.
func (s *scene) call(method string, req proto.Message) ([]proto.Message, error) {
	s.Helper()
	do := reflect.ValueOf(s.client).MethodByName(method)
	if !do.IsValid() {
		s.Fatalf("the contract has no method %s", method)
	}
	request := reflect.New(do.Type().In(1).Elem())
	request.Elem().FieldByName("Msg").Set(reflect.ValueOf(req))
	results := do.Call([]reflect.Value{reflect.ValueOf(s.Context()), request})
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	if stream, ok := results[0].Interface().(interface {
		Receive() bool
		Err() error
		Close() error
	}); ok {
		var answers []proto.Message
		for stream.Receive() {
			answers = append(answers, results[0].MethodByName("Msg").Call(nil)[0].Interface().(proto.Message))
		}
		return answers, stream.Err()
	}
	return []proto.Message{results[0].Elem().FieldByName("Msg").Interface().(proto.Message)}, nil
}

// one returns the only answer.
func one[M proto.Message](s *scene, answers []proto.Message) M {
	s.Helper()
	if len(answers) != 1 {
		s.Fatalf("%d answers", len(answers))
	}
	return answers[0].(M)
}

func TestMethods(t *testing.T) {
	for protocol := range (&proxytest.Proxy{}).Clients() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			client := proxytest.Against(t, sb, "--global-rate-limit", "0").Clients()[protocol]
			for _, tt := range methodCases {
				name := tt.method
				if tt.name != "" {
					name += " " + tt.name
				}
				t.Run(name, func(t *testing.T) {
					s := &scene{t, sb, sb.World(), client}
					req := tt.request(s)
					sb.ResetStats()
					answers, err := s.call(tt.method, req)
					if err != nil {
						t.Fatal(err)
					}
					if got := sb.Stats().Routes; !maps.Equal(got, tt.cost) {
						t.Errorf("it cost %v, not %v", got, tt.cost)
					}
					tt.check(s, answers)
				})
			}
		})
	}
}

func TestMethodsAreTested(t *testing.T) {
	tested := make(map[string]bool)
	for _, tt := range methodCases {
		tested[tt.method] = true
	}
	methods := pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi").Methods()
	for i := range methods.Len() {
		if name := string(methods.Get(i).Name()); !tested[name] {
			t.Errorf("%s has no case", name)
		}
	}
}

var sendingCases = []methodCase{
	{
		method: "SendChannelMessage",
		request: func(s *scene) proto.Message {
			return &pb.SendChannelMessageRequest{ChannelId: uint64(s.w.General), Content: "hi"}
		},
		cost: map[string]int{"POST /channels/{channel_id}/messages": 1},
		check: func(s *scene, answers []proto.Message) {
			m := one[*pb.SendChannelMessageResponse](s, answers).GetMessage()
			if got := s.stored(s.w.General, m.GetId()); got == nil || got.Content != "hi" || m.GetContent() != "hi" {
				s.Errorf("answered %v, stored %v", m, got)
			}
		},
	},
	{
		method: "SendDirectMessage",
		request: func(s *scene) proto.Message {
			return &pb.SendDirectMessageRequest{UserId: uint64(s.w.Alice), Content: "hi"}
		},
		cost: map[string]int{"POST /users/@me/channels": 1, "POST /channels/{channel_id}/messages": 1},
		check: func(s *scene, answers []proto.Message) {
			m := one[*pb.SendDirectMessageResponse](s, answers).GetMessage()
			if s.stored(s.sb.DirectMessages(s.w.Alice), m.GetId()) == nil {
				s.Errorf("%v is not stored", m)
			}
		},
	},
}

var messageCases = []methodCase{
	{
		method: "GetChannelMessage",
		request: func(s *scene) proto.Message {
			return &pb.GetChannelMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General, "read me")}
		},
		cost: map[string]int{"GET /channels/{channel_id}/messages/{message_id}": 1},
		check: func(s *scene, answers []proto.Message) {
			if m := one[*pb.GetChannelMessageResponse](s, answers).GetMessage(); m.GetContent() != "read me" || m.GetAuthor().GetId() != uint64(s.w.Bot) {
				s.Errorf("got %v", m)
			}
		},
	},
	{
		method: "DeleteChannelMessage",
		request: func(s *scene) proto.Message {
			return &pb.DeleteChannelMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General, "delete me"), AuditLogReason: "ünwanted, 100 %"}
		},
		cost: map[string]int{"DELETE /channels/{channel_id}/messages/{message_id}": 1},
		check: func(s *scene, answers []proto.Message) {
			one[*pb.DeleteChannelMessageResponse](s, answers)
			if messages := s.sb.Messages(s.w.General); len(messages) > 0 && messages[len(messages)-1].Content == "delete me" {
				s.Error("the message is still there")
			}
		},
	},
	{
		method: "ListChannelMessages", name: "newest first",
		request: func(s *scene) proto.Message {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), Limit: 230}
		},
		cost: map[string]int{"GET /channels/{channel_id}/messages": 3},
		check: func(s *scene, answers []proto.Message) {
			stored := s.sb.Messages(s.w.Random)
			slices.Reverse(stored)
			s.sameMessages(answers, stored[:230])
		},
	},
	{
		method: "ListChannelMessages", name: "from the oldest on",
		request: func(s *scene) proto.Message {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), After: 1, Limit: 1000}
		},
		cost: map[string]int{"GET /channels/{channel_id}/messages": 3},
		check: func(s *scene, answers []proto.Message) {
			s.sameMessages(answers, s.sb.Messages(s.w.Random))
		},
	},
	{
		method: "ListChannelMessages", name: "around one",
		request: func(s *scene) proto.Message {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), Around: uint64(s.sb.Messages(s.w.Random)[100].ID), Limit: 10}
		},
		cost: map[string]int{"GET /channels/{channel_id}/messages": 1},
		check: func(s *scene, answers []proto.Message) {
			stored := s.sb.Messages(s.w.Random)[95:105]
			slices.Reverse(stored)
			s.sameMessages(answers, stored)
		},
	},
	{
		method: "ListChannelMessages", name: "as many as Discord lists",
		request: func(s *scene) proto.Message {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random)}
		},
		cost: map[string]int{"GET /channels/{channel_id}/messages": 1},
		check: func(s *scene, answers []proto.Message) {
			if len(answers) != 50 {
				s.Errorf("%d messages", len(answers))
			}
		},
	},
}

// fill puts messages into a channel until it has that many.
func (s *scene) fill(channel sandbox.ID, messages int) {
	s.Helper()
	for range messages - len(s.sb.Messages(channel)) {
		s.message(channel, "one of many")
	}
}

func (s *scene) sameMessages(answers []proto.Message, stored []sandbox.Message) {
	s.Helper()
	if len(answers) != len(stored) {
		s.Fatalf("%d messages, not %d", len(answers), len(stored))
	}
	for i, answer := range answers {
		if got := answer.(*pb.ListChannelMessagesResponse).GetMessage().GetId(); got != uint64(stored[i].ID) {
			s.Fatalf("message %d is %d, not %d", i, got, stored[i].ID)
		}
	}
}

var channelCases = []methodCase{
	{
		method: "GetChannel",
		request: func(s *scene) proto.Message {
			return &pb.GetChannelRequest{ChannelId: uint64(s.w.General)}
		},
		cost: map[string]int{"GET /channels/{channel_id}": 1},
		check: func(s *scene, answers []proto.Message) {
			if c := one[*pb.GetChannelResponse](s, answers).GetChannel(); c.GetName() != "general" || c.GetType() != pb.Channel_GUILD_TEXT {
				s.Errorf("got %v", c)
			}
		},
	},
	{
		method: "GetGuildChannels",
		request: func(s *scene) proto.Message {
			return &pb.GetGuildChannelsRequest{GuildId: uint64(s.w.Guild)}
		},
		cost: map[string]int{"GET /guilds/{guild_id}/channels": 1},
		check: func(s *scene, answers []proto.Message) {
			if got := one[*pb.GetGuildChannelsResponse](s, answers).GetChannels(); len(got) != 9 {
				s.Errorf("%d channels", len(got))
			}
		},
	},
}

var statusCases = []methodCase{
	{
		method:  "GetRateLimitStatus",
		request: func(*scene) proto.Message { return &pb.GetRateLimitStatusRequest{} },
		cost:    map[string]int{},
		check: func(s *scene, answers []proto.Message) {
			if got := one[*pb.GetRateLimitStatusResponse](s, answers); got.GetMaxWaiting() == 0 {
				s.Errorf("got %v", got)
			}
		},
	},
}

// TestStreamsEndInStatuses: an error of Discord reaches the reader of a stream
// as it reaches any caller.
func TestStreamsEndInStatuses(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	for protocol, client := range p.Clients() {
		for _, tt := range []struct {
			req  *pb.ListChannelMessagesRequest
			want connect.Code
			text string
		}{
			{&pb.ListChannelMessagesRequest{ChannelId: 42}, connect.CodeNotFound, `{"type":"HTTPException","status":404,"code":10003,"text":"Unknown Channel"}`},
			{&pb.ListChannelMessagesRequest{ChannelId: 42, Before: 1, After: 2}, connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50035,"text":"Invalid Form Body\nIn after: before and after are mutually exclusive."}`},
			{&pb.ListChannelMessagesRequest{ChannelId: 42, Around: 1, Limit: 101}, connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50035,"text":"Invalid Form Body\nIn limit: int value should be less than or equal to 100."}`},
			{&pb.ListChannelMessagesRequest{Limit: -1}, connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50035,"text":"Invalid Form Body\nIn channel_id: snowflake value should be greater than or equal to 1.\nIn limit: int value should be greater than or equal to 1."}`},
		} {
			err := readAll(t.Context(), client, tt.req)
			status, ok := err.(*connect.Error) //nolint:errorlint // clients get the status itself
			if !ok || status.Code() != tt.want || status.Message() != tt.text || len(status.Details()) == 0 {
				t.Errorf("%s: %v is %v", protocol, tt.req, err)
			}
		}
	}
}

func readAll(ctx context.Context, client discordapiconnect.DiscordApiClient, req *pb.ListChannelMessagesRequest) error {
	stream, err := client.ListChannelMessages(ctx, connect.NewRequest(req))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
	}
	return stream.Err()
}
