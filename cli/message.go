package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
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
		return errors.New("expected direct USER_ID TEXT or channel CHANNEL_ID TEXT, see --help")
	}
	send := func(name, target, usage string, call func(context.Context, discordapiconnect.DiscordApiClient, uint64, string) error) *cli.Command {
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
				client := dial(net.JoinHostPort(c.String("host"), strconv.Itoa(c.Int("port"))))
				if err := call(c.Context, client, id, c.Args().Get(1)); err != nil {
					return errors.New(messageError(err))
				}
				_, err = fmt.Fprintln(env.Out, "Message sent")
				return err
			},
		}
	}
	app.Commands = []*cli.Command{
		send("direct", "USER_ID", "sends a direct message to a user", func(ctx context.Context, client discordapiconnect.DiscordApiClient, id uint64, text string) error {
			_, err := client.SendDirectMessage(ctx, connect.NewRequest(&pb.SendDirectMessageRequest{UserId: id, Content: text}))
			return err
		}),
		send("channel", "CHANNEL_ID", "posts a message to a channel", func(ctx context.Context, client discordapiconnect.DiscordApiClient, id uint64, text string) error {
			_, err := client.SendChannelMessage(ctx, connect.NewRequest(&pb.SendChannelMessageRequest{ChannelId: id, Content: text}))
			return err
		}),
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

// dial returns a client that speaks gRPC over cleartext HTTP/2, and keeps no
// connection after a call.
func dial(address string) discordapiconnect.DiscordApiClient {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, DisableKeepAlives: true}}
	return discordapiconnect.NewDiscordApiClient(client, "http://"+address, connect.WithGRPC())
}

// messageError is what a person reads of an error: Discord's text where
// Discord refused, else the status.
func messageError(err error) string {
	status, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error()
	}
	var document struct {
		Status int    `json:"status"`
		Code   int    `json:"code"`
		Text   string `json:"text"`
	}
	if json.Unmarshal([]byte(status.Message()), &document) == nil && document.Text != "" {
		text, rules, broken := strings.Cut(document.Text, "\n")
		text = fmt.Sprintf("%s (HTTP %d, code %d)", text, document.Status, document.Code)
		if broken {
			text += "\n" + rules
		}
		return text
	}
	return fmt.Sprintf("%s: %s", status.Code(), status.Message())
}
