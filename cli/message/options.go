package message

import (
	"slices"
	"strings"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// optionsFirst moves options to where the library reads them: those of app in
// front of the name of the command, those of the command behind it. Scripts
// have them anywhere. What is no option stays where it is, so that a text may
// begin with a hyphen; behind "--" nothing is an option.
func optionsFirst(app *cli.App, args []string) []string {
	var general, name, particular, others, last []string
	if n := len(args); n > 0 && args[n-1] == command.CompletionRequest {
		args, last = args[:n-1], args[n-1:]
	}
	var flags []cli.Flag // of the command
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			others = append(append([]string{arg}, others...), args[i+1:]...)
			break
		}
		option, _, complete := strings.Cut(arg, "=")
		into, flag := &general, findFlag(app.Flags, option)
		if flag == nil {
			into, flag = &particular, findFlag(flags, option)
		}
		if _, isSwitch := flag.(*cli.BoolFlag); isSwitch {
			complete = true
		}
		switch {
		case flag != nil && complete:
			*into = append(*into, arg)
		case flag != nil && i+1 < len(args):
			*into = append(*into, arg, args[i+1])
			i++
		default:
			if called := app.Command(arg); name == nil && len(others) == 0 && called != nil {
				name, flags = []string{arg}, append(slices.Clone(called.Flags), cli.HelpFlag)
			} else {
				others = append(others, arg)
			}
		}
	}
	return slices.Concat(general, name, particular, others, last)
}

// findFlag returns the flag that an argument names, or nil.
func findFlag(flags []cli.Flag, arg string) cli.Flag {
	name, ok := strings.CutPrefix(arg, "--")
	if !ok {
		return nil
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}
