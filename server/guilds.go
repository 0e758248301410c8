package server

import (
	"context"
	"math"

	"discordproxy/discord"
	"discordproxy/discord/gateway"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetGuild(ctx context.Context, req *connect.Request[pb.GetGuildRequest]) (*connect.Response[pb.GetGuildResponse], error) {
	if req.Msg.GetWithCounts() { // which the gateway does not tell
		return performCached[pb.GetGuildResponse](ctx, s, discord.GetGuild, req.Msg, nil)
	}
	return performCached[pb.GetGuildResponse](ctx, s, discord.GetGuild, req.Msg, (*gateway.Guilds).Guild)
}

func (s *service) ListGuilds(ctx context.Context, req *connect.Request[pb.ListGuildsRequest]) (*connect.Response[pb.ListGuildsResponse], error) {
	return perform[pb.ListGuildsResponse](ctx, s, discord.ListMyGuilds, req.Msg)
}

func (s *service) ListGuildRoles(ctx context.Context, req *connect.Request[pb.ListGuildRolesRequest]) (*connect.Response[pb.ListGuildRolesResponse], error) {
	return performCached[pb.ListGuildRolesResponse](ctx, s, discord.ListGuildRoles, req.Msg, (*gateway.Guilds).Roles)
}

func (s *service) GetGuildMember(ctx context.Context, req *connect.Request[pb.GetGuildMemberRequest]) (*connect.Response[pb.GetGuildMemberResponse], error) {
	return perform[pb.GetGuildMemberResponse](ctx, s, discord.GetGuildMember, req.Msg)
}

func (s *service) ListGuildMembers(ctx context.Context, req *connect.Request[pb.ListGuildMembersRequest], stream *connect.ServerStream[pb.ListGuildMembersResponse]) error {
	args, err := arguments(discord.ListGuildMembers, req.Msg)
	if err != nil {
		return err
	}
	limit := int(req.Msg.GetLimit())
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

func (s *service) SearchGuildMembers(ctx context.Context, req *connect.Request[pb.SearchGuildMembersRequest]) (*connect.Response[pb.SearchGuildMembersResponse], error) {
	if req.Msg.GetLimit() == 0 {
		req.Msg.Limit = 100 // Discord's own is a single one
	}
	return perform[pb.SearchGuildMembersResponse](ctx, s, discord.SearchGuildMembers, req.Msg)
}

func (s *service) ModifyGuildMember(ctx context.Context, req *connect.Request[pb.ModifyGuildMemberRequest]) (*connect.Response[pb.ModifyGuildMemberResponse], error) {
	return perform[pb.ModifyGuildMemberResponse](ctx, s, discord.UpdateGuildMember, req.Msg)
}

func (s *service) AddGuildMemberRole(ctx context.Context, req *connect.Request[pb.AddGuildMemberRoleRequest]) (*connect.Response[pb.AddGuildMemberRoleResponse], error) {
	return perform[pb.AddGuildMemberRoleResponse](ctx, s, discord.AddGuildMemberRole, req.Msg)
}

func (s *service) RemoveGuildMemberRole(ctx context.Context, req *connect.Request[pb.RemoveGuildMemberRoleRequest]) (*connect.Response[pb.RemoveGuildMemberRoleResponse], error) {
	return perform[pb.RemoveGuildMemberRoleResponse](ctx, s, discord.DeleteGuildMemberRole, req.Msg)
}

func (s *service) GetUser(ctx context.Context, req *connect.Request[pb.GetUserRequest]) (*connect.Response[pb.GetUserResponse], error) {
	return perform[pb.GetUserResponse](ctx, s, discord.GetUser, req.Msg)
}

func (s *service) GetCurrentUser(ctx context.Context, req *connect.Request[pb.GetCurrentUserRequest]) (*connect.Response[pb.GetCurrentUserResponse], error) {
	return perform[pb.GetCurrentUserResponse](ctx, s, discord.GetMyUser, req.Msg)
}
