package message

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	command "discordproxy/cli"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

// webhookAddress matches the address of a webhook as Discord shows it.
var webhookAddress = regexp.MustCompile(`^https?://[^/]+/api/(?:v\d+/)?webhooks/(\d+)/([A-Za-z0-9_-]+)/?$`)

var webhookCommand = messageCommand{
	name:  "webhook",
	usage: "posts a message as a webhook; WEBHOOK is its URL, or @FILE, a file that contains the URL",
	words: []string{"WEBHOOK"}, text: true,
	flags: func() []cli.Flag {
		return append(append(newMessageFlags(),
			&cli.StringFlag{Name: "username", Usage: "`NAME` to post under"},
			&cli.Uint64Flag{Name: "thread", Usage: "post to the thread `THREAD_ID`", DefaultText: "none"},
		), queueFlags()...)
	},
	run: func(r *request) error {
		address := r.words[0]
		if path, ok := strings.CutPrefix(address, "@"); ok {
			data, err := r.input.read(path, "the file of the webhook", maxTextBytes)
			if err != nil {
				return err
			}
			address = strings.TrimSpace(string(data))
		}
		parts := webhookAddress.FindStringSubmatch(address)
		if parts == nil {
			// It may contain the token, so it is not shown.
			return command.Misuse(errors.New("WEBHOOK is not a URL such as https://discord.com/api/webhooks/ID/TOKEN"))
		}
		id, err := strconv.ParseUint(parts[1], 10, 64)
		if err != nil {
			return command.Misuse(errors.New("the ID in WEBHOOK is too large"))
		}
		m, err := r.message()
		if err != nil {
			return err
		}
		req := &pb.ExecuteWebhookRequest{
			WebhookId: id, WebhookToken: parts[2], Content: m.GetContent(), Embeds: m.GetEmbeds(), Attachments: m.GetAttachments(),
			SuppressNotifications: m.GetSuppressNotifications(), Username: r.flags.String("username"), ThreadId: r.flags.Uint64("thread"),
		}
		if queued, err := r.queued(); queued || err != nil {
			return r.enqueue(err, "Message", &pb.EnqueueRequest{Call: &pb.EnqueueRequest_ExecuteWebhook{ExecuteWebhook: req}})
		}
		return post(r, r.client.ExecuteWebhook, req, "Message sent")
	},
}
