// Package message is the command discordproxymessage, a client of a running
// server.
package message

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	command "discordproxy/cli"
	"discordproxy/client"

	"connectrpc.com/connect"
	"github.com/urfave/cli/v2"
)

// Command is the command discordproxymessage.
func Command(ctx context.Context, env command.Env) error {
	app := App(env)
	if command.Complete(app, env.Args, nil) {
		return nil
	}
	args, err := command.Arrange(app, env.Args)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{app.Name}, args...))
}

// App returns the command with its options and commands.
func App(env command.Env) *cli.App {
	app := command.NewApp(env, "discordproxymessage", "sends messages through a running Discord Proxy")
	app.DisableSliceFlagSeparator = true // names of files may hold commas
	app.Flags = append(connectionFlags(),
		&cli.DurationFlag{Name: "timeout", Usage: "how long to wait, such as 30s or 30 for seconds; 0 is until it is done", DefaultText: "0"},
		&cli.BoolFlag{Name: "json", Usage: "write the proxy's answer as a line of JSON, of many answers a line each"},
	)
	app.Action = cli.ShowAppHelp
	var all []*cli.Command
	for _, m := range messageCommands {
		all = append(all, m.command(env))
	}
	command.AddCommands(app, all...)
	return app
}

// messageCommands are what discordproxymessage can do, each in the file of its
// topic.
var messageCommands = []messageCommand{
	directCommand, channelCommand, editCommand, deleteCommand, channelsCommand, broadcastCommand, statusCommand,
}

// messageCommand is a command that calls the proxy.
type messageCommand struct {
	name, usage string
	// needs is an option that it cannot do without, as it is written.
	needs string
	// ids are the names of the ids that it takes, in their order.
	ids []string
	// text says whether it takes a text behind them. It may be missing where
	// something else is sent.
	text bool
	// flags makes its options, and may be nil. Options keep what was read, so
	// that every run needs its own.
	flags func() []cli.Flag
	// run does it. Nothing was sent before.
	run func(*request) error
}

// request is what a command was asked for, with the connection to the proxy.
type request struct {
	ctx    context.Context // ends with the command or its --timeout
	client *client.Client
	env    command.Env
	flags  *cli.Context
	json   bool // whether answers are written as JSON
	secure bool // whether the connection is one of TLS
	ids    []uint64
	text   *string // nil when there is none
	input  input
}

// arguments names what follows the name of the command.
func (m messageCommand) arguments() string {
	arguments := slices.Clone(m.ids)
	if m.needs != "" {
		arguments = append([]string{m.needs}, arguments...)
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
			r := &request{ctx: c.Context, env: env, flags: c, json: c.Bool("json"), input: input{in: env.In}}
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
			return m.run(r)
		},
	}
	if m.flags != nil {
		c.Flags = m.flags()
	}
	return c
}

// read checks the arguments of the command.
func (m messageCommand) read(r *request, args []string) error {
	switch extra := len(args) - len(m.ids); {
	case extra < 0, extra > 1, extra == 1 && !m.text:
		return m.misused()
	case extra == 1:
		r.text = &args[len(m.ids)]
	case m.text && !addsToText(r.flags):
		return m.misused()
	}
	for i, name := range m.ids {
		id, err := strconv.ParseUint(args[i], 10, 64)
		if err != nil {
			return command.Misuse(fmt.Errorf("%s %q is not a number", name, args[i]))
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

// call makes one call and says that it is done, or writes the answer as JSON.
func call[Request, Response any](r *request, method func(context.Context, Request) (Response, error), req Request, done string) error {
	response, err := method(r.ctx, req)
	if err != nil {
		return r.failed(err)
	}
	if r.json {
		return r.writeJSON(response)
	}
	_, err = fmt.Fprintln(r.env.Out, done)
	return err
}

// failed is what a person reads of the error of a call: Discord's text where
// Discord refused, else the status.
func (r *request) failed(err error) error {
	_, bounded := r.ctx.Deadline()
	late, told := errors.AsType[*client.Error](err)
	switch {
	case r.ctx.Err() == context.Canceled:
		return errors.New("interrupted; what was on its way may have taken effect")
	case r.ctx.Err() == context.DeadlineExceeded,
		// The proxy may tell of the end before it is noticed here.
		bounded && told && errors.Is(late, client.ErrTimeout) && late.OutcomeUnknown:
		return errors.New("the time of --timeout is over; what was on its way may have taken effect")
	}
	refused, ok := errors.AsType[*client.HTTPError](err)
	if !ok {
		text := oneLine(err.Error())
		switch failed, _ := errors.AsType[*net.OpError](err); {
		case connect.CodeOf(err) == connect.CodeUnauthenticated:
			text += ", see --key-file"
		case !r.secure && !connect.IsWireError(err) && (failed == nil || failed.Op != "dial"):
			text += "; if the proxy speaks TLS, see --tls"
		}
		return errors.New(text)
	}
	text, rules, broken := strings.Cut(refused.Text, "\n")
	text = fmt.Sprintf("%s (HTTP %d, code %d)", text, refused.Status, refused.Code)
	if broken {
		text += ": " + rules
	}
	return errors.New(oneLine(text))
}
