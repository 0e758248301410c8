package server

import (
	"context"
	"net"
)

// dialer opens a connection.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// whileLeading returns a dialer whose connections send only while this server may. What
// is above a connection, such as TLS or a queue of HTTP/2, does not come between the
// check and the sending. Without a lease it returns dial itself. A nil dial
// is that of net.Dialer.
func (d *data) whileLeading(dial dialer) dialer {
	if d == nil || d.lease == nil {
		return dial
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := d.leads(); err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &leadingConn{conn, d.leads}, nil
	}
}

// leadingConn is a connection to Discord.
type leadingConn struct {
	net.Conn
	mayNot func() error
}

// Write implements net.Conn. A connection that may not send ends: what it would send
// later could depend on what it did not send.
func (c *leadingConn) Write(p []byte) (int, error) {
	if err := c.mayNot(); err != nil {
		_ = c.Close()
		return 0, err
	}
	return c.Conn.Write(p)
}
