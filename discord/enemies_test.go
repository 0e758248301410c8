package discord_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
)

// wire is a network within a synctest bubble: connections are pipes, and what
// is at their other end is decided for each. It uses the connection pool that
// is made for Discord, with TLS.
type wire struct {
	t        *testing.T
	sb       *sandbox.Sandbox
	pool     *http.Transport
	client   *discord.Client
	tls      *tls.Config // of the other end
	accepted chan net.Conn
	ended    chan struct{}
	dialed   atomic.Int32
}

// exampleCertificate is one for example.com that is valid at any time.
var exampleCertificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	return s.TLS.Certificates[0], trusted
})

// newWire has serve take the n-th connection, counted from 1.
func newWire(t *testing.T, protocols *http.Protocols, serve func(w *wire, n int, conn net.Conn)) *wire {
	certificate, trusted := exampleCertificate()
	w := &wire{
		t: t, sb: sandbox.New(sandbox.Config{Unlimited: true}), pool: discord.NewUpstream(0),
		tls: &tls.Config{Certificates: []tls.Certificate{certificate}}, accepted: make(chan net.Conn), ended: make(chan struct{}),
	}
	w.pool.TLSClientConfig = &tls.Config{RootCAs: trusted}
	w.pool.DialContext = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go serve(w, int(w.dialed.Add(1)), there)
		return here, nil
	}
	var err error
	w.client, err = discord.New(discord.Config{
		Token: w.sb.World().Token, BaseURL: "https://example.com/api", Upstream: w.pool, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.sb, TLSConfig: w.tls.Clone(), Protocols: protocols, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = server.ServeTLS(w, "", "") }()
	t.Cleanup(func() {
		close(w.ended)
		w.pool.CloseIdleConnections()
		_ = server.Close()
		// TLS says goodbye to a side that does not listen for five seconds.
		time.Sleep(10 * time.Second)
	})
	return w
}

