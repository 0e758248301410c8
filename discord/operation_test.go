package discord_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

var operations = map[string]discord.Operation{
	"CreateMessage": discord.CreateMessage, "UpdateMessage": discord.UpdateMessage,
	"ListMessages": discord.ListMessages, "GetMessage": discord.GetMessage, "DeleteMessage": discord.DeleteMessage,
	"BulkDeleteMessages": discord.BulkDeleteMessages, "CrosspostMessage": discord.CrosspostMessage,
	"ListPins": discord.ListPins, "CreatePin": discord.CreatePin, "DeletePin": discord.DeletePin,

	"AddMyReaction": discord.AddMyReaction, "DeleteMyReaction": discord.DeleteMyReaction,
	"DeleteUserReaction": discord.DeleteUserReaction, "DeleteReactionsByEmoji": discord.DeleteReactionsByEmoji,
	"DeleteAllReactions": discord.DeleteAllReactions, "ListReactionsByEmoji": discord.ListReactionsByEmoji,

	"GetChannel": discord.GetChannel, "TriggerTyping": discord.TriggerTyping, "CreateDM": discord.CreateDM,
	"CreateThread": discord.CreateThread, "CreateThreadFromMessage": discord.CreateThreadFromMessage,
	"ListActiveThreads": discord.ListActiveThreads, "JoinThread": discord.JoinThread,
	"AddThreadMember": discord.AddThreadMember, "LeaveThread": discord.LeaveThread, "DeleteThreadMember": discord.DeleteThreadMember,

	"GetGuild": discord.GetGuild, "ListGuildChannels": discord.ListGuildChannels, "ListGuildRoles": discord.ListGuildRoles,
	"ListGuildMembers": discord.ListGuildMembers, "SearchGuildMembers": discord.SearchGuildMembers,
	"GetGuildMember": discord.GetGuildMember, "UpdateGuildMember": discord.UpdateGuildMember,
	"AddGuildMemberRole": discord.AddGuildMemberRole, "DeleteGuildMemberRole": discord.DeleteGuildMemberRole,
	"ListMyGuilds": discord.ListMyGuilds, "GetMyUser": discord.GetMyUser, "GetUser": discord.GetUser,

	"GetWebhookWithToken": discord.GetWebhookWithToken,
	"ExecuteWebhook":      discord.ExecuteWebhook, "UpdateWebhookMessage": discord.UpdateWebhookMessage, "DeleteWebhookMessage": discord.DeleteWebhookMessage,
}

// TestOperationsAreListed: the list above is complete.
func TestOperationsAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "operations.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !ast.IsExported(spec.Names[0].Name) {
			return true
		}
		if _, listed := operations[spec.Names[0].Name]; !listed {
			t.Errorf("%s is not listed", spec.Names[0].Name)
		}
		return false
	})
}

