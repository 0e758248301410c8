package listener_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// size is how many of something an overload test uses.
func size(quick, full int) int {
	if soak {
		return full
	}
	return quick
}

// impatient has timeouts that a test can wait for.
func impatient(handler http.Handler) listener.Config {
	return listener.Config{
		Handler:           handler,
		ReadHeaderTimeout: 500 * time.Millisecond,
		ReadTimeout:       500 * time.Millisecond,
		IdleTimeout:       500 * time.Millisecond,
		SendPingTimeout:   300 * time.Millisecond,
		PingTimeout:       300 * time.Millisecond,
		WriteTimeout:      500 * time.Millisecond,
	}
}

// under runs attack while normal clients call the server. Each of their calls
// must succeed, memory must not grow by more than maxMB (both ends of all
// connections are in this process), and afterwards every protocol is served.
func under(t *testing.T, server *running, maxMB int, attack func()) {
	t.Helper()
	normal := map[string]caller{
		"gRPC": protocols["grpc-go"](t, server.addr),
		"JSON": protocols["JSON HTTP/1.1"](t, server.addr),
	}
	runtime.GC()
	before, peak := heapMB(), 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, heapMB())
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	times := make(map[string][]time.Duration)
	var mu sync.Mutex
	for name, call := range normal {
		wg.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				took, err := timeCall(call)
				if err != nil {
					t.Errorf("%s: a normal call failed: %v", name, err)
					return
				}
				mu.Lock()
				times[name] = append(times[name], took)
				mu.Unlock()
				select {
				case <-tick.C:
				case <-stop:
					return
				}
			}
		})
	}
	func() {
		defer wg.Wait()
		defer close(stop)
		attack()
	}()
	for name := range normal {
		slices.Sort(times[name])
		n := len(times[name])
		if n == 0 {
			continue
		}
		t.Logf("%s: %d normal calls, p50 %v, p99 %v", name, n, times[name][n/2], times[name][n*99/100])
	}
	t.Logf("heap: %d MB before, at most %d MB", before, peak)
	if grown := peak - before; grown > maxMB {
		t.Errorf("heap grew by %d MB, more than %d", grown, maxMB)
	}
	for name, newCaller := range protocols {
		if got, err := newCaller(t, server.addr)(t.Context(), procedureEcho, name); err != nil || got != name {
			t.Errorf("%s is not served afterwards: %q, %v", name, got, err)
		}
	}
}

func timeCall(call caller) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	start := time.Now()
	_, err := call(ctx, procedureEcho, "x")
	return time.Since(start), err
}

// heapMB is the memory of live and unswept objects and of stacks.
func heapMB() int {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	return int((samples[0].Value.Uint64() + samples[1].Value.Uint64()) >> 20)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// headersFrame encodes a request's header block.
func headerBlock(path string, extra ...hpack.HeaderField) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "localhost"},
		{Name: ":path", Value: path},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}, extra...) {
		_ = encoder.WriteField(field)
	}
	return block.Bytes()
}

// http2Bytes is what a client sends up to and including the given frames.
func http2Bytes(write func(*http2.Framer)) string {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	_ = framer.WriteSettings()
	write(framer)
	return out.String()
}

// Connections that send a byte now and then, or nothing at all, are closed.
func TestSlowClients(t *testing.T) {
	request := "POST " + procedureEcho + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	stream := http2Bytes(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock(procedureEcho), EndHeaders: true})
	})
	unfinished := http2Bytes(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock(procedureEcho)})
	})
	for name, test := range map[string]struct {
		first string // sent immediately
		drip  string // sent a byte at a time, again and again
	}{
		"nothing":          {"", ""},
		"header":           {request, "X: y\r\n"},
		"request line":     {"", "P"},
		"body":             {request + "Content-Length: 100000\r\n\r\n", "x"},
		"chunked body":     {request + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"},
		"upgrade body":     {request + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 100000\r\n\r\n", "x"},
		"half a preface":   {"PRI * HTTP/2.0\r\n\r\nSM", ""},
		"preface alone":    {http2.ClientPreface, ""},
		"half a frame":     {http2Bytes(func(*http2.Framer) {}) + "\x00\x3f", "x"},
		"idle HTTP/2":      {http2Bytes(func(*http2.Framer) {}), ""},
		"HTTP/2 body":      {stream, "\x00\x00\x01\x00\x00\x00\x00\x00\x01x"},
		"HTTP/2 no body":   {stream, ""},
		"HTTP/2 no header": {unfinished, ""},
		"between requests": {request + "Content-Length: 3\r\n\r\n\"x\"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService()
			server := serve(t, impatient(s.handler(t, rpc.Config{})))
			under(t, server, 100, func() {
				var wg sync.WaitGroup
				for range size(20, 200) {
					conn := dial(t, server.addr)
					wg.Go(func() { drip(t, conn, test.first, test.drip) })
				}
				wg.Wait()
			})
		})
	}
}

