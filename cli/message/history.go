package message

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"discordproxy/client"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var historyCommand = messageCommand{
	name: "history", usage: "shows the latest messages of a channel, newest last",
	ids: []string{"CHANNEL_ID"},
	flags: func() []cli.Flag {
		return []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "maximum `NUMBER` of messages; 0 for all", Value: 20},
			&cli.Uint64Flag{Name: "before", Usage: "show messages before `MESSAGE_ID`", DefaultText: "none"},
			&cli.Uint64Flag{Name: "after", Usage: "show messages after `MESSAGE_ID`", DefaultText: "none"},
		}
	},
	run: func(r *request) error {
		limit := r.flags.Int("limit")
		if limit < 0 {
			return command.Misuse(fmt.Errorf("--limit %d is negative", limit))
		}
		req := &pb.ListChannelMessagesRequest{
			ChannelId: r.ids[0], Limit: int32(min(limit, 1<<30)), //nolint:gosec // bounded
			Before: r.flags.Uint64("before"), After: r.flags.Uint64("after"),
		}
		if err := r.plan(req); err != nil {
			return err
		}
		var messages []*pb.Message
		for response, err := range client.All(r.client.ListChannelMessages(r.ctx, req)) {
			if err != nil {
				return r.failed(err)
			}
			messages = append(messages, response.GetMessage())
		}
		slices.SortFunc(messages, func(a, b *pb.Message) int { return cmp.Compare(a.GetId(), b.GetId()) })
		for _, m := range messages {
			var err error
			if r.output.structured() {
				err = r.writeAnswer(m)
			} else {
				_, err = fmt.Fprintln(r.env.Out, messageLine(m))
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// messageLine is a message in a line: when, which, by whom, and what it says.
func messageLine(m *pb.Message) string {
	when, _, _ := strings.Cut(m.GetTimestamp(), ".")
	text := m.GetContent()
	for _, a := range m.GetAttachments() {
		text += " [" + a.GetFilename() + "]"
	}
	if n := len(m.GetEmbeds()); n > 0 {
		text += fmt.Sprintf(" [%d embeds]", n)
	}
	return oneLine(fmt.Sprintf("%s %d %s: %s", when, m.GetId(), m.GetAuthor().GetUsername(), strings.TrimSpace(text)))
}
