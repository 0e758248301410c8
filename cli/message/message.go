// Package message implements the command discordproxymessage, which calls a running
// server through package client.
package message

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	"github.com/urfave/cli/v2"
	"google.golang.org/protobuf/proto"
)

// Command is the command discordproxymessage.
func Command(ctx context.Context, env command.Env) error {
	app := App(env)
	if command.Complete(app, env.Args, suggest(ctx)) {
		return nil
	}
	args, err := command.Arrange(app, env.Args)
	if err == nil {
		err = app.RunContext(ctx, append([]string{app.Name}, args...))
	}
	return reporting(env, err)
}

// App returns the command with its options and commands.
func App(env command.Env) *cli.App {
	app := command.NewApp(env, "discordproxymessage", "sends messages through a running Discord Proxy")
	app.DisableSliceFlagSeparator = true // names of files may contain commas
	app.Flags = slices.Concat(connectionFlags(), outputFlags(), []cli.Flag{
		&cli.DurationFlag{Name: "timeout", Usage: "how long to wait, such as 30s or 30 for seconds; 0 waits without limit", DefaultText: "0"},
	})
	app.Flags = append(app.Flags, contextFlag())
	app.Before = useContext
	app.Action = cli.ShowAppHelp
	var all []*cli.Command
	for _, m := range messageCommands {
		all = append(all, m.command(env))
	}
	command.Document(app, command.Manual{
		ExitStatus: [][2]string{
			{"0", "done"},
			{"1", "failed permanently, or interrupted"},
			{"2", "invalid options or arguments"},
			{"3", "access denied by the proxy (see --key-file)"},
			{"75", "temporary failure: try again later"},
		},
		Files: [][2]string{{"~/.config/discordproxy/contexts.yaml", "the user's contexts, or the file that DISCORDPROXY_CONTEXTS names"}},
		Examples: [][2]string{
			{`discordproxymessage channel '#general' "hi"`, "posts to a channel"},
			{`discordproxymessage direct @alice "hi" --file report.txt`, "sends a direct message with a file"},
			{`uptime | discordproxymessage channel 1100000000000000010 -`, "posts the output of another command"},
			{`discordproxymessage call GetChannel --field channel_id=1100000000000000010 --jq .channel.name`, "calls a method of the API"},
		},
	})
	command.AddCommands(app, append(all, contextCommand())...)
	return app
}

// messageCommands are the commands of discordproxymessage, each in the file of its topic.
var messageCommands = []messageCommand{
	directCommand, channelCommand, editCommand, deleteCommand, webhookCommand, reactCommand, threadCommand, broadcastCommand,
	deliveriesCommand, guildsCommand, channelsCommand, membersCommand, historyCommand, eventsCommand, statusCommand, fleetCommand,
	callCommand,
}

// messageCommand is a command that calls the proxy.
type messageCommand struct {
	name, usage string
	// needs is an option that it cannot do without, as it is written.
	needs string
	// ids are the names of the ids that it takes, in their order.
	ids []string
	// words are the names of other arguments that it needs, behind the ids.
	words []string
	// optional is the name of a last argument that may be missing.
	optional string
	// text says whether it takes a text behind them. It may be missing where
	// something else is sent.
	text bool
	// check refuses arguments that a command does not understand, in the place of the
	// count of them. Nil checks the count.
	check func(args []string) error
	// flags makes its options, and may be nil. Options keep what was read, so
	// that every run needs its own.
	flags func() []cli.Flag
	// run does it. Nothing was sent before.
	run func(*request) error
}

// request is the parsed command line of a command, with the connection to the proxy.
type request struct {
	ctx    context.Context // ends with the command or its --timeout
	client *client.Client
	env    command.Env
	flags  *cli.Context
	output *output
	secure bool // whether the connection is one of TLS
	// address is the address of the proxy.
	address string
	ids     []uint64
	named   []name
	words   []string
	text    *string // nil when there is none
	input   input
}

