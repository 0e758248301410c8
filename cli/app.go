package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// NewApp returns a command without flags and without commands of its own.
func NewApp(env Env, name, usage string) *cli.App {
	return &cli.App{
		Name: name, HelpName: name, Usage: usage, Version: Version(),
		Reader: env.In, Writer: env.Out, ErrWriter: env.Err,
		HideHelpCommand: true,
		// Errors go back to Run, which writes them in one line.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   returnUsageError,
	}
}

// AddCommands adds commands to app, and behind them those that every program has:
// completion, help and version.
func AddCommands(app *cli.App, commands ...*cli.Command) {
	app.Commands = append(commands, completionCommand(app), helpCommand(), versionCommand())
	app.Flags = append(app.Flags, cli.HelpFlag) // the library leaves it out where there is a command help
	prepare(app.Name, app.Commands)
}

func helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Usage: "shows help for the program or for a command", ArgsUsage: "[COMMAND]",
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			named, err := Arrange(c.App, append(c.Args().Slice(), "--help"))
			if err != nil {
				return err
			}
			if len(named) <= c.NArg() {
				return Misuse(fmt.Errorf("unknown command %q; see --help", strings.Join(c.Args().Slice(), " ")))
			}
			return c.App.RunContext(c.Context, append([]string{c.App.Name}, named...))
		},
	}
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "shows the version",
		Action: func(c *cli.Context) error {
			if err := NoArguments(c); err != nil {
				return err
			}
			cli.ShowVersion(c)
			return nil
		},
	}
}

func prepare(parent string, commands []*cli.Command) {
	for _, c := range commands {
		name := parent + " " + c.Name
		if c.HideHelpCommand, c.OnUsageError = true, returnUsageError; c.UsageText == "" && c.ArgsUsage != "" {
			c.UsageText = name + " [options] " + c.ArgsUsage
		}
		prepare(name, c.Subcommands)
	}
}

// returnUsageError keeps commands from writing their whole usage in addition to the
// error.
func returnUsageError(_ *cli.Context, err error, _ bool) error { return Misuse(err) }

// NoArguments returns the error of a command that has arguments but takes none.
func NoArguments(c *cli.Context) error {
	if c.Args().Present() {
		return Misuse(fmt.Errorf("unexpected argument %q", c.Args().First()))
	}
	return nil
}

// Variables returns the environment variables of a flag: others, then
// DISCORDPROXY_ and the name of the flag.
func Variables(flag string, others ...string) []string {
	return append(others, "DISCORDPROXY_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

// IsTerminal reports whether a person reads what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printVersion writes the version alone in the first line, for scripts. It writes
// once, as a script may read that line alone and close the pipe.
func printVersion(c *cli.Context) {
	text, commit, _ := strings.Cut(c.App.Version, " ")
	if commit != "" {
		text += "\ncommit " + strings.Trim(commit, "()")
	}
	_, _ = fmt.Fprintln(c.App.Writer, text)
}

func init() { cli.VersionPrinter = printVersion } //nolint:gochecknoinits // the library has no other place for it
