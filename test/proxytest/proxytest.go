// Package proxytest runs the whole server for tests.
package proxytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// output collects what a command writes and can be waited on.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Proxy is a running discordproxyserver.
type Proxy struct {
	// Address is where it listens.
	Address string
	// Trust is what clients need to reach a server that speaks TLS. Nil is for
	// cleartext.
	Trust *tls.Config
	out   *output
	stop  context.CancelFunc
	ended chan struct{}
	code  int          // valid when ended is closed
	over2 *http.Client // cleartext HTTP/2
}

// Stop ends the server as a signal does, waits for it and returns its exit
// code.
func (p *Proxy) Stop() int {
	p.stop()
	// HTTP/2 would wait for a second until it closes what is idle.
	p.over2.CloseIdleConnections()
	<-p.ended
	return p.code
}

// Output returns what the server wrote so far.
func (p *Proxy) Output() string { return p.out.String() }

var listensOn = regexp.MustCompile(`listens on ([^\s,]+)(?:, .*)?\n`)

// starting lets one server read its flags at a time: the library of flags keeps
// those for help and version in variables of its own, which every command writes.
var starting sync.Mutex

// Start runs discordproxyserver on a free port until the test ends.
func Start(t testing.TB, args ...string) *Proxy {
	t.Helper()
	defaults := []string{"--log-file-path", t.TempDir()}
	if !slices.Contains(args, "--no-data") {
		defaults = append(defaults, "--data", t.TempDir())
	}
	p, err := Run(append(defaults, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	return p
}

// Run starts discordproxyserver on a free port. It runs until Stop is called.
func Run(args ...string) (*Proxy, error) {
	ctx, cancel := context.WithCancel(context.Background())
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	p := &Proxy{out: newOutput(), stop: cancel, ended: make(chan struct{}), over2: &http.Client{Transport: &http.Transport{Protocols: h2}}}
	starting.Lock()
	defer starting.Unlock()
	go func() {
		defer close(p.ended)
		p.code = cli.Run(ctx, serve.Command, cli.Env{Args: append([]string{"--port", "0"}, args...), Out: p.out, Err: p.out})
	}()
	for {
		if found := listensOn.FindStringSubmatch(p.out.String()); found != nil {
			p.Address = found[1]
			return p, nil
		}
		select {
		case <-p.out.written:
		case <-p.ended:
			cancel()
			return nil, fmt.Errorf("the server ended with %d: %s", p.code, p.out)
		}
	}
}

// Against starts the server with a sandbox that the test can arrange,
// and waits until it takes calls. It stays away from the gateway, so that tests
// can count calls, unless args have --no-gateway=false.
func Against(t testing.TB, sb *sandbox.Sandbox, args ...string) *Proxy {
	t.Helper()
	return AgainstTLS(t, sb, nil, args...)
}

// AgainstTLS is Against for a server that the arguments make speak TLS.
func AgainstTLS(t testing.TB, sb *sandbox.Sandbox, trust *tls.Config, args ...string) *Proxy {
	t.Helper()
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	p := Start(t, append([]string{"--no-gateway", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api"}, args...)...)
	p.Trust = trust
	p.WaitReady(t)
	return p
}

// Guarded is Against for a server with an auth file that holds rules.
func Guarded(t testing.TB, sb *sandbox.Sandbox, rules string) *Proxy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	return Against(t, sb, "--auth-file", file)
}

// WaitReady waits until the bot's token was found good.
func (p *Proxy) WaitReady(t testing.TB) {
	t.Helper()
	conn := p.dial(t)
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	stream, err := grpc_health_v1.NewHealthClient(conn).Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if response.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return
		}
	}
}

// Dial returns a connection of grpc-go to the server. It is closed at the end of the test.
func (p *Proxy) Dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	conn := p.dial(t)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (p *Proxy) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	how := insecure.NewCredentials()
	if p.Trust != nil {
		how = credentials.NewTLS(p.Trust.Clone())
	}
	conn, err := grpc.NewClient(p.Address, grpc.WithTransportCredentials(how))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Clients returns a client for each protocol.
func (p *Proxy) Clients() map[string]discordapiconnect.DiscordApiClient {
	return clientsOver(http.DefaultClient, p.over2, p.URL())
}

func clientsOver(over1, over2 *http.Client, url string) map[string]discordapiconnect.DiscordApiClient {
	return map[string]discordapiconnect.DiscordApiClient{
		"gRPC":                   discordapiconnect.NewDiscordApiClient(over2, url, connect.WithGRPC()),
		"gRPC-Web":               discordapiconnect.NewDiscordApiClient(over1, url, connect.WithGRPCWeb()),
		"gRPC-Web JSON":          discordapiconnect.NewDiscordApiClient(over1, url, connect.WithGRPCWeb(), connect.WithProtoJSON()),
		"Connect":                discordapiconnect.NewDiscordApiClient(over2, url),
		"Connect JSON":           discordapiconnect.NewDiscordApiClient(over1, url, connect.WithProtoJSON()),
		"Connect JSON with GETs": discordapiconnect.NewDiscordApiClient(over1, url, connect.WithProtoJSON(), connect.WithHTTPGet()),
	}
}
