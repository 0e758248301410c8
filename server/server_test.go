package server_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
)

// running is a server that runs.
type running struct {
	discordapiconnect.DiscordApiClient
	dashboard discordapiconnect.DashboardClient
	over      *http.Transport
	address   string
	key       string // that its calls carry, if any
	stop      context.CancelFunc
	ended     chan error
	done      chan struct{}
}

func (r *running) client() *http.Client { return &http.Client{Transport: r} }

// run starts a server of its own on a free port.
func run(t testing.TB, c server.Config) *running {
	t.Helper()
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, srv, lis)
}

// serve runs a server on a listener.
func serve(t testing.TB, srv *server.Server, lis net.Listener) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	over := &http.Transport{Protocols: protocols}
	r := &running{over: over, address: lis.Addr().String(), stop: stop, ended: make(chan error, 1), done: make(chan struct{})}
	client, url := r.client(), "http://"+r.address
	r.DiscordApiClient = discordapiconnect.NewDiscordApiClient(client, url)
	r.dashboard = discordapiconnect.NewDashboardClient(client, url)
	go func() {
		r.ended <- srv.Run(ctx, lis)
		close(r.done)
	}()
	return r
}

// RoundTrip implements http.RoundTripper.
func (r *running) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.key != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	return r.over.RoundTrip(req)
}

// answers waits until the server takes calls.
func (r *running) answers(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		_, err := r.GetCurrentUser(ctx, new(pb.GetCurrentUserRequest))
		if err == nil {
			return
		}
		if connect.CodeOf(err) != connect.CodeUnavailable {
			t.Fatal(err)
		}
	}
}

// events opens a stream of events and waits until the server is connected to the
// gateway.
func (r *running) events(t *testing.T) *connect.ServerStreamForClient[pb.SubscribeEventsResponse] {
	t.Helper()
	// From the beginning: the connection may be older than the stream.
	stream, err := r.SubscribeEvents(t.Context(), &pb.SubscribeEventsRequest{After: new(pb.EventPosition)})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		for _, event := range stream.Msg().GetEvents() {
			if event.GetGatewayState().GetState() == pb.Event_GatewayState_CONNECTED {
				return stream
			}
		}
	}
	t.Fatal(stream.Err())
	return nil
}

// TestTwoServers: servers in one process do not share anything that ends with
// one of them, and nothing of a server is left when Run has returned.
func TestTwoServers(t *testing.T) {
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(auth, []byte("clients: [{name: test, addresses: [127.0.0.1]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	collector.Config.SetKeepAlivesEnabled(false) // the exporter would keep its connection
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	// Each has a bot of its own: Discord lets one begin few sessions.
	start := func() (r *running, end func()) {
		sb := sandbox.New(sandbox.Config{})
		discord := httptest.NewServer(sb)
		return run(t, server.Config{
			Token: sb.World().Token, APIURL: discord.URL + "/api", Logger: slog.New(slog.DiscardHandler), AuthFile: auth, Getenv: os.Getenv,
		}), func() { sb.Close(); discord.Close() }
	}
	first, end := start()
	defer end()
	first.answers(t)
	first.events(t)
	before := goleak.IgnoreCurrent()

	second, end := start()
	second.answers(t)
	events := second.events(t)
	status, err := second.dashboard.WatchStatus(t.Context(), new(pb.WatchStatusRequest))
	if err != nil || !status.Receive() {
		t.Fatal(err, status.Err())
	}
	second.stop()
	if err := <-second.ended; err != nil {
		t.Error(err)
	}
	for events.Receive() { // the state of the gateway
	}
	_, _ = events.Close(), status.Close()
	second.over.CloseIdleConnections()
	end()
	goleak.VerifyNone(t, before)

	first.answers(t)
	first.stop()
	if err := <-first.ended; err != nil {
		t.Error(err)
	}
}

// TestConfigIsChecked: New names the field.
func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*server.Config){
		"ShutdownGrace is negative":   func(c *server.Config) { c.ShutdownGrace = -1 },
		"MaxQueueBytes is negative":   func(c *server.Config) { c.MaxQueueBytes = math.MinInt64 },
		"Gateway.EventBuffer is neg":  func(c *server.Config) { c.Gateway.EventBuffer = -1 },
		"CertFile and KeyFile need":   func(c *server.Config) { c.KeyFile = "key.pem" },
		"ClientCAFile needs CertFile": func(c *server.Config) { c.ClientCAFile = "ca.pem" },
		"HooksTemplates needs Hooks":  func(c *server.Config) { c.HooksTemplates = "templates" },
		"PlainREST is 7":              func(c *server.Config) { c.PlainREST = 7 },
		"the API's URL":               func(c *server.Config) { c.APIURL = "discord.com" },
		"CORS":                        func(c *server.Config) { c.CORSOrigins = []string{"example.org/path"} },
		"cannot read the auth file":   func(c *server.Config) { c.AuthFile = "none" },
		"no bot named \"other\"": func(c *server.Config) {
			c.AuthFile, c.Auth = "clients", []byte("clients: [{name: test, addresses: [127.0.0.1], bots: [default, other]}]")
		},
		"bot: there is no bot named \"games\": the server has default": func(c *server.Config) {
			c.HooksFile, c.Hooks = "hooks", []byte("hooks: [{name: test, channel: 1, bot: games}]")
		},
		"cannot read the token file":   func(c *server.Config) { c.Token, c.TokenFile = "", "none" },
		"is empty":                     func(c *server.Config) { c.Token, c.TokenFile = "", emptyFile(t) },
		"No Discord bot token":         func(c *server.Config) { c.Token = "" },
		"status":                       func(c *server.Config) { c.Gateway.Status = "away" },
		"OTEL_TRACES_EXPORTER \"odd\"": func(c *server.Config) { c.Getenv = func(string) string { return "odd" } },
	} {
		c := server.Config{Token: "token", Logger: slog.New(slog.DiscardHandler)}
		change(&c)
		if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	srv, err := server.New(server.Config{
		Token: "token", Logger: slog.New(slog.DiscardHandler),
		AuthFile: "clients", Auth: []byte("clients: [{name: test, addresses: [127.0.0.1], bots: [default]}]"),
		HooksFile: "hooks", Hooks: []byte("hooks: [{name: test, channel: 1, bot: default}]"),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Close()
}

// emptyFile returns the path of a file without text.
func emptyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRunOnce: a server ends with its first Run.
func TestRunOnce(t *testing.T) {
	refusing := httptest.NewServer(sandbox.New(sandbox.Config{}))
	defer refusing.Close()
	srv, err := server.New(server.Config{Token: "wrong", APIURL: refusing.URL + "/api", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Discord refused the bot token", "Run was called before"} {
		lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Run(t.Context(), lis); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if _, err := lis.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%q: the listener is left: %v", want, err)
		}
	}
}
