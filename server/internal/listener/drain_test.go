package listener_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/listener"

	"golang.org/x/net/http2"
)

// duplex is one end of a connection in memory. Each of its directions can end alone.
type duplex struct {
	net.Conn          // what the peer writes
	out      net.Conn // what the peer reads
}

func newDuplex() (client, server *duplex) {
	up, upEnd := net.Pipe()
	down, downEnd := net.Pipe()
	return &duplex{Conn: downEnd, out: up}, &duplex{Conn: upEnd, out: down}
}

func (d *duplex) Write(p []byte) (int, error)        { return d.out.Write(p) }
func (d *duplex) SetWriteDeadline(t time.Time) error { return d.out.SetWriteDeadline(t) }
func (d *duplex) CloseWrite() error                  { return d.out.Close() }
func (d *duplex) Close() error                       { return errors.Join(d.out.Close(), d.Conn.Close()) }

func (*duplex) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

// drain is a server in fake time whose shutdown a test begins.
type drain struct {
	pipes *pipes
	trust *tls.Config // nil without TLS
	stop  context.CancelFunc
	ended chan error
}

func newDrain(t *testing.T, secure bool, handler http.HandlerFunc) *drain {
	t.Helper()
	d := &drain{pipes: newPipes(), ended: make(chan error, 1)}
	config := listener.Config{Handler: handler, Logger: slog.New(slog.DiscardHandler)}
	if secure {
		config.TLS, d.trust = secured(t)
	}
	server, err := listener.New(config)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, d.stop = context.WithCancel(t.Context())
	t.Cleanup(d.stop)
	go func() { d.ended <- server.Serve(ctx, d.pipes) }()
	return d
}

// client returns a client of the server that keeps a connection until the server
// closes it.
func (d *drain) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols: new(http.Protocols), TLSClientConfig: d.trust,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := newDuplex()
			d.pipes.accept <- server
			return client, nil
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(d.trust == nil)
	transport.Protocols.SetHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get has a client of the server send a request over a connection of its own.
func (d *drain) get(t *testing.T) error {
	t.Helper()
	url := "http://localhost"
	if d.trust != nil {
		url = "https://localhost"
	}
	return get(d.client(t), url)
}

// withAndWithoutTLS runs a test in fake time, over cleartext and over TLS.
func withAndWithoutTLS(t *testing.T, test func(t *testing.T, secure bool)) {
	t.Helper()
	for name, secure := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t, secure) }) })
	}
}

// wait returns how long the server takes to end.
func (d *drain) wait(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	if err := <-d.ended; err != nil {
		t.Error(err)
	}
	return time.Since(since)
}

// TestShutdownDoesNotWaitForIdleConnections: HTTP/2 would keep the connection of a
// client that leaves it open for another second.
func TestShutdownDoesNotWaitForIdleConnections(t *testing.T) {
	withAndWithoutTLS(t, func(t *testing.T, secure bool) {
		var served atomic.Int64
		d := newDrain(t, secure, func(http.ResponseWriter, *http.Request) { served.Add(1) })
		for range 3 {
			if err := d.get(t); err != nil {
				t.Fatal(err)
			}
		}
		if served.Load() != 3 {
			t.Fatalf("%d requests were served", served.Load())
		}
		synctest.Wait()
		began := time.Now()
		d.stop()
		if took := d.wait(t, began); took > 200*time.Millisecond {
			t.Errorf("the server ended after %s", took)
		}
		time.Sleep(time.Minute) // net/http closes connections a little later
	})
}

// TestShutdownEndsAConnectionAfterItsCall: the call that is in progress gets its
// answer, and the connection does not keep the server waiting after that.
func TestShutdownEndsAConnectionAfterItsCall(t *testing.T) {
	withAndWithoutTLS(t, func(t *testing.T, secure bool) {
		d := newDrain(t, secure, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "done")
		})
		answered := make(chan error, 1)
		began := time.Now()
		go func() { answered <- d.get(t) }()
		time.Sleep(time.Second)
		d.stop()
		if took := d.wait(t, began); took < 5*time.Second || took > 5200*time.Millisecond {
			t.Errorf("the server ended after %s", took)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// TestShutdownReadsWhatIsOnItsWay: a request that the client sent before it could know
// of the shutdown is answered by the number of the last stream in the GOAWAY, which is
// lower, and not by a connection that breaks.
func TestShutdownReadsWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Int64
		d := newDrain(t, false, func(http.ResponseWriter, *http.Request) { served.Add(1) })
		client, server := newDuplex()
		d.pipes.accept <- server
		c := http2.NewFramer(client, client)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(client, http2.ClientPreface)
			_ = c.WriteSettings()
		}()
		began := time.Now()
		for {
			frame, err := c.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if settings, ok := frame.(*http2.SettingsFrame); ok && settings.IsAck() {
				break
			}
		}
		<-sent
		d.stop()
		var last *uint32
		for {
			frame, err := c.ReadFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if frame, ok := frame.(*http2.GoAwayFrame); ok {
				last = &frame.LastStreamID
			}
		}
		if last == nil || *last != 0 {
			t.Errorf("last stream %v, want 0", last)
		}
		// The server reads on: net.Pipe fails if it does not.
		if err := c.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: headerBlock("/"), EndHeaders: true, EndStream: true,
		}); err != nil {
			t.Errorf("send a request after the end: %v", err)
		}
		_ = client.Close()
		if took := d.wait(t, began); took > 200*time.Millisecond {
			t.Errorf("the server ended after %s", took)
		}
		if served.Load() != 0 {
			t.Error("a request after the GOAWAY was served")
		}
		time.Sleep(time.Minute)
	})
}

// TestShutdownOfAnUpgradedConnection: the request that asked for HTTP/2 gets its answer,
// although HTTP/2 calls the connection idle meanwhile, and then the connection does not
// keep the server waiting.
func TestShutdownOfAnUpgradedConnection(t *testing.T) {
	for name, during := range map[string]bool{"during the request": true, "after the request": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDrain(t, false, func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(5 * time.Second)
					_, _ = io.WriteString(w, `"done"`)
				})
				client, server := newDuplex()
				d.pipes.accept <- server
				if _, err := fmt.Fprintf(client, upgradeHead+"\r\n", "/", "localhost", 0); err != nil {
					t.Fatal(err)
				}
				framer, err := finishUpgrade(client, bufio.NewReader(client))
				if err != nil {
					t.Fatal(err)
				}
				if during {
					time.AfterFunc(time.Second, d.stop)
				}
				answer, err := readJSONAnswer(framer, func(http2.Frame) {})
				if err != nil || answer != "done" {
					t.Errorf("the answer is %q, %v", answer, err)
				}
				began := time.Now()
				d.stop()
				go func() { // leaves it open until the server ends it
					_, _ = io.Copy(io.Discard, client)
					_ = client.Close()
				}()
				if took := d.wait(t, began); took > 200*time.Millisecond {
					t.Errorf("the server ended after %s", took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}
