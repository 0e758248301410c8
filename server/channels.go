package server

import (
	"context"

	"discordproxy/discord"
	"discordproxy/discord/gateway"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetChannel(ctx context.Context, req *connect.Request[pb.GetChannelRequest]) (*connect.Response[pb.GetChannelResponse], error) {
	return perform[pb.GetChannelResponse](ctx, s, discord.GetChannel, req.Msg)
}

func (s *service) GetGuildChannels(ctx context.Context, req *connect.Request[pb.GetGuildChannelsRequest]) (*connect.Response[pb.GetGuildChannelsResponse], error) {
	if req.Msg.GetGuildId() == 0 {
		return nil, unknownGuild
	}
	res, err := performCached[pb.GetGuildChannelsResponse](ctx, s, discord.ListGuildChannels, req.Msg, (*gateway.Guilds).Channels)
	if err != nil {
		return nil, s.orUnknownGuild(ctx, req.Msg.GetGuildId(), err)
	}
	if !s.newEnums && isOldClient(req.Header()) {
		withOldTypes(res.Msg.GetChannels())
	}
	return res, nil
}

func (s *service) GetDirectMessageChannel(ctx context.Context, req *connect.Request[pb.GetDirectMessageChannelRequest]) (*connect.Response[pb.GetDirectMessageChannelResponse], error) {
	return perform[pb.GetDirectMessageChannelResponse](ctx, s, discord.CreateDM, req.Msg)
}

func (s *service) StartThread(ctx context.Context, req *connect.Request[pb.StartThreadRequest]) (*connect.Response[pb.StartThreadResponse], error) {
	op := discord.CreateThread
	if req.Msg.GetMessage() != nil {
		return s.startPost(ctx, op, req.Msg)
	}
	if req.Msg.GetMessageId() != 0 {
		op = discord.CreateThreadFromMessage
	}
	return perform[pb.StartThreadResponse](ctx, s, op, req.Msg)
}

// startPost starts a thread of a forum, which has a message in it.
func (s *service) startPost(ctx context.Context, op discord.Operation, req *pb.StartThreadRequest) (*connect.Response[pb.StartThreadResponse], error) {
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	m, err := s.composer.newMessage(discord.Operation{}, req.GetMessage())
	if err != nil {
		return nil, err
	}
	args["message"] = m.Fields
	return posted[pb.StartThreadResponse](s.discord.Call(ctx, op, args, m.Files...))
}

func (s *service) ListActiveThreads(ctx context.Context, req *connect.Request[pb.ListActiveThreadsRequest]) (*connect.Response[pb.ListActiveThreadsResponse], error) {
	return perform[pb.ListActiveThreadsResponse](ctx, s, discord.ListActiveThreads, req.Msg)
}

func (s *service) AddThreadMember(ctx context.Context, req *connect.Request[pb.AddThreadMemberRequest]) (*connect.Response[pb.AddThreadMemberResponse], error) {
	op := discord.JoinThread
	if req.Msg.GetUserId() != 0 {
		op = discord.AddThreadMember
	}
	return perform[pb.AddThreadMemberResponse](ctx, s, op, req.Msg)
}

func (s *service) RemoveThreadMember(ctx context.Context, req *connect.Request[pb.RemoveThreadMemberRequest]) (*connect.Response[pb.RemoveThreadMemberResponse], error) {
	op := discord.LeaveThread
	if req.Msg.GetUserId() != 0 {
		op = discord.DeleteThreadMember
	}
	return perform[pb.RemoveThreadMemberResponse](ctx, s, op, req.Msg)
}
