package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// publicHost is the host of docs/reverse-proxy.md.
const publicHost = "discord.example.org"

// often is how many times a refusal is asked for: enough to show a race.
const often = 30

// front is a reverse proxy with a server behind it.
type front struct {
	port         string
	trust        *tls.Config
	little, slow string // keys
	guild        uint64
	channel      uint64
}

func (f front) url() string { return "https://" + net.JoinHostPort(publicHost, f.port) }

// http returns a client that finds the public host at the reverse proxy.
func (f front) http(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols: new(http.Protocols), TLSClientConfig: f.trust.Clone(),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+f.port)
		},
	}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// invoke makes a call in one of the forms in which libraries make them.
type invoke func(ctx context.Context, key, method string, request proto.Message) error

// connectForms are those of connect-go and connect-web, gRPC-Web among them.
var connectForms = map[string]struct {
	http2   bool
	options []connect.ClientOption
}{
	"connect-go gRPC":          {true, []connect.ClientOption{connect.WithGRPC()}},
	"gRPC-Web over HTTP/1.1":   {false, []connect.ClientOption{connect.WithGRPCWeb()}},
	"gRPC-Web over HTTP/2":     {true, []connect.ClientOption{connect.WithGRPCWeb()}},
	"Connect JSON, HTTP/1.1":   {false, []connect.ClientOption{connect.WithProtoJSON()}},
	"Connect JSON, HTTP/2":     {true, []connect.ClientOption{connect.WithProtoJSON()}},
	"Connect protobuf, HTTP/2": {true, nil},
}

// forms returns all forms, those of grpc-go, as grpcurl calls, included.
func (f front) forms(t *testing.T) map[string]invoke {
	t.Helper()
	conn := f.grpc(t)
	forms := map[string]invoke{"grpc-go": func(ctx context.Context, key, method string, request proto.Message) error {
		return conn.Invoke(withKey(ctx, key), "/discord_api.DiscordApi/"+method, request, new(emptypb.Empty))
	}}
	for name, form := range connectForms {
		client := f.http(t, form.http2)
		forms[name] = func(ctx context.Context, key, method string, request proto.Message) error {
			url := f.url() + "/discord_api.DiscordApi/" + method
			switch request := request.(type) {
			case *pb.GetGuildChannelsRequest:
				return once[pb.GetGuildChannelsRequest, pb.GetGuildChannelsResponse](ctx, client, url, key, f.url(), request, form.options)
			case *pb.SendDirectMessageRequest:
				return once[pb.SendDirectMessageRequest, pb.SendDirectMessageResponse](ctx, client, url, key, f.url(), request, form.options)
			case *pb.AddReactionRequest:
				return once[pb.AddReactionRequest, pb.AddReactionResponse](ctx, client, url, key, f.url(), request, form.options)
			case *pb.SendChannelMessageRequest:
				return once[pb.SendChannelMessageRequest, pb.SendChannelMessageResponse](ctx, client, url, key, f.url(), request, form.options)
			}
			return fmt.Errorf("no form for %T", request)
		}
	}
	return forms
}

// once makes one call as a page of an origin would.
func once[Req, Res any](ctx context.Context, client *http.Client, url, key, origin string, request *Req, options []connect.ClientOption) error {
	req := connect.NewRequest(request)
	req.Header().Set("Origin", origin)
	if key != "" {
		req.Header().Set("Authorization", "Bearer "+key)
	}
	_, err := connect.NewClient[Req, Res](client, url, options...).CallUnary(ctx, req)
	return err
}

