package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"discordproxy/client"

	pb "discordproxy/gen/discord_api"

	"github.com/urfave/cli/v2"
)

// Message is the command discordproxymessage.
func Message(ctx context.Context, env Env) error {
	app := messageApp(env)
	return app.RunContext(ctx, append([]string{app.Name}, optionsFirst(env.Args, "--host", "--port")...))
}

func messageApp(env Env) *cli.App {
	app := newApp(env, "discordproxymessage", "sends a message through a running Discord Proxy")
	app.Flags = []cli.Flag{
		&cli.StringFlag{Name: "host", EnvVars: []string{"DISCORDPROXY_HOST"}, Value: "localhost", Usage: "`ADDRESS` of the proxy"},
		&cli.IntFlag{Name: "port", EnvVars: []string{"DISCORDPROXY_PORT"}, Value: 50051, Usage: "port of the proxy"},
	}
	app.Action = func(c *cli.Context) error {
		return errors.New("expected direct USER_ID TEXT, channel CHANNEL_ID TEXT or status, see --help")
	}
	send := func(name, target, usage string, call func(context.Context, *client.Client, uint64, string) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: target + " TEXT",
			HideHelpCommand: true, OnUsageError: returnUsageError,
			Action: func(c *cli.Context) error {
				if c.NArg() != 2 {
					return fmt.Errorf("expected %s %s TEXT", name, target)
				}
				id, err := strconv.ParseUint(c.Args().Get(0), 10, 64)
				if err != nil {
					return fmt.Errorf("%s %q is not a number", target, c.Args().Get(0))
				}
				proxy, err := client.New(net.JoinHostPort(c.String("host"), strconv.Itoa(c.Int("port"))))
				if err != nil {
					return err
				}
				defer proxy.Close()
				if err := call(c.Context, proxy, id, c.Args().Get(1)); err != nil {
					return errors.New(messageError(err))
				}
				_, err = fmt.Fprintln(env.Out, "Message sent")
				return err
			},
		}
	}
	app.Commands = []*cli.Command{
		send("direct", "USER_ID", "sends a direct message to a user", func(ctx context.Context, proxy *client.Client, id uint64, text string) error {
			_, err := proxy.SendDirectMessage(ctx, &pb.SendDirectMessageRequest{UserId: id, Content: text})
			return err
		}),
		send("channel", "CHANNEL_ID", "posts a message to a channel", func(ctx context.Context, proxy *client.Client, id uint64, text string) error {
			_, err := proxy.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: id, Content: text})
			return err
		}),
		statusCommand(env),
	}
	return app
}

// optionsFirst moves the named options, each with its value, in front of the
// other arguments. Scripts have them anywhere, and flags are only read before
// the name of a command.
func optionsFirst(args []string, names ...string) []string {
	var options, others []string
	for i := 0; i < len(args); i++ {
		name, _, inOne := strings.Cut(args[i], "=")
		switch {
		case !slices.Contains(names, name), !inOne && i+1 == len(args):
			others = append(others, args[i])
		case inOne:
			options = append(options, args[i])
		default:
			options = append(options, args[i], args[i+1])
			i++
		}
	}
	return append(options, others...)
}

// messageError is what a person reads of an error: Discord's text where
// Discord refused, else the status.
func messageError(err error) string {
	refused, ok := errors.AsType[*client.HTTPError](err)
	if !ok {
		return err.Error()
	}
	text, rules, broken := strings.Cut(refused.Text, "\n")
	text = fmt.Sprintf("%s (HTTP %d, code %d)", text, refused.Status, refused.Code)
	if broken {
		text += "\n" + rules
	}
	return text
}
