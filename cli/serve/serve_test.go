package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
)

func TestEveryProtocol(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	world := sb.World()
	for name, client := range p.Clients() {
		t.Run(name, func(t *testing.T) {
			text := "by " + name
			sent, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
				ChannelId: uint64(world.General), Content: text, Embed: &pb.Embed{Title: "T", Author: &pb.Embed_Author{Name: "A", IconUrl: "https://example.org/a.png"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if m := sent.GetMessage(); m.GetContent() != text || m.GetAuthor().GetId() != uint64(world.Bot) || m.GetTimestamp() == "" || m.GetEmbeds()[0].GetAuthor().GetIconUrl() == "" {
				t.Errorf("the answer is %v", m)
			}
			stored := sb.Messages(world.General)
			if last := stored[len(stored)-1]; last.Content != text || uint64(last.ID) != sent.GetMessage().GetId() {
				t.Errorf("stored is %+v", last)
			}
			if _, err := client.SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{UserId: uint64(world.Alice), Content: text}); err != nil {
				t.Error(err)
			}
			channels, err := client.GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: uint64(world.Guild)})
			if err != nil {
				t.Fatal(err)
			}
			types := make(map[uint64]pb.Channel_Type)
			for _, c := range channels.GetChannels() {
				types[c.GetId()] = c.GetType()
			}
			if types[uint64(world.General)] != pb.Channel_GUILD_TEXT || types[uint64(world.Forum)] != pb.Channel_GUILD_FORUM || types[uint64(world.Category)] != pb.Channel_GUILD_CATEGORY {
				t.Errorf("channel types are %v", types)
			}
		})
	}
}

// TestErrors: what clients receive when Discord refuses a call, and for mistakes that are
// not sent to Discord.
func TestErrors(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	message := func(channel sandbox.ID, content string) *pb.SendChannelMessageRequest {
		return &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: content}
	}
	for _, tt := range []struct {
		name string
		req  *pb.SendChannelMessageRequest
		code connect.Code
		want string
	}{
		{"forbidden channel", message(w.Forbidden, "x"), connect.CodePermissionDenied, `{"type":"HTTPException","status":403,"code":50001,"text":"Missing Access"}`},
		{"unknown channel", message(5, "x"), connect.CodeNotFound, `{"type":"HTTPException","status":404,"code":10003,"text":"Unknown Channel"}`},
		{"nothing", message(w.General, " "), connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50006,"text":"Cannot send an empty message"}`},
		{"empty embed", &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Embed: &pb.Embed{}}, connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50006,"text":"Cannot send an empty message"}`},
		{"too long", message(w.General, strings.Repeat("ü", 2001)), connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50035,"text":"Invalid Form Body\nIn content: Must be 2000 or fewer in length."}`},
		{"no channel", message(0, "x"), connect.CodeNotFound, `{"type":"HTTPException","status":404,"code":10003,"text":"Unknown Channel"}`},
		{"huge id", message(1<<63, "x"), connect.CodeInvalidArgument, `{"type":"HTTPException","status":400,"code":50035,"text":"Invalid Form Body\nIn channel_id: snowflake value should be less than or equal to 9223372036854775807."}`},
		{"what only Discord can judge", &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Embed: &pb.Embed{Title: "t", Url: "nonsense"}}, connect.CodeInvalidArgument, `"code":50035,"text":"Invalid Form Body\nIn embeds.0.url: `},
	} {
		for protocol, client := range p.Clients() {
			t.Run(tt.name+"/"+protocol, func(t *testing.T) {
				_, err := client.SendChannelMessage(t.Context(), tt.req)
				if connect.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v\nwant %v: %s", err, tt.code, tt.want)
				}
			})
		}
	}
	if got := len(sb.Messages(w.General)); got != 0 {
		t.Errorf("%d messages were stored", got)
	}
}

