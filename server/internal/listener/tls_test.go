package listener_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"discordproxy/server/internal/listener"
	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
	"google.golang.org/grpc/credentials"
)

// tlsProtocols are the kinds of clients that come by TLS, trusting an
// authority.
func tlsProtocols(trust *tls.Config) map[string]func(testing.TB, string) caller {
	client := func(http2 bool) func(testing.TB) *http.Client {
		return func(t testing.TB) *http.Client {
			transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: 1000}
			t.Cleanup(transport.CloseIdleConnections)
			return &http.Client{Transport: transport}
		}
	}
	return map[string]func(testing.TB, string) caller{
		"grpc-go":           func(t testing.TB, addr string) caller { return grpcCaller(t, addr, credentials.NewTLS(trust.Clone())) },
		"connect gRPC":      connectCallerOver("https", client(true), connect.WithGRPC()),
		"gRPC-Web HTTP/1.1": connectCallerOver("https", client(false), connect.WithGRPCWeb()),
		"JSON HTTP/1.1":     connectCallerOver("https", client(false), connect.WithProtoJSON()),
		"JSON HTTP/2":       connectCallerOver("https", client(true), connect.WithProtoJSON()),
	}
}

// secured returns what a server and its clients need for TLS. As in the command,
// the configuration may change from one connection to the next.
func secured(t testing.TB) (server, client *tls.Config) {
	authority := proxytest.NewAuthority(t)
	current := &tls.Config{Certificates: []tls.Certificate{authority.Issue(t, proxytest.ServerName)}, NextProtos: []string{"h2", "http/1.1"}}
	server = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current, nil }}
	return server, &tls.Config{RootCAs: authority.Pool()}
}

func TestShutdownOverTLS(t *testing.T) {
	server, client := secured(t)
	for name, newCaller := range tlsProtocols(client) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letsCallsEnd(t, listener.Config{TLS: server}, newCaller)
		})
		t.Run(name+"/beyond the grace", func(t *testing.T) {
			t.Parallel()
			tellsCalls(t, listener.Config{TLS: server}, newCaller)
		})
	}
}

// TestTLSChoosesTheProtocol: one port has HTTP/2 and HTTP/1.1, as the client
// asks, and no cleartext.
func TestTLSChoosesTheProtocol(t *testing.T) {
	server, client := secured(t)
	running := serve(t, listener.Config{TLS: server, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})})
	for proto, http2 := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		transport := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: http2}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+running.addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != proto {
			t.Errorf("got %s, %v; want %s", body, err, proto)
		}
	}
	clear := newGRPC(t, running.addr)
	if _, err := clear(t.Context(), procedureEcho, "x"); err == nil {
		t.Error("a call in cleartext was answered")
	}
}
