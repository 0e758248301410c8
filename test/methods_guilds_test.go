package test

import (
	"slices"
	"time"

	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"
)

var guildCases = []methodCase{
	unary("", cost{"GET /guilds/{guild_id}": 1},
		func(s *scene) *pb.GetGuildRequest {
			return &pb.GetGuildRequest{GuildId: uint64(s.w.Guild), WithCounts: true}
		},
		func(s *scene, _ *pb.GetGuildRequest, res *pb.GetGuildResponse) {
			g := res.GetGuild()
			if g.GetName() != "Sandbox" || g.GetOwnerId() != uint64(s.w.Owner) || len(g.GetRoles()) != 5 || len(g.GetEmojis()) != 1 ||
				g.GetApproximateMemberCount() == 0 || g.GetPreferredLocale() != "en-US" {
				s.Errorf("got %v", g)
			}
		}),
	unary("", cost{"GET /users/@me/guilds": 1},
		func(s *scene) *pb.ListGuildsRequest { return &pb.ListGuildsRequest{WithCounts: true} },
		func(s *scene, _ *pb.ListGuildsRequest, res *pb.ListGuildsResponse) {
			i := slices.IndexFunc(res.GetGuilds(), func(g *pb.Guild) bool { return g.GetId() == uint64(s.w.Guild) })
			if i < 0 || res.GetGuilds()[i].GetPermissions() == "" || res.GetGuilds()[i].GetApproximateMemberCount() == 0 {
				s.Errorf("got %v", res)
			}
		}),
	unary("", cost{"GET /guilds/{guild_id}/roles": 1},
		func(s *scene) *pb.ListGuildRolesRequest {
			return &pb.ListGuildRolesRequest{GuildId: uint64(s.w.Guild)}
		},
		func(s *scene, _ *pb.ListGuildRolesRequest, res *pb.ListGuildRolesResponse) {
			if roles := res.GetRoles(); len(roles) != 5 || roles[0].GetName() != "@everyone" {
				s.Errorf("got %v", roles)
			}
		}),
	unary("", cost{"GET /guilds/{guild_id}/members/{user_id}": 1},
		func(s *scene) *pb.GetGuildMemberRequest {
			return &pb.GetGuildMemberRequest{GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Alice)}
		},
		func(s *scene, _ *pb.GetGuildMemberRequest, res *pb.GetGuildMemberResponse) {
			if m := res.GetMember(); m.GetUser().GetUsername() != "alice" || len(m.GetRoles()) != 2 || m.GetJoinedAt() == "" {
				s.Errorf("got %v", m)
			}
		}),
	streaming("all", cost{"GET /guilds/{guild_id}/members": 3},
		func(s *scene) *pb.ListGuildMembersRequest { return &pb.ListGuildMembersRequest{GuildId: s.crowd()} },
		func(s *scene, _ *pb.ListGuildMembersRequest, answers []*pb.ListGuildMembersResponse) {
			if len(answers) != crowd+1 {
				s.Errorf("%d members", len(answers))
			}
			if !slices.IsSortedFunc(answers, func(a, b *pb.ListGuildMembersResponse) int {
				return int(a.GetMember().GetUser().GetId()) - int(b.GetMember().GetUser().GetId())
			}) {
				s.Error("they are in no order")
			}
		}),
	streaming("some", cost{"GET /guilds/{guild_id}/members": 2},
		func(s *scene) *pb.ListGuildMembersRequest {
			return &pb.ListGuildMembersRequest{GuildId: s.crowd(), After: crowdBase + 100, Limit: 1200}
		},
		func(s *scene, _ *pb.ListGuildMembersRequest, answers []*pb.ListGuildMembersResponse) {
			if len(answers) != 1200 || answers[0].GetMember().GetUser().GetId() != crowdBase+101 || answers[1199].GetMember().GetUser().GetId() != crowdBase+1300 {
				s.Errorf("%d members", len(answers))
			}
		}),
	unary("", cost{"GET /guilds/{guild_id}/members/search": 1},
		func(s *scene) *pb.SearchGuildMembersRequest {
			return &pb.SearchGuildMembersRequest{GuildId: s.crowd(), Query: "one of many"}
		},
		func(s *scene, _ *pb.SearchGuildMembersRequest, res *pb.SearchGuildMembersResponse) {
			if members := res.GetMembers(); len(members) != 100 || members[0].GetUser().GetUsername() != "one of many" {
				s.Errorf("%d members", len(members))
			}
		}),
	unary("everything", cost{"PATCH /guilds/{guild_id}/members/{user_id}": 1},
		func(s *scene) *pb.ModifyGuildMemberRequest {
			return &pb.ModifyGuildMemberRequest{
				GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Bob), Nick: "Bobby", Roles: []uint64{uint64(s.w.ModeratorRole)},
				CommunicationDisabledUntil: s.tomorrow(), AuditLogReason: "why not",
			}
		},
		func(s *scene, _ *pb.ModifyGuildMemberRequest, res *pb.ModifyGuildMemberResponse) {
			m := res.GetMember()
			if m.GetNick() != "Bobby" || !slices.Equal(m.GetRoles(), []uint64{uint64(s.w.ModeratorRole)}) || m.GetCommunicationDisabledUntil() == "" {
				s.Errorf("got %v", m)
			}
		}),
	unary("only the nick", cost{"PATCH /guilds/{guild_id}/members/{user_id}": 1},
		func(s *scene) *pb.ModifyGuildMemberRequest {
			s.changedBob()
			return &pb.ModifyGuildMemberRequest{GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Bob), ClearNick: true}
		},
		func(s *scene, _ *pb.ModifyGuildMemberRequest, res *pb.ModifyGuildMemberResponse) {
			m := res.GetMember()
			if m.GetNick() != "" || len(m.GetRoles()) != 1 || m.GetCommunicationDisabledUntil() == "" {
				s.Errorf("got %v", m)
			}
		}),
	unary("all but the nick", cost{"PATCH /guilds/{guild_id}/members/{user_id}": 1},
		func(s *scene) *pb.ModifyGuildMemberRequest {
			s.changedBob()
			return &pb.ModifyGuildMemberRequest{GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Bob), ClearRoles: true, ClearCommunicationDisabledUntil: true}
		},
		func(s *scene, _ *pb.ModifyGuildMemberRequest, res *pb.ModifyGuildMemberResponse) {
			m := res.GetMember()
			if m.GetNick() != "Bobby" || len(m.GetRoles()) != 0 || m.GetCommunicationDisabledUntil() != "" {
				s.Errorf("got %v", m)
			}
		}),
	unary("nothing", cost{"PATCH /guilds/{guild_id}/members/{user_id}": 1},
		func(s *scene) *pb.ModifyGuildMemberRequest {
			s.changedBob()
			return &pb.ModifyGuildMemberRequest{GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Bob)}
		},
		func(s *scene, _ *pb.ModifyGuildMemberRequest, res *pb.ModifyGuildMemberResponse) {
			if m := res.GetMember(); m.GetNick() != "Bobby" || len(m.GetRoles()) != 1 {
				s.Errorf("got %v", m)
			}
		}),
	unary("", cost{"PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}": 1},
		func(s *scene) *pb.AddGuildMemberRoleRequest {
			return &pb.AddGuildMemberRoleRequest{
				GuildId: uint64(s.w.Guild), UserId: uint64(s.w.NoDMs), RoleId: uint64(s.w.MemberRole), AuditLogReason: "für 100 %",
			}
		},
		func(s *scene, req *pb.AddGuildMemberRoleRequest, _ *pb.AddGuildMemberRoleResponse) {
			if roles := s.roles(req.GetUserId()); !slices.Contains(roles, req.GetRoleId()) {
				s.Errorf("the roles are %v", roles)
			}
		}),
	unary("", cost{"DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}": 1},
		func(s *scene) *pb.RemoveGuildMemberRoleRequest {
			return &pb.RemoveGuildMemberRoleRequest{GuildId: uint64(s.w.Guild), UserId: uint64(s.w.NoDMs), RoleId: uint64(s.w.MemberRole)}
		},
		func(s *scene, req *pb.RemoveGuildMemberRoleRequest, _ *pb.RemoveGuildMemberRoleResponse) {
			if roles := s.roles(req.GetUserId()); len(roles) != 0 {
				s.Errorf("the roles are %v", roles)
			}
		}),
	unary("", cost{"GET /users/{user_id}": 1},
		func(s *scene) *pb.GetUserRequest { return &pb.GetUserRequest{UserId: uint64(s.w.Alice)} },
		func(s *scene, _ *pb.GetUserRequest, res *pb.GetUserResponse) {
			if u := res.GetUser(); u.GetUsername() != "alice" || u.GetGlobalName() != "Alice" {
				s.Errorf("got %v", u)
			}
		}),
	unary("", cost{"GET /users/@me": 1},
		func(*scene) *pb.GetCurrentUserRequest { return &pb.GetCurrentUserRequest{} },
		func(s *scene, _ *pb.GetCurrentUserRequest, res *pb.GetCurrentUserResponse) {
			if u := res.GetUser(); u.GetId() != uint64(s.w.Bot) || !u.GetBot() || u.GetLocale() != "en-US" {
				s.Errorf("got %v", u)
			}
		}),
}