// drip sends first, then a byte of text every now and then until the server
// closes the connection.
func drip(t *testing.T, conn net.Conn, first, text string) {
	defer conn.Close()
	closed := make(chan error, 1)
	go func() {
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	_, _ = io.WriteString(conn, first)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case err := <-closed:
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				t.Error("the server did not close the connection")
			}
			return
		case <-tick.C:
			if text != "" {
				// It fails once the server has closed, which the reader reports.
				_, _ = conn.Write([]byte{text[i%len(text)]})
			}
		}
	}
}

// A client that does not read what it asked for is disconnected, while one that
// reads slowly is not.
func TestClientsThatDoNotRead(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 4<<20) // 64 MB, more than sockets hold
	ended := make(chan error, 1)
	cfg := impatient(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(large)
		ended <- err
	}))
	server := serve(t, cfg)
	for name, request := range map[string]string{
		"HTTP/1.1": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"HTTP/2": http2Bytes(func(f *http2.Framer) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: math.MaxInt32})
			_ = f.WriteWindowUpdate(0, 1<<30)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock("/"), EndHeaders: true, EndStream: true})
		}),
	} {
		conn := dial(t, server.addr)
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: all was written to a client that reads nothing", name)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: the handler is stuck", name)
		}
	}
}

func TestIdleHTTP2Connections(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	n := size(500, 5000)
	under(t, server, 100+n/5, func() {
		ready := 0
		for range n {
			conn := dial(t, server.addr)
			if _, err := io.WriteString(conn, http2Bytes(func(*http2.Framer) {})); err != nil {
				t.Fatal(err)
			}
			framer := http2.NewFramer(conn, conn)
			_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := framer.ReadFrame(); err != nil {
				t.Fatalf("after %d connections: %v", ready, err)
			}
			ready++
		}
		t.Logf("%d idle HTTP/2 connections", ready)
	})
}

// Parked calls of one client must not keep it from making others.
func TestParkedCalls(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	n := size(2000, 10_000)
	const perConnection = 2000
	under(t, server, n/10, func() {
		var all []<-chan answer
		for parked := 0; parked < n; parked += perConnection {
			call := protocols["connect gRPC"](t, server.addr)
			all = append(all, holdMore(t, s, call, perConnection))
			if _, err := timeCall(call); err != nil {
				t.Error(err)
			}
		}
		t.Logf("%d parked calls", s.holding.Load())
		s.letGo()
		for _, answers := range all {
			for a := range answers {
				if a.err != nil {
					t.Fatal(a.err)
				}
			}
		}
	})
}

// holdMore is holdCalls in addition to others that are waiting already.
func holdMore(t *testing.T, s *service, call caller, n int) <-chan answer {
	t.Helper()
	want := s.holding.Load() + int64(n)
	answers := make(chan answer, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			text, err := call(context.Background(), procedureHold, "")
			answers <- answer{text, err}
		})
	}
	waitFor(t, "parked calls", func() bool { return s.holding.Load() == want })
	go func() {
		wg.Wait()
		close(answers)
	}()
	return answers
}

