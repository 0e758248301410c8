package test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

var messageCases = []methodCase{
	unary("", cost{"GET /channels/{channel_id}/messages/{message_id}": 1},
		func(s *scene) *pb.GetChannelMessageRequest {
			return &pb.GetChannelMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General)}
		},
		func(s *scene, req *pb.GetChannelMessageRequest, res *pb.GetChannelMessageResponse) {
			m := res.GetMessage()
			if m.GetId() != req.GetMessageId() || m.GetContent() != "a message" || m.GetAuthor().GetId() != uint64(s.w.Bot) {
				s.Errorf("got %v", m)
			}
		}),
	unary("", cost{"DELETE /channels/{channel_id}/messages/{message_id}": 1},
		func(s *scene) *pb.DeleteChannelMessageRequest {
			return &pb.DeleteChannelMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General), AuditLogReason: "ünwanted"}
		},
		func(s *scene, req *pb.DeleteChannelMessageRequest, _ *pb.DeleteChannelMessageResponse) {
			if s.stored(s.w.General, req.GetMessageId()) != nil {
				s.Error("the message is still there")
			}
		}),
	unary("", cost{"POST /channels/{channel_id}/messages/bulk-delete": 3, "DELETE /channels/{channel_id}/messages/{message_id}": 2},
		func(s *scene) *pb.BulkDeleteChannelMessagesRequest {
			req := &pb.BulkDeleteChannelMessagesRequest{ChannelId: uint64(s.w.Alerts), AuditLogReason: "tidying up"}
			old, err := s.sb.AddMessage(sandbox.Message{ChannelID: s.w.Alerts, ID: s.sb.OldID(15 * 24 * time.Hour)})
			if err != nil {
				s.Fatal(err)
			}
			// Two weeks old: one that is there and one that is not.
			req.MessageIds = append(req.MessageIds, uint64(old), uint64(s.sb.OldID(16*24*time.Hour)))
			for range 250 {
				req.MessageIds = append(req.MessageIds, s.message(s.w.Alerts))
			}
			req.MessageIds = append(req.MessageIds, req.GetMessageIds()[2])
			return req
		},
		func(s *scene, req *pb.BulkDeleteChannelMessagesRequest, res *pb.BulkDeleteChannelMessagesResponse) {
			if got := len(res.GetResults()); got != 252 {
				s.Fatalf("%d results", got)
			}
			for i, result := range res.GetResults() {
				if result.GetMessageId() != req.GetMessageIds()[i] {
					s.Fatalf("result %d is of %d", i, result.GetMessageId())
				}
				if (result.GetError() != nil) != (i == 1) {
					s.Errorf("result %d is %v", i, result.GetError())
				}
			}
			if got := res.GetResults()[1].GetError(); got.GetStatus() != 404 || got.GetCode() != 10008 || got.GetText() != "Unknown Message" {
				s.Errorf("a message that is not there is %v", got)
			}
			if got := s.sb.Messages(s.w.Alerts); len(got) > 0 {
				s.Errorf("%d messages are still there", len(got))
			}
		}),
	streaming("newest first", cost{"GET /channels/{channel_id}/messages": 3},
		func(s *scene) *pb.ListChannelMessagesRequest {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), Limit: 230}
		},
		func(s *scene, _ *pb.ListChannelMessagesRequest, answers []*pb.ListChannelMessagesResponse) {
			stored := s.sb.Messages(s.w.Random)
			slices.Reverse(stored)
			s.sameMessages(answers, stored[:230])
		}),
	streaming("from the oldest on", cost{"GET /channels/{channel_id}/messages": 3},
		func(s *scene) *pb.ListChannelMessagesRequest {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), After: 1, Limit: 1000}
		},
		func(s *scene, _ *pb.ListChannelMessagesRequest, answers []*pb.ListChannelMessagesResponse) {
			s.sameMessages(answers, s.sb.Messages(s.w.Random))
		}),
	streaming("before one", cost{"GET /channels/{channel_id}/messages": 2},
		func(s *scene) *pb.ListChannelMessagesRequest {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), Before: uint64(s.sb.Messages(s.w.Random)[150].ID), Limit: 200}
		},
		func(s *scene, _ *pb.ListChannelMessagesRequest, answers []*pb.ListChannelMessagesResponse) {
			stored := s.sb.Messages(s.w.Random)[:150]
			slices.Reverse(stored)
			s.sameMessages(answers, stored)
		}),
	streaming("around one", cost{"GET /channels/{channel_id}/messages": 1},
		func(s *scene) *pb.ListChannelMessagesRequest {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random), Around: uint64(s.sb.Messages(s.w.Random)[100].ID), Limit: 10}
		},
		func(s *scene, _ *pb.ListChannelMessagesRequest, answers []*pb.ListChannelMessagesResponse) {
			stored := s.sb.Messages(s.w.Random)[95:105]
			slices.Reverse(stored)
			s.sameMessages(answers, stored)
		}),
	streaming("as many as Discord lists", cost{"GET /channels/{channel_id}/messages": 1},
		func(s *scene) *pb.ListChannelMessagesRequest {
			s.fill(s.w.Random, 250)
			return &pb.ListChannelMessagesRequest{ChannelId: uint64(s.w.Random)}
		},
		func(s *scene, _ *pb.ListChannelMessagesRequest, answers []*pb.ListChannelMessagesResponse) {
			if len(answers) != 50 {
				s.Errorf("%d messages", len(answers))
			}
		}),
	unary("", cost{"POST /channels/{channel_id}/messages/{message_id}/crosspost": 1},
		func(s *scene) *pb.CrosspostMessageRequest {
			return &pb.CrosspostMessageRequest{ChannelId: uint64(s.w.Announcement), MessageId: s.message(s.w.Announcement)}
		},
		func(s *scene, req *pb.CrosspostMessageRequest, res *pb.CrosspostMessageResponse) {
			stored := s.stored(s.w.Announcement, req.GetMessageId())
			if res.GetMessage().GetFlags()&sandbox.FlagCrossposted == 0 || stored.Flags&sandbox.FlagCrossposted == 0 {
				s.Errorf("answered %v, stored %v", res, stored)
			}
		}),
	unary("", cost{"PUT /channels/{channel_id}/messages/pins/{message_id}": 1},
		func(s *scene) *pb.PinMessageRequest {
			return &pb.PinMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.message(s.w.General), AuditLogReason: "important"}
		},
		func(s *scene, req *pb.PinMessageRequest, _ *pb.PinMessageResponse) {
			if !s.stored(s.w.General, req.GetMessageId()).Pinned {
				s.Error("the message is not pinned")
			}
		}),
	unary("", cost{"DELETE /channels/{channel_id}/messages/pins/{message_id}": 1},
		func(s *scene) *pb.UnpinMessageRequest {
			return &pb.UnpinMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.pinned(s.w.General)}
		},
		func(s *scene, req *pb.UnpinMessageRequest, _ *pb.UnpinMessageResponse) {
			if s.stored(s.w.General, req.GetMessageId()).Pinned {
				s.Error("the message is still pinned")
			}
		}),
	unary("", cost{"GET /channels/{channel_id}/messages/pins": 1},
		func(s *scene) *pb.ListPinnedMessagesRequest {
			s.pinned(s.w.Alerts)
			s.pinned(s.w.Alerts)
			return &pb.ListPinnedMessagesRequest{ChannelId: uint64(s.w.Alerts), Limit: 1}
		},
		func(s *scene, _ *pb.ListPinnedMessagesRequest, res *pb.ListPinnedMessagesResponse) {
			if items := res.GetItems(); len(items) != 1 || !res.GetHasMore() || items[0].GetPinnedAt() == "" || !items[0].GetMessage().GetPinned() {
				s.Errorf("got %v", res)
			}
		}),
	unary("", cost{"POST /channels/{channel_id}/typing": 1},
		func(s *scene) *pb.TriggerTypingRequest {
			return &pb.TriggerTypingRequest{ChannelId: uint64(s.w.General)}
		},
		func(*scene, *pb.TriggerTypingRequest, *pb.TriggerTypingResponse) {}),
	unary("", cost{"DELETE /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}": 1},
		func(s *scene) *pb.DeleteWebhookMessageRequest {
			hook, message := s.webhookMessage()
			return &pb.DeleteWebhookMessageRequest{WebhookId: uint64(hook.ID), WebhookToken: hook.Token, MessageId: message}
		},
		func(s *scene, req *pb.DeleteWebhookMessageRequest, _ *pb.DeleteWebhookMessageResponse) {
			if s.stored(s.w.General, req.GetMessageId()) != nil {
				s.Error("the message is still there")
			}
		}),
}