func (s *scene) tomorrow() string { return time.Now().Add(24 * time.Hour).Format(time.RFC3339) }

// changedBob gives Bob a nick, a role and a timeout.
func (s *scene) changedBob() {
	s.Helper()
	must(s, s.client.ModifyGuildMember, &pb.ModifyGuildMemberRequest{
		GuildId: uint64(s.w.Guild), UserId: uint64(s.w.Bob), Nick: "Bobby", Roles: []uint64{uint64(s.w.MemberRole)},
		CommunicationDisabledUntil: s.tomorrow(),
	})
}

func (s *scene) roles(user uint64) []uint64 {
	s.Helper()
	return must(s, s.client.GetGuildMember, &pb.GetGuildMemberRequest{GuildId: uint64(s.w.Guild), UserId: user}).GetMember().GetRoles()
}

// crowd is how many users in addition to the bot are in a large guild, with ids from
// crowdBase on.
const (
	crowd     = 2500
	crowdBase = 1_000_000_000_000_000_000
)

// crowd returns a large guild.
func (s *scene) crowd() uint64 {
	s.Helper()
	const guild = 900_000_000_000_000_000
	if _, err := s.sb.AddRole(guild, sandbox.Role{ID: guild, Name: "@everyone"}); err == nil {
		return guild // it is there
	}
	s.sb.AddGuild(sandbox.Guild{ID: guild, Name: "Crowd", OwnerID: s.w.Owner})
	for i := range sandbox.ID(crowd) {
		user := s.sb.AddUser(sandbox.User{ID: crowdBase + i, Username: "one of many"})
		if err := s.sb.AddMember(guild, user); err != nil {
			s.Fatal(err)
		}
	}
	if err := s.sb.AddMember(guild, s.w.Bot); err != nil {
		s.Fatal(err)
	}
	return guild
}
