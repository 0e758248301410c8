package listener_test

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/listener"

	"golang.org/x/net/http2"
)

// TestFramesAreReadTogether: frames that arrive together take a few system calls, not two
// for each.
func TestFramesAreReadTogether(t *testing.T) {
	const pings = 50
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reads := new(atomic.Int64)
	server := serveOn(t, &countingListener{ln, reads}, listener.Config{Handler: http.NotFoundHandler()})
	conn := dial(t, server.addr)
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	client := http2.NewFramer(conn, conn)
	// answered waits for the answer to a ping: the server has read everything up to it.
	answered := func(number byte) {
		t.Helper()
		for {
			frame, err := client.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() && ping.Data[0] == number {
				return
			}
		}
	}
	if _, err := io.WriteString(conn, http2Bytes(func(f *http2.Framer) { _ = f.WritePing(false, [8]byte{1}) })); err != nil {
		t.Fatal(err)
	}
	answered(1)
	before := reads.Load()
	together := http2Bytes(func(f *http2.Framer) {
		for n := range pings {
			_ = f.WritePing(false, [8]byte{byte(2 + n)})
		}
	})[len(http2Bytes(func(*http2.Framer) {})):] // without the preface
	if _, err := io.WriteString(conn, together); err != nil {
		t.Fatal(err)
	}
	answered(pings + 1)
	if n := reads.Load() - before; n > pings/2 {
		t.Errorf("%d reads for %d frames", n, pings)
	}
}

// countingListener counts the reads of its connections.
type countingListener struct {
	net.Listener
	reads *atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &countingConn{conn, l.reads}, err
}

type countingConn struct {
	net.Conn
	reads *atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}
