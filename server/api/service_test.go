package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestRules: requests that Discord would certainly refuse are refused with the names of
// all invalid fields, without a call.
func TestRules(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := start(t, sb, api.Config{Logger: slog.New(slog.DiscardHandler)})
	long := strings.Repeat("ü", 513)
	for _, tt := range []struct {
		call func() error
		want []string // lines behind "Invalid Form Body"
	}{
		{
			func() error {
				_, err := client.AddReaction(t.Context(), &pb.AddReactionRequest{ChannelId: 1 << 63})
				return err
			},
			[]string{
				"In channel_id: snowflake value should be less than or equal to 9223372036854775807.",
				"In message_id: snowflake value should be greater than or equal to 1.",
				"In emoji_name: This field is required",
			},
		},
		{
			func() error {
				_, err := client.AddReaction(t.Context(), &pb.AddReactionRequest{ChannelId: 1, MessageId: 1, EmojiName: "../../../users/@me"})
				return err
			},
			[]string{"In emoji_name: Must be a unicode emoji, or name:id of a custom one."},
		},
		{
			func() error {
				_, err := client.ModifyGuildMember(t.Context(), &pb.ModifyGuildMemberRequest{
					GuildId: 1, UserId: 2, Nick: long[:66], ClearNick: true, Roles: []uint64{3, 0}, AuditLogReason: long,
				})
				return err
			},
			[]string{
				"In nick: Must be 32 or fewer in length.",
				"In clear_nick: nick and clear_nick are mutually exclusive.",
				"In roles.1: snowflake value should be greater than or equal to 1.",
				"In audit_log_reason: Must be between 1 and 512 in length.",
			},
		},
		{
			func() error {
				_, err := client.StartThread(t.Context(), &pb.StartThreadRequest{ChannelId: 1, AutoArchiveDuration: 61, RateLimitPerUser: -1})
				return err
			},
			[]string{
				"In name: This field is required",
				"In auto_archive_duration: Value must be one of (60, 1440, 4320, 10080).",
				"In rate_limit_per_user: int value should be greater than or equal to 0.",
				"In type: This field is required",
			},
		},
		{
			func() error {
				_, err := client.StartThread(t.Context(), &pb.StartThreadRequest{ChannelId: 1, MessageId: 2, Name: " ", Type: pb.Channel_PUBLIC_THREAD, Invitable: new(bool)})
				return err
			},
			[]string{
				"In name: Must be between 1 and 100 in length.",
				"In type: message_id and type are mutually exclusive.",
				"In invitable: message_id and invitable are mutually exclusive.",
			},
		},
		{
			func() error {
				_, err := client.SearchGuildMembers(t.Context(), &pb.SearchGuildMembersRequest{GuildId: 1, Limit: 1001})
				return err
			},
			[]string{
				"In query: This field is required",
				"In limit: int value should be less than or equal to 1000.",
			},
		},
		{
			func() error {
				_, err := client.BulkDeleteChannelMessages(t.Context(), &pb.BulkDeleteChannelMessagesRequest{ChannelId: 1})
				return err
			},
			[]string{"In message_ids: This field is required"},
		},
		{
			func() error {
				_, err := client.BulkDeleteChannelMessages(t.Context(), &pb.BulkDeleteChannelMessagesRequest{ChannelId: 1, MessageIds: make([]uint64, 10001)})
				return err
			},
			[]string{"In message_ids: Must be 10000 or fewer in length."},
		},
		{
			func() error {
				_, err := client.GetDirectMessageChannel(t.Context(), &pb.GetDirectMessageChannelRequest{})
				return err
			},
			[]string{"In user_id: snowflake value should be greater than or equal to 1."},
		},
		{
			func() error {
				_, err := client.DeleteWebhookMessage(t.Context(), &pb.DeleteWebhookMessageRequest{WebhookId: 1, MessageId: 2, WebhookToken: "secret/../x"})
				return err
			},
			[]string{"In webhook_token: Must be the token of a webhook."},
		},
	} {
		err := tt.call()
		want := `"text":"Invalid Form Body\n` + strings.Join(tt.want, `\n`) + `"}`
		status := new(connect.Error)
		if !errors.As(err, &status) || status.Code() != connect.CodeInvalidArgument || !strings.HasSuffix(status.Message(), want) {
			t.Errorf("got %v, not %s", err, want)
		}
	}
	if calls := sb.Stats().Calls; calls > 0 {
		t.Errorf("%d calls to Discord", calls)
	}
}

// TestWebhookTokenIsNotShown looks at every text of calls that succeed and
// fail, with everything logged.
func TestWebhookTokenIsNotShown(t *testing.T) {
	const token = "a-secret-token"
	sb := sandbox.New(sandbox.Config{})
	var log bytes.Buffer
	client := start(t, sb, api.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for _, fault := range []sandbox.Fault{{Status: http.StatusNoContent}, {Status: http.StatusNotFound}, {Kind: sandbox.FaultReset}} {
		fault.Count = 1
		sb.InjectFault(fault)
		_, err := client.DeleteWebhookMessage(t.Context(), &pb.DeleteWebhookMessageRequest{WebhookId: 1, WebhookToken: token, MessageId: 2, ThreadId: 3})
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("the error shows it: %v", err)
		}
	}
	if text := log.String(); strings.Contains(text, token) || !strings.Contains(text, "thread_id:3") {
		t.Errorf("the log is %s", text)
	}
	if last := sb.Calls(); !strings.Contains(last[len(last)-1].Path, token) {
		t.Errorf("Discord got %v", last)
	}
}

// TestBulkDeleteEnds: if Discord refuses the channel, the call does not try each message.
func TestBulkDeleteEnds(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	client := start(t, sb, api.Config{Logger: slog.New(slog.DiscardHandler)})
	req := &pb.BulkDeleteChannelMessagesRequest{ChannelId: uint64(w.General)}
	for range 150 {
		id, err := sb.AddMessage(sandbox.Message{ChannelID: w.General})
		if err != nil {
			t.Fatal(err)
		}
		req.MessageIds = append(req.MessageIds, uint64(id))
	}
	for i := range 3 {
		req.MessageIds = append(req.MessageIds, uint64(sb.OldID(time.Duration(20+i)*24*time.Hour)))
	}

	forbidden := sandbox.Fault{Status: http.StatusForbidden, Body: `{"message":"Missing Permissions","code":50013}`}
	sb.InjectFault(forbidden)
	_, err := client.BulkDeleteChannelMessages(t.Context(), req)
	if connect.CodeOf(err) != connect.CodePermissionDenied || sb.Stats().Calls != 1 {
		t.Errorf("all refused: %v after %d calls", err, sb.Stats().Calls)
	}

	sb.RemoveFault(0)
	sb.ResetStats()
	forbidden.Skip = 1
	sb.InjectFault(forbidden)
	res, err := client.BulkDeleteChannelMessages(t.Context(), req)
	if err != nil || sb.Stats().Calls != 2 {
		t.Fatalf("some refused: %v after %d calls", err, sb.Stats().Calls)
	}
	outcomes := make(map[string]int)
	for _, result := range res.GetResults() {
		outcomes[fmt.Sprint(result.GetError().GetCode())]++
	}
	if outcomes["0"] != 100 || outcomes["50013"] != 53 || len(sb.Messages(w.General)) != 50 {
		t.Errorf("the outcomes are %v, %d messages are left", outcomes, len(sb.Messages(w.General)))
	}
}
