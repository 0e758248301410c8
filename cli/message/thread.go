package message

import (
	"fmt"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

var threadCommand = messageCommand{
	name: "thread", usage: "starts a thread in a channel, or a post with TEXT in a forum",
	ids: []string{"CHANNEL_ID"}, words: []string{"NAME"}, optional: "TEXT",
	flags: func() []cli.Flag {
		return append([]cli.Flag{
			&cli.Uint64Flag{Name: "message", Usage: "start the thread from the message `MESSAGE_ID`", DefaultText: "none"},
			&cli.BoolFlag{Name: "private", Usage: "start a private thread"},
		}, queueFlags()...)
	},
	run: func(r *request) error {
		req := &pb.StartThreadRequest{ChannelId: r.ids[0], Name: r.words[0], MessageId: r.flags.Uint64("message")}
		switch {
		case len(r.words) > 1:
			req.Message = &pb.NewMessage{Content: r.words[1]}
		case req.GetMessageId() != 0:
		case r.flags.Bool("private"):
			req.Type = pb.Channel_PRIVATE_THREAD
		default:
			req.Type = pb.Channel_PUBLIC_THREAD
		}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Thread", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_StartThread{StartThread: req}})
		}
		_, err := callThen(r, r.client.StartThread, req, func(response *pb.StartThreadResponse) error {
			if err := r.confirm("Thread started"); err != nil || r.output.quiet || !r.output.asked && !command.IsTerminal(r.env.Out) {
				return err
			}
			_, err := fmt.Fprintf(r.env.Out, "id    %d\n", response.GetThread().GetId())
			return err
		})
		return err
	},
}