// Accept, Close and Addr make it the listener of the sandbox.
func (w *wire) Accept() (net.Conn, error) {
	select {
	case conn := <-w.accepted:
		return conn, nil
	case <-w.ended:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { return nil }
func (w *wire) Addr() net.Addr { return &net.TCPAddr{} }

// discord leaves a connection to the sandbox.
func (w *wire) discord(conn net.Conn) {
	select {
	case w.accepted <- conn:
	case <-w.ended:
		_ = conn.Close()
	}
}

// enemy does what it likes with a connection, which is closed when it returns.
type enemy func(w *wire, conn net.Conn)

// afterRequest is an enemy who lets Discord carry a request out and then goes
// its own way.
func afterRequest(then func(conn net.Conn)) enemy {
	return func(w *wire, conn net.Conn) {
		conn = tls.Server(conn, w.tls) // without HTTP/2
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if errors.Is(err, io.EOF) {
			return // a connection to spare, which had no request
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		resp, err := w.sb.Transport().RoundTrip(request)
		if err != nil {
			w.t.Error(err)
			return
		}
		_ = resp.Body.Close()
		then(conn)
	}
}

// says is an enemy who answers with some text, and then nothing more.
func says(text string) enemy {
	return afterRequest(func(conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		silent(conn)
	})
}

// silent takes what comes until the other side closes.
func silent(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

const okHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

var enemies = map[string]enemy{
	"accepts nothing":        func(w *wire, _ net.Conn) { <-w.ended },
	"hangs after connecting": func(_ *wire, conn net.Conn) { silent(conn) },
	"closes immediately":     func(*wire, net.Conn) {},
	"closes in the middle of TLS": func(_ *wire, conn net.Conn) {
		_, _ = conn.Read(make([]byte, 10))
	},
	"speaks no TLS": func(_ *wire, conn net.Conn) {
		go silent(conn)
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	},
	"hangs after the request":  afterRequest(silent),
	"closes after the request": afterRequest(func(net.Conn) {}),
	"hangs in the head":        says("HTTP/1.1 200 OK\r\nContent-Le"),
	"hangs in the middle":      says(okHead + "Content-Length: 100\r\n\r\n{\"id\":"),
	"closes in the middle":     afterRequest(func(conn net.Conn) { _, _ = io.WriteString(conn, okHead+"Content-Length: 100\r\n\r\n{\"id\":") }),
	"breaks its chunks":        says(okHead + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
	"a byte a second": afterRequest(func(conn net.Conn) {
		for _, c := range []byte(okHead + "Content-Length: 1000\r\n\r\n" + strings.Repeat(" ", 1000)) {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}),
	"100 MB": afterRequest(func(conn net.Conn) {
		_, _ = io.WriteString(conn, okHead+"Content-Length: 104857600\r\n\r\n")
		for megabyte := []byte(strings.Repeat(" ", 1<<20)); ; {
			if _, err := conn.Write(megabyte); err != nil {
				return
			}
		}
	}),
	"endless head": afterRequest(func(conn net.Conn) {
		_, _ = io.WriteString(conn, okHead)
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(conn, "X-Header-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	}),
	"endless 103": afterRequest(func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
				return
			}
		}
	}),
	"a page":      says("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
	"a 502 page":  says("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
	"no HTTP":     says("SSH-2.0-OpenSSH_9.9\r\n"),
	"no status":   says("HTTP/1.1 huh\r\n\r\n"),
	"two lengths": says(okHead + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
	"no header":   says(okHead + "\x00\x01\x02\r\n\r\n{}"),
}

// TestEnemies: whatever is in Discord's place on the first connection, a message
// is stored once and its caller gets OK.
func TestEnemies(t *testing.T) {
	for name, hostile := range enemies {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t, nil, func(w *wire, n int, conn net.Conn) {
					if n > 1 {
						w.discord(conn)
						return
					}
					defer conn.Close()
					hostile(w, conn)
				})
				began, channel := time.Now(), w.sb.World().General
				if _, err := w.client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "once"}}); err != nil {
					t.Error(err)
				}
				if got := len(w.sb.Messages(channel)); got != 1 {
					t.Errorf("%d messages", got)
				}
				// One try, and five seconds for TLS's goodbye to who does not listen.
				if took := time.Since(began); took > 66*time.Second || w.dialed.Load() != 2 {
					t.Errorf("it took %v and %d connections", took, w.dialed.Load())
				}
			})
		})
	}
}

// TestNonsenseHeaders: a response is used whatever its headers are, and the headers do
// not stop later calls.
func TestNonsenseHeaders(t *testing.T) {
	const nonsense = "X-RateLimit-Limit: many\r\nX-RateLimit-Remaining: -1\r\nX-RateLimit-Reset-After: NaN\r\nX-RateLimit-Reset: 1e999\r\n" +
		"X-RateLimit-Bucket: \xff\r\nX-RateLimit-Global: maybe\r\nX-RateLimit-Scope: \r\nRetry-After: never\r\nDate: yesterday\r\nContent-Type: /;=\r\n"
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, nil, func(w *wire, n int, conn net.Conn) {
			if n > 1 {
				w.discord(conn)
				return
			}
			defer conn.Close()
			says("HTTP/1.1 200 OK\r\n"+nonsense+"Connection: close\r\nContent-Length: 10\r\n\r\n{\"id\":\"1\"}")(w, conn)
		})
		began, channel := time.Now(), w.sb.World().General
		for range 3 {
			if _, err := w.client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": "x"}}); err != nil {
				t.Error(err)
			}
		}
		if got := len(w.sb.Messages(channel)); got != 3 || time.Since(began) > time.Second {
			t.Errorf("%d messages after %v", got, time.Since(began))
		}
	})
}

// TestDeadConnections: a connection that was good and says nothing any more is
// noticed, by HTTP/2's pings long before a try is over, and left.
func TestDeadConnections(t *testing.T) {
	for name, within := range map[string]time.Duration{"HTTP/2": 31 * time.Second, "HTTP/1.1": 61 * time.Second} {
		t.Run(name, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(name == "HTTP/1.1")
			protocols.SetHTTP2(name == "HTTP/2")
			synctest.Test(t, func(t *testing.T) {
				var dead atomic.Bool
				w := newWire(t, protocols, func(w *wire, n int, conn net.Conn) {
					if n > 1 {
						w.discord(conn)
						return
					}
					here, there := net.Pipe()
					go pass(conn, here, &dead)
					go pass(here, conn, &dead)
					w.discord(there)
				})
				channel := w.sb.World().General
				for _, content := range []string{"before", "after"} {
					began := time.Now()
					if _, err := w.client.CreateMessage(t.Context(), nil, uint64(channel), discord.Message{Fields: discord.Args{"content": content}}); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > within || dead.Load() && took < 10*time.Second {
						t.Errorf("%s: it took %v", content, took)
					}
					dead.Store(true)
				}
				if got := len(w.sb.Messages(channel)); got != 2 || w.dialed.Load() != 2 {
					t.Errorf("%d messages by %d connections", got, w.dialed.Load())
				}
			})
		})
	}
}

