//go:build unix

package server_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/server/internal/listener"

	pb "discordproxy/gen/discord_api"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// BenchmarkWaitingCall reports the memory that a server holds for each call that
// waits for a rate limit, its stream and its share of the connection included: heap
// and stack. The clients are sockets that hold nothing themselves. Empty is the floor:
// a handler that does nothing but wait, behind the same listener. "key" is with access rules and a client that has a key.
func BenchmarkWaitingCall(b *testing.B) {
	for name, send := range map[string]func(b testing.TB, to target, n int){
		"HTTP2": openStreams, "HTTP2, 1 on a connection": openStreamsBy(1), "HTTP1": waitByREST,
	} {
		b.Run("Empty/"+name, func(b *testing.B) {
			var waiting atomic.Int64
			end := make(chan struct{})
			address := listen(b, listener.Known(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				waiting.Add(1)
				<-end
			})))
			defer close(end)
			reportHeld(b, func(n int) { send(b, target{address: address, channel: 1}, n) }, func() int { return int(waiting.Load()) })
		})
	}
	for _, bm := range []struct {
		name string
		key  bool
		send func(b testing.TB, to target, n int)
	}{
		{"gRPC/1000 on a connection", false, openStreams},
		{"gRPC/50 on a connection", false, openStreamsBy(50)},
		{"gRPC/1 on a connection", false, openStreamsBy(1)},
		{"gRPC/key", true, openStreams},
		{"Connect JSON", false, waitByJSON},
		{"REST", false, waitByREST},
		{"REST/key", true, waitByREST},
	} {
		b.Run(bm.name, func(b *testing.B) {
			srv, to := serveWaiting(b, bm.key)
			reportHeld(b, func(n int) { bm.send(b, to, n) }, srv.waiting(b))
			srv.stop()
			if err := <-srv.ended; err != nil {
				b.Error(err)
			}
		})
	}
}

