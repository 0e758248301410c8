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
		HideHelpCommand: true, EnableBashCompletion: true,
		// Errors go back to Run, which writes them in one line.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   returnUsageError,
	}
}

// AddCommands adds commands to app, and behind them the command completion.
func AddCommands(app *cli.App, commands ...*cli.Command) {
	app.Commands = append(commands, completionCommand(app))
	prepare(app.Commands)
}

func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand, c.OnUsageError = true, returnUsageError
		prepare(c.Subcommands)
	}
}

// returnUsageError keeps commands from writing their whole usage beside the
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

// printVersion writes the version alone in the first line, for scripts.
func printVersion(c *cli.Context) {
	number, commit, _ := strings.Cut(c.App.Version, " ")
	_, _ = fmt.Fprintln(c.App.Writer, number)
	if commit != "" {
		_, _ = fmt.Fprintln(c.App.Writer, "commit", strings.Trim(commit, "()"))
	}
}

func init() { cli.VersionPrinter = printVersion } //nolint:gochecknoinits // the library has no other place for it
