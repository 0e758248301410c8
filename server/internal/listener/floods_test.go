package listener_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// written counts what is logged.
type written struct{ bytes, lines atomic.Int64 }

func (w *written) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	w.lines.Add(1)
	return len(p), nil
}

// Refused requests write little, whatever they hold and however many come.
func TestFloodOfRefusals(t *testing.T) {
	const most = 30 << 10
	long := "/" + strings.Repeat("p", 28<<10)
	for name, change := range map[string]func(*http.Request){
		"foreign Origin":  func(r *http.Request) { r.Header.Set("Origin", "https://enemy.example") },
		"long Origin":     func(r *http.Request) { r.Header.Set("Origin", "https://"+long[1:2000]+".example") },
		"foreign Host":    func(r *http.Request) { r.Host = "enemy.example" },
		"long Host":       func(r *http.Request) { r.Host = long[1:3000] },
		"long method":     func(r *http.Request) { r.Method, r.Host = long[1:4000], "enemy.example" },
		"header too long": func(r *http.Request) { r.Header.Set("X-Large", long) },
	} {
		t.Run(name, func(t *testing.T) {
			log := new(written)
			s := newService()
			server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{}), Logger: slog.New(slog.NewTextHandler(log, nil))})
			client := newHTTP1Client(t)
			n := size(100, 3500)
			for range n {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url(long), nil)
				if err != nil {
					t.Fatal(err)
				}
				change(req)
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode < 400 {
					t.Fatal(res.Status)
				}
			}
			t.Logf("figure: %d requests refused for a %s of 28 KB wrote %d lines, %d bytes to the log", n, name, log.lines.Load(), log.bytes.Load())
			if log.bytes.Load() > most || log.lines.Load() == 0 {
				t.Errorf("%d bytes in %d lines", log.bytes.Load(), log.lines.Load())
			}
		})
	}
}

// open is where anybody may open streams; all other paths are for clients that
// are known.
const open = "/open"

// Streams of clients that are not known are bounded, and those of others are
// not among them.
func TestFloodOfUnknownStreams(t *testing.T) {
	var held, most atomic.Int64
	s := newService()
	known := s.handler(t, rpc.Config{})
	hold := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := held.Add(1)
		defer held.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != open {
			known.ServeHTTP(w, r)
			return
		}
		listener.Anyone(hold).ServeHTTP(w, r)
	})
	connections, streams := size(6, 20), size(600, 4000)
	for name, reads := range map[string]bool{"that read": true, "that read nothing": false} {
		t.Run(name, func(t *testing.T) {
			most.Store(0)
			server := serve(t, listener.Config{Handler: handler})
			under(t, server, 150, func() {
				var refused atomic.Int64
				var wg sync.WaitGroup
				for range connections {
					conn := dial(t, server.addr)
					wg.Go(func() {
						defer conn.Close()
						block := headerBlock(open, hpack.HeaderField{Name: "x-large", Value: repeated("x", 2000)})
						go func() {
							// Frame by frame: their bytes must not count as the server's memory.
							_, _ = io.WriteString(conn, http2Bytes(func(*http2.Framer) {}))
							f := http2.NewFramer(conn, nil)
							for i := range uint32(streams) {
								if f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true}) != nil {
									return
								}
							}
						}()
						if !reads {
							time.Sleep(2 * time.Second)
							return
						}
						framer := http2.NewFramer(io.Discard, conn)
						framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
						_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
						for answered := 0; answered < streams; {
							frame, err := framer.ReadFrame()
							if err != nil {
								return // the server has closed the connection
							}
							switch frame := frame.(type) {
							case *http2.MetaHeadersFrame:
								if frame.PseudoValue("status") != "" {
									answered++ // trailers are another frame
								}
								for _, field := range frame.RegularFields() {
									if field.Name == "grpc-status" && field.Value == "8" {
										refused.Add(1)
									}
								}
							case *http2.RSTStreamFrame:
								if frame.ErrCode != http2.ErrCodeNo {
									answered++
								}
							}
						}
					})
				}
				wg.Wait()
				t.Logf("figure: %d streams of clients %s on %d connections: at most %d held, %d seen as refused, all others ended with their connection",
					connections*streams, name, connections, most.Load(), refused.Load())
			})
			if n := most.Load(); n > listener.DefaultMaxUnknownPerNetwork || n < listener.DefaultMaxUnknownPerConnection {
				t.Errorf("%d streams were held", n)
			}
			waitFor(t, "no stream", func() bool { return held.Load() == 0 })
		})
	}
}

