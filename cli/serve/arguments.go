package serve

import (
	"fmt"
	"slices"
	"strings"

	"discordproxy/cli/configfile"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// arrange is [command.Arrange] for the arguments of the server, which have long been
// allowed a single dash in front of a long name.
func arrange(app *cli.App, args []string) ([]string, error) {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		isFlag := func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }
		if len(name) > 1 && slices.ContainsFunc(app.Flags, isFlag) && strings.HasPrefix(arg, "-") {
			args[i] = "-" + arg
		}
	}
	return command.Arrange(app, args)
}

// refuseOwnFlags is an error when flags of the server are given to a command that does
// not have them: they would have no effect.
func refuseOwnFlags(c *cli.Context) error {
	if !c.Args().Present() {
		return nil
	}
	for _, name := range configfile.Given(c) {
		return command.Misuse(fmt.Errorf("--%s is not an option of %s", name, c.Args().First()))
	}
	return nil
}
