// Package test tests the whole server through its public interface, and the rules by
// which packages import each other.
package test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
)

// methodCases are calls of every method of the API, each with what it
// costs and what it does. A method without one fails TestMethodsAreTested.
var methodCases = slices.Concat(sendingCases, bodyCases, messageCases, reactionCases, channelCases, guildCases, statusCases, interactionCases)

// methodCase is one call. It is run over every protocol.
type methodCase struct {
	method string
	about  string // what is special about the case
	cost   cost
	// request arranges the sandbox and returns the request.
	request func(*scene) proto.Message
	// check looks at the answers and at what the sandbox holds.
	check func(s *scene, req proto.Message, answers []proto.Message)
}

// cost is the number of calls to Discord, by method and template.
type cost map[string]int

// unary is a call with one answer; the method is that of the request.
func unary[Req, Res proto.Message](about string, c cost, request func(*scene) Req, check func(*scene, Req, Res)) methodCase {
	return streaming(about, c, request, func(s *scene, req Req, answers []Res) {
		if len(answers) != 1 {
			s.Fatalf("%d answers", len(answers))
		}
		check(s, req, answers[0])
	})
}

// streaming is a call with any number of answers.
func streaming[Req, Res proto.Message](about string, c cost, request func(*scene) Req, check func(*scene, Req, []Res)) methodCase {
	var blank Req
	return methodCase{
		method:  strings.TrimSuffix(string(blank.ProtoReflect().Descriptor().Name()), "Request"),
		about:   about,
		cost:    c,
		request: func(s *scene) proto.Message { return request(s) },
		check: func(s *scene, req proto.Message, answers []proto.Message) {
			typed := make([]Res, len(answers))
			for i, answer := range answers {
				typed[i] = answer.(Res)
			}
			check(s, req.(Req), typed)
		},
	}
}

// scene is a proxy before a sandbox of its own.
type scene struct {
	*testing.T
	sb     *sandbox.Sandbox
	w      sandbox.World
	client discordapiconnect.DiscordApiClient
}

// message puts a message of the bot into a channel.
func (s *scene) message(channel sandbox.ID) uint64 {
	s.Helper()
	id, err := s.sb.AddMessage(sandbox.Message{ChannelID: channel, Content: "a message"})
	if err != nil {
		s.Fatal(err)
	}
	return uint64(id)
}

// fill puts messages into a channel until it has that many.
func (s *scene) fill(channel sandbox.ID, messages int) {
	s.Helper()
	for range messages - len(s.sb.Messages(channel)) {
		s.message(channel)
	}
}

// stored returns a message that the sandbox holds, or nil if it does not.
func (s *scene) stored(channel sandbox.ID, id uint64) *sandbox.Message {
	for _, m := range s.sb.Messages(channel) {
		if uint64(m.ID) == id {
			return &m
		}
	}
	return nil
}

// must calls a method that is not the one under test.
func must[Req, Res any](s *scene, call func(context.Context, *Req) (*Res, error), req *Req) *Res {
	s.Helper()
	res, err := call(s.Context(), req)
	if err != nil {
		s.Fatal(err)
	}
	return res
}

// call calls a method of the generated client by name.
func (s *scene) call(method string, req proto.Message) ([]proto.Message, error) {
	s.Helper()
	do := reflect.ValueOf(s.client).MethodByName(method)
	if !do.IsValid() {
		s.Fatalf("the API has no method %s", method)
	}
	results := do.Call([]reflect.Value{reflect.ValueOf(s.Context()), reflect.ValueOf(req)})
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	stream, ok := results[0].Interface().(interface {
		Receive() bool
		Err() error
		Close() error
	})
	if !ok {
		return []proto.Message{results[0].Interface().(proto.Message)}, nil
	}
	var answers []proto.Message
	for stream.Receive() {
		answers = append(answers, results[0].MethodByName("Msg").Call(nil)[0].Interface().(proto.Message))
	}
	return answers, errors.Join(stream.Err(), stream.Close())
}

func TestMethods(t *testing.T) {
	for protocol := range new(proxytest.Proxy).Clients() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			client := proxytest.Against(t, sb, "--global-rate-limit", "0").Clients()[protocol]
			for _, tt := range methodCases {
				t.Run(strings.TrimSpace(tt.method+" "+tt.about), func(t *testing.T) {
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
					if r, ok := req.(interface{ GetAuditLogReason() string }); ok {
						if got := sb.Calls()[0].Reason; got != r.GetAuditLogReason() {
							t.Errorf("the reason is %q, not %q", got, r.GetAuditLogReason())
						}
					}
					tt.check(s, req, answers)
				})
			}
		})
	}
}

func TestMethodsAreTested(t *testing.T) {
	tested := map[string]bool{"SubscribeEvents": true} // it has no end: see TestEvents
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
	unary("", cost{"POST /channels/{channel_id}/messages": 1},
		func(s *scene) *pb.SendChannelMessageRequest {
			return &pb.SendChannelMessageRequest{ChannelId: uint64(s.w.General), Content: "hi"}
		},
		func(s *scene, _ *pb.SendChannelMessageRequest, res *pb.SendChannelMessageResponse) {
			m := res.GetMessage()
			if got := s.stored(s.w.General, m.GetId()); got == nil || got.Content != "hi" || m.GetContent() != "hi" {
				s.Errorf("answered %v, stored %v", m, got)
			}
		}),
	unary("", cost{"POST /users/@me/channels": 1, "POST /channels/{channel_id}/messages": 1},
		func(s *scene) *pb.SendDirectMessageRequest {
			return &pb.SendDirectMessageRequest{UserId: uint64(s.w.Alice), Content: "hi"}
		},
		func(s *scene, _ *pb.SendDirectMessageRequest, res *pb.SendDirectMessageResponse) {
			if m := res.GetMessage(); s.stored(s.sb.DirectMessages(s.w.Alice), m.GetId()) == nil {
				s.Errorf("%v is not stored", m)
			}
		}),
}

var statusCases = []methodCase{
	unary("", cost{},
		func(*scene) *pb.GetRateLimitStatusRequest { return &pb.GetRateLimitStatusRequest{} },
		func(s *scene, _ *pb.GetRateLimitStatusRequest, res *pb.GetRateLimitStatusResponse) {
			if res.GetMaxWaiting() == 0 {
				s.Errorf("got %v", res)
			}
		}),
}
