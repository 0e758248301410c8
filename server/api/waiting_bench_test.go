//go:build unix

package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// BenchmarkWaitingCall reports the memory that a server holds for each call that
// waits for a rate limit, its connection or stream included: heap and stack. The
// clients are sockets that hold nothing themselves.
func BenchmarkWaitingCall(b *testing.B) {
	for _, bm := range []struct {
		name string
		call func(b *testing.B, address string, channel sandbox.ID, n int)
	}{{"gRPC", waitByGRPC}, {"ConnectJSON", waitByJSON}, {"REST", waitByREST}} {
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
			const calls = 2000
			wait := func(n int) {
				queued, _ := client.Queued()
				bm.call(b, address, channel, n)
				for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
					now, _ := client.Queued()
					if now == queued+n {
						return
					}
					if time.Since(began) > time.Minute {
						b.Fatalf("%d calls wait, want %d", now, queued+n)
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
			limiter.Close() // the calls end before the server does
		})
	}
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

// waitByGRPC sends 50 calls over each connection, and reads no answer.
func waitByGRPC(b *testing.B, address string, channel sandbox.ID, n int) {
	message, err := proto.Marshal(&pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: "hello"})
	if err != nil {
		b.Fatal(err)
	}
	message = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	const streams = 50
	for ; n > 0; n -= streams {
		conn := dial(b, address)
		var out, head bytes.Buffer
		_, _ = io.WriteString(&out, http2.ClientPreface)
		framer, headers := http2.NewFramer(&out, nil), hpack.NewEncoder(&head)
		_ = framer.WriteSettings()
		for i := range min(n, streams) {
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
}
