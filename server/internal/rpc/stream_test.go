package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TestStreamsOpenBeforeTheirFirstMessage: the header of a stream arrives while
// its handler has nothing to send, and keeps nginx from buffering.
func TestStreamsOpenBeforeTheirFirstMessage(t *testing.T) {
	options, err := rpc.HandlerOptions(rpc.Config{}, rpc.Streams())
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	handler := connect.NewServerStreamHandlerSimple(procedure,
		func(_ context.Context, req *wrapperspb.StringValue, stream *connect.ServerStream[wrapperspb.StringValue]) error {
			<-release
			return stream.Send(req)
		}, options...)
	srv := httptest.NewUnstartedServer(rpc.GRPCWebText(handler))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	defer close(release) // before the server waits for its handlers
	http1 := http.DefaultTransport.(*http.Transport).Clone()
	http1.TLSClientConfig, http1.ForceAttemptHTTP2 = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, NextProtos: []string{"http/1.1"}}, false
	defer http1.CloseIdleConnections()
	for _, client := range []*http.Client{srv.Client(), {Transport: http1}} {
		for contentType, body := range map[string]string{
			"application/grpc":                "\x00\x00\x00\x00\x00",
			"application/grpc-web+proto":      "\x00\x00\x00\x00\x00",
			"application/grpc-web-text+proto": "AAAAAAA=",
			"application/connect+proto":       "\x00\x00\x00\x00\x00",
			"application/connect+json":        "\x00\x00\x00\x00\x02\"\"",
		} {
			if contentType == "application/grpc" && client != srv.Client() {
				continue // needs HTTP/2
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+procedure, bytes.NewReader([]byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", contentType)
			req.Header.Set("Te", "trailers")
			resp, err := client.Do(req)
			if err != nil {
				t.Errorf("%s: %v", contentType, err)
				continue
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != contentType || resp.Header.Get("X-Accel-Buffering") != "no" {
				t.Errorf("%s: %s %v", contentType, resp.Status, resp.Header)
			}
		}
	}
}
