package server

import (
	"context"

	"discordproxy/discord"
	"discordproxy/server/discordjson"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetChannelMessage(ctx context.Context, req *connect.Request[pb.GetChannelMessageRequest]) (*connect.Response[pb.GetChannelMessageResponse], error) {
	return perform[pb.GetChannelMessageResponse](ctx, s, discord.GetMessage, req.Msg)
}

func (s *service) DeleteChannelMessage(ctx context.Context, req *connect.Request[pb.DeleteChannelMessageRequest]) (*connect.Response[pb.DeleteChannelMessageResponse], error) {
	return perform[pb.DeleteChannelMessageResponse](ctx, s, discord.DeleteMessage, req.Msg)
}

// Discord's largest page of messages, and the number that it lists when none
// is asked for.
const (
	messagePage     = 100
	messageStandard = 50
)

func (s *service) ListChannelMessages(ctx context.Context, req *connect.Request[pb.ListChannelMessagesRequest], stream *connect.ServerStream[pb.ListChannelMessagesResponse]) error {
	var f form
	f.request(discord.ListMessages, req.Msg)
	f.exclusive(req.Msg, "before", "after", "around")
	if req.Msg.GetAround() != 0 && req.Msg.GetLimit() > messagePage {
		f.add("limit", ruleNumberMax, "int value should be less than or equal to %d.", messagePage)
	}
	if err := f.err(); err != nil {
		return err
	}
	list := pages[pb.Message, *pb.Message]{op: discord.ListMessages, size: messagePage, cursor: "before", id: (*pb.Message).GetId}
	if req.Msg.GetAfter() != 0 {
		list.cursor = "after"
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = messageStandard
	}
	return list.walk(ctx, s, discordjson.Fields(req.Msg), limit, func(m *pb.Message) error {
		return stream.Send(&pb.ListChannelMessagesResponse{Message: m})
	})
}