// TestOperationsAreDiscords compares with Discord's own description of its
// API. It is not part of this module: DISCORD_OPENAPI names the file, which is
// specs/openapi.json of github.com/discord/discord-api-spec.
func TestOperationsAreDiscords(t *testing.T) {
	file := os.Getenv("DISCORD_OPENAPI")
	if file == "" {
		file = filepath.Join("..", "..", "shared", "discord-openapi.json")
		if _, err := os.Stat(file); err != nil {
			t.Skip("no description of Discord's API: set DISCORD_OPENAPI to a copy of specs/openapi.json from github.com/discord/discord-api-spec")
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var description struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &description); err != nil {
		t.Fatal(err)
	}
	for name, op := range operations {
		var described struct {
			Name string `json:"operationId"`
		}
		if err := json.Unmarshal(description.Paths[op.Path][strings.ToLower(op.Method)], &described); err != nil || described.Name != op.Name {
			t.Errorf("%s: Discord's %s %s is %q, not %q", name, op.Method, op.Path, described.Name, op.Name)
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// TestOperationsHaveBuckets: the limiter has a route for every operation.
func TestOperationsHaveBuckets(t *testing.T) {
	values := map[string]string{"{emoji_name}": "%F0%9F%91%8D", "{webhook_token}": "secret-token"}
	for name, op := range operations {
		path := placeholder.ReplaceAllStringFunc(op.Path, func(p string) string {
			if value, ok := values[p]; ok {
				return value
			}
			return "175928847299117063"
		})
		route := ratelimit.RouteOf(op.Method, path, "", time.Now())
		if strings.Contains(route.Template, "{other}") || strings.Contains(route.Template, "{id}") || strings.Contains(route.Template, "secret") {
			t.Errorf("%s goes to the bucket of %s", name, route)
		}
		first := placeholder.FindString(op.Path)
		if major := strings.TrimSuffix(strings.Trim(first, "{}"), "_id"); major != "user" && !strings.HasPrefix(route.Major, major) {
			t.Errorf("%s belongs to %q", name, route.Major)
		}
	}
}

// TestArgumentsStayInTheirPlace: no value of an argument can lead to another route.
func TestArgumentsStayInTheirPlace(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var sent *http.Request
	var body string
	client := newClient(t, sb, func(http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			sent, body = r, ""
			if r.Body != nil {
				b, _ := io.ReadAll(r.Body)
				body = string(b)
			}
			answer := `{"user":{"id":"2"}}`
			if r.Method == http.MethodGet {
				answer = "[]"
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer))}, nil
		}
	})
	for _, tt := range []struct {
		op   discord.Operation
		args discord.Args
		path string // empty when nothing may be sent
		body string
	}{
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": uint64(2), "emoji_name": "👍🏽"}, "/api/v10/channels/1/messages/2/reactions/%F0%9F%91%8D%F0%9F%8F%BD/@me", ""},
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": "2", "emoji_name": "#️⃣"}, "/api/v10/channels/1/messages/2/reactions/%23%EF%B8%8F%E2%83%A3/@me", ""},
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": "2", "emoji_name": "party:3"}, "/api/v10/channels/1/messages/2/reactions/party:3/@me", ""},
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": "2", "emoji_name": "a/../../../b"}, "", ""},
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": "2", "emoji_name": ".."}, "", ""},
		{discord.AddMyReaction, discord.Args{"channel_id": "1", "message_id": "2"}, "", ""},
		{discord.GetMessage, discord.Args{"channel_id": "1", "message_id": "@me"}, "", ""},
		{discord.GetMessage, discord.Args{"channel_id": "1"}, "", ""},
		{discord.GetMessage, discord.Args{"channel_id": "1", "message_id": "0"}, "", ""},
		{discord.ListMessages, discord.Args{"channel_id": "1", "limit": 5, "around": "7&limit=1"}, "/api/v10/channels/1/messages?around=7%26limit%3D1&limit=5", ""},
		{discord.UpdateGuildMember, discord.Args{"guild_id": "1", "user_id": "2", "nick": nil, "roles": []string{}}, "/api/v10/guilds/1/members/2", `{"nick":null,"roles":[]}`},
		{discord.DeleteWebhookMessage, discord.Args{"webhook_id": "1", "webhook_token": "a-B_9.=", "message_id": "2", "thread_id": "3"}, "/api/v10/webhooks/1/a-B_9.=/messages/2?thread_id=3", ""},
		{discord.DeleteWebhookMessage, discord.Args{"webhook_id": "1", "webhook_token": "a%2Fb", "message_id": "2"}, "", ""},
	} {
		sent = nil
		_, err := client.Call(t.Context(), nil, tt.op, tt.args)
		switch {
		case tt.path == "":
			if err == nil || sent != nil {
				t.Errorf("%v: %v was sent", tt.args, sent)
			}
		case err != nil || sent.URL.RequestURI() != tt.path || body != tt.body:
			t.Errorf("%v: sent %v with %s, not %s with %s: %v", tt.args, sent, body, tt.path, tt.body, err)
		case (sent.Header.Get("Authorization") == "") != strings.Contains(tt.op.Path, "{webhook_token}"):
			t.Errorf("%v: sent with the credentials %q", tt.args, sent.Header.Get("Authorization"))
		}
	}
}

// TestReason: the audit log's reason is a header, encoded.
func TestReason(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var header string
	client := newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			header = r.Header.Get("X-Audit-Log-Reason")
			return next.RoundTrip(r)
		}
	})
	w := sb.World()
	_, err := client.Call(t.Context(), nil, discord.AddGuildMemberRole, discord.Args{
		"guild_id": w.Guild.String(), "user_id": w.NoDMs.String(), "role_id": w.MemberRole.String(),
		discord.ReasonArgument: "für 100 %\r\nX-Other: 1",
	})
	if want := "f%C3%BCr%20100%20%25%0D%0AX-Other:%201"; err != nil || header != want {
		t.Errorf("the header is %q, not %q: %v", header, want, err)
	}
}