// grpc returns a connection of grpc-go, as grpcurl makes it.
func (f front) grpc(t *testing.T) *grpc.ClientConn {
	t.Helper()
	secure := f.trust.Clone()
	secure.ServerName = publicHost
	conn, err := grpc.NewClient("127.0.0.1:"+f.port, grpc.WithTransportCredentials(credentials.NewTLS(secure)), grpc.WithAuthority(publicHost))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func withKey(ctx context.Context, key string) context.Context {
	if key == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

// codeOf returns the code of an error of connect-go or grpc-go, or 0 of none.
func codeOf(err error) connect.Code {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*connect.Error](err); ok {
		return connect.CodeOf(err)
	}
	return connect.Code(grpcstatus.Code(err))
}

// TestReverseProxies sends every form of call, every refusal and streams through
// the reverse proxies of docs/reverse-proxy.md.
func TestReverseProxies(t *testing.T) {
	t.Parallel()
	for _, r := range reverseProxies {
		require.Command(t, r.name, "apt-get install "+r.name)
	}
	authority := proxytest.NewAuthority(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	little, littleHash := server.NewKey()
	slow, slowHash := server.NewKey()
	folder := t.TempDir()
	writeFile(t, folder, "auth.yaml", fmt.Sprintf(`clients:
  - {name: little, hashes: [%q], methods: ["Get*", SendChannelMessage, AddReaction, SubscribeEvents, ServerReflectionInfo, dashboard, "GET /*"]}
  - {name: slow, hashes: [%q], rate: 0.0001}
`, littleHash, slowHash))
	args := strings.Fields(documentedBlock(t, "sh"))
	for i, arg := range args {
		switch arg {
		case "discordproxyserver", "token", "--token-file": // the test gives its own
			args[i] = ""
		case "auth.yaml":
			args[i] = filepath.Join(folder, "auth.yaml")
		}
	}
	args = append(slices.DeleteFunc(args, func(arg string) bool { return arg == "" }), "--metrics-open", "--rest-proxy")
	server := proxytest.Online(t, sb, args...)
	// One that does not have the public host among its own.
	stranger := proxytest.Against(t, sb, slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--allowed-host" || arg == publicHost })...)
	authority.Files(t, folder, authority.Issue(t, publicHost))
	for _, r := range reverseProxies {
		t.Run(r.name, func(t *testing.T) {
			f := front{
				trust: &tls.Config{RootCAs: authority.Pool()}, little: little, slow: slow,
				guild: uint64(sb.World().Guild), channel: uint64(sb.World().General),
			}
			var output func() string
			f.port, output = r.start(t, authority, server.Address)
			t.Run("calls", f.calls)
			t.Run("grpcio", func(t *testing.T) {
				script(t, require.Python(t), "reverseproxy.py", f.port, filepath.Join(folder, "ca.pem"), little, slow, fmt.Sprint(f.channel), fmt.Sprint(f.guild), fmt.Sprint(often))
			})
			t.Run("curl", func(t *testing.T) { f.curl(t, filepath.Join(folder, "ca.pem")) })
			t.Run("grpcurl", f.reflection)
			t.Run("streams", func(t *testing.T) { f.streams(t, sb) })
			t.Run("foreign host", func(t *testing.T) {
				other := f
				other.port, _ = r.start(t, authority, stranger.Address)
				other.foreign(t)
			})
			if text := output(); strings.Contains(text, "DOWN") || strings.Contains(text, "unhealthy") {
				t.Errorf("the health check failed: %s", text)
			}
		})
	}
}

// calls makes calls that succeed, and all that are refused.
func (f front) calls(t *testing.T) {
	guess := func(code connect.Code, text string) bool {
		return code == connect.CodeUnauthenticated && strings.Contains(text, "key") ||
			code == connect.CodeResourceExhausted && strings.Contains(text, "too many unknown keys")
	}
	is := func(want connect.Code, part string) func(connect.Code, string) bool {
		return func(code connect.Code, text string) bool { return code == want && strings.Contains(text, part) }
	}
	small := &pb.SendChannelMessageRequest{ChannelId: f.channel, Content: "x"}
	large := &pb.SendChannelMessageRequest{ChannelId: f.channel, Content: strings.Repeat("x", 1_000_000)}
	cases := []struct {
		name, key, method string
		request           proto.Message
		want              func(connect.Code, string) bool
		times             int
	}{
		{"unary", f.little, "GetGuildChannels", &pb.GetGuildChannelsRequest{GuildId: f.guild}, is(0, ""), often},
		{"no key", "", "SendChannelMessage", small, is(connect.CodeUnauthenticated, "key"), often},
		{"no key, 1 MB", "", "SendChannelMessage", large, is(connect.CodeUnauthenticated, "key"), often},
		{"wrong key", "dpkey_wrong", "SendChannelMessage", small, guess, often},
		{"wrong key, 1 MB", "dpkey_wrong", "SendChannelMessage", large, guess, often},
		{"forbidden", f.little, "SendDirectMessage", &pb.SendDirectMessageRequest{UserId: 5, Content: "x"}, is(connect.CodePermissionDenied, "SendDirectMessage"), often},
		{"unknown method", f.little, "Nonsense", small, is(connect.CodeUnimplemented, ""), often},
		{"too large", f.little, "AddReaction", &pb.AddReactionRequest{ChannelId: f.channel, EmojiName: strings.Repeat("x", 6_000_000)}, is(connect.CodeResourceExhausted, "size"), 10},
		{"rate limited", f.slow, "GetGuildChannels", &pb.GetGuildChannelsRequest{GuildId: f.guild}, is(connect.CodeDeadlineExceeded, "rate"), often},
	}
	for name, call := range f.forms(t) {
		t.Run(name, func(t *testing.T) {
			// The one call that the slow client has; another form may have made it.
			slow := &pb.GetGuildChannelsRequest{GuildId: f.guild}
			if err := inTime(t, call, f.slow, "GetGuildChannels", slow); err != nil && codeOf(err) != connect.CodeDeadlineExceeded {
				t.Fatal(err)
			}
			for _, c := range cases {
				wrong := make(map[string]int)
				for range c.times {
					err := inTime(t, call, c.key, c.method, c.request)
					if !c.want(codeOf(err), fmt.Sprint(err)) {
						wrong[fmt.Sprint(err)]++
					}
				}
				if len(wrong) > 0 {
					t.Errorf("%s, of %d: %v", c.name, c.times, wrong)
				}
			}
		})
	}
}

// inTime makes a call with a deadline.
func inTime(t *testing.T, call invoke, key, method string, request proto.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	return call(ctx, key, method, request)
}

// foreign calls by a host that the server does not allow.
func (f front) foreign(t *testing.T) {
	for name, call := range f.forms(t) {
		for _, content := range []string{"x", strings.Repeat("x", 1_000_000)} {
			for range often {
				err := call(t.Context(), f.little, "SendChannelMessage", &pb.SendChannelMessageRequest{ChannelId: f.channel, Content: content})
				if codeOf(err) != connect.CodePermissionDenied || !strings.Contains(fmt.Sprint(err), "host not allowed") {
					t.Fatalf("%s with %d bytes: %v", name, len(content), err)
				}
			}
		}
	}
}

// reflection asks for the API as grpcurl does.
func (f front) reflection(t *testing.T) {
	ask := func(key string) (*grpc_reflection_v1.ServerReflectionResponse, error) {
		ctx, cancel := context.WithTimeout(withKey(t.Context(), key), proxytest.Patience)
		defer cancel()
		stream, err := grpc_reflection_v1.NewServerReflectionClient(f.grpc(t)).ServerReflectionInfo(ctx)
		if err != nil {
			return nil, err
		}
		// It may fail since the refusal is there already: Recv returns that.
		_ = stream.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
		return stream.Recv()
	}
	answer, err := ask(f.little)
	if err != nil || len(answer.GetListServicesResponse().GetService()) == 0 {
		t.Errorf("with a key: %v, %v", answer, err)
	}
	// The client waits for the answer, with its side of the stream open.
	if _, err := ask(""); codeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a key: %v", err)
	}
}

// streams follows events in every form, and the dashboard's state.
func (f front) streams(t *testing.T, sb *sandbox.Sandbox) {
	followers := make(map[string]*proxytest.Subscriber)
	for name, form := range connectForms {
		followers[name] = proxytest.Follow(t, discordapiconnect.NewDiscordApiClient(f.keyed(t, form.http2), f.url(), form.options...), &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}})
	}
	id := proxytest.Post(t, sb, sandbox.ID(f.channel), "through the reverse proxy")
	for name, s := range followers {
		if e := s.Next(); e.GetMessage().GetId() != uint64(id) {
			t.Errorf("%s: %v", name, e)
		}
	}
	for _, http2 := range []bool{false, true} {
		dashboard := discordapiconnect.NewDashboardClient(f.keyed(t, http2), f.url(), connect.WithProtoJSON())
		ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
		stream, err := dashboard.WatchStatus(ctx, &pb.WatchStatusRequest{})
		if err != nil || !stream.Receive() {
			t.Errorf("the dashboard shows nothing: %v", errors.Join(err, stream.Err()))
		}
		cancel()
		_ = stream.Close()
	}
}

