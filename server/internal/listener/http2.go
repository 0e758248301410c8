package listener

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// h2cHandler returns a handler for srv that turns connections with HTTP/2's preface or
// with Upgrade: h2c into HTTP/2 connections, and has next serve all requests. Shutdown
// of srv sends such a connection a GOAWAY. The settings of srv and srv.HTTP2 hold for it.
func (s *Server) h2cHandler(srv *http.Server, next http.Handler) (http.Handler, error) {
	server := &http2.Server{}
	if err := http2.ConfigureServer(srv, server); err != nil {
		return nil, err
	}
	upgrade := s.count(s.limitUpgrade(upgrading(h2c.NewHandler(next, server))))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPreface(r) {
			upgrade.ServeHTTP(w, r)
			return
		}
		s.inProgress.Add(1)
		conn, err := s.takeOver(w)
		if err != nil {
			s.inProgress.Add(-1)
			return
		}
		opts := &http2.ServeConnOpts{
			Context:    withConnection(srv.BaseContext(nil), conn.connection),
			BaseConfig: srv, Handler: next, SawClientPreface: true,
		}
		// The buffers of HTTP/1.1, and a stack that is as deep, end with this handler.
		go func() {
			defer s.inProgress.Add(-1)
			defer conn.Close()
			defer s.recoverConnection(opts.Context)
			server.ServeConn(conn, opts)
		}()
	}), nil
}

// recoverConnection ends a connection alone if what serves it panics, as net/http does.
func (s *Server) recoverConnection(ctx context.Context) {
	if value := recover(); value != nil {
		s.cfg.Logger.ErrorContext(ctx, "panic on an HTTP/2 connection", "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
	}
}

// mayBecomeHTTP2 reports whether a request is one that the handler of h2cHandler may
// turn its connection for.
func mayBecomeHTTP2(r *http.Request) bool {
	return isPreface(r) || r.Header.Get("Upgrade") != ""
}

// isPreface reports whether a request is the first lines of HTTP/2's preface.
func isPreface(r *http.Request) bool {
	return r.Method == "PRI" && len(r.Header) == 0 && r.URL.Path == "*" && r.Proto == "HTTP/2.0"
}

// takeOver reads the rest of a preface and returns its connection. After that, nothing
// bounds the wait for the rest, and a connection on which it does not come would stay open
// for ever.
func (s *Server) takeOver(w http.ResponseWriter) (*http2Connection, error) {
	hijacked, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over a connection: %w", err)
	}
	conn, ok := hijacked.(*connection)
	if ok {
		err = awaitPreface(conn, rw.Reader, s.cfg.ReadHeaderTimeout)
	}
	if !ok || err != nil {
		_ = hijacked.Close()
		return nil, fmt.Errorf("await HTTP/2 preface: %w", err)
	}
	return takeBuffered(conn, rw)
}

// readBuffer is the size of what is read of a connection at a time, in bytes: the frames of
// a few calls. HTTP/2 reads the header and the rest of each frame apart, which without a
// buffer is a system call each.
const readBuffer = 1 << 10

// takeBuffered returns a connection that reads first what rw has buffered.
func takeBuffered(conn *connection, rw *bufio.ReadWriter) (*http2Connection, error) {
	frames, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("read HTTP/2 frames: %w", err)
	}
	first := bytes.NewReader(slices.Clone(frames))
	return &http2Connection{connection: conn, frames: bufio.NewReaderSize(io.MultiReader(first, conn), readBuffer)}, nil
}

// upgrading has next, which is package h2c's, use a connection whose state is known.
func upgrading(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(upgrader{w}, r) })
}

// upgrader hijacks a connection for an Upgrade to h2c.
type upgrader struct{ http.ResponseWriter }

// Unwrap serves http.ResponseController.
func (w upgrader) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack implements http.Hijacker. Package h2c would wrap a connection for which frames
// are buffered, and pass the wrapper to ConnState.
func (w upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacked, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	conn, ok := hijacked.(*connection)
	if err != nil || !ok {
		return hijacked, rw, err
	}
	upgraded, err := takeBuffered(conn, rw)
	if err != nil {
		return nil, nil, err
	}
	upgraded.upgraded = true
	rw.Reader = bufio.NewReader(strings.NewReader(""))
	return upgraded, rw, nil
}

// http2Connection is a connection that HTTP/2 uses.
type http2Connection struct {
	*connection
	frames   *bufio.Reader // begins with those that were read before HTTP/2 did
	upgraded bool          // and not called idle yet
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
func (c *http2Connection) Read(p []byte) (int, error) { return c.frames.Read(p) }

// prefaceRest is what follows the preface's first lines, which look like a request.
const prefaceRest = "SM\r\n\r\n"

// awaitPreface reads what follows the preface's first lines, which look like a request.
func awaitPreface(conn net.Conn, r *bufio.Reader, timeout time.Duration) error {
	if err := conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	rest := make([]byte, len(prefaceRest))
	if _, err := io.ReadFull(r, rest); err != nil {
		return err
	}
	if string(rest) != prefaceRest {
		return errors.New("not the preface of HTTP/2")
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
