package server

import (
	"context"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetChannel(ctx context.Context, req *connect.Request[pb.GetChannelRequest]) (*connect.Response[pb.GetChannelResponse], error) {
	return perform[pb.GetChannelResponse](ctx, s, discord.GetChannel, req.Msg)
}
