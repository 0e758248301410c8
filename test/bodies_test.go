package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// webhook makes a webhook of a channel at the sandbox.
func webhook(t *testing.T, sb *sandbox.Sandbox, channel sandbox.ID) (id uint64, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://discord.com/api/v10/channels/%s/webhooks", channel), strings.NewReader(`{"name":"hook"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bot "+sb.World().Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := sb.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var made struct {
		ID    uint64 `json:"id,string"`
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil || made.Token == "" {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return made.ID, made.Token
}

// rich is a message with something of everything that edits can change.
func (s *scene) rich() uint64 {
	s.Helper()
	res, err := s.client.SendChannelMessage(s.Context(), &pb.SendChannelMessageRequest{
		ChannelId: uint64(s.w.General), Content: "old", Embeds: []*pb.Embed{{Title: "old"}},
		Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("a")}, {Filename: "b.txt", Data: []byte("b")}},
		Components: []*pb.Component{{Kind: &pb.Component_ActionRow_{ActionRow: &pb.Component_ActionRow{Components: []*pb.Component{
			{Kind: &pb.Component_Button_{Button: &pb.Component_Button{Style: pb.Component_Button_PRIMARY, CustomId: "b"}}},
		}}}}},
	})
	if err != nil {
		s.Fatal(err)
	}
	return res.GetMessage().GetId()
}

// edit is a case of EditChannelMessage.
func edit(about string, change func(*pb.EditChannelMessageRequest, []sandbox.Attachment), want string) methodCase {
	return unary(about, cost{"PATCH /channels/{channel_id}/messages/{message_id}": 1},
		func(s *scene) *pb.EditChannelMessageRequest {
			req := &pb.EditChannelMessageRequest{ChannelId: uint64(s.w.General), MessageId: s.rich()}
			change(req, s.stored(s.w.General, req.GetMessageId()).Attachments)
			return req
		},
		func(s *scene, _ *pb.EditChannelMessageRequest, res *pb.EditChannelMessageResponse) {
			m := res.GetMessage()
			if got := describe(m); got != want {
				s.Errorf("it became %s\nwant      %s", got, want)
			}
			if stored := s.stored(s.w.General, m.GetId()); stored == nil || stored.Content != m.GetContent() || len(stored.Attachments) != len(m.GetAttachments()) {
				s.Errorf("answered %v, stored %+v", m, stored)
			}
		})
}

// describe says of a message what edits change.
func describe(m *pb.Message) string {
	out := m.GetContent()
	for _, e := range m.GetEmbeds() {
		out += " [" + e.GetTitle() + "]"
	}
	for _, a := range m.GetAttachments() {
		out += " " + a.GetFilename()
		if a.GetDescription() != "" {
			out += "(" + a.GetDescription() + ")"
		}
	}
	return fmt.Sprintf("%s, %d components, flags %d, mentions %d", out, len(m.GetComponents()), m.GetFlags(), len(m.GetMentions()))
}

