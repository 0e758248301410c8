package test

import (
	"fmt"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
)

// interaction lets somebody use a command.
func (s *scene) interaction(name string) sandbox.Interaction {
	s.Helper()
	in, err := s.sb.Interact(sandbox.Use{Channel: s.w.General, Name: name})
	if err != nil {
		s.Fatal(err)
	}
	return in
}

// answered is an interaction that has its first answer.
func (s *scene) answered(name string) sandbox.Interaction {
	s.Helper()
	in := s.interaction(name)
	if _, err := s.call("RespondInteraction", respond(in, "first")); err != nil {
		s.Fatal(err)
	}
	return in
}

func respond(in sandbox.Interaction, content string) *pb.RespondInteractionRequest {
	return &pb.RespondInteractionRequest{
		InteractionId: uint64(in.ID), InteractionToken: in.Token,
		Type: pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE,
		Data: &pb.RespondInteractionRequest_Data{Content: &content},
	}
}

// newest is the newest message of a channel.
func (s *scene) newest(channel sandbox.ID) string {
	s.Helper()
	messages := s.sb.Messages(channel)
	if len(messages) == 0 {
		s.Fatal("there is no message")
	}
	return messages[len(messages)-1].Content
}

var interactionCases = []methodCase{
	unary("", cost{"POST /interactions/{interaction_id}/{interaction_token}/callback": 1},
		func(s *scene) *pb.RespondInteractionRequest { return respond(s.interaction("roll"), "a six") },
		func(s *scene, _ *pb.RespondInteractionRequest, _ *pb.RespondInteractionResponse) {
			if got := s.newest(s.w.General); got != "a six" {
				s.Errorf("the newest message is %q", got)
			}
		}),
	unary("with a file and a button", cost{"POST /interactions/{interaction_id}/{interaction_token}/callback": 1},
		func(s *scene) *pb.RespondInteractionRequest {
			req := respond(s.interaction("roll"), "see")
			req.Data.Attachments = []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("contents")}}
			req.Data.Components = []*pb.Component{{Kind: &pb.Component_ActionRow_{ActionRow: &pb.Component_ActionRow{Components: []*pb.Component{
				{Kind: &pb.Component_Button_{Button: &pb.Component_Button{Style: pb.Component_Button_PRIMARY, Label: "Again", CustomId: "again"}}},
			}}}}}
			return req
		},
		func(s *scene, _ *pb.RespondInteractionRequest, _ *pb.RespondInteractionResponse) {
			messages := s.sb.Messages(s.w.General)
			if m := messages[len(messages)-1]; len(m.Attachments) != 1 || m.Attachments[0].Filename != "a.txt" || len(m.Components) != 1 {
				s.Errorf("the newest message is %+v", m)
			}
		}),
	unary("with a form", cost{"POST /interactions/{interaction_id}/{interaction_token}/callback": 1},
		func(s *scene) *pb.RespondInteractionRequest {
			in := s.interaction("roll")
			return &pb.RespondInteractionRequest{InteractionId: uint64(in.ID), InteractionToken: in.Token, Type: pb.RespondInteractionRequest_MODAL, Data: &pb.RespondInteractionRequest_Data{
				CustomId: "form", Title: "Who?", Components: []*pb.Component{{Kind: &pb.Component_Label_{Label: &pb.Component_Label{Label: "Name", Component: &pb.Component{
					Kind: &pb.Component_TextInput_{TextInput: &pb.Component_TextInput{CustomId: "name", Style: pb.Component_TextInput_SHORT}},
				}}}}},
			}}
		},
		func(s *scene, req *pb.RespondInteractionRequest, _ *pb.RespondInteractionResponse) {
			if _, err := s.call("RespondInteraction", req); err == nil || !strings.Contains(err.Error(), "already been acknowledged") {
				s.Errorf("the interaction was not answered: %v", err)
			}
		}),
	unary("", cost{"PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original": 1},
		func(s *scene) *pb.EditInteractionResponseRequest {
			in := s.answered("roll")
			return &pb.EditInteractionResponseRequest{ApplicationId: uint64(in.ApplicationID), InteractionToken: in.Token, Content: proto.String("edited")}
		},
		func(s *scene, _ *pb.EditInteractionResponseRequest, res *pb.EditInteractionResponseResponse) {
			if res.GetMessage().GetContent() != "edited" || s.newest(s.w.General) != "edited" {
				s.Errorf("got %v", res)
			}
		}),
	unary("", cost{"POST /webhooks/{webhook_id}/{webhook_token}": 1},
		func(s *scene) *pb.FollowupInteractionRequest {
			in := s.answered("roll")
			return &pb.FollowupInteractionRequest{ApplicationId: uint64(in.ApplicationID), InteractionToken: in.Token, Content: "more"}
		},
		func(s *scene, _ *pb.FollowupInteractionRequest, res *pb.FollowupInteractionResponse) {
			if res.GetMessage().GetContent() != "more" || s.newest(s.w.General) != "more" {
				s.Errorf("got %v", res)
			}
		}),
	unary("", cost{"GET /applications/@me": 1, "PUT /applications/{application_id}/commands": 1},
		func(*scene) *pb.SetApplicationCommandsRequest {
			return &pb.SetApplicationCommandsRequest{Commands: []*pb.ApplicationCommand{{Name: "roll", Description: "Rolls a die", Options: []*pb.ApplicationCommand_Option{{Type: 4, Name: "sides", Description: "How many"}}}}}
		},
		func(s *scene, _ *pb.SetApplicationCommandsRequest, res *pb.SetApplicationCommandsResponse) {
			commands := res.GetCommands()
			if len(commands) != 1 || commands[0].GetName() != "roll" || commands[0].GetId() == 0 || commands[0].GetOptions()[0].GetName() != "sides" {
				s.Errorf("got %v", commands)
			}
		}),
	unary("choices of numbers", cost{"PUT /applications/{application_id}/guilds/{guild_id}/commands": 1},
		func(s *scene) *pb.SetApplicationCommandsRequest {
			return &pb.SetApplicationCommandsRequest{GuildId: uint64(s.w.Guild), Commands: []*pb.ApplicationCommand{{Name: "roll", Description: "Rolls a die", Options: []*pb.ApplicationCommand_Option{
				{Type: 4, Name: "sides", Description: "How many", Choices: []*pb.ApplicationCommand_Option_Choice{{Name: "six", Value: "6"}}},
			}}}}
		},
		func(s *scene, _ *pb.SetApplicationCommandsRequest, res *pb.SetApplicationCommandsResponse) {
			if c := res.GetCommands()[0].GetOptions()[0].GetChoices(); len(c) != 1 || c[0].GetValue() != "6" {
				s.Errorf("got %v", res)
			}
		}),
	unary("none, for a guild", cost{"PUT /applications/{application_id}/guilds/{guild_id}/commands": 1},
		func(s *scene) *pb.SetApplicationCommandsRequest {
			return &pb.SetApplicationCommandsRequest{GuildId: uint64(s.w.Guild)}
		},
		func(s *scene, _ *pb.SetApplicationCommandsRequest, res *pb.SetApplicationCommandsResponse) {
			if commands := res.GetCommands(); len(commands) != 0 {
				s.Errorf("got %v", commands)
			}
		}),
}

