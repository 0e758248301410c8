package api

import (
	"context"
	"math"

	"discordproxy/discord"
	"discordproxy/discord/gateway"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetGuild(ctx context.Context, req *pb.GetGuildRequest) (*pb.GetGuildResponse, error) {
	if req.GetWithCounts() { // which the gateway does not tell
		return performCached[pb.GetGuildResponse](ctx, s, discord.GetGuild, req, nil)
	}
	return performCached[pb.GetGuildResponse](ctx, s, discord.GetGuild, req, (*gateway.Guilds).Guild)
}

func (s *service) ListGuilds(ctx context.Context, req *pb.ListGuildsRequest) (*pb.ListGuildsResponse, error) {
	return perform[pb.ListGuildsResponse](ctx, s, discord.ListMyGuilds, req)
}

func (s *service) ListGuildRoles(ctx context.Context, req *pb.ListGuildRolesRequest) (*pb.ListGuildRolesResponse, error) {
	return performCached[pb.ListGuildRolesResponse](ctx, s, discord.ListGuildRoles, req, (*gateway.Guilds).Roles)
}

func (s *service) GetGuildMember(ctx context.Context, req *pb.GetGuildMemberRequest) (*pb.GetGuildMemberResponse, error) {
	return perform[pb.GetGuildMemberResponse](ctx, s, discord.GetGuildMember, req)
}

func (s *service) ListGuildMembers(
	ctx context.Context,
	req *pb.ListGuildMembersRequest,
	stream *connect.ServerStream[pb.ListGuildMembersResponse],
) error {
	args, err := arguments(discord.ListGuildMembers, req)
	if err != nil {
		return err
	}
	limit := int(req.GetLimit())
	if limit == 0 {
		limit = math.MaxInt
	}
	list := pages[pb.GuildMember, *pb.GuildMember]{
		op: discord.ListGuildMembers, size: 1000, cursor: "after",
		id: func(m *pb.GuildMember) uint64 { return m.GetUser().GetId() },
	}
	return list.walk(ctx, s, args, limit, func(m *pb.GuildMember) error {
		return stream.Send(&pb.ListGuildMembersResponse{Member: m})
	})
}

func (s *service) SearchGuildMembers(ctx context.Context, req *pb.SearchGuildMembersRequest) (*pb.SearchGuildMembersResponse, error) {
	if req.GetLimit() == 0 {
		req.Limit = 100 // Discord's own is a single one
	}
	return perform[pb.SearchGuildMembersResponse](ctx, s, discord.SearchGuildMembers, req)
}

func (s *service) ModifyGuildMember(ctx context.Context, req *pb.ModifyGuildMemberRequest) (*pb.ModifyGuildMemberResponse, error) {
	return perform[pb.ModifyGuildMemberResponse](ctx, s, discord.UpdateGuildMember, req)
}

func (s *service) AddGuildMemberRole(ctx context.Context, req *pb.AddGuildMemberRoleRequest) (*pb.AddGuildMemberRoleResponse, error) {
	return perform[pb.AddGuildMemberRoleResponse](ctx, s, discord.AddGuildMemberRole, req)
}

func (s *service) RemoveGuildMemberRole(
	ctx context.Context,
	req *pb.RemoveGuildMemberRoleRequest,
) (*pb.RemoveGuildMemberRoleResponse, error) {
	return perform[pb.RemoveGuildMemberRoleResponse](ctx, s, discord.DeleteGuildMemberRole, req)
}

func (s *service) GetUser(ctx context.Context, req *pb.GetUserRequest) (*pb.GetUserResponse, error) {
	return perform[pb.GetUserResponse](ctx, s, discord.GetUser, req)
}

func (s *service) GetCurrentUser(ctx context.Context, req *pb.GetCurrentUserRequest) (*pb.GetCurrentUserResponse, error) {
	return perform[pb.GetCurrentUserResponse](ctx, s, discord.GetMyUser, req)
}
