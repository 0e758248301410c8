package message

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	pb "discordproxy/gen/discord_api"
)

// recipients returns the users of a broadcast, and the path of a file for those
// who do not get it. They are those of --users, or the members of a guild or with
// a role, without bots.
func recipients(r *request) (users []uint64, failures string, err error) {
	path, role, guild := r.flags.String("users"), r.flags.String("role"), r.flags.Uint64("guild")
	switch {
	case path == "" && role == "" && guild == 0:
		return nil, "", command.Misuse(errors.New("expected --users FILE, --role ROLE or --guild GUILD_ID"))
	case path != "" && (role != "" || guild != 0):
		return nil, "", command.Misuse(errors.New("--users cannot be used with --role or --guild"))
	case path != "":
		data, err := r.input.read(path, "--users", maxUsersBytes)
		if err != nil {
			return nil, "", err
		}
		if users, err = readUsers(data); err != nil {
			return nil, "", fmt.Errorf("--users %s: %w", path, err)
		}
		if path == "-" {
			return users, "users.failed", nil
		}
		return users, path + ".failed", nil
	}
	var id uint64
	if role != "" {
		if guild, id, err = r.findRole(role, guild); err != nil {
			return nil, "", err
		}
	}
	for response, err := range client.All(r.client.ListGuildMembers(r.ctx, &pb.ListGuildMembersRequest{GuildId: guild})) {
		if err != nil {
			return nil, "", r.failed(err)
		}
		m := response.GetMember()
		// Every member has the role with the ID of the guild.
		if !m.GetUser().GetBot() && (id == 0 || id == guild || slices.Contains(m.GetRoles(), id)) {
			users = append(users, m.GetUser().GetId())
		}
	}
	if len(users) == 0 {
		return nil, "", &failure{text: "there is no member to send the message to", code: "not_found", exit: command.ExitFailed}
	}
	return users, "users.failed", nil
}

// findRole finds a role by its id or name, in one guild or, for 0, in all of the
// bot.
func (r *request) findRole(text string, guild uint64) (inGuild, role uint64, err error) {
	guilds := []*pb.Guild{{Id: guild}}
	if guild == 0 {
		if guilds, err = r.allGuilds(false); err != nil {
			return 0, 0, err
		}
	}
	id, _ := strconv.ParseUint(text, 10, 64)
	name := strings.TrimPrefix(text, "@")
	of := make(map[uint64]uint64) // guilds of roles
	var found []candidate
	for _, g := range guilds {
		response, err := r.client.ListGuildRoles(r.ctx, &pb.ListGuildRolesRequest{GuildId: g.GetId()})
		if err != nil {
			return 0, 0, r.failed(err)
		}
		for _, candidateRole := range response.GetRoles() {
			exact := candidateRole.GetId() == id || strings.EqualFold(strings.TrimPrefix(candidateRole.GetName(), "@"), name)
			if exact || strings.Contains(strings.ToLower(candidateRole.GetName()), strings.ToLower(name)) {
				of[candidateRole.GetId()] = g.GetId()
				found = append(found, candidate{candidateRole.GetId(), fmt.Sprintf("%s in guild %d", candidateRole.GetName(), g.GetId()), exact})
			}
		}
	}
	role, err = only("role in the bot's guilds", "has the name or ID "+text, found)
	return of[role], role, err
}
