package listener_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/listener"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// pipes is a listener whose connections are in memory, so that a test with fake
// time can use it.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{accept: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.close()
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- server
	return client
}

// withPipes runs a test in fake time with a server that has this handler.
func withPipes(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, p *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server, err := listener.New(listener.Config{Handler: handler, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		p := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- server.Serve(ctx, p) }()
		defer func() {
			stop()
			server.Close()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute) // net/http closes connections a little later
		}()
		test(t, p)
	})
}

// refuse answers without reading the body, as for an unknown key.
func refuse(w http.ResponseWriter, r *http.Request) {
	_ = connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodeUnauthenticated, errors.New("no")))
}

// ending is how a stream ended.
type ending struct {
	after time.Duration // since the test began; 0 is not yet
	ended bool
	reset bool
	grpc  string // grpc-status
}

// http2Client sends frames and notes how streams end.
type http2Client struct {
	*http2.Framer
	conn  net.Conn
	start time.Time

	mu      sync.Mutex
	streams map[uint32]ending
}

func newFrames(t *testing.T, p *pipes) *http2Client {
	t.Helper()
	conn := p.dial()
	c := &http2Client{Framer: http2.NewFramer(conn, nil), conn: conn, start: time.Now(), streams: make(map[uint32]ending)}
	go c.read()
	if _, err := io.WriteString(conn, http2Bytes(func(*http2.Framer) {})); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *http2Client) read() {
	framer := http2.NewFramer(nil, bufio.NewReader(c.conn))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		e := c.streams[frame.Header().StreamID]
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			e.ended = frame.StreamEnded()
			for _, field := range frame.RegularFields() {
				if field.Name == "grpc-status" {
					e.grpc = field.Value
				}
			}
		case *http2.RSTStreamFrame:
			e.reset = true
		}
		if e.ended && e.after == 0 {
			e.after = time.Since(c.start)
		}
		c.streams[frame.Header().StreamID] = e
		c.mu.Unlock()
	}
}

func (c *http2Client) open(t *testing.T, stream uint32, extra ...hpack.HeaderField) {
	t.Helper()
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headerBlock("/", extra...), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

// ending returns how a stream has ended when nothing more happens.
func (c *http2Client) ending(stream uint32) ending {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[stream]
}

// A refusal ends when the body has come, without a reset.
func TestRefusalAwaitsTheBody(t *testing.T) {
	withPipes(t, refuse, func(t *testing.T, p *pipes) {
		c := newFrames(t, p)
		defer c.conn.Close()
		c.open(t, 1)
		for range 10 {
			time.Sleep(400 * time.Millisecond)
			if err := c.WriteData(1, false, make([]byte, 16<<10)); err != nil {
				t.Fatal(err)
			}
			if e := c.ending(1); e.ended || e.reset {
				t.Fatalf("before the end of the body: %+v", e)
			}
		}
		if err := c.WriteData(1, true, nil); err != nil {
			t.Fatal(err)
		}
		if e := c.ending(1); e.after != 4*time.Second || e.reset || e.grpc != "16" {
			t.Errorf("at the end of the body: %+v", e)
		}
	})
}

// The server reads an unwanted body only within bounds of bytes and time.
func TestUnreadBodyHasBounds(t *testing.T) {
	const most = 64 << 20 // bytes
	for name, test := range map[string]struct {
		header []hpack.HeaderField
		send   func(*http2Client) error
		want   time.Duration
	}{
		"pause":     {nil, func(*http2Client) error { return nil }, time.Second},
		"announced": {[]hpack.HeaderField{{Name: "content-length", Value: "5"}}, func(*http2Client) error { return nil }, 5 * time.Second},
		"time": {nil, func(c *http2Client) error {
			for range 7 {
				time.Sleep(900 * time.Millisecond)
				if err := c.WriteData(1, false, []byte{0}); err != nil {
					return err
				}
			}
			return nil
		}, 5 * time.Second},
		"bytes": {nil, func(c *http2Client) error {
			for range most / (16 << 10) {
				synctest.Wait() // for the window
				if err := c.WriteData(1, false, make([]byte, 16<<10)); err != nil {
					return err
				}
			}
			return nil
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withPipes(t, refuse, func(t *testing.T, p *pipes) {
				c := newFrames(t, p)
				defer c.conn.Close()
				c.open(t, 1, test.header...)
				if err := test.send(c); err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.want)
				if e := c.ending(1); !e.ended || !e.reset || e.grpc != "16" || e.after != test.want {
					t.Errorf("%+v, want an answer and a reset after %v", e, test.want)
				}
			})
		})
	}
}