// serveWaiting runs a server whose calls to one channel wait. If key is set, they need a key.
func serveWaiting(b testing.TB, key bool) (*running, target) {
	b.Helper()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	sb.SetLimit(sandbox.Limit{
		Name: "one", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Hour, Kind: sandbox.Fixed,
	})
	api := httptest.NewServer(sb)
	b.Cleanup(api.Close)
	c := server.Config{
		Token: sb.World().Token, APIURL: api.URL + "/api", Gateway: server.GatewayConfig{Off: true}, MaxQueue: 1 << 20,
		Logger: slog.New(slog.DiscardHandler), ShutdownGrace: time.Millisecond,
	}
	to := target{channel: sb.World().General}
	if key {
		secret, hash := server.NewKey()
		to.key, c.AuthFile = secret, filepath.Join(b.TempDir(), "auth.yaml")
		rules := "clients: [{name: shop, hashes: [" + hash + "], channels: [" + to.channel.String() + "], untargeted: true, methods: [\"*\"]}]"
		if err := os.WriteFile(c.AuthFile, []byte(rules), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	srv := run(b, c)
	srv.key = to.key
	srv.answers(b)
	to.address = srv.address
	if _, err := srv.SendChannelMessage(b.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(to.channel), Content: "takes the limit"}); err != nil {
		b.Fatal(err)
	}
	return srv, to
}

// waiting returns a function that returns how many calls wait for a rate limit.
func (r *running) waiting(b testing.TB) func() int {
	return func() int {
		b.Helper()
		status, err := r.GetRateLimitStatus(b.Context(), new(pb.GetRateLimitStatusRequest))
		if err != nil {
			b.Fatal(err)
		}
		return int(status.GetWaiting())
	}
}

// TestStackOfWaitingCalls: a call that waits has a stack of 8 KB. What needs more on the way
// to the wait doubles that, because no goroutine gives back what it has used more than a
// quarter of.
func TestStackOfWaitingCalls(t *testing.T) {
	if info, _ := debug.ReadBuildInfo(); runtime.GOARCH != "amd64" || slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("frames have other sizes")
	}
	for name, key := range map[string]bool{"everyone": false, "key": true} {
		t.Run(name, func(t *testing.T) {
			const calls = 1000
			srv, to := serveWaiting(t, key)
			waiting := srv.waiting(t)
			send := func(n int) { openStreamsBy(50)(t, to, n) } // as many as nobody takes for a flood
			wait(t, send, waiting, 100)                         // what is made once
			_, before := held()
			wait(t, send, waiting, calls)
			_, after := held()
			if each := (after - before) / calls; each > 12<<10 {
				t.Errorf("a call that waits keeps %d bytes of stack", each)
			}
			srv.stop()
			if err := <-srv.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// wait sends calls, and returns when they wait.
func wait(b testing.TB, send func(n int), waiting func() int, n int) {
	b.Helper()
	want := waiting() + n
	send(n)
	for began := time.Now(); waiting() != want; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			b.Fatalf("%d calls wait, want %d", waiting(), want)
		}
	}
}

// target is where calls go, and the key that they carry, if any.
type target struct {
	address, key string
	channel      sandbox.ID
}

// reportHeld reports the memory for each of the calls that send sends, once they wait.
func reportHeld(b *testing.B, send func(n int), waiting func() int) {
	b.Helper()
	const calls = 2000
	wait(b, send, waiting, 100) // what is made once
	heap, stack := held()
	wait(b, send, waiting, calls)
	heapThen, stackThen := held()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(heapThen-heap)/calls, "heap-B/call")
	b.ReportMetric(float64(stackThen-stack)/calls, "stack-B/call")
	b.ReportMetric(float64(heapThen-heap+stackThen-stack)/calls, "B/call")
}

// held returns the memory in use for objects and stacks.
func held() (heap, stack int64) {
	for range 3 { // pools keep what they have for two collections
		runtime.GC()
	}
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
}

func dial(b testing.TB, address string) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // on the same machine
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

func waitByREST(b testing.TB, to target, n int) {
	post(b, to, fmt.Sprintf("/api/v10/channels/%s/messages", to.channel), `{"content":"hello"}`, n)
}

func waitByJSON(b testing.TB, to target, n int) {
	post(b, to, "/discord_api.DiscordApi/SendChannelMessage", fmt.Sprintf(`{"channelId":"%s","content":"hello"}`, to.channel), n)
}

// post sends requests over a connection each, and reads no answer.
func post(b testing.TB, to target, path, body string, n int) {
	b.Helper()
	var authorization string
	if to.key != "" {
		authorization = "Authorization: Bearer " + to.key + "\r\n"
	}
	for range n {
		_, err := fmt.Fprintf(dial(b, to.address), "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
			path, to.address, authorization, len(body), body)
		if err != nil {
			b.Fatal(err)
		}
	}
}

// openStreamsBy sends a number of gRPC calls over each connection.
func openStreamsBy(streams int) func(b testing.TB, to target, n int) {
	return func(b testing.TB, to target, n int) {
		for ; n > 0; n -= streams {
			openStreams(b, to, min(n, streams))
		}
	}
}

// openStreams sends gRPC calls over connections of 1000, and reads no answer.
func openStreams(b testing.TB, to target, n int) {
	b.Helper()
	const most = 1000
	for ; n > most; n -= most {
		openStreams(b, to, most)
	}
	message, err := proto.Marshal(&pb.SendChannelMessageRequest{ChannelId: uint64(to.channel), Content: "hello"})
	if err != nil {
		b.Fatal(err)
	}
	message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: to.address},
		{Name: ":path", Value: "/discord_api.DiscordApi/SendChannelMessage"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	}
	if to.key != "" {
		fields = append(fields, hpack.HeaderField{Name: "authorization", Value: "Bearer " + to.key})
	}
	conn := dial(b, to.address)
	var out, head bytes.Buffer
	_, _ = io.WriteString(&out, http2.ClientPreface)
	framer, headers := http2.NewFramer(&out, nil), hpack.NewEncoder(&head)
	_ = framer.WriteSettings()
	for i := range n {
		head.Reset()
		for _, field := range fields {
			_ = headers.WriteField(field)
		}
		id := uint32(2*i + 1)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head.Bytes(), EndHeaders: true})
		_ = framer.WriteData(id, true, message)
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		b.Fatal(err)
	}
}

// listen returns the address of a listener with a handler.
func listen(b *testing.B, handler http.Handler) string {
	b.Helper()
	srv, err := listener.New(listener.Config{Handler: handler, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ctx, lis) })
	b.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	return lis.Addr().String()
}
