package api

import (
	"context"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server/internal/caller"

	pb "discordproxy/gen/discord_api"
)

func (s *service) GetChannel(ctx context.Context, req *pb.GetChannelRequest) (*pb.GetChannelResponse, error) {
	return perform[pb.GetChannelResponse](ctx, s, discord.GetChannel, req)
}

func (s *service) GetGuildChannels(ctx context.Context, req *pb.GetGuildChannelsRequest) (*pb.GetGuildChannelsResponse, error) {
	if req.GetGuildId() == 0 {
		return nil, unknownGuild
	}
	res, err := performCached[pb.GetGuildChannelsResponse](ctx, s, discord.ListGuildChannels, req, (*gateway.Guilds).Channels)
	if err != nil {
		return nil, s.orUnknownGuild(ctx, req.GetGuildId(), err)
	}
	if !s.newEnums && isOldClient(requestHeader(ctx)) {
		withOldTypes(res.GetChannels())
	}
	return res, nil
}

func (s *service) GetDirectMessageChannel(
	ctx context.Context,
	req *pb.GetDirectMessageChannelRequest,
) (*pb.GetDirectMessageChannelResponse, error) {
	return perform[pb.GetDirectMessageChannelResponse](ctx, s, discord.CreateDM, req)
}

func (s *service) StartThread(ctx context.Context, req *pb.StartThreadRequest) (*pb.StartThreadResponse, error) {
	op := discord.CreateThread
	if req.GetMessage() != nil {
		return s.startPost(ctx, op, req)
	}
	if req.GetMessageId() != 0 {
		op = discord.CreateThreadFromMessage
	}
	return perform[pb.StartThreadResponse](ctx, s, op, req)
}

// startPost starts a thread of a forum, which has a message in it.
func (s *service) startPost(ctx context.Context, op discord.Operation, req *pb.StartThreadRequest) (*pb.StartThreadResponse, error) {
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	m, err := s.composer.newMessage(discord.Operation{}, req.GetMessage())
	if err != nil {
		return nil, err
	}
	args["message"] = m.Fields
	return posted[pb.StartThreadResponse](s.discord.Call(ctx, caller.Of(ctx), op, args, m.Files...))
}

func (s *service) ListActiveThreads(ctx context.Context, req *pb.ListActiveThreadsRequest) (*pb.ListActiveThreadsResponse, error) {
	return perform[pb.ListActiveThreadsResponse](ctx, s, discord.ListActiveThreads, req)
}

func (s *service) AddThreadMember(ctx context.Context, req *pb.AddThreadMemberRequest) (*pb.AddThreadMemberResponse, error) {
	op := discord.JoinThread
	if req.GetUserId() != 0 {
		op = discord.AddThreadMember
	}
	return perform[pb.AddThreadMemberResponse](ctx, s, op, req)
}

func (s *service) RemoveThreadMember(ctx context.Context, req *pb.RemoveThreadMemberRequest) (*pb.RemoveThreadMemberResponse, error) {
	op := discord.LeaveThread
	if req.GetUserId() != 0 {
		op = discord.DeleteThreadMember
	}
	return perform[pb.RemoveThreadMemberResponse](ctx, s, op, req)
}
