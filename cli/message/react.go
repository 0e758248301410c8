package message

import (
	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var reactCommand = messageCommand{
	name: "react", usage: "adds a reaction of the bot to a message; EMOJI is a character, or NAME:ID of a custom emoji",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"}, words: []string{"EMOJI"},
	flags: func() []cli.Flag {
		return []cli.Flag{&cli.BoolFlag{Name: "remove", Usage: "remove the bot's reaction instead"}}
	},
	run: func(r *request) error {
		if r.flags.Bool("remove") {
			return call(
				r,
				r.client.RemoveReaction,
				&pb.RemoveReactionRequest{ChannelId: r.ids[0], MessageId: r.ids[1], EmojiName: r.words[0]},
				"Reaction removed",
			)
		}
		return call(
			r,
			r.client.AddReaction,
			&pb.AddReactionRequest{ChannelId: r.ids[0], MessageId: r.ids[1], EmojiName: r.words[0]},
			"Reaction added",
		)
	},
}