// pass hands on what comes, or drops it when the connection is dead.
func pass(from, to net.Conn, dead *atomic.Bool) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if dead.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestFlapping: every connection is bad, or works for a few seconds only. All messages
// arrive once, in their channels.
func TestFlapping(t *testing.T) {
	names := make([]string, 0, len(enemies))
	for name := range enemies {
		if name != "100 MB" { // costs time
			names = append(names, name)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, nil, func(w *wire, n int, conn net.Conn) {
			if n%3 != 0 {
				time.AfterFunc(rand.N(3*time.Second), func() { _ = conn.Close() })
				w.discord(conn)
				return
			}
			defer conn.Close()
			enemies[names[rand.IntN(len(names))]](w, conn)
		})
		w.sb.SetLatency(sandbox.Latency{Request: sandbox.Delay{Max: time.Second}, Response: sandbox.Delay{Max: time.Second}})
		const messages = 100
		channels := w.sb.World().Channels
		var sending sync.WaitGroup
		for i := range messages {
			sending.Go(func() {
				_, err := w.client.CreateMessage(t.Context(), nil, uint64(channels[i%len(channels)]), discord.Message{Fields: discord.Args{"content": fmt.Sprint(i)}})
				if e, ok := errors.AsType[*discord.Error](err); err != nil && (!ok || !e.OutcomeUnknown) {
					t.Errorf("message %d: %v", i, err)
				}
			})
		}
		sending.Wait()
		stored := make(map[string]int)
		for _, channel := range channels {
			for _, m := range w.sb.Messages(channel) {
				if stored[m.Content]++; stored[m.Content] > 1 {
					t.Errorf("message %s is there twice", m.Content)
				}
			}
		}
		if len(stored) < messages*9/10 {
			t.Errorf("only %d messages arrived", len(stored))
		}
		t.Logf("%d of %d messages by %d connections", len(stored), messages, w.dialed.Load())
	})
}

// TestStrippedHeaders: a JSON 429 of Discord is no ban of the address, whatever
// headers a proxy on the way has removed. The route waits, others continue.
func TestStrippedHeaders(t *testing.T) {
	all := http.Header{
		"Via": {"1.1 google"}, "Retry-After": {"3"}, "X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset-After": {"2.5"},
		"X-Ratelimit-Bucket": {"abc"}, "X-Ratelimit-Scope": {"user"}, "Content-Type": {"application/json"},
	}
	for _, body := range []string{
		`{"message":"You are being rate limited.","retry_after":2.5,"global":false}`,
		`{"message":"You are being rate limited.","retry_after":2.5}`,
		`{"retry_after":"2.5"}`,
		`{"message":"The service is limited.","code":40062,"retry_after":2.5}`,
		`{"message":"You are being rate limited.","retry_after":2.5,"global":true}`,
	} {
		for kept := range 1 << 4 {
			synctest.Test(t, func(t *testing.T) {
				header := http.Header{"Server": {"nginx"}}
				for i, names := range [][]string{
					{"Via"},
					{"Retry-After"},
					{"Content-Type"},
					{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset-After", "X-Ratelimit-Bucket", "X-Ratelimit-Scope"},
				} {
					for _, name := range names {
						if kept>>i&1 == 1 {
							header[name] = all[name]
						}
					}
				}
				limited := true
				s := 0
				client := newClient(t, sandbox.New(sandbox.Config{Unlimited: true}), func(http.RoundTripper) upstream {
					return func(r *http.Request) (*http.Response, error) {
						if strings.HasSuffix(r.URL.Path, "/messages") {
							s++
							if limited {
								limited = false
								return &http.Response{StatusCode: 429, Header: header.Clone(), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
							}
							return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`[]`)), Request: r}, nil
						}
						return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"id":"1"}`)), Request: r}, nil
					}
				})
				began := time.Now()
				var done sync.WaitGroup
				done.Go(func() {
					if _, err := client.Call(t.Context(), nil, discord.ListMessages, discord.Args{"channel_id": 1}); err != nil {
						t.Errorf("%s, %v: %v", body, header, err)
					}
					if took := time.Since(began); took < 2500*time.Millisecond || took > 4*time.Second {
						t.Errorf("%s, %v: took %v", body, header, took)
					}
				})
				synctest.Wait()
				_, err := client.Call(t.Context(), nil, discord.GetChannel, discord.Args{"channel_id": 2})
				global := strings.Contains(body, `"global":true`)
				if took := time.Since(began); err != nil || global != (took > 2*time.Second) {
					t.Errorf("%s, %v: another route after %v: %v", body, header, took, err)
				}
				done.Wait()
			})
		}
	}
}
