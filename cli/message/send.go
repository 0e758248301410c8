package message

import (
	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var directCommand = messageCommand{
	name: "direct", usage: "sends a direct message to a user",
	ids: []string{"USER_ID"}, text: true, flags: sendFlags,
	run: func(r *request) error {
		m, err := r.message()
		if err != nil {
			return err
		}
		return call(r, r.client.SendDirectMessage, &pb.SendDirectMessageRequest{
			UserId: r.ids[0], Content: m.GetContent(), Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
			SuppressNotifications: m.GetSuppressNotifications(), MessageReference: replyTo(r),
		}, "Message sent")
	},
}

var channelCommand = messageCommand{
	name: "channel", usage: "posts a message to a channel",
	ids: []string{"CHANNEL_ID"}, text: true, flags: sendFlags,
	run: func(r *request) error {
		m, err := r.message()
		if err != nil {
			return err
		}
		return call(r, r.client.SendChannelMessage, &pb.SendChannelMessageRequest{
			ChannelId: r.ids[0], Content: m.GetContent(), Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
			SuppressNotifications: m.GetSuppressNotifications(), MessageReference: replyTo(r),
		}, "Message sent")
	},
}

func sendFlags() []cli.Flag {
	return append(newMessageFlags(), &cli.Uint64Flag{Name: "reply-to", Usage: "`MESSAGE_ID` that this one replies to"})
}

// replyTo returns nil unless the message is a reply.
func replyTo(r *request) *pb.MessageReference {
	if !r.flags.IsSet("reply-to") {
		return nil
	}
	return &pb.MessageReference{MessageId: r.flags.Uint64("reply-to")}
}

var editCommand = messageCommand{
	name: "edit", usage: "changes a message of the bot; what is not given stays, files replace all old ones",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"}, text: true, flags: partFlags,
	run: func(r *request) error {
		m, err := r.message()
		if err != nil {
			return err
		}
		return call(r, r.client.EditChannelMessage, &pb.EditChannelMessageRequest{
			ChannelId: r.ids[0], MessageId: r.ids[1], Content: r.text, Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
		}, "Message edited")
	},
}

var deleteCommand = messageCommand{
	name: "delete", usage: "deletes a message",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"},
	flags: func() []cli.Flag {
		return []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` for the guild's audit log"}}
	},
	run: func(r *request) error {
		return call(r, r.client.DeleteChannelMessage, &pb.DeleteChannelMessageRequest{
			ChannelId: r.ids[0], MessageId: r.ids[1], AuditLogReason: r.flags.String("reason"),
		}, "Message deleted")
	},
}