// zeros is a body of n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestHugeBodies(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	const huge = 100 << 20
	head := "POST " + procedureEcho + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	upgrade := head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
	for name, test := range map[string]struct {
		head string
		want string // the start of the status line
	}{
		"HTTP/1.1":         {head + fmt.Sprintf("Content-Length: %d\r\n\r\n", huge), "HTTP/1.1 429"},
		"HTTP/1.1 chunked": {head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", huge), "HTTP/1.1 429"},
		"Upgrade":          {upgrade + fmt.Sprintf("Content-Length: %d\r\n\r\n", huge), "HTTP/1.1 413"},
		"Upgrade chunked":  {upgrade + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", huge), "HTTP/1.1 413"},
	} {
		t.Run(name, func(t *testing.T) {
			// What an Upgrade may send is read as a whole, into a buffer that grows.
			under(t, server, size(300, 600), func() {
				var wg sync.WaitGroup
				for range size(4, 40) {
					conn := dial(t, server.addr)
					wg.Go(func() {
						defer conn.Close()
						_ = conn.SetDeadline(time.Now().Add(time.Minute))
						go func() {
							_, _ = io.WriteString(conn, test.head)
							_, _ = io.Copy(conn, zeros(huge))
						}()
						line := make([]byte, len(test.want))
						if _, err := io.ReadFull(conn, line); err != nil || string(line) != test.want {
							t.Errorf("%q, %v; want %s", line, err, test.want)
						}
					})
				}
				wg.Wait()
			})
		})
	}
	for name, contentType := range map[string]string{"JSON": "application/json", "gRPC": "application/grpc"} {
		t.Run("HTTP/2 "+name, func(t *testing.T) {
			client := newHTTP2Client(t)
			under(t, server, 300, func() {
				for range size(4, 40) {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(procedureEcho), zeros(huge))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Content-Type", contentType)
					res, err := client.Do(req)
					if err != nil {
						t.Errorf("no answer: %v", err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode == http.StatusOK && res.Trailer.Get("Grpc-Status") == "0" {
						t.Error("the call succeeded")
					}
				}
			})
		})
	}
}

// Requests together may keep so much of their bodies and no more.
func TestHeldBodiesAreBounded(t *testing.T) {
	for name, newCaller := range protocols {
		if strings.Contains(name, "gzip") {
			continue // the bodies of this test compress to nothing
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService()
			server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{}), MaxHeldBodyBytes: 1 << 20})
			call := newCaller(t, server.addr)
			held := make(chan error, 1)
			go func() {
				_, err := call(context.Background(), procedureHold, repeated("x", 800<<10))
				held <- err
			}()
			waitFor(t, "held call", func() bool { return s.holding.Load() == 1 })
			_, err := call(t.Context(), procedureEcho, repeated("x", 400<<10))
			if code, _ := errorOf(err); code != connect.CodeResourceExhausted && !strings.Contains(name, "Upgrade") || err == nil {
				t.Errorf("a call beyond the bound: %v", err)
			}
			if _, err := call(t.Context(), procedureEcho, "small"); err != nil {
				t.Errorf("a small call: %v", err)
			}
			s.letGo()
			if err := <-held; err != nil {
				t.Errorf("the held call: %v", err)
			}
			waitFor(t, "room again", func() bool {
				_, err := call(t.Context(), procedureEcho, repeated("x", 400<<10))
				return err == nil
			})
		})
	}
}

