package message

import (
	"fmt"
	"text/tabwriter"

	pb "discordproxy/gen/discord_api"
)

// guildsPage is the largest number of guilds that Discord lists in one response.
const guildsPage = 200

var guildsCommand = messageCommand{
	name: "guilds", usage: "lists the guilds of the bot",
	run: func(r *request) error {
		if err := r.plan(&pb.ListGuildsRequest{Limit: guildsPage, WithCounts: true}); err != nil {
			return err
		}
		guilds, err := r.allGuilds(true)
		if err != nil {
			return err
		}
		if r.output.structured() {
			return r.writeAnswer(&pb.ListGuildsResponse{Guilds: guilds})
		}
		table := tabwriter.NewWriter(r.env.Out, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tMEMBERS\tNAME")
		for _, g := range guilds {
			_, _ = fmt.Fprintf(table, "%d\t%d\t%s\n", g.GetId(), g.GetApproximateMemberCount(), oneLine(g.GetName()))
		}
		return table.Flush()
	},
}

// allGuilds returns all guilds of the bot.
func (r *request) allGuilds(counts bool) ([]*pb.Guild, error) {
	var all []*pb.Guild
	for after := uint64(0); ; {
		response, err := r.client.ListGuilds(r.ctx, &pb.ListGuildsRequest{After: after, Limit: guildsPage, WithCounts: counts})
		if err != nil {
			return nil, r.failed(err)
		}
		all = append(all, response.GetGuilds()...)
		if len(response.GetGuilds()) < guildsPage {
			return all, nil
		}
		after = response.GetGuilds()[guildsPage-1].GetId()
	}
}
