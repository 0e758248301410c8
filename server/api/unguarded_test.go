package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// watchable is a dashboard that anyone may watch who gets to it.
type watchable struct {
	discordapiconnect.UnimplementedDashboardHandler
}

func (watchable) WatchStatus(_ context.Context, _ *pb.WatchStatusRequest, stream *connect.ServerStream[pb.WatchStatusResponse]) error {
	return stream.Send(new(pb.WatchStatusResponse))
}

// TestUnguarded mounts the handlers of all services with and without a guard in
// front: without, no method does anything, whatever its form.
func TestUnguarded(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Discord: client, Logger: slog.New(slog.DiscardHandler)}
	options, err := c.guardedOptions(nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(c.methods(func() error { return nil }, options))
	mux.Handle(discordapiconnect.NewDashboardHandler(watchable{}, options...))
	reflector := grpcreflect.NewStaticReflector(discordapiconnect.DiscordApiName)
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options...))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options...))
	for name, tt := range map[string]struct {
		front   func(http.Handler) http.Handler
		refused bool
	}{
		"no guard":           {func(h http.Handler) http.Handler { return h }, true},
		"a guard, no rules":  {func(h http.Handler) http.Handler { return (*access.Guard)(nil).Handler(h, nil) }, false},
		"open for everybody": {access.Everyone, false},
	} {
		t.Run(name, func(t *testing.T) {
			sb.ResetStats()
			srv := httptest.NewUnstartedServer(tt.front(mux))
			srv.EnableHTTP2 = true
			srv.StartTLS()
			defer srv.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			check := func(method string, err error) {
				t.Helper()
				if refused := connect.CodeOf(err) == connect.CodePermissionDenied && err != nil; refused != tt.refused {
					t.Errorf("%s: %v", method, err)
				}
			}
			for i := range apiMethods.Len() {
				method := apiMethods.Get(i)
				if name := method.Name(); !tt.refused && name != "GetCurrentUser" && name != "ListGuildMembers" {
					continue // other tests cover what the others do
				}
				url := srv.URL + "/" + discordapiconnect.DiscordApiName + "/" + string(method.Name())
				dynamic := connect.NewClient[dynamicpb.Message, dynamicpb.Message](srv.Client(), url,
					connect.WithSchema(method), connect.WithResponseInitializer(func(_ connect.Spec, message any) error {
						*message.(*dynamicpb.Message) = *dynamicpb.NewMessage(method.Output())
						return nil
					}))
				req := connect.NewRequest(dynamicpb.NewMessage(method.Input()))
				if !method.IsStreamingServer() {
					_, err := dynamic.CallUnary(ctx, req)
					check(string(method.Name()), err)
					continue
				}
				stream, err := dynamic.CallServerStream(ctx, req)
				if err != nil {
					t.Fatal(err)
				}
				for stream.Receive() {
				}
				check(string(method.Name()), stream.Err())
				_ = stream.Close()
			}
			watch, err := discordapiconnect.NewDashboardClient(srv.Client(), srv.URL).WatchStatus(ctx, new(pb.WatchStatusRequest))
			if err != nil {
				t.Fatal(err)
			}
			watch.Receive()
			check("WatchStatus", watch.Err())
			_ = watch.Close()
			reflection := grpcreflect.NewClient(srv.Client(), srv.URL, connect.WithGRPC()).NewStream(ctx)
			_, err = reflection.ListServices()
			check("ServerReflectionInfo", err)
			_, _ = reflection.Close()
			if calls := sb.Stats().Calls; (calls == 0) != tt.refused {
				t.Errorf("%d calls reached Discord", calls)
			}
		})
	}
}
