package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"discordproxy/server/internal/listener"

	"golang.org/x/net/http2"
)

// TestNotThePreface: a connection that begins as HTTP/2 does and goes on otherwise is
// closed without an answer.
func TestNotThePreface(t *testing.T) {
	server := serve(t, listener.Config{Handler: http.NotFoundHandler()})
	conn := dial(t, server.addr)
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if answer, err := io.ReadAll(conn); err != nil && isTimeout(err) || len(answer) > 0 {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// TestHTTP2OutlivesItsPreface: the requests of an HTTP/2 connection have the context of
// the server, not that of the request as which the preface was read. It ends with the
// connection.
func TestHTTP2OutlivesItsPreface(t *testing.T) {
	began, ended := make(chan context.Context, 1), make(chan struct{})
	server := serve(t, listener.Config{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- r.Context()
		<-r.Context().Done()
		close(ended)
	})})
	conn := dial(t, server.addr)
	client := http2.NewFramer(conn, conn)
	// One byte at a time: the preface and the frames after it come with several reads.
	for _, b := range []byte(http2Bytes(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock("/"), EndHeaders: true, EndStream: true})
	})) {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	// The answer to a ping comes after the handler of the preface has returned.
	if err := client.WritePing(false, [8]byte{1}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := client.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() {
			break
		}
	}
	ctx := <-began
	if _, ok := ctx.Value(http.ServerContextKey).(*http.Server); !ok {
		t.Error("the context has no server")
	}
	if err := ctx.Err(); err != nil {
		t.Errorf("the request ended: %v", context.Cause(ctx))
	}
	_ = conn.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the request does not end with its connection")
	}
}