var bodyCases = []methodCase{
	edit("nothing", func(*pb.EditChannelMessageRequest, []sandbox.Attachment) {},
		"old [old] a.txt b.txt, 1 components, flags 0, mentions 0"),
	edit("content alone", func(r *pb.EditChannelMessageRequest, _ []sandbox.Attachment) {
		r.Content = proto.String(fmt.Sprintf("new <@%d>", sandbox.New(sandbox.Config{}).World().Alice))
		r.SuppressMentions = true
	}, "new <@1100000000000000004> [old] a.txt b.txt, 1 components, flags 0, mentions 0"),
	edit("everything removed but the embed", func(r *pb.EditChannelMessageRequest, _ []sandbox.Attachment) {
		r.Content, r.ClearComponents, r.ClearAttachments = proto.String(""), true, true
	}, " [old], 0 components, flags 0, mentions 0"),
	edit("embeds removed", func(r *pb.EditChannelMessageRequest, _ []sandbox.Attachment) {
		r.ClearEmbeds, r.SuppressEmbeds = true, proto.Bool(true)
	}, "old a.txt b.txt, 1 components, flags 4, mentions 0"),
	edit("embeds replaced", func(r *pb.EditChannelMessageRequest, _ []sandbox.Attachment) {
		r.Embeds = []*pb.Embed{{Title: "x"}, {Title: "y"}}
	}, "old [x] [y] a.txt b.txt, 1 components, flags 0, mentions 0"),
	edit("one file kept, one added", func(r *pb.EditChannelMessageRequest, before []sandbox.Attachment) {
		r.Attachments = []*pb.AttachmentRequest{
			{Filename: "c.txt", Data: []byte("c"), Description: proto.String("new")},
			{Id: uint64(before[1].ID), Description: proto.String("kept")},
		}
	}, "old [old] c.txt(new) b.txt(kept), 1 components, flags 0, mentions 0"),
	edit("components alone from now on", func(r *pb.EditChannelMessageRequest, _ []sandbox.Attachment) {
		r.Content, r.ClearEmbeds, r.ClearAttachments = proto.String(""), true, true
		r.Components = []*pb.Component{{Kind: &pb.Component_TextDisplay_{TextDisplay: &pb.Component_TextDisplay{Content: "x"}}}}
	}, ", 1 components, flags 32768, mentions 0"),
	streaming("", cost{"POST /users/@me/channels": 3, "GET /users/{user_id}": 1, "POST /channels/{channel_id}/messages": 2},
		func(s *scene) *pb.SendDirectMessagesRequest {
			one, two := s.reader(), s.reader()
			return &pb.SendDirectMessagesRequest{UserIds: []uint64{one, two, one, 5}, Message: &pb.NewMessage{Content: "to all", Embeds: []*pb.Embed{{Title: "T"}}}}
		},
		func(s *scene, req *pb.SendDirectMessagesRequest, results []*pb.SendDirectMessagesResponse) {
			s.results(results, map[uint64]string{req.GetUserIds()[0]: "", req.GetUserIds()[1]: "", 5: "NOT_FOUND 10013"})
		}),
	unary("in a forum", cost{"POST /channels/{channel_id}/threads": 1},
		func(s *scene) *pb.StartThreadRequest {
			return &pb.StartThreadRequest{ChannelId: uint64(s.w.Forum), Name: "A post", Message: &pb.NewMessage{
				Content: "first", Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("a"), Description: proto.String("alt")}},
			}}
		},
		func(s *scene, _ *pb.StartThreadRequest, res *pb.StartThreadResponse) {
			stored := s.sb.Messages(sandbox.ID(res.GetThread().GetId()))
			if res.GetThread().GetParentId() != uint64(s.w.Forum) || len(stored) != 1 || stored[0].Content != "first" || len(stored[0].Attachments) != 1 || stored[0].Attachments[0].Description != "alt" {
				s.Errorf("answered %v, stored %+v", res, stored)
			}
		}),
	unary("", cost{"POST /webhooks/{webhook_id}/{webhook_token}": 1},
		func(s *scene) *pb.ExecuteWebhookRequest {
			return &pb.ExecuteWebhookRequest{
				WebhookId: uint64(s.w.Webhook), WebhookToken: s.w.WebhookToken,
				Content: "by webhook", Username: "Somebody", AvatarUrl: "https://example.org/a.png",
				Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("a")}},
			}
		},
		func(s *scene, _ *pb.ExecuteWebhookRequest, res *pb.ExecuteWebhookResponse) {
			m := res.GetMessage()
			if got := s.stored(sandbox.ID(m.GetChannelId()), m.GetId()); got == nil || got.Content != "by webhook" || got.Author.Username != "Somebody" || len(got.Attachments) != 1 {
				s.Errorf("answered %v, stored %+v", m, got)
			}
		}),
	unary("in a forum", cost{"POST /webhooks/{webhook_id}/{webhook_token}": 1},
		func(s *scene) *pb.ExecuteWebhookRequest {
			id, token := webhook(s.T, s.sb, s.w.Forum)
			return &pb.ExecuteWebhookRequest{WebhookId: id, WebhookToken: token, Content: "first", ThreadName: "A thread"}
		},
		func(s *scene, _ *pb.ExecuteWebhookRequest, res *pb.ExecuteWebhookResponse) {
			m := res.GetMessage()
			if s.stored(sandbox.ID(m.GetChannelId()), m.GetId()) == nil || m.GetChannelId() == uint64(s.w.Forum) {
				s.Errorf("answered %v", m)
			}
		}),
	unary("", cost{"PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}": 1},
		func(s *scene) *pb.EditWebhookMessageRequest {
			return &pb.EditWebhookMessageRequest{
				WebhookId: uint64(s.w.Webhook), WebhookToken: s.w.WebhookToken, MessageId: uint64(s.w.WebhookMessage), Embeds: []*pb.Embed{{Title: "new"}},
			}
		},
		func(s *scene, _ *pb.EditWebhookMessageRequest, res *pb.EditWebhookMessageResponse) {
			m := res.GetMessage()
			if got := s.stored(sandbox.ID(m.GetChannelId()), m.GetId()); got == nil || len(got.Embeds) != 1 || m.GetContent() == "" || got.Content != m.GetContent() {
				s.Errorf("answered %v, stored %+v", m, got)
			}
		}),
}

