package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Manual is the text of a command's manual page in addition to its flags and commands.
type Manual struct {
	// ExitStatus, Files and Examples are pairs of a code, path or command line and
	// what it means.
	ExitStatus, Files, Examples [][2]string
}

// manualKey is the key of a Manual in the metadata of a command.
const manualKey = "manual"

// Document adds m to the manual page of app, and the exit status to its help.
func Document(app *cli.App, m Manual) {
	app.Metadata = map[string]any{manualKey: m}
	var codes []string
	for _, s := range m.ExitStatus {
		codes = append(codes, s[0]+" "+s[1])
	}
	app.Description = "Exit status: " + strings.Join(codes, "; ") + "."
}

// manualSections returns the sections of app's Manual, and one about the
// environment, as roff.
func manualSections(app *cli.App) string {
	m, _ := app.Metadata[manualKey].(Manual)
	var environment [][2]string
	for _, f := range app.Flags {
		documented, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		for _, variable := range documented.GetEnvVars() {
			environment = append(environment, [2]string{variable, "takes the place of --" + f.Names()[0]})
		}
	}
	var text strings.Builder
	for _, section := range []struct {
		name  string
		pairs [][2]string
	}{{"ENVIRONMENT", environment}, {"EXIT STATUS", m.ExitStatus}, {"FILES", m.Files}, {"EXAMPLES", m.Examples}} {
		if len(section.pairs) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n.SH %s\n", section.name)
		for _, pair := range section.pairs {
			fmt.Fprintf(&text, ".TP\n%s\n%s\n", roff(pair[0]), roff(pair[1]))
		}
	}
	return text.String()
}

// roff returns a text as a line that roff sets as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
