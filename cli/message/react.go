package message

import (
	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var reactCommand = messageCommand{
	name: "react", usage: "adds a reaction of the bot to a message; EMOJI is a character, or NAME:ID of a custom emoji",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"}, words: []string{"EMOJI"},
	flags: func() []cli.Flag {
		return append([]cli.Flag{&cli.BoolFlag{Name: "remove", Usage: "remove the bot's reaction instead"}}, queueFlags()...)
	},
	run: func(r *request) error {
		queued, err := r.queued()
		if r.flags.Bool("remove") {
			req := &pb.RemoveReactionRequest{ChannelId: r.ids[0], MessageId: r.ids[1], EmojiName: r.words[0]}
			if queued || err != nil {
				return r.enqueue(err, "Removal", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_RemoveReaction{RemoveReaction: req}})
			}
			return call(r, r.client.RemoveReaction, req, "Reaction removed")
		}
		req := &pb.AddReactionRequest{ChannelId: r.ids[0], MessageId: r.ids[1], EmojiName: r.words[0]}
		if queued || err != nil {
			return r.enqueue(err, "Reaction", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_AddReaction{AddReaction: req}})
		}
		return call(r, r.client.AddReaction, req, "Reaction added")
	},
}
