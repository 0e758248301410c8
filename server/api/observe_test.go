package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// start serves the API in front of a sandbox.
func start(t *testing.T, sb *sandbox.Sandbox, config api.Config, opts ...connect.ClientOption) discordapiconnect.DiscordApiClient {
	t.Helper()
	if config.Discord == nil {
		config.Discord = discordClient(t, sb)
	}
	handler, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return discordapiconnect.NewDiscordApiClient(http.DefaultClient, srv.URL, opts...)
}

// discordClient returns a client of a sandbox.
func discordClient(t *testing.T, sb *sandbox.Sandbox) *discord.Client {
	t.Helper()
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// drain reads a stream to its end and returns the number of its messages.
func drain(stream *connect.ServerStreamForClient[pb.ListChannelMessagesResponse], err error) (int, error) {
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	n := 0
	for stream.Receive() {
		n++
	}
	return n, stream.Err()
}

// TestStreamsAreObserved: a stream leaves one line as a call does.
func TestStreamsAreObserved(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	for range 120 {
		if _, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: "one of many"}); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	client := start(t, sb, api.Config{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	for _, tt := range []struct {
		channel   uint64
		messages  int
		code      string
		tries     float64
		wantError bool
	}{
		{uint64(w.General), 110, "ok", 2, false},
		{uint64(w.Forbidden), 0, "permission_denied", 1, true},
	} {
		log.Reset()
		n, err := drain(client.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: tt.channel, Limit: 110}))
		if n != tt.messages || (err != nil) != tt.wantError {
			t.Errorf("%d messages, %v", n, err)
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("not one line: %s", log.String())
		}
		if line["method"] != "ListChannelMessages" || line["channel_id"] != float64(tt.channel) || line["code"] != tt.code ||
			line["sent"] != float64(tt.messages) || line["tries"] != tt.tries || line["protocol"] != "connect" {
			t.Errorf("the line is %v", line)
		}
	}
}

func TestStreamsWaitForReadiness(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := start(t, sb, api.Config{
		Logger: slog.New(slog.DiscardHandler),
		Ready:  func() error { return errors.New("not yet") },
	})
	_, err := drain(client.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: 1}))
	if connect.CodeOf(err) != connect.CodeUnavailable || sb.Stats().Calls > 0 {
		t.Errorf("got %v after %d calls to Discord", err, sb.Stats().Calls)
	}
}

// TestLinesNameTheirTarget: a line names the target of its call, if there is one.
func TestLinesNameTheirTarget(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var log bytes.Buffer
	client := start(t, sb, api.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := client.GetUser(t.Context(), &pb.GetUserRequest{UserId: uint64(sb.World().Alice)}); err != nil {
		t.Fatal(err)
	}
	if want := " user_id=" + sb.World().Alice.String() + " "; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in %s", want, log.String())
	}
	log.Reset()
	if _, err := client.ListGuilds(t.Context(), &pb.ListGuildsRequest{Before: 1 << 62}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "before") {
		t.Errorf("a position is no target: %s", log.String())
	}
}
