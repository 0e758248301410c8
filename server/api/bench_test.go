//go:build unix

package api_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// BenchmarkSendChannelMessage sends through a real listener to a pretend
// Discord in the same process. Processor time is that of the whole process:
// client, server and pretend Discord. BenchmarkEmptyCall of package listener
// has the floor, measured in the same way.
func BenchmarkSendChannelMessage(b *testing.B) {
	sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 100})
	address := serve(b, sb)
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	over2 := &http.Client{Transport: &http.Transport{Protocols: h2}}
	over1 := &http.Client{Transport: new(http.Transport)}
	for _, bm := range []struct {
		name   string
		client *http.Client
		option connect.ClientOption
	}{
		{"gRPC", over2, connect.WithGRPC()},
		{"Connect JSON", over1, connect.WithProtoJSON()},
		{"gRPC-Web", over1, connect.WithGRPCWeb()},
	} {
		b.Run(bm.name, func(b *testing.B) {
			client := discordapiconnect.NewDiscordApiClient(bm.client, "http://"+address, bm.option)
			req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"}
			b.ReportAllocs()
			before := cpu(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := client.SendChannelMessage(b.Context(), req); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(cpu(b)-before)/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}

// serve returns the address of a server over the pretend Discord.
func serve(tb testing.TB, sb *sandbox.Sandbox) string {
	tb.Helper()
	limiter, err := ratelimit.New(ratelimit.Config{GlobalLimit: -1})
	if err != nil {
		tb.Fatal(err)
	}
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Limiter: limiter, Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	return serveHandler(tb, handlerOf(tb, client))
}

var quiet = slog.New(slog.DiscardHandler)

// handlerOf returns the handler of a server without access rules.
func handlerOf(tb testing.TB, client *discord.Client) http.Handler {
	tb.Helper()
	handler, err := api.New(api.Config{Discord: client, REST: rest.Config{Discord: client}, Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	return handler
}

// serveHandler returns the address of a listener with a handler.
func serveHandler(tb testing.TB, handler http.Handler) string {
	tb.Helper()
	srv, err := listener.New(listener.Config{Handler: handler, Logger: quiet})
	if err != nil {
		tb.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(ctx, lis) })
	tb.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	return lis.Addr().String()
}

// cpu returns the processor time of the process in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
