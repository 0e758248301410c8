package listener

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// newH2CHandler returns a handler for srv that turns connections with HTTP/2's
// preface or with Upgrade: h2c into HTTP/2 connections, and has next serve all
// requests. Such a connection is one call of the handler for its whole life,
// and Shutdown of srv sends it a GOAWAY. The settings of srv and srv.HTTP2 hold
// for it. prefaceTimeout bounds the wait for the rest of the preface.
func newH2CHandler(srv *http.Server, next http.Handler, prefaceTimeout time.Duration) (http.Handler, error) {
	server := &http2.Server{}
	if err := http2.ConfigureServer(srv, server); err != nil {
		return nil, err
	}
	handler := h2c.NewHandler(next, server)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" {
			w = prefaceReader{w, prefaceTimeout}
		} else {
			w = upgrader{w}
		}
		handler.ServeHTTP(w, r)
	}), nil
}

// mayBecomeHTTP2 reports whether a request is one that the handler of newH2CHandler may
// turn its connection for.
func mayBecomeHTTP2(r *http.Request) bool {
	return r.Method == "PRI" || r.Header.Get("Upgrade") != ""
}

// prefaceReader makes sure that the rest of the preface has come before the
// connection is handed over: behind that point nothing bounds the wait for it,
// and a connection on which it does not come would stay open for ever.
type prefaceReader struct {
	http.ResponseWriter
	timeout time.Duration
}

// Unwrap serves http.ResponseController.
func (w prefaceReader) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w prefaceReader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := awaitPreface(conn, rw.Reader, w.timeout); err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("await HTTP/2 preface: %w", err)
	}
	return takeBuffered(conn, rw, len(prefaceRest))
}

// upgrader hijacks a connection for an Upgrade to h2c.
type upgrader struct{ http.ResponseWriter }

// Unwrap serves http.ResponseController.
func (w upgrader) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker.
func (w upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn, rw, err = takeBuffered(conn, rw, 0)
	if c, ok := conn.(*http2Connection); ok {
		c.upgraded = true
	}
	return conn, rw, err
}

// takeBuffered returns a connection with what rw has buffered, but for its first bytes,
// which remain in rw. Package h2c would wrap a connection for which more is buffered, and
// pass the wrapper to ConnState.
func takeBuffered(conn net.Conn, rw *bufio.ReadWriter, first int) (net.Conn, *bufio.ReadWriter, error) {
	own, ok := conn.(*connection)
	if !ok {
		return conn, rw, nil
	}
	buffered, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("take a connection to HTTP/2: %w", err)
	}
	rest, frames := buffered[:first], buffered[first:]
	rw.Reader = bufio.NewReader(strings.NewReader(string(rest)))
	return &http2Connection{connection: own, buffered: slices.Clone(frames)}, rw, nil
}

// http2Connection is a connection that HTTP/2 uses, with the frames that were read before
// it did.
type http2Connection struct {
	*connection
	buffered []byte
	upgraded bool // and not called idle yet
}

// setState notes whether the connection has streams. HTTP/2 calls one that was upgraded
// idle once before its first stream, the request of the Upgrade, has ended.
func (c *http2Connection) setState(state http.ConnState) {
	idle := state == http.StateIdle
	if idle && c.upgraded {
		c.upgraded = false
		return
	}
	c.idle.Store(idle)
}

// Read implements net.Conn.
func (c *http2Connection) Read(p []byte) (int, error) {
	if len(c.buffered) == 0 {
		return c.connection.Read(p)
	}
	n := copy(p, c.buffered)
	c.buffered = c.buffered[n:]
	if len(c.buffered) == 0 {
		c.buffered = nil
	}
	return n, nil
}

// prefaceRest is what follows the preface's first lines, which look like a request.
const prefaceRest = "SM\r\n\r\n"

// awaitPreface waits until r has buffered what follows the preface's first
// lines, which look like a request.
func awaitPreface(conn net.Conn, r *bufio.Reader, timeout time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := r.Peek(len(prefaceRest)); err != nil {
		return err
	}
	return conn.SetReadDeadline(time.Time{})
}

// serveHTTP2OverTLS has srv serve HTTP/2 on TLS connections that agree on it. Shutdown
// of srv sends each a GOAWAY. The settings of srv and srv.HTTP2 hold for them.
func serveHTTP2OverTLS(srv *http.Server) error {
	server := &http2.Server{}
	if err := http2.ConfigureServer(srv, server); err != nil {
		return err
	}
	serve := srv.TLSNextProto[http2.NextProtoTLS]
	srv.TLSNextProto[http2.NextProtoTLS] = func(srv *http.Server, conn *tls.Conn, handler http.Handler) {
		raw, ok := conn.NetConn().(*connection)
		if !ok {
			serve(srv, conn, handler)
			return
		}
		opts := &http2.ServeConnOpts{BaseConfig: srv, Handler: handler}
		// How net/http passes the context of a connection on to HTTP/2.
		if h, ok := handler.(interface{ BaseContext() context.Context }); ok {
			opts.Context = h.BaseContext()
		}
		server.ServeConn(&tlsConnection{Conn: conn, raw: raw}, opts)
	}
	return nil
}

// tlsConnection is a connection over TLS that HTTP/2 uses.
type tlsConnection struct {
	*tls.Conn
	raw *connection // what TLS writes to
}

// Write implements net.Conn.
func (c *tlsConnection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err == nil {
		c.raw.endWriting(p, c.Conn)
	}
	return n, err
}