// keyed returns a client that sends the key and, as a page of the server does,
// its origin.
func (f front) keyed(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	client := f.http(t, http2)
	client.Transport = withHeader{client.Transport, http.Header{"Authorization": {"Bearer " + f.little}, "Origin": {f.url()}}}
	return client
}

// withHeader adds fields to each request.
type withHeader struct {
	next   http.RoundTripper
	header http.Header
}

func (h withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h.header {
		r.Header[name] = values
	}
	return h.next.RoundTrip(r)
}

// curl asks for pages, and sends what is refused.
func (f front) curl(t *testing.T, authority string) {
	require.Command(t, "curl", "apt-get install curl")
	const some = 10
	const api = "/discord_api.DiscordApi/SendChannelMessage"
	small, large := `{"content":"x"}`, `{"content":"`+strings.Repeat("x", 1_000_000)+`"}`
	huge := `{"content":"` + strings.Repeat("x", 20_000_000) + `"}`
	for _, c := range []struct {
		name, path, key, body string
		want                  []string // statuses
		text                  string
		times                 int
	}{
		{"health", "/healthz", "", "", []string{"200"}, "", 1},
		{"readiness", "/readyz", "", "", []string{"200"}, "", 1},
		{"dashboard", "/", "", "", []string{"200"}, "<title>", 1},
		{"reference", "/docs/", "", "", []string{"200"}, "<html", 1},
		{"REST", fmt.Sprintf("/api/v10/channels/%d", f.channel), f.little, "", []string{"200"}, "general", some},
		{"REST without a key", fmt.Sprintf("/api/v10/channels/%d/messages", f.channel), "", large, []string{"401"}, "key", some},
		{"REST that is not allowed", fmt.Sprintf("/api/v10/channels/%d/messages", f.channel), f.little, large, []string{"403"}, "little", some},
		{"unary", "/discord_api.DiscordApi/GetGuildChannels", f.little, fmt.Sprintf(`{"guildId":"%d"}`, f.guild), []string{"200"}, "channels", some},
		{"no key", api, "", small, []string{"401"}, "unauthenticated", some},
		{"no key, 1 MB", api, "", large, []string{"401"}, "unauthenticated", some},
		{"no key, 20 MB", api, "", huge, []string{"401"}, "unauthenticated", some},
		{"wrong key, 1 MB", api, "dpkey_wrong", large, []string{"401", "429"}, "key", some},
		{"unknown path, 1 MB", "/nonsense", f.little, large, []string{"404"}, "", some},
		{"unknown method, 1 MB", "/discord_api.DiscordApi/Nonsense", f.little, large, []string{"404"}, "", some},
		{"forbidden, 1 MB", "/discord_api.DiscordApi/SendDirectMessage", f.little, large, []string{"403"}, "permission_denied", some},
		{"too large", "/discord_api.DiscordApi/AddReaction", f.little, huge, []string{"429"}, "resource_exhausted", some},
	} {
		for _, version := range []string{"--http1.1", "--http2"} {
			wrong := make(map[string]int)
			for range c.times {
				args := []string{
					"--silent", "--show-error", "--max-time", "30", version, "--cacert", authority,
					"--resolve", publicHost + ":" + f.port + ":127.0.0.1", "--write-out", "\n%{http_code} %{errormsg}",
					"--header", "Content-Type: application/json", "--header", "Expect:",
				}
				if c.key != "" {
					args = append(args, "--header", "Authorization: Bearer "+c.key)
				}
				if c.body != "" {
					args = append(args, "--data-binary", "@-")
				}
				cmd := exec.CommandContext(t.Context(), "curl", append(args, f.url()+c.path)...)
				cmd.Stdin = strings.NewReader(c.body)
				out, err := cmd.Output()
				text := string(out)
				status := text[strings.LastIndexByte(text, '\n')+1:]
				if err != nil || !slices.Contains(c.want, strings.TrimSpace(status)) || !strings.Contains(text, c.text) {
					wrong[fmt.Sprintf("%s %.200s %v", status, text, err)]++
				}
			}
			if len(wrong) > 0 {
				t.Errorf("%s %s, of %d: %v", c.name, version, c.times, wrong)
			}
		}
	}
}