// TestRepeatableOperations: idempotent operations are retried; others end with an unknown outcome.
func TestRepeatableOperations(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	client := newClient(t, sb, nil)
	args := discord.Args{"channel_id": w.Announcement.String(), "message_id": w.Message.String()}
	thread := discord.Args{"channel_id": w.Announcement.String(), "message_id": w.Message.String(), "name": "t"}
	for _, tt := range []struct {
		op    discord.Operation
		args  discord.Args
		tries int
	}{
		{discord.GetMessage, args, 2},
		{discord.CreatePin, args, 2},
		{discord.TriggerTyping, discord.Args{"channel_id": w.General.String()}, 2},
		{discord.CreateDM, discord.Args{"recipient_id": w.Alice.String()}, 2},
		{discord.UpdateGuildMember, discord.Args{"guild_id": w.Guild.String(), "user_id": w.Alice.String(), "nick": "n"}, 2},
		{discord.CrosspostMessage, args, 1},
		{discord.CreateThreadFromMessage, thread, 1},
	} {
		sb.RemoveFault(0)
		sb.ResetStats()
		sb.InjectFault(sandbox.Fault{Status: http.StatusBadGateway, After: true, Count: 1})
		_, err := client.Call(t.Context(), nil, tt.op, tt.args)
		if got := sb.Stats().Calls; got != tt.tries {
			t.Errorf("%s: %d tries", tt.op.Name, got)
		}
		e, failed := errors.AsType[*discord.Error](err)
		if failed != (tt.tries == 1) || failed && !e.OutcomeUnknown {
			t.Errorf("%s: %v", tt.op.Name, err)
		}
	}
}

// TestDoneByAnEarlierTry: if Discord refuses a retry because the work is done, an earlier
// attempt did it.
func TestDoneByAnEarlierTry(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	client := newClient(t, sb, nil)
	message, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: "hi"})
	if err != nil {
		t.Fatal(err)
	}
	args := discord.Args{"channel_id": w.General.String(), "message_id": message.String(), "emoji_name": "👍"}
	for _, op := range []discord.Operation{discord.AddMyReaction, discord.DeleteMyReaction, discord.CreatePin, discord.DeletePin, discord.DeleteMessage} {
		id := sb.InjectFault(sandbox.Fault{Status: http.StatusBadGateway, After: true, Count: 1})
		if _, err := client.Call(t.Context(), nil, op, args); err != nil {
			t.Errorf("%s: %v", op.Name, err)
		}
		if faults := sb.Faults(); faults[0].Hits != 1 {
			t.Errorf("%s: the fault was not met", op.Name)
		}
		sb.RemoveFault(id)
	}
	for _, op := range []discord.Operation{discord.DeletePin, discord.DeleteMessage} {
		_, err := client.Call(t.Context(), nil, op, args)
		if e, ok := errors.AsType[*discord.Error](err); !ok || e.Code != 10008 {
			t.Errorf("%s of what is not there: %v", op.Name, err)
		}
	}
}
