package listener

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// connections are the open connections of one listener.
type connections struct {
	mu   sync.Mutex
	open map[*connection]struct{}
}

// listen makes the connections of ln known, bounded in number, and closed when
// their peer takes nothing for a while.
func (c *connections) listen(ln net.Listener, cfg Config) net.Listener {
	c.open = make(map[*connection]struct{})
	return trackingListener{
		Listener:     netutil.LimitListener(ln, cfg.MaxConnections),
		all:          c,
		writeTimeout: cfg.WriteTimeout,
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

type trackingListener struct {
	net.Listener
	all          *connections
	writeTimeout time.Duration
}

// Accept implements net.Listener.
func (l trackingListener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: inner, all: l.all, writeTimeout: l.writeTimeout}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	l.all.open[conn] = struct{}{}
	return conn, nil
}

type connection struct {
	net.Conn
	all          *connections
	writeTimeout time.Duration
	known        atomic.Bool  // whether a known client uses it
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
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
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
	return c.Conn.Close()
}