// reader is a new member of the guild.
func (s *scene) reader() uint64 {
	s.Helper()
	user := s.sb.AddUser(sandbox.User{Username: "reader"})
	if err := s.sb.AddMember(s.w.Guild, user); err != nil {
		s.Fatal(err)
	}
	return uint64(user)
}

// results checks that there is one result for each user, with its status and
// Discord's code, and that the counts are right.
func (s *scene) results(results []*pb.SendDirectMessagesResponse, want map[uint64]string) {
	s.Helper()
	got, failed := make(map[uint64]string), int32(0)
	for i, r := range results {
		said := r.GetStatus()
		if r.GetError() != nil {
			failed++
			said += fmt.Sprintf(" %d", r.GetError().GetCode())
			if r.GetMessage() != nil || r.GetError().GetText() == "" {
				s.Errorf("a failure is reported as %v", r)
			}
		} else if m := r.GetMessage(); s.stored(s.sb.DirectMessages(sandbox.ID(r.GetUserId())), m.GetId()) == nil {
			s.Errorf("%v is not stored", m)
		}
		got[r.GetUserId()] = said
		if r.GetDone() != int32(i+1) || r.GetFailed() != failed || r.GetTotal() != int32(len(want)) || r.GetEstimatedLeft() == nil {
			s.Errorf("result %d counts %v", i, r)
		}
	}
	if !maps.Equal(got, want) || len(results) != len(want) {
		s.Errorf("%d results are %v, not %v", len(results), got, want)
	}
}

// TestBroadcastIsSentOnce: a call that broke off is repeated with the same key,
// and nobody gets the message twice.
func TestBroadcastIsSentOnce(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Against(t, sb, "--global-rate-limit", "0").Clients()["gRPC"]
	s := &scene{t, sb, sb.World(), client}
	want := map[uint64]string{uint64(s.w.NoDMs): "PERMISSION_DENIED 50007"}
	req := &pb.SendDirectMessagesRequest{
		UserIds: []uint64{uint64(s.w.NoDMs)}, IdempotencyKey: "news 7",
		Message: &pb.NewMessage{Content: "news", Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte("a")}}},
	}
	for range 40 {
		user := s.reader()
		req.UserIds = append(req.UserIds, user)
		want[user] = ""
	}
	// The client leaves after five results.
	ctx, leave := context.WithCancel(t.Context())
	stream, err := client.SendDirectMessages(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if !stream.Receive() {
			t.Fatal(stream.Err())
		}
	}
	leave()
	_ = stream.Close()
	for range 2 {
		answers, err := s.call("SendDirectMessages", req)
		if err != nil {
			t.Fatal(err)
		}
		results := make([]*pb.SendDirectMessagesResponse, len(answers))
		for i, answer := range answers {
			results[i] = answer.(*pb.SendDirectMessagesResponse)
		}
		s.results(results, want)
	}
	for _, user := range req.GetUserIds()[1:] {
		if got := sb.Messages(sb.DirectMessages(sandbox.ID(user))); len(got) != 1 || got[0].Content != "news" || len(got[0].Attachments) != 1 {
			t.Errorf("user %d got %d messages", user, len(got))
		}
	}
	// Another key is another sending.
	req.IdempotencyKey = "news 8"
	if _, err := s.call("SendDirectMessages", req); err != nil {
		t.Fatal(err)
	}
	if got := sb.Messages(sb.DirectMessages(sandbox.ID(req.GetUserIds()[1]))); len(got) != 2 {
		t.Errorf("with another key %d messages are there", len(got))
	}
}