// TestResolved: an interaction brings what the ids in its arguments stand for,
// over every protocol.
func TestResolved(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Online(t, sb)
	w := sb.World()
	followers := make(map[string]*proxytest.Subscriber)
	for protocol, client := range p.Clients() {
		followers[protocol] = proxytest.Follow(t, client, &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_INTERACTION_CREATE}})
	}
	options := fmt.Appendf(nil, `[{"name":"who","type":6,"value":"%d"},{"name":"where","type":7,"value":"%d"}]`, w.Bob, w.Random)
	if _, err := sb.Interact(sandbox.Use{Channel: w.General, Name: "roll", Options: options}); err != nil {
		t.Fatal(err)
	}
	for protocol, s := range followers {
		in := s.Until(pb.Event_INTERACTION_CREATE).GetInteraction()
		found := in.GetData().GetResolved()
		if len(found.GetUsers()) != 1 || found.GetUsers()[0].GetUsername() != "bob" || len(found.GetMembers()) != 1 ||
			found.GetMembers()[0].GetUser().GetId() != uint64(w.Bob) || len(found.GetChannels()) != 1 || found.GetChannels()[0].GetId() != uint64(w.Random) {
			t.Errorf("over %s: %v", protocol, found)
		}
		if in.GetChannel().GetId() != uint64(w.General) || in.GetAttachmentSizeLimit() == 0 {
			t.Errorf("over %s: %v", protocol, in)
		}
	}
}
