package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Page is a file about a command that a package of it installs.
type Page struct {
	// Folder is that of the page below a machine's share folder.
	Folder, Name string
	Text         string
}

// Pages makes the manual pages of both commands and their completions for
// bash, zsh and fish, from the flags that they have.
func Pages() ([]Page, error) {
	// What is made from the flags knows nothing of the environment.
	nobody := Env{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
	var pages []Page
	for _, command := range []struct {
		app     *cli.App
		section int
	}{
		{serverApp(nobody), 8},
		{messageApp(nobody), 1},
	} {
		name := command.app.Name
		manual, err := command.app.ToManWithSection(command.section)
		if err != nil {
			return nil, fmt.Errorf("the manual page of %s: %w", name, err)
		}
		fish, err := command.app.ToFishCompletion()
		if err != nil {
			return nil, fmt.Errorf("the completion of %s: %w", name, err)
		}
		pages = append(pages,
			Page{fmt.Sprintf("man/man%d", command.section), fmt.Sprintf("%s.%d", name, command.section), manual},
			Page{"bash-completion/completions", name, strings.ReplaceAll(bashCompletion, "COMMAND", name)},
			Page{"zsh/vendor-completions", "_" + name, strings.ReplaceAll(zshCompletion, "COMMAND", name)},
			Page{"fish/vendor_completions.d", name + ".fish", fish},
		)
	}
	return pages, nil
}

// The shells ask the command itself what may follow. To names of files they
// fall back when it knows nothing.
const (
	bashCompletion = `_COMMAND() {
    local word="${COMP_WORDS[COMP_CWORD]}" asked=("${COMP_WORDS[@]:0:COMP_CWORD}")
    [[ $word == -* ]] && asked+=("$word")
    mapfile -t COMPREPLY < <(compgen -W "$("${asked[@]}" --generate-bash-completion 2>/dev/null)" -- "$word")
}
complete -o bashdefault -o default -F _COMMAND COMMAND
`
	zshCompletion = `#compdef COMMAND
local -a asked answers
asked=("${(@)words[1,CURRENT-1]}")
[[ ${words[CURRENT]} == -* ]] && asked+=("${words[CURRENT]}")
answers=("${(@f)$("${asked[@]}" --generate-bash-completion 2>/dev/null)}")
if [[ -n ${answers[1]} ]]; then
    _describe COMMAND answers
else
    _files
fi
`
)
