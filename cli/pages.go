package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// Page is a file about a command that its packages install.
type Page struct {
	// Folder is the page's folder below the machine's share folder.
	Folder, Name string
	Text         string
}

// Pages returns the manual page of app, which belongs in a section of the
// manual, and its completions for bash, zsh and fish, made from its flags.
func Pages(app *cli.App, section int) ([]Page, error) {
	manual, err := app.ToManWithSection(section)
	if err != nil {
		return nil, fmt.Errorf("the manual page of %s: %w", app.Name, err)
	}
	pages := []Page{{fmt.Sprintf("man/man%d", section), fmt.Sprintf("%s.%d", app.Name, section), manual + manualSections(app)}}
	for _, p := range []struct{ shell, folder, name string }{
		{"bash", "bash-completion/completions", app.Name},
		{"zsh", "zsh/vendor-completions", "_" + app.Name},
		{"fish", "fish/vendor_completions.d", app.Name + ".fish"},
	} {
		script, err := completionScript(app, p.shell)
		if err != nil {
			return nil, fmt.Errorf("the completion of %s: %w", app.Name, err)
		}
		pages = append(pages, Page{p.folder, p.name, script})
	}
	return pages, nil
}