// pinned puts a pinned message into a channel.
func (s *scene) pinned(channel sandbox.ID) uint64 {
	s.Helper()
	id := s.message(channel)
	must(s, s.client.PinMessage, &pb.PinMessageRequest{ChannelId: uint64(channel), MessageId: id})
	return id
}

func (s *scene) sameMessages(answers []*pb.ListChannelMessagesResponse, stored []sandbox.Message) {
	s.Helper()
	if len(answers) != len(stored) {
		s.Fatalf("%d messages, not %d", len(answers), len(stored))
	}
	for i, answer := range answers {
		if got := answer.GetMessage().GetId(); got != uint64(stored[i].ID) {
			s.Fatalf("message %d is %d, not %d", i, got, stored[i].ID)
		}
	}
}

// TestStreamsEndInStatuses: an error of Discord reaches the reader of a stream
// as it reaches any caller.
func TestStreamsEndInStatuses(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	for protocol, client := range p.Clients() {
		s := &scene{T: t, client: client}
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
			_, err := s.call("ListChannelMessages", tt.req)
			status := new(connect.Error)
			if !errors.As(err, &status) || status.Code() != tt.want || status.Message() != tt.text || len(status.Details()) == 0 {
				t.Errorf("%s: %v is %v", protocol, tt.req, err)
			}
		}
	}
}