// TestLongErrorsStayReadable: an error document that would not fit into metadata is cut,
// and stays valid JSON.
func TestLongErrorsStayReadable(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General)}
	for range 10 {
		embed := &pb.Embed{Title: "t"}
		for range 25 {
			embed.Fields = append(embed.Fields, &pb.Embed_Field{Name: strings.Repeat("ü", 257), Value: "v"})
		}
		req.Embeds = append(req.Embeds, embed)
	}
	_, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), req)
	status := new(connect.Error)
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !asStatus(err, &status) {
		t.Fatalf("got %v", err)
	}
	var document struct{ Text string }
	if err := json.Unmarshal([]byte(status.Message()), &document); err != nil || len(status.Message()) > 4000 || !strings.HasPrefix(document.Text, "Invalid Form Body\nIn embeds") {
		t.Errorf("%v: %d bytes: %.300s", err, len(status.Message()), status.Message())
	}
}

func asStatus(err error, into **connect.Error) bool {
	e, ok := err.(*connect.Error) //nolint:errorlint // the client returns it plain
	*into = e
	return ok
}

func TestCurl(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	user := sb.World().Alice
	for name, body := range map[string]string{
		"id as string": fmt.Sprintf(`{"userId":"%s","content":"hi"}`, user),
		"id as number": fmt.Sprintf(`{"user_id":%s,"content":"hi"}`, user),
	} {
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8"} {
			t.Run(name+"/"+contentType, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.Address+"/discord_api.DiscordApi/SendDirectMessage", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", contentType)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				data, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(data, []byte(`"content":"hi"`)) || !bytes.Contains(data, []byte(`"type":"DEFAULT"`)) {
					t.Errorf("%d %s %v", resp.StatusCode, data, err)
				}
			})
		}
	}
}

