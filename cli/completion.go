package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// shells are those that completionScript knows.
var shells = []string{"bash", "zsh", "fish"}

// completionCommand writes what a shell needs to complete the command of app.
func completionCommand(app *cli.App) *cli.Command {
	command := &cli.Command{
		Name: "completion", Usage: "writes the script with which a shell completes this command",
		ArgsUsage: strings.Join(shells, "|"),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("expected completion %s", strings.Join(shells, "|"))
			}
			script, err := completionScript(app, c.Args().First())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(app.Writer, script)
			return err
		},
	}
	command.BashComplete = func(*cli.Context) { _, _ = fmt.Fprintln(app.Writer, strings.Join(shells, "\n")) }
	return command
}

// completionScript returns the script for a shell, one of shells.
func completionScript(app *cli.App, shell string) (string, error) {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion}
	switch {
	case shell == "fish":
		app.Setup()
		script, err := app.ToFishCompletion()
		return strings.ReplaceAll(script, "`", ""), err // they mark the names of values in help
	case scripts[shell] == "":
		return "", fmt.Errorf("there is no completion for %q, but for %s", shell, strings.Join(shells, ", "))
	}
	return strings.ReplaceAll(scripts[shell], "COMMAND", app.Name), nil
}

// CompletionRequest is the argument, always the last, with which a shell asks
// what may follow.
const CompletionRequest = "--generate-bash-completion"

// bash and zsh ask the command itself what may follow, and complete names of
// files when it knows nothing. fish knows all from its script.
const (
	bashCompletion = `_COMMAND() {
    local current="${COMP_WORDS[COMP_CWORD]}"
    local asked=("${COMP_WORDS[@]:0:COMP_CWORD}")
    if [[ "$current" == -* ]]; then asked+=("$current"); fi
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$("${asked[@]}" ` + CompletionRequest + ` 2>/dev/null)" -- "$current"))
}
complete -o bashdefault -o default -F _COMMAND COMMAND
`
	zshCompletion = `#compdef COMMAND
_COMMAND() {
    local -a asked found
    asked=("${(@)words[1,CURRENT-1]}")
    [[ "${words[CURRENT]}" == -* ]] && asked+=("${words[CURRENT]}")
    found=("${(@f)$("${asked[@]}" ` + CompletionRequest + ` 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
if [[ "${funcstack[1]}" == _COMMAND ]]; then _COMMAND "$@"; else compdef _COMMAND COMMAND; fi
`
)
