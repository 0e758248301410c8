package api_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
)

// lines is a log that many may write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns what was logged since the last take.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// early is a server whose log is kept.
func early(t *testing.T) (*httptest.Server, *lines, *sandbox.Sandbox) {
	t.Helper()
	sb, log := sandbox.New(sandbox.Config{}), new(lines)
	logger := slog.New(slog.NewTextHandler(log, nil))
	below := discordClient(t, sb)
	handler, err := api.New(api.Config{Discord: below, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, log, sb
}

// http2Client speaks HTTP/2 without TLS.
func http2Client(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestDeadlinesThatHavePassed: a call whose deadline has passed when it comes, or passes
// before its message is there, fails with that status in every protocol, sends nothing to
// Discord and is not logged as a bug.
func TestDeadlinesThatHavePassed(t *testing.T) {
	srv, log, sb := early(t)
	const prefix = "\x00\x00\x00\x00\x00"
	for _, tt := range []struct{ name, contentType, header, value string }{
		{"gRPC", "application/grpc", "Grpc-Timeout", "1n"},
		{"gRPC", "application/grpc", "Grpc-Timeout", "0S"},
		{"gRPC", "application/grpc", "Grpc-Timeout", "0n"},
		{"gRPC-Web", "application/grpc-web+proto", "Grpc-Timeout", "0m"},
		{"Connect", "application/json", "Connect-Timeout-Ms", "0"},
		{"Connect", "application/proto", "Connect-Timeout-Ms", "0"},
		{"gRPC, slow body", "application/grpc", "Grpc-Timeout", "50m"},
		{"gRPC-Web, slow body", "application/grpc-web+proto", "Grpc-Timeout", "50m"},
		{"Connect, slow body", "application/json", "Connect-Timeout-Ms", "50"},
	} {
		for _, method := range []string{"ListGuilds", "SubscribeEvents"} {
			t.Run(tt.name+"/"+tt.value+"/"+method, func(t *testing.T) {
				if method == "SubscribeEvents" {
					if tt.name == "Connect" || tt.name == "Connect, slow body" {
						tt.contentType = "application/connect+json"
					}
				}
				body := io.Reader(strings.NewReader(prefix))
				if strings.Contains(tt.contentType, "json") {
					body = strings.NewReader("{}")
				}
				if strings.Contains(tt.name, "slow") {
					// It begins and does not continue.
					slow, end := io.Pipe()
					defer end.Close()
					go func() { _, _ = end.Write([]byte("\x00\x00")) }()
					body = slow
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/discord_api.DiscordApi/"+method, body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", tt.contentType)
				req.Header.Set(tt.header, tt.value)
				res, err := http2Client(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				answer, _ := io.ReadAll(res.Body)
				got := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status") + string(answer)
				if got != "4" && !strings.Contains(got, `"deadline_exceeded"`) && !strings.Contains(got, "grpc-status: 4") {
					t.Errorf("%s %q", res.Status, got)
				}
			})
		}
	}
	if text := log.take(); strings.Contains(text, "ERROR") || !strings.Contains(text, "code=deadline_exceeded") {
		t.Errorf("logged %s", text)
	}
	if n := sb.Calls(); len(n) != 0 {
		t.Errorf("%d calls reached Discord", len(n))
	}
}

// TestShortDeadlines: whenever a short deadline passes, the call ends with its
// status, as the server sees it and as the caller does.
func TestShortDeadlines(t *testing.T) {
	srv, log, sb := early(t)
	client := discordapiconnect.NewDiscordApiClient(http2Client(t), srv.URL, connect.WithGRPC())
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			for k := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i*k)*20*time.Microsecond)
				_, err := client.GetChannel(ctx, &pb.GetChannelRequest{ChannelId: uint64(sb.World().General)})
				cancel()
				if err != nil && connect.CodeOf(err) != connect.CodeDeadlineExceeded {
					t.Errorf("%v", err)
				}
			}
		})
	}
	callers.Wait()
	srv.Close()
	text := log.take()
	if strings.Contains(text, "ERROR") || strings.Contains(text, "code=internal") || strings.Contains(text, "code=unknown") {
		t.Errorf("logged %.2000s", text)
	}
}

// TestCallersThatLeave: if a caller disconnects in the middle of its message, the handler
// ends, and no bug is logged.
func TestCallersThatLeave(t *testing.T) {
	srv, log, _ := early(t)
	for path, contentType := range map[string]string{
		"ListGuilds":      "application/grpc",
		"GetGuild":        "application/json",
		"GetChannel":      "application/grpc-web",
		"SubscribeEvents": "application/connect+json",
	} {
		for _, client := range []*http.Client{http2Client(t), {Transport: new(http.Transport)}} {
			ctx, leave := context.WithCancel(t.Context())
			body, more := io.Pipe()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+"/discord_api.DiscordApi/"+path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			go func() {
				_, _ = more.Write([]byte("\x00\x00"))
				leave()
				// net/http waits for a body that it has begun to read.
				_ = more.CloseWithError(context.Canceled)
			}()
			if res, err := client.Do(req); err == nil {
				_ = res.Body.Close()
			}
			leave()
			client.CloseIdleConnections()
		}
	}
	ended := make(chan struct{})
	go func() {
		srv.Close() // waits for the handlers
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("a handler has not ended")
	}
	if text := log.take(); strings.Contains(text, "ERROR") || strings.Contains(text, "code=internal") || strings.Contains(text, "code=unknown") {
		t.Errorf("logged %s", text)
	}
}
