package listener

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// connections are the open connections of one listener.
type connections struct {
	mu       sync.Mutex
	open     map[*connection]struct{}
	draining atomic.Bool // whether connections without requests are to end
}

// listen makes the connections of ln known, bounded in number, and closed when
// their peer takes nothing for a while.
func (c *connections) listen(ln net.Listener, cfg Config) net.Listener {
	c.open = make(map[*connection]struct{})
	closed := make(chan struct{})
	return &trackingListener{
		Listener:     ln,
		all:          c,
		places:       make(chan struct{}, cfg.MaxConnections),
		closed:       closed,
		close:        sync.OnceFunc(func() { close(closed) }),
		writeTimeout: cfg.WriteTimeout,
	}
}

// setState is the ConnState of http.Server. HTTP/2 calls it, too: a connection is idle
// when it has no streams.
func (c *connections) setState(conn net.Conn, state http.ConnState) {
	switch conn := conn.(type) {
	case *http2Connection:
		conn.setState(state)
	case *tlsConnection:
		conn.raw.idle.Store(state == http.StateIdle)
	default: // HTTP/1.1
	}
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// closeAll closes what is open and returns how many those were. Hijacked
// connections are among them, which http.Server.Close does not know.
func (c *connections) closeAll() int {
	c.mu.Lock()
	remaining := make([]*connection, 0, len(c.open))
	for conn := range c.open {
		remaining = append(remaining, conn)
	}
	c.mu.Unlock()
	for _, conn := range remaining {
		_ = conn.Close()
	}
	return len(remaining)
}

// trackingListener accepts a connection when one of its places is free. Its
// connections are not wrapped once more for that, because they need CloseWrite.
type trackingListener struct {
	net.Listener
	all          *connections
	places       chan struct{}
	closed       <-chan struct{}
	close        func()
	writeTimeout time.Duration
}

// Accept implements net.Listener.
func (l *trackingListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	inner, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	conn := &connection{Conn: inner, all: l.all, writeTimeout: l.writeTimeout}
	conn.leave = sync.OnceFunc(func() { <-l.places })
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	l.all.open[conn] = struct{}{}
	return conn, nil
}

// Close implements net.Listener. It also ends an Accept that waits for a place.
func (l *trackingListener) Close() error {
	l.close()
	return l.Listener.Close()
}

type connection struct {
	net.Conn
	all          *connections
	leave        func() // gives the connection's place back
	writeTimeout time.Duration
	known        atomic.Bool  // whether a known client uses it
	idle         atomic.Bool  // whether it is an HTTP/2 connection without streams
	leaving      atomic.Bool  // whether the peer was sent a GOAWAY
	unread       atomic.Int64 // bodies of its requests that are read to be dropped
}

// Read implements net.Conn. On a connection of clients that are not known the
// handlers of the requests read so far run first: HTTP/2 would otherwise start
// thousands of them before the first could be refused.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.known.Load() {
		runtime.Gosched()
	}
	return n, err
}

// Write implements net.Conn. It fails when the peer takes no byte for the write
// timeout. http.Server.WriteTimeout cannot serve for this: it bounds the whole
// request, and requests may be held for minutes.
func (c *connection) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil {
			c.endWriting(p, c.Conn)
		}
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// goAway begins a GOAWAY frame: its length, type, flags and stream.
var goAway = []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}

// endWriting ends what the peer reads of conn, which is c or TLS on top of it, after p
// once the server shuts down, a GOAWAY was written, and there are no streams. On such a
// connection HTTP/2 serves no further stream, but closes it a second later only, and
// clients that leave it open would have the server wait for that. The peer has the GOAWAY
// and closes the connection when it reads the end. A request that was on its way
// is repeated because of the GOAWAY. Closing both directions instead could reset the
// connection before the peer has read it.
func (c *connection) endWriting(p []byte, conn net.Conn) {
	if !c.all.draining.Load() {
		return
	}
	if bytes.Contains(p, goAway) {
		c.leaving.Store(true)
	}
	if !c.leaving.Load() || !c.idle.Load() {
		return
	}
	if conn, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = conn.CloseWrite()
	}
}

// RemoteAddr implements net.Conn. All clients of Unix sockets have one address.
func (c *connection) RemoteAddr() net.Addr {
	addr := c.Conn.RemoteAddr()
	if addr.Network() == "unix" {
		return socketPeer{}
	}
	return addr
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	defer c.leave()
	return c.Conn.Close()
}