// The server waits for a bounded number of unwanted bodies at a time.
func TestUnreadBodiesAreBounded(t *testing.T) {
	const own, all = 64, 256
	withPipes(t, refuse, func(t *testing.T, p *pipes) {
		ended := func(c *http2Client) (n int) {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, e := range c.streams {
				if e.ended {
					n++
				}
			}
			return n
		}
		var clients []*http2Client
		for range all / own {
			c := newFrames(t, p)
			defer c.conn.Close()
			clients = append(clients, c)
			for i := range uint32(own) {
				c.open(t, 2*i+1)
			}
			if n := ended(c); n != 0 {
				t.Errorf("%d of %d streams of a connection have ended", n, own)
			}
		}
		c := newFrames(t, p)
		defer c.conn.Close()
		c.open(t, 1)
		if n := ended(c); n != 1 {
			t.Errorf("with %d bodies, the server waits for one more", all)
		}
		time.Sleep(time.Second)
		for _, c := range clients {
			if n := ended(c); n != own {
				t.Errorf("after the pause %d of %d streams have ended", n, own)
			}
		}
		// All are counted off, and one connection does not have what all may.
		c = clients[0]
		for i := range uint32(own) {
			c.open(t, 2*(own+i)+1)
		}
		if n := ended(c); n != own {
			t.Errorf("%d streams ended, not %d", n, own)
		}
		c.open(t, 4*own+1)
		if n := ended(c); n != own+1 {
			t.Errorf("with %d bodies of a connection, the server waits for one more", own)
		}
		time.Sleep(time.Second)
	})
}

// Over HTTP/1.1 the answer arrives and the connection stays open, even when the
// client sends a large body before it reads.
func TestRefusalOverHTTP1(t *testing.T) {
	server := serve(t, listener.Config{Handler: http.HandlerFunc(refuse)})
	for name, size := range map[string]int{"small": 10, "1 MB": 1 << 20, "20 MB": 20 << 20} {
		for _, form := range []string{"length", "chunked"} {
			t.Run(name+" "+form, func(t *testing.T) {
				conn := dial(t, server.addr)
				reader := bufio.NewReader(conn)
				for range 3 {
					head := fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
					tail := ""
					if form == "chunked" {
						head, tail = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size), "\r\n0\r\n\r\n"
					}
					// All of it is sent before anything is read.
					_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+head+strings.Repeat("x", size)+tail)
					if err != nil {
						t.Fatal(err)
					}
					res, err := http.ReadResponse(reader, nil)
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if err != nil || res.StatusCode != http.StatusUnauthorized || !bytes.Contains(body, []byte("unauthenticated")) || res.Close {
						t.Errorf("%s %s, %v, closes: %v", res.Status, body, err, res.Close)
					}
				}
			})
		}
	}
}

// The bounds hold for HTTP/1.1, and a client that asks first is not made to send
// a body that nobody wants.
func TestUnreadBodyOverHTTP1HasBounds(t *testing.T) {
	for name, test := range map[string]struct {
		header string
		want   time.Duration
	}{
		"announced": {"Content-Length: 1000000", 5 * time.Second},
		"chunked":   {"Transfer-Encoding: chunked", time.Second},
		"asks":      {"Content-Length: 1000000\r\nExpect: 100-continue", 0},
	} {
		t.Run(name, func(t *testing.T) {
			withPipes(t, refuse, func(t *testing.T, p *pipes) {
				conn := p.dial()
				defer conn.Close()
				start := time.Now()
				if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+test.header+"\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if took := time.Since(start); res.StatusCode != http.StatusUnauthorized || took != test.want || !res.Close {
					t.Errorf("%s after %v, closes: %v; want 401 after %v", res.Status, took, res.Close, test.want)
				}
			})
		})
	}
}

// A handler may read a part of a body and close it. Reading a closed body fails.
func TestHandlersMayCloseBodies(t *testing.T) {
	var readAfterClose atomic.Value
	server := serve(t, listener.Config{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 10))
		_ = r.Body.Close()
		if _, err := r.Body.Read(make([]byte, 1)); err != nil {
			readAfterClose.Store(err)
		}
		refuse(w, r)
	})})
	for name, newClient := range httpVersions {
		code, _, text := send(t, newClient(t), server, request{method: http.MethodPost, path: "/", header: map[string]string{"Content-Type": "application/json"}, body: repeated("x", 1<<20)})
		if err, _ := readAfterClose.Load().(error); code != http.StatusUnauthorized || !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("%s: %d %s, reading after Close: %v", name, code, text, err)
		}
	}
}

// A gRPC refusal has no Content-Length: at Content-Length: 0 proxies drop the
// trailers.
func TestRefusalHasNoLength(t *testing.T) {
	server := serve(t, listener.Config{Handler: http.HandlerFunc(refuse)})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url("/"), strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	res, err := newHTTP2Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if length, has := res.Header["Content-Length"]; err != nil || has || res.Trailer.Get("Grpc-Status") != "16" {
		t.Errorf("Content-Length %q, trailers %v, %v", length, res.Trailer, err)
	}
}
