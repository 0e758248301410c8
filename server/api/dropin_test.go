package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestTypesForOldClients: clients that may have the generated code of
// discordproxy 1.5 get no type that it lacks.
func TestTypesForOldClients(t *testing.T) {
	for _, tt := range []struct {
		agent    string
		newEnums bool
		want     pb.Channel_Type
	}{
		{"grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)", false, pb.Channel_UNDEFINED},
		{"grpc-python-asyncio/1.85.1 grpc-c/58.0.0 (linux; chttp2)", false, pb.Channel_UNDEFINED},
		{"grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)", true, pb.Channel_GUILD_FORUM},
		{"discordproxy/2.0.0 grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)", false, pb.Channel_GUILD_FORUM},
		{"grpc-go/1.80.0", false, pb.Channel_GUILD_FORUM},
		{"", false, pb.Channel_GUILD_FORUM},
	} {
		sb := sandbox.New(sandbox.Config{})
		client := start(t, sb, api.Config{Logger: slog.New(slog.DiscardHandler), NewEnums: tt.newEnums}, userAgent(tt.agent))
		res, err := client.GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: uint64(sb.World().Guild)})
		if err != nil {
			t.Fatal(err)
		}
		types := make(map[uint64]pb.Channel_Type)
		for _, c := range res.GetChannels() {
			types[c.GetId()] = c.GetType()
		}
		w := sb.World()
		if types[uint64(w.Forum)] != tt.want || types[uint64(w.Announcement)] != pb.Channel_GUILD_NEWS || types[uint64(w.Category)] != pb.Channel_GUILD_CATEGORY {
			t.Errorf("%q, new enums %v: %v", tt.agent, tt.newEnums, types)
		}
	}
}

// userAgent has the calls of a client sent with a user agent, which
// connect.CallInfo cannot set.
func userAgent(name string) connect.ClientOption {
	return connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			req.Header().Set("User-Agent", name)
			return next(ctx, req)
		}
	}))
}

// TestGuildWithoutBot: a guild without the bot is unknown, whether Discord says
// so of its channels or of the guild alone. A bot in the guild gets Discord's
// answer.
func TestGuildWithoutBot(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	client := start(t, sb, api.Config{Logger: slog.New(slog.DiscardHandler)})
	w := sb.World()
	for _, tt := range []struct {
		guild  sandbox.ID
		status int
		want   connect.Code
		calls  int
	}{
		{w.OtherGuild, 0, connect.CodeNotFound, 2},
		{42, 0, connect.CodeNotFound, 1},
		{0, 0, connect.CodeNotFound, 0},
		{w.Guild, http.StatusForbidden, connect.CodePermissionDenied, 2},
	} {
		sb.RemoveFault(0)
		if tt.status != 0 {
			sb.InjectFault(sandbox.Fault{Route: "GET /guilds/{guild_id}/channels", Status: tt.status, Body: `{"message": "Missing Access", "code": 50001}`})
		}
		sb.ResetStats()
		_, err := client.GetGuildChannels(t.Context(), &pb.GetGuildChannelsRequest{GuildId: uint64(tt.guild)})
		if connect.CodeOf(err) != tt.want || sb.Stats().Calls != tt.calls {
			t.Errorf("guild %d: %v after %d calls", tt.guild, err, sb.Stats().Calls)
		}
	}
}