// The limit for clients that are not known is for each connection, each network
// and all; pages do not count towards the latter two, and those who are known
// to none.
func TestUnknownRequests(t *testing.T) {
	for name, test := range map[string]struct {
		cfg    listener.Config
		method string
		path   string
		want   int // held of 8 requests on 2 connections
	}{
		"each connection":     {listener.Config{MaxUnknownPerConnection: 3}, http.MethodPost, open, 6},
		"each network":        {listener.Config{MaxUnknownPerNetwork: 5}, http.MethodPost, open, 5},
		"all":                 {listener.Config{MaxUnknown: 4}, http.MethodPost, open, 4},
		"pages":               {listener.Config{MaxUnknown: 1}, http.MethodGet, open, 8},
		"pages, a connection": {listener.Config{MaxUnknownPerConnection: 3}, http.MethodGet, open, 6},
		"known":               {listener.Config{MaxUnknown: 1, MaxUnknownPerNetwork: 1, MaxUnknownPerConnection: 1}, http.MethodPost, "/known", 8},
	} {
		t.Run(name, func(t *testing.T) {
			var held atomic.Int64
			release := make(chan struct{})
			hold := http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
				held.Add(1)
				<-release
			})
			mux := http.NewServeMux()
			mux.Handle(open, listener.Anyone(hold))
			mux.Handle("/known", listener.Known(hold))
			test.cfg.Handler = mux
			server := serve(t, test.cfg)
			var refused atomic.Int64
			var wg sync.WaitGroup
			for range 2 {
				client := newHTTP2Client(t)
				for i := range 4 {
					wg.Go(func() {
						req, err := http.NewRequestWithContext(t.Context(), test.method, server.url(test.path), http.NoBody)
						if err != nil {
							t.Error(err)
							return
						}
						res, err := client.Do(req)
						if err != nil {
							t.Error(err)
							return
						}
						_ = res.Body.Close()
						if res.StatusCode == http.StatusTooManyRequests {
							refused.Add(1)
						}
					})
					if i == 0 { // the connection is there before others ask for one
						before := held.Load() + refused.Load()
						waitFor(t, "first request", func() bool { return held.Load()+refused.Load() > before || before > 0 })
					}
				}
			}
			waitFor(t, "answers", func() bool { return held.Load()+refused.Load() == 8 })
			if n := held.Load(); int(n) != test.want {
				t.Errorf("%d requests are held, want %d", n, test.want)
			}
			close(release)
			wg.Wait()
			// Ended ones count no more.
			for range 3 {
				if code, _, _ := send(t, newHTTP2Client(t), server, request{method: test.method, path: test.path}); code != http.StatusOK {
					t.Errorf("afterwards: %d", code)
				}
			}
		})
	}
}

// A call with too much metadata fails alone, with a status that says why.
func TestFloodOfMetadata(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	conn, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	held := make(chan error, 1)
	go func() {
		held <- conn.Invoke(context.Background(), procedureHold, wrapperspb.String(""), new(wrapperspb.StringValue))
	}()
	waitFor(t, "held call", func() bool { return s.holding.Load() == 1 })
	for _, kilobytes := range []int{20, 31, 33, 40, 64, 100, 120} {
		for _, parts := range []int{1, 10} {
			ctx := t.Context()
			for i := range parts {
				ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("x-large-%d", i), repeated("x", kilobytes<<10/parts))
			}
			err := conn.Invoke(ctx, procedureEcho, wrapperspb.String(""), new(wrapperspb.StringValue))
			want := codes.OK
			if kilobytes > 32 {
				want = codes.ResourceExhausted
			}
			t.Logf("figure: %d KB of metadata in %d parts: %s", kilobytes, parts, status.Code(err))
			if status.Code(err) != want || err != nil && !strings.Contains(err.Error(), "more than 32768 bytes") {
				t.Errorf("%d KB in %d parts: %v, want %v", kilobytes, parts, err, want)
			}
		}
	}
	s.letGo()
	if err := <-held; err != nil {
		t.Errorf("the other call on the connection: %v", err)
	}
}