func TestGzipBombs(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := io.Copy(w, zeros(64<<20)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	client := newHTTP1Client(t)
	under(t, server, 300, func() {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range size(3, 50) {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(procedureEcho), bytes.NewReader(bomb.Bytes()))
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("Content-Encoding", "gzip")
					res, err := client.Do(req)
					if err != nil {
						t.Error(err)
						return
					}
					body, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if code, _ := errorOf(jsonError(string(body))); code != connect.CodeResourceExhausted {
						t.Errorf("%s: %s", res.Status, body)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A header that is too large is answered with 431, or with gRPC's
// resource_exhausted, and if it is much too large it may also end the
// connection.
func TestLargeHeaders(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	for name, test := range map[string]struct {
		bytes    int
		ask      func(*testing.T, string, string) string
		answered bool
	}{
		"HTTP/1.1 64 KB": {64 << 10, statusByHTTP1, false},
		"HTTP/1.1 40 KB": {40 << 10, statusByHTTP1, false},
		"HTTP/2 600 KB":  {600 << 10, statusByHTTP2, false},
		"HTTP/2 120 KB":  {120 << 10, statusByHTTP2, true},
		"HTTP/2 34 KB":   {34 << 10, statusByHTTP2, true},
	} {
		t.Run(name, func(t *testing.T) {
			value := repeated("x", test.bytes)
			under(t, server, 200, func() {
				for range size(20, 1000) {
					status := test.ask(t, server.addr, value)
					if status != "431" && status != "grpc 8" && (status != "" || test.answered) {
						t.Fatalf("status %q", status)
					}
				}
			})
		})
	}
}

// statusByHTTP1 returns the status of a request with a header of value, or ""
// when the server closed the connection instead.
func statusByHTTP1(t *testing.T, addr, value string) string {
	conn := dial(t, addr)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Large: %s\r\n\r\n", value)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Error(err)
	}
	if err != nil {
		return ""
	}
	_ = res.Body.Close()
	return res.Status[:3]
}

// statusByHTTP2 is statusByHTTP1 over HTTP/2, with several headers that make up
// value: one that is larger than all may be ends the connection.
func statusByHTTP2(t *testing.T, addr, value string) string {
	conn := dial(t, addr)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(conn, http2Bytes(func(f *http2.Framer) {
		var fields []hpack.HeaderField
		for part := range slices.Chunk([]byte(value), 8<<10) {
			fields = append(fields, hpack.HeaderField{Name: "x-large", Value: string(part)})
		}
		block := headerBlock("/", fields...)
		const most = 16 << 10
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:most], EndStream: true})
		for block = block[most:]; len(block) > most; block = block[most:] {
			_ = f.WriteContinuation(1, false, block[:most])
		}
		_ = f.WriteContinuation(1, true, block)
	}))
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := framer.ReadFrame()
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Error(err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.RegularFields() {
				if field.Name == "grpc-status" {
					return "grpc " + field.Value
				}
			}
			if status := frame.PseudoValue("status"); status != "200" {
				return status
			}
		case *http2.GoAwayFrame:
			return ""
		}
		if err != nil {
			return ""
		}
	}
}

// Floods of frames end with the connection or do nothing.
func TestFrameFloods(t *testing.T) {
	block := headerBlock(procedureHold)
	for name, write := range map[string]func(f *http2.Framer, i uint32) error{
		"RST_STREAM": func(f *http2.Framer, i uint32) error {
			return errors.Join(
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true, EndStream: true}),
				f.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		},
		"PING":     func(f *http2.Framer, _ uint32) error { return f.WritePing(false, [8]byte{}) },
		"SETTINGS": func(f *http2.Framer, _ uint32) error { return f.WriteSettings() },
		"CONTINUATION": func(f *http2.Framer, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
			}
			return f.WriteContinuation(1, false, headerBlock("/", hpack.HeaderField{Name: "x-large", Value: repeated("x", 4000)}))
		},
		"empty DATA": func(f *http2.Framer, i uint32) error {
			if i == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
			}
			return f.WriteData(1, false, nil)
		},
		"WINDOW_UPDATE": func(f *http2.Framer, _ uint32) error { return f.WriteWindowUpdate(0, 1) },
		"PRIORITY": func(f *http2.Framer, i uint32) error {
			return f.WritePriority(2*i+1, http2.PriorityParam{Weight: 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService()
			server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
			under(t, server, size(200, 500), func() {
				var wg sync.WaitGroup
				for range size(2, 10) {
					conn := dial(t, server.addr)
					wg.Go(func() { flood(conn, uint32(size(20_000, 300_000)), write) })
				}
				wg.Wait()
				waitFor(t, "no handler left", func() bool { return s.holding.Load() == 0 })
			})
		})
	}
}

// flood writes n times, unless the server closes the connection.
func flood(conn net.Conn, n uint32, write func(*http2.Framer, uint32) error) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	buffered := &batch{w: conn}
	framer := http2.NewFramer(buffered, nil)
	_, _ = io.WriteString(buffered, http2.ClientPreface)
	if framer.WriteSettings() != nil {
		return
	}
	for i := range n {
		if write(framer, i) != nil {
			return
		}
	}
	_ = buffered.flush()
}

// batch writes in large pieces, as an attacker would.
type batch struct {
	w   io.Writer
	buf []byte
}

func (b *batch) Write(p []byte) (int, error) {
	b.buf = append(b.buf, p...)
	if len(b.buf) < 32<<10 {
		return len(p), nil
	}
	return len(p), b.flush()
}

func (b *batch) flush() error {
	_, err := b.w.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}
