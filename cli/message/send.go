package message

import (
	"context"
	"fmt"
	"strconv"
	"time"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"
)

var directCommand = messageCommand{
	name: "direct", usage: "sends a direct message to a user",
	ids: []string{"USER_ID"}, text: true, flags: sendFlags,
	run: func(r *request) error {
		m, err := r.message()
		if err != nil {
			return err
		}
		req := &pb.SendDirectMessageRequest{
			UserId: r.ids[0], Content: m.GetContent(), Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
			SuppressNotifications: m.GetSuppressNotifications(), MessageReference: replyTo(r),
		}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Message", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendDirectMessage{SendDirectMessage: req}})
		}
		return post(r, r.client.SendDirectMessage, req, "Message sent")
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
		req := &pb.SendChannelMessageRequest{
			ChannelId: r.ids[0], Content: m.GetContent(), Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
			SuppressNotifications: m.GetSuppressNotifications(), MessageReference: replyTo(r),
		}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Message", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: req}})
		}
		return post(r, r.client.SendChannelMessage, req, "Message sent")
	},
}

// posted is an answer with a message.
type posted interface {
	proto.Message
	GetMessage() *pb.Message
}

// post makes one call that posts or changes a message. Where somebody asks for
// it, the id of the message and its link follow.
func post[Request proto.Message, Response posted](
	r *request,
	method func(context.Context, Request) (Response, error),
	req Request,
	done string,
) error {
	if err := r.plan(req); err != nil {
		return err
	}
	response, err := method(r.ctx, req)
	if err != nil {
		return r.failed(err)
	}
	if r.output.bare {
		return r.writeAnswer(response)
	}
	shown := !r.output.quiet && (r.output.asked || command.IsTerminal(r.env.Out))
	if !r.output.structured() {
		if err := r.confirm(done); err != nil || !shown {
			return err
		}
		_, err := fmt.Fprintf(r.env.Out, "id    %d\nlink  %s\n", response.GetMessage().GetId(), r.link(response.GetMessage()))
		return err
	}
	value, err := plain(response)
	if err != nil {
		return err
	}
	value.(map[string]any)["link"] = r.link(response.GetMessage())
	return r.output.write(value)
}

// linkTimeout bounds how long a link waits for the guild of its channel.
const linkTimeout = 5 * time.Second

// link returns the address of a message in Discord's client. Discord does not
// say with a message which guild it is in, so this asks for the channel. Direct
// messages have no guild, and the link of a message whose channel cannot be read
// looks like theirs.
func (r *request) link(m *pb.Message) string {
	guild := "@me"
	if id := m.GetGuildId(); id != 0 {
		guild = strconv.FormatUint(id, 10)
	} else {
		ctx, cancel := context.WithTimeout(r.ctx, linkTimeout)
		defer cancel()
		channel, err := r.client.GetChannel(ctx, &pb.GetChannelRequest{ChannelId: m.GetChannelId()})
		if id := channel.GetChannel().GetGuildId(); err == nil && id != 0 {
			guild = strconv.FormatUint(id, 10)
		}
	}
	return fmt.Sprintf("https://discord.com/channels/%s/%d/%d", guild, m.GetChannelId(), m.GetId())
}

func sendFlags() []cli.Flag {
	return append(
		append(newMessageFlags(), &cli.Uint64Flag{Name: "reply-to", Usage: "`MESSAGE_ID` of the message to reply to", DefaultText: "none"}),
		queueFlags()...)
}

// replyTo returns nil unless the message is a reply.
func replyTo(r *request) *pb.MessageReference {
	if !r.flags.IsSet("reply-to") {
		return nil
	}
	return &pb.MessageReference{MessageId: r.flags.Uint64("reply-to")}
}

var editCommand = messageCommand{
	name: "edit", usage: "changes a message of the bot; parts that you leave out stay unchanged, files replace all old ones",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"}, text: true,
	flags: func() []cli.Flag { return append(partFlags(), queueFlags()...) },
	run: func(r *request) error {
		m, err := r.message()
		if err != nil {
			return err
		}
		req := &pb.EditChannelMessageRequest{
			ChannelId: r.ids[0], MessageId: r.ids[1], Content: r.text, Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
		}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Edit", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_EditChannelMessage{EditChannelMessage: req}})
		}
		return post(r, r.client.EditChannelMessage, req, "Message edited")
	},
}

var deleteCommand = messageCommand{
	name: "delete", usage: "deletes a message",
	ids: []string{"CHANNEL_ID", "MESSAGE_ID"},
	flags: func() []cli.Flag {
		return append([]cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` for the guild's audit log"}}, queueFlags()...)
	},
	run: func(r *request) error {
		req := &pb.DeleteChannelMessageRequest{ChannelId: r.ids[0], MessageId: r.ids[1], AuditLogReason: r.flags.String("reason")}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Deletion", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_DeleteChannelMessage{DeleteChannelMessage: req}})
		}
		return call(r, r.client.DeleteChannelMessage, req, "Message deleted")
	},
}