func TestHealthAndReflection(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	conn := p.Dial(t)
	for _, service := range []string{"", "discord_api.DiscordApi"} {
		resp, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v %v", service, resp, err)
		}
	}
	v1, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v1.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "discord_api.DiscordApi"}}); err != nil {
		t.Fatal(err)
	}
	if resp, err := v1.Recv(); err != nil || len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("reflection v1: %v %v", resp, err)
	}
	alpha, err := reflectionv1alpha.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // SA1019: tools in the field still ask with it
	if err := alpha.Send(&reflectionv1alpha.ServerReflectionRequest{MessageRequest: &reflectionv1alpha.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // SA1019: as above
	if resp, err := alpha.Recv(); err != nil || len(resp.GetListServicesResponse().GetService()) == 0 {
		t.Errorf("reflection v1alpha: %v %v", resp, err)
	}
}

func TestRefusedStarts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	refusing := httptest.NewServer(sandbox.New(sandbox.Config{}))
	defer refusing.Close()
	notAFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logs := []string{"--log-file-path", t.TempDir()}
	misused := []string{"port too high", "level", "unknown flag", "unknown command", "sandbox's port", "sandbox's range", "sandbox's argument", "nothing to spend", "negative max queue", "two mistakes"}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no token":           {logs, "ERROR: No Discord bot token provided; set --token-file or DISCORD_BOT_TOKEN\n"},
		"no token file":      {append(logs, "--token-file", "/does/not/exist"), "ERROR: cannot read the token file: open /does/not/exist: no such file or directory\n"},
		"port in use":        {append(logs, "--sandbox", "--port", port), "ERROR: cannot listen: listen tcp 127.0.0.1:" + port + ": bind: address already in use\n"},
		"port too high":      {append(logs, "--sandbox", "--port", "70000"), "ERROR: --port 70000 is not between 0 and 65535\n"},
		"log folder":         {[]string{"--sandbox", "--log-file-path", notAFolder}, "ERROR: cannot write the log file: "},
		"level":              {append(logs, "--sandbox", "--log-file-level", "LOUD"), "ERROR: --log-file-level \"LOUD\" is not one of DEBUG, INFO, WARN, ERROR, CRITICAL\n"},
		"unknown flag":       {[]string{"--nonsense"}, "ERROR: unknown option \"--nonsense\". See --help\n"},
		"unknown command":    {[]string{"nonsense"}, "ERROR: unknown command \"nonsense\"; see --help\n"},
		"sandbox's port":     {[]string{"sandbox", "--port", "many"}, "ERROR: --port \"many\" is not a number\n"},
		"sandbox's range":    {[]string{"sandbox", "--port", "99999"}, "ERROR: --port 99999 is not between 0 and 65535\n"},
		"sandbox's state":    {[]string{"sandbox", "--state", "/does/not/exist"}, "ERROR: cannot use --state /does/not/exist: open /does/not/exist: no such file or directory\n"},
		"sandbox's argument": {[]string{"sandbox", "please"}, "ERROR: unexpected argument \"please\"\n"},
		"unreadable URL":     {append(logs, "--token", "x", "--discord-api-url", "discord.com"), "ERROR: --discord-api-url is not of the form https://host/path\n"},
		"secret in a URL":    {append(logs, "--token", "x", "--discord-api-url", "https://discord.com/api?token=s3cret"), "ERROR: --discord-api-url is not of the form https://host/path\n"},
		"password in a URL":  {append(logs, "--sandbox", "--gateway-proxy-url", "https://user:s3cret@x/"), "ERROR: --gateway-proxy-url is not an address such as wss://proxy.example.org/gateway\n"},
		"origin":             {append(logs, "--sandbox", "--port", "0", "--cors-origin", "x"), "ERROR: --cors-origin: CORS origin \"x\" is not of the form scheme://host or scheme://host:port\n"},
		"host with scheme":   {append(logs, "--sandbox", "--port", "0", "--allowed-host", "http://x"), "ERROR: --allowed-host: allowed host \"http://x\" is not a host name or address without port\n"},
		"status":             {append(logs, "--sandbox", "--port", "0", "--status", "away"), "ERROR: --status: status \"away\" is not one of online, idle, dnd, invisible\n"},
		"long activity":      {append(logs, "--sandbox", "--port", "0", "--activity", strings.Repeat("x", 129)), "ERROR: --activity: an activity of 129 characters, more than 128\n"},
		"refused token":      {append(logs, "--port", "0", "--token", "wrong", "--discord-api-url", refusing.URL+"/api"), "ERROR: Discord refused the bot token: 401: Unauthorized\n"},
		"nothing to spend":   {append(logs, "--sandbox", "--invalid-request-limit", "1"), "ERROR: --invalid-request-limit must be more than 1, because one request is always kept in reserve\n"},
		"negative max queue": {append(logs, "--sandbox", "--max-queue", "-1"), "ERROR: --max-queue must be more than 0\n"},
		"two mistakes":       {append(logs, "--sandbox", "--outbox-max", "0", "--event-buffer", "0"), "ERROR: --event-buffer must be more than 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stdout, stderr bytes.Buffer
			code := cli.Run(ctx, serve.Command, cli.Env{Args: tt.args, Out: &stdout, Err: &stderr})
			if strings.Contains(stdout.String(), "USAGE") {
				t.Error("the whole usage is written in addition to the error")
			}
			wantCode := 1
			if slices.Contains(misused, name) {
				wantCode = 2
			}
			if code != wantCode || !strings.HasPrefix(stderr.String(), tt.want) || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("%d %q, want %q", code, stderr.String(), tt.want)
			}
		})
	}
}

// TestDiscordUnreachable: the server starts, reports that Discord cannot be reached, and
// refuses calls.
func TestDiscordUnreachable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	p := proxytest.Start(t, "--token", "x", "--discord-api-url", gone.URL+"/api")
	resp, err := grpc_health_v1.NewHealthClient(p.Dial(t)).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health is %v, %v", resp, err)
	}
	_, err = p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: 1, Content: "x"})
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("a call gets %v", err)
	}
}