// TestBroadcastEnds: when the caller disconnects or its deadline passes, no further
// messages are sent.
func TestBroadcastEnds(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	sb.SetLimit(sandbox.Limit{Name: "open", Routes: []string{"POST /users/@me/channels"}, Limit: 3, Window: time.Hour})
	client := proxytest.Against(t, sb).Clients()["gRPC"]
	s := &scene{t, sb, sb.World(), client}
	req := &pb.SendDirectMessagesRequest{Message: &pb.NewMessage{Content: "x"}}
	for range 10 {
		req.UserIds = append(req.UserIds, s.reader())
	}
	// Three channels can be opened within the hour; the others are waited for.
	ctx, leave := context.WithCancel(t.Context())
	stream, err := client.SendDirectMessages(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !stream.Receive() || stream.Msg().GetError() != nil {
			t.Fatal(stream.Msg(), stream.Err())
		}
	}
	leave()
	if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeCanceled {
		t.Errorf("after leaving: %v", stream.Err())
	}
	_ = stream.Close()
	for {
		status, err := client.GetRateLimitStatus(t.Context(), &pb.GetRateLimitStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if status.GetWaiting() == 0 && status.GetInFlight() == 0 {
			break
		}
	}
	for name, bad := range map[string]*pb.SendDirectMessagesRequest{
		"user_ids: This field is required": {Message: &pb.NewMessage{Content: "x"}},
		"user_ids.1: snowflake value":      {UserIds: []uint64{1, 0}, Message: &pb.NewMessage{Content: "x"}},
		"message: This field is required":  {UserIds: []uint64{1}},
		`"code":50006`:                     {UserIds: []uint64{1}, Message: &pb.NewMessage{}},
		"In content: Must be 2000":         {UserIds: []uint64{1}, Message: &pb.NewMessage{Content: strings.Repeat("x", 2001)}},
		"idempotency_key: Must be 200":     {UserIds: []uint64{1}, Message: &pb.NewMessage{Content: "x"}, IdempotencyKey: strings.Repeat("x", 201)},
	} {
		stream, err := client.SendDirectMessages(t.Context(), bad)
		if err != nil {
			t.Fatal(err)
		}
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeInvalidArgument || !strings.Contains(stream.Err().Error(), name) {
			t.Errorf("%s: %v", name, stream.Err())
		}
		_ = stream.Close()
	}
}

// TestEditingErrors: what is wrong is named, and what Discord refuses passes.
func TestEditingErrors(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	client := proxytest.Against(t, sb).Clients()["Connect JSON"]
	w := sb.World()
	s := &scene{t, sb, w, client}
	own := s.rich()
	other, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: "x", Author: &sandbox.User{ID: w.Alice}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		req  *pb.EditChannelMessageRequest
		code connect.Code
		want string
	}{
		"no message":      {&pb.EditChannelMessageRequest{Content: proto.String("x")}, connect.CodeInvalidArgument, "In message_id: snowflake value should be greater than or equal to 1."},
		"both":            {&pb.EditChannelMessageRequest{MessageId: own, ClearEmbeds: true, Embeds: []*pb.Embed{{Title: "x"}}}, connect.CodeInvalidArgument, "In clear_embeds: embeds and clear_embeds are mutually exclusive."},
		"too long":        {&pb.EditChannelMessageRequest{MessageId: own, Content: proto.String(strings.Repeat("x", 2001))}, connect.CodeInvalidArgument, "In content: Must be 2000 or fewer in length."},
		"nothing left":    {&pb.EditChannelMessageRequest{MessageId: own, Content: proto.String(""), ClearEmbeds: true, ClearComponents: true, ClearAttachments: true}, connect.CodeInvalidArgument, `"code":50006`},
		"somebody else's": {&pb.EditChannelMessageRequest{MessageId: uint64(other), Content: proto.String("x")}, connect.CodePermissionDenied, `"code":50005`},
		"unknown":         {&pb.EditChannelMessageRequest{MessageId: 5, Content: proto.String("x")}, connect.CodeNotFound, `"code":10008`},
		"unknown file":    {&pb.EditChannelMessageRequest{MessageId: own, Attachments: []*pb.AttachmentRequest{{Id: 5}}}, connect.CodeInvalidArgument, "In attachments.0: Attachment data for this entry was not found."},
	} {
		t.Run(name, func(t *testing.T) {
			tt.req.ChannelId = uint64(w.General)
			_, err := client.EditChannelMessage(t.Context(), tt.req)
			if connect.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %v: %s", err, tt.code, tt.want)
			}
		})
	}
}

