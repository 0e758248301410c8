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
		pages = append(pages, Page{fmt.Sprintf("man/man%d", command.section), fmt.Sprintf("%s.%d", name, command.section), manual})
		for _, p := range []struct{ shell, folder, name string }{
			{"bash", "bash-completion/completions", name},
			{"zsh", "zsh/vendor-completions", "_" + name},
			{"fish", "fish/vendor_completions.d", name + ".fish"},
		} {
			script, err := completionScript(command.app, p.shell)
			if err != nil {
				return nil, fmt.Errorf("the completion of %s: %w", name, err)
			}
			pages = append(pages, Page{p.folder, p.name, script})
		}
	}
	return pages, nil
}
