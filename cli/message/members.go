package message

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"discordproxy/client"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

// searchPage is the largest number of members that Discord returns for one search.
const searchPage = 1000

var membersCommand = messageCommand{
	name: "members", usage: "lists the members of a guild, or those whose name begins with NAME",
	ids: []string{"GUILD_ID"}, optional: "NAME",
	flags: func() []cli.Flag {
		return []cli.Flag{&cli.IntFlag{Name: "limit", Usage: "maximum `NUMBER` of members; 0 for all", Value: 0}}
	},
	run: func(r *request) error {
		limit := r.flags.Int("limit")
		if limit < 0 {
			return command.Misuse(fmt.Errorf("--limit %d is negative", limit))
		}
		var members []*pb.GuildMember
		if len(r.words) > 0 {
			if limit == 0 || limit > searchPage {
				limit = searchPage
			}
			req := &pb.SearchGuildMembersRequest{
				GuildId: r.ids[0],
				Query:   strings.TrimPrefix(r.words[0], "@"),
				Limit:   int32(limit),
			} //nolint:gosec // at most searchPage
			if err := r.plan(req); err != nil {
				return err
			}
			response, err := r.client.SearchGuildMembers(r.ctx, req)
			if err != nil {
				return r.failed(err)
			}
			members = response.GetMembers()
		} else {
			req := &pb.ListGuildMembersRequest{GuildId: r.ids[0], Limit: int32(min(limit, 1<<30))} //nolint:gosec // bounded
			if err := r.plan(req); err != nil {
				return err
			}
			for response, err := range client.All(r.client.ListGuildMembers(r.ctx, req)) {
				if err != nil {
					return r.failed(err)
				}
				members = append(members, response.GetMember())
			}
		}
		if r.output.structured() {
			return r.writeAnswer(&pb.SearchGuildMembersResponse{Members: members})
		}
		table := tabwriter.NewWriter(r.env.Out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tNAME\tNICK\tROLES")
		for _, m := range members {
			nick := m.GetNick()
			if nick == "" {
				nick = "-"
			}
			roles := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(m.GetRoles())), ","), "[]")
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", m.GetUser().GetId(), oneLine(m.GetUser().GetUsername()), oneLine(nick), roles)
		}
		return table.Flush()
	},
}