// arguments names what follows the name of the command.
func (m messageCommand) arguments() string {
	arguments := slices.Clone(m.ids)
	if m.needs != "" {
		arguments = append([]string{m.needs}, arguments...)
	}
	arguments = append(arguments, m.words...)
	if m.optional != "" {
		arguments = append(arguments, "["+m.optional+"]")
	}
	if m.text {
		arguments = append(arguments, "TEXT")
	}
	return strings.Join(arguments, " ")
}

// misused is the error for wrong arguments.
func (m messageCommand) misused() error {
	return command.Misuse(fmt.Errorf("expected %s %s", m.name, m.arguments()))
}

func (m messageCommand) command(env command.Env) *cli.Command {
	c := &cli.Command{
		Name: m.name, Usage: m.usage, ArgsUsage: m.arguments(),
		Action: func(c *cli.Context) error {
			r := &request{ctx: c.Context, env: env, flags: c, input: input{in: env.In}}
			var err error
			if r.output, err = newOutput(c, env.Out); err != nil {
				return err
			}
			if err := m.read(r, c.Args().Slice()); err != nil {
				return err
			}
			timeout := c.Duration("timeout")
			if timeout < 0 {
				return command.Misuse(errors.New("--timeout must not be negative"))
			}
			if timeout > 0 {
				var cancel context.CancelFunc
				r.ctx, cancel = context.WithTimeout(r.ctx, timeout)
				defer cancel()
			}
			if err := dial(r); err != nil {
				return err
			}
			defer r.client.Close()
			if err := r.resolve(); err != nil {
				return err
			}
			if err := m.run(r); !errors.Is(err, errPlanned) {
				return err
			}
			return nil
		},
	}
	if m.flags != nil {
		c.Flags = m.flags()
	}
	return c
}

// read checks the arguments of the command.
func (m messageCommand) read(r *request, args []string) error {
	if m.check != nil {
		r.words = args
		return m.check(args)
	}
	needed := len(m.ids) + len(m.words)
	switch extra := len(args) - needed; {
	case extra < 0, extra > 1, extra == 1 && !m.text && m.optional == "":
		return m.misused()
	case extra == 1 && m.text:
		r.text = &args[needed]
		r.words = args[len(m.ids):needed]
	case m.text && !addsToText(r.flags):
		return m.misused()
	default:
		r.words = args[len(m.ids):]
	}
	for i, argument := range m.ids {
		id, err := strconv.ParseUint(args[i], 10, 64)
		if err != nil {
			n, err := parseName(argument, args[i])
			if err != nil {
				return command.Misuse(err)
			}
			n.into = i
			r.named = append(r.named, n)
		}
		r.ids = append(r.ids, id)
	}
	if r.text != nil && *r.text == "-" {
		text, err := r.input.read("-", "the text", maxTextBytes)
		if err != nil {
			return err
		}
		*r.text = strings.TrimSuffix(string(text), "\n")
	}
	return nil
}

// call makes one call and says that it is done, or writes the answer as data.
func call[Request, Response proto.Message](
	r *request,
	method func(context.Context, Request) (Response, error),
	req Request,
	done string,
) error {
	_, err := callThen(r, method, req, func(Response) error { return r.confirm(done) })
	return err
}

// callThen makes one call and writes its answer by text, or as data. It returns
// the answer.
func callThen[Request, Response proto.Message](
	r *request,
	method func(context.Context, Request) (Response, error),
	req Request,
	text func(Response) error,
) (Response, error) {
	var none Response
	if err := r.plan(req); err != nil {
		return none, err
	}
	response, err := method(r.ctx, req)
	if err != nil {
		return none, r.failed(err)
	}
	if r.output.structured() {
		return response, r.writeAnswer(response)
	}
	return response, text(response)
}

// writeAnswer writes an answer as data.
func (r *request) writeAnswer(m proto.Message) error {
	if r.output.bare && r.output.query == nil {
		return r.output.writeBare(m)
	}
	return r.output.write(m)
}

// confirm says what was done, unless the user wants no confirmation.
func (r *request) confirm(done string) error {
	if r.output.quiet {
		return nil
	}
	_, err := fmt.Fprintln(r.env.Out, done)
	return err
}
