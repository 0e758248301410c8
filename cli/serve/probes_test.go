package serve_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// rawHTTP sends bytes over a connection of its own and returns the answer.
func rawHTTP(t *testing.T, address, request string) (status int, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Fields(request)[0]})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(data))
}

// TestProbesWithoutHost: the default checks of load balancers use HTTP/1.0 without a
// host. Such requests reach nothing else.
func TestProbesWithoutHost(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	p.WaitReady(t)
	for request, want := range map[string]struct {
		status int
		body   string
	}{
		"OPTIONS / HTTP/1.0\r\n\r\n":                          {204, ""},
		"OPTIONS /healthz HTTP/1.0\r\n\r\n":                   {200, "alive"},
		"OPTIONS /readyz HTTP/1.0\r\n\r\n":                    {200, "ready"},
		"GET /healthz HTTP/1.0\r\n\r\n":                       {200, "alive"},
		"GET /readyz HTTP/1.0\r\n\r\n":                        {200, "ready"},
		"HEAD /healthz HTTP/1.0\r\n\r\n":                      {200, ""},
		"OPTIONS / HTTP/1.1\r\nHost: localhost\r\n\r\n":       {204, ""},
		"GET /healthz HTTP/1.1\r\n\r\n":                       {400, "400 Bad Request: missing required Host header"},
		"GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n": {403, "host not allowed: call the server as localhost, or allow this host by --allowed-host"},
		"GET /metrics HTTP/1.0\r\n\r\n":                       {403, "host not allowed: call the server as localhost, or allow this host by --allowed-host"},
		"GET /api/v10/users/@me HTTP/1.0\r\n\r\n":             {403, "host not allowed: call the server as localhost, or allow this host by --allowed-host"},
		"POST /healthz HTTP/1.0\r\n\r\n":                      {403, "host not allowed: call the server as localhost, or allow this host by --allowed-host"},
	} {
		if status, body := rawHTTP(t, p.Address, request); status != want.status || !strings.HasPrefix(body, want.body) {
			t.Errorf("%q: %d %q", request, status, body)
		}
	}
}

// TestProbesWithoutAuthority: HAProxy sends the same checks over HTTP/2 if it
// speaks that to the server.
func TestProbesWithoutAuthority(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	p.WaitReady(t)
	for _, tt := range []struct{ verb, path, authority, status string }{
		{"OPTIONS", "/", "", "204"},
		{"GET", "/healthz", "", "200"},
		{"GET", "/readyz", "", "200"},
		{"GET", "/readyz", "evil.example", "403"},
		{"POST", "/healthz", "", "403"},
		{"GET", "/metrics", "", "403"},
		{"GET", "/api/v10/users/@me", "", "403"},
	} {
		if got := statusOverHTTP2(t, p.Address, tt.verb, tt.path, tt.authority); got != tt.status {
			t.Errorf("%s %s of %q: %s, want %s", tt.verb, tt.path, tt.authority, got, tt.status)
		}
	}
}

// statusOverHTTP2 returns the status of a request over HTTP/2 without TLS. An
// empty authority is left out, which Go's client cannot do.
func statusOverHTTP2(t *testing.T, address, verb, path, authority string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", verb}, {":scheme", "http"}, {":path", path}, {":authority", authority}} {
		if field[1] == "" {
			continue
		}
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			return headers.PseudoValue("status")
		}
	}
}

// TestHealthWatchEndsWithTheServer: a watcher learns of a shutdown and does not
// delay it.
func TestHealthWatchEndsWithTheServer(t *testing.T) {
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}))
	p.WaitReady(t)
	watch, err := grpc_health_v1.NewHealthClient(p.Dial(t)).Watch(t.Context(), new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []grpc_health_v1.HealthCheckResponse_ServingStatus{grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING} {
		if resp, err := watch.Recv(); err != nil || resp.GetStatus() != want {
			t.Fatalf("%v %v, want %v", resp, err, want)
		}
		if want == grpc_health_v1.HealthCheckResponse_SERVING {
			go p.Stop()
		}
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v", err)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