// TestWebhookTokensStaySecret: whatever happens to calls with a webhook's
// token, neither errors nor logs nor the status show it.
func TestWebhookTokensStaySecret(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--log-console-level", "DEBUG", "--log-file-level", "DEBUG")
	client := p.Clients()["gRPC"]
	id, token := webhook(t, sb, sb.World().General)
	secret := []byte(token[:20])
	hidden := func(what, text string) {
		t.Helper()
		if bytes.Contains([]byte(text), secret) {
			t.Errorf("%s shows the token: %s", what, text)
		}
	}
	sb.SetLimit(sandbox.Limit{Name: "hook", Routes: []string{"POST /webhooks/{webhook_id}/{webhook_token}"}, Limit: 2, Window: 1e9})
	for i, faults := range []*sandbox.Fault{nil, {Kind: sandbox.FaultReset, After: true}, {Status: 500}, {Status: 404, Body: `{"message":"Unknown Message","code":10008}`}, nil} {
		if faults != nil {
			faults.Count = 1
			faults.Route = "POST /webhooks/{webhook_id}/{webhook_token}"
			sb.InjectFault(*faults)
		}
		_, err := client.ExecuteWebhook(t.Context(), &pb.ExecuteWebhookRequest{WebhookId: id, WebhookToken: token, Content: fmt.Sprint("message ", i)})
		if (err == nil) != (faults == nil) {
			t.Errorf("call %d with the fault %+v: %v", i, faults, err)
		}
		if err != nil {
			hidden("an error", err.Error())
		}
	}
	// Stored once although the answer was lost: it was not tried again.
	if got := len(sb.Messages(sb.World().General)); got != 3 {
		t.Errorf("%d messages are stored", got)
	}
	for _, bad := range []string{token + "/../x", token + "%2f", token + "\n", "", token + "x"} {
		_, err := client.ExecuteWebhook(t.Context(), &pb.ExecuteWebhookRequest{WebhookId: id, WebhookToken: bad, Content: "x"})
		if err == nil {
			t.Errorf("the token %q was taken", bad)
		} else {
			hidden("an error", err.Error())
		}
	}
	status, err := client.GetRateLimitStatus(t.Context(), &pb.GetRateLimitStatusRequest{})
	if err != nil || !strings.Contains(status.String(), "webhook "+fmt.Sprint(id)) {
		t.Errorf("the status is %v, %v", status, err)
	}
	hidden("the status", status.String())
	if out := p.Output(); !strings.Contains(out, "ExecuteWebhook") {
		t.Errorf("the log is %s", out)
	} else {
		hidden("the log", out)
	}
}
