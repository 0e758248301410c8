package message

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"
)

var channelsCommand = messageCommand{
	name: "channels", usage: "lists the channels of a guild, or of all guilds of the bot",
	optional: "GUILD_ID",
	run: func(r *request) error {
		if len(r.words) == 0 {
			return channelsOfAll(r)
		}
		guild, err := strconv.ParseUint(r.words[0], 10, 64)
		if err != nil {
			return command.Misuse(fmt.Errorf("GUILD_ID %q is not a number", r.words[0]))
		}
		_, err = callThen(
			r,
			r.client.GetGuildChannels,
			&pb.GetGuildChannelsRequest{GuildId: guild},
			func(response *pb.GetGuildChannelsResponse) error {
				return writeChannels(r.env.Out, response.GetChannels())
			},
		)
		return err
	},
}

func channelsOfAll(r *request) error {
	if err := r.plan(new(pb.ListGuildsRequest)); err != nil {
		return err
	}
	channels, err := r.allChannels()
	if err != nil {
		return err
	}
	if r.output.structured() {
		return r.writeAnswer(&pb.GetGuildChannelsResponse{Channels: channels})
	}
	return writeChannels(r.env.Out, channels)
}

// writeChannels writes a table: each category with its channels below it, all
// by their positions, those without one first.
func writeChannels(w io.Writer, channels []*pb.Channel) error {
	categories := make(map[uint64]*pb.Channel)
	for _, c := range channels {
		if c.GetType() == pb.Channel_GUILD_CATEGORY {
			categories[c.GetId()] = c
		}
	}
	// of returns the category that a channel is, or is in. It may be nil.
	of := func(c *pb.Channel) *pb.Channel { return categories[cmp.Or(c.GetParentId(), c.GetId())] }
	position := func(c *pb.Channel) int32 {
		if c == nil {
			return -1
		}
		return c.GetPosition()
	}
	inside := func(c *pb.Channel) int32 {
		if c.GetType() == pb.Channel_GUILD_CATEGORY {
			return -1
		}
		return c.GetPosition()
	}
	slices.SortFunc(channels, func(a, b *pb.Channel) int {
		return cmp.Or(
			cmp.Compare(position(of(a)), position(of(b))),
			cmp.Compare(of(a).GetId(), of(b).GetId()),
			cmp.Compare(inside(a), inside(b)),
			cmp.Compare(a.GetId(), b.GetId()),
		)
	})
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tTYPE\tCATEGORY\tNAME")
	for _, c := range channels {
		category := "-"
		if of(c) != nil && of(c) != c {
			category = oneLine(of(c).GetName())
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", c.GetId(), c.GetType(), category, oneLine(c.GetName()))
	}
	return table.Flush()
}
