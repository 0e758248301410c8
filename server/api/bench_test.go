//go:build unix

package api_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
)

// BenchmarkSendChannelMessage sends through a real listener to a
// sandbox in the same process. The floor is a call of an empty procedure behind
// the same listener.
func BenchmarkSendChannelMessage(b *testing.B) {
	sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 100})
	address := "http://" + serve(b, sb)
	const procedure = "/bench.Empty/Call"
	options, err := rpc.HandlerOptions(rpc.Config{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	nothing := connect.NewUnaryHandlerSimple(procedure,
		func(_ context.Context, req *emptypb.Empty) (*emptypb.Empty, error) { return req, nil }, options...)
	floor := "http://" + serveHandler(b, nothing) + procedure
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
			empty := connect.NewClient[emptypb.Empty, emptypb.Empty](bm.client, floor, bm.option)
			client := discordapiconnect.NewDiscordApiClient(bm.client, address, bm.option)
			req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"}
			proxytest.Compare(b, 2, func() error {
				_, err := empty.CallUnary(b.Context(), connect.NewRequest(new(emptypb.Empty)))
				return err
			}, func() error {
				_, err := client.SendChannelMessage(b.Context(), req)
				return err
			})
		})
	}
}

// serve returns the address of a server over the sandbox.
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
