package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/server/api"
	"discordproxy/server/internal/access"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// panicking has a defect that shows with one user.
type panicking struct {
	api.Discord
	user uint64
}

func (p panicking) SendDirectMessage(ctx context.Context, by *discord.Caller, user uint64, m discord.Message) (json.RawMessage, error) {
	if user == p.user {
		panic("internal secret")
	}
	return p.Discord.SendDirectMessage(ctx, by, user, m)
}

// TestPanicWhileSendingToMany: a panic for one of many users fails only that user, and
// writes one line to the log.
func TestPanicWhileSendingToMany(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	var log bytes.Buffer
	client := start(t, sb, api.Config{
		Discord: panicking{discordClient(t, sb), uint64(w.Bob)},
		Logger:  slog.New(slog.NewJSONHandler(&log, nil)),
	})
	req := &pb.SendDirectMessagesRequest{UserIds: []uint64{uint64(w.Alice), uint64(w.Bob)}, Message: &pb.NewMessage{Content: "x"}}
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set("X-Request-Id", "name-of-the-call")
	stream, err := client.SendDirectMessages(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	results := make(map[uint64]*pb.SendDirectMessagesResponse)
	for stream.Receive() {
		results[stream.Msg().GetUserId()] = stream.Msg()
	}
	if stream.Err() != nil || results[uint64(w.Alice)].GetMessage().GetContent() != "x" {
		t.Errorf("%v, the other user got %v", stream.Err(), results[uint64(w.Alice)])
	}
	bob := results[uint64(w.Bob)]
	if bob.GetStatus() != "INTERNAL" || bob.GetError().GetText() != "internal error" || !bob.GetError().GetOutcomeUnknown() || bob.GetMessage() != nil {
		t.Errorf("the result is %v", bob)
	}
	var line struct{ Msg, Method, Panic, Stack, Request_id string } //nolint:revive // the log's name
	if err := json.NewDecoder(&log).Decode(&line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "panic in a handler" || line.Panic != "internal secret" || !strings.HasSuffix(line.Method, "/SendDirectMessages") ||
		line.Request_id != "name-of-the-call" || !strings.Contains(line.Stack, "broadcast_test.go") {
		t.Errorf("the log line is %+v", line)
	}
}

// TestIdempotencyKeyOfTwoClients: a key names a call of its client only, so that no client
// gets the message of another one as its own.
func TestIdempotencyKeyOfTwoClients(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	keys, hashes := make(map[string]string), make(map[string]string)
	for _, name := range []string{"shop", "news"} {
		keys[name], hashes[name] = access.NewKey()
	}
	guard := access.New(access.Config{
		Rules:  rules(t, hashes, map[string]string{"shop": "", "news": ""}),
		Logger: slog.New(slog.DiscardHandler),
	})
	client := start(t, sb, api.Config{Access: guard, Logger: slog.New(slog.DiscardHandler)})
	for _, tt := range []struct{ client, text, want string }{
		{"shop", "of shop", "of shop"},
		{"news", "of news", "of news"},
		{"shop", "again", "of shop"},
	} {
		ctx, info := connect.NewClientContext(t.Context())
		info.RequestHeader().Set("Authorization", "Bearer "+keys[tt.client])
		stream, err := client.SendDirectMessages(ctx, &pb.SendDirectMessagesRequest{
			UserIds: []uint64{uint64(sb.World().Alice)}, Message: &pb.NewMessage{Content: tt.text}, IdempotencyKey: "greeting",
		})
		if err != nil {
			t.Fatal(err)
		}
		if !stream.Receive() || stream.Msg().GetMessage().GetContent() != tt.want {
			t.Errorf("%s sends %q, and gets %v, %v", tt.client, tt.text, stream.Msg(), stream.Err())
		}
		if err := stream.Close(); err != nil {
			t.Error(err)
		}
	}
}
