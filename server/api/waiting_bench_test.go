//go:build unix

package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/listener"

	pb "discordproxy/gen/discord_api"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// BenchmarkWaitingCall reports the memory that a server holds for each call that
// waits for a rate limit, its stream and its share of the connection included: heap
// and stack. The clients are sockets that hold nothing themselves. Empty is the floor:
// a handler that does nothing but wait, behind the same listener.
func BenchmarkWaitingCall(b *testing.B) {
	type row struct {
		name string
		call func(b *testing.B, address string, channel sandbox.ID, n int)
	}
	for _, bm := range []row{{"Empty/HTTP2", waitByGRPC(500)}, {"Empty/HTTP1", waitByREST}} {
		b.Run(bm.name, func(b *testing.B) {
			var waiting atomic.Int64
			end := make(chan struct{})
			address := serveHandler(b, listener.Known(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				waiting.Add(1)
				<-end
			})))
			defer close(end)
			reportHeld(b, func(n int) { bm.call(b, address, 1, n) }, func() int { return int(waiting.Load()) })
		})
	}
	for _, bm := range []row{
		{"gRPC/500 on a connection", waitByGRPC(500)},
		{"gRPC/50 on a connection", waitByGRPC(50)},
		{"gRPC/1 on a connection", waitByGRPC(1)},
		{"Connect JSON", waitByJSON},
		{"REST", waitByREST},
	} {
		b.Run(bm.name, func(b *testing.B) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			sb.SetLimit(sandbox.Limit{Name: "one", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Hour, Kind: sandbox.Fixed})
			limiter, err := ratelimit.New(ratelimit.Config{})
			if err != nil {
				b.Fatal(err)
			}
			client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Limiter: limiter, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			address := serveHandler(b, handlerOf(b, client))
			channel := sb.World().General
			if _, err := client.CreateMessage(b.Context(), uint64(channel), discord.Message{Fields: discord.Args{"content": "takes the limit"}}); err != nil {
				b.Fatal(err)
			}
			reportHeld(b, func(n int) { bm.call(b, address, channel, n) }, func() int {
				n, _ := client.Queued()
				return n
			})
			limiter.Close() // the calls end before the server does
		})
	}
}

// reportHeld reports the memory for each of the calls that send sends, once they wait.
func reportHeld(b *testing.B, send func(n int), waiting func() int) {
	b.Helper()
	const calls = 2000
	wait := func(n int) {
		want := waiting() + n
		send(n)
		for began := time.Now(); waiting() != want; time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > time.Minute {
				b.Fatalf("%d calls wait, want %d", waiting(), want)
			}
		}
	}
	wait(100) // what is made once
	heap, stack := held()
	wait(calls)
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

func dial(b *testing.B, address string) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", address) //nolint:noctx // on the same machine
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

func waitByREST(b *testing.B, address string, channel sandbox.ID, n int) {
	post(b, address, fmt.Sprintf("/api/v10/channels/%s/messages", channel), `{"content":"hello"}`, n)
}

func waitByJSON(b *testing.B, address string, channel sandbox.ID, n int) {
	post(b, address, "/discord_api.DiscordApi/SendChannelMessage", fmt.Sprintf(`{"channelId":"%s","content":"hello"}`, channel), n)
}

// post sends requests over a connection each, and reads no answer.
func post(b *testing.B, address, path, body string, n int) {
	for range n {
		if _, err := fmt.Fprintf(dial(b, address), "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, address, len(body), body); err != nil {
			b.Fatal(err)
		}
	}
}

// waitByGRPC sends a number of calls over each connection, and reads no answer.
func waitByGRPC(streams int) func(b *testing.B, address string, channel sandbox.ID, n int) {
	return func(b *testing.B, address string, channel sandbox.ID, n int) {
		for ; n > 0; n -= streams {
			openStreams(b, address, channel, min(n, streams))
		}
	}
}

// openStreams sends calls over one connection.
func openStreams(b *testing.B, address string, channel sandbox.ID, n int) {
	message, err := proto.Marshal(&pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: "hello"})
	if err != nil {
		b.Fatal(err)
	}
	message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	conn := dial(b, address)
	var out, head bytes.Buffer
	_, _ = io.WriteString(&out, http2.ClientPreface)
	framer, headers := http2.NewFramer(&out, nil), hpack.NewEncoder(&head)
	_ = framer.WriteSettings()
	for i := range n {
		head.Reset()
		for _, f := range [][2]string{
			{":method", "POST"},
			{":scheme", "http"},
			{":authority", address},
			{":path", "/discord_api.DiscordApi/SendChannelMessage"},
			{"content-type", "application/grpc"},
			{"te", "trailers"},
		} {
			_ = headers.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		id := uint32(2*i + 1)
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head.Bytes(), EndHeaders: true})
		_ = framer.WriteData(id, true, message)
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		b.Fatal(err)
	}
}
