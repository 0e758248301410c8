package cli_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	command "discordproxy/cli"
	"discordproxy/cli/message"
	"discordproxy/cli/serve"

	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "write docs/flags.md anew")

const flagsIntro = `# Flags and variables

Made from the definitions of the flags by
` + "`go test ./cli -run TestFlagsPage -update`" + `; a change belongs there.

A flag takes precedence over its variable, a variable over the
[configuration file](configuration.md), and the file over the default. Switches
take ` + "`true` and `false`" + ` in a variable, and ` + "`--flag=false`" + ` turns one off. What is
repeatable is a list with commas in a variable. Durations are such as ` + "`90s`" + `,
` + "`1m30s`" + ` and ` + "`2h`" + `, sizes are in bytes.
`

const variablesChapter = `
## Variables that are no flags

| variable | of | meaning |
|---|---|---|
| ` + "`CREDENTIALS_DIRECTORY`" + ` | server | folder of systemd's credentials; without a token elsewhere its file ` + "`discord-bot-token`" + ` is read |
| ` + "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`" + ` | server | set by systemd; the server reports here that it listens, is alive and stops |
| ` + "`HTTPS_PROXY`, `NO_PROXY`" + ` | server | a web proxy on the way to Discord, for calls and the gateway; ` + "`HTTP_PROXY`" + ` where ` + "`--discord-api-url`" + ` begins with ` + "`http:`" + ` |
| ` + "`SSL_CERT_FILE`, `SSL_CERT_DIR`" + ` | both | authorities to trust instead of the system's |
| ` + "`DISCORDPROXY_CONTEXTS`" + ` | message | file that keeps the contexts, instead of ` + "`discordproxy/contexts.yaml`" + ` in the user's configuration folder |
| ` + "`GOMEMLIMIT`" + ` | server | memory to stay below, such as ` + "`450MiB`" + `; about nine tenths of a container's limit |
| ` + "`GOMAXPROCS`" + ` | server | processors to use, instead of all that the machine or the container has |
| ` + "`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`" + ` | server | where to export traces; without them none are made |
| ` + "`OTEL_TRACES_EXPORTER`, `OTEL_SDK_DISABLED`" + ` | server | ` + "`otlp`" + ` turns traces on, ` + "`none`" + ` or ` + "`true`" + ` off |
| ` + "`OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`" + ` | server | ` + "`http/protobuf`, which is the default, or `grpc`" + ` |
| ` + "`OTEL_...`" + ` | server | the others of [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), such as those for headers, sampling and the service's name |
`

// TestFlagsPage: docs/flags.md holds every flag and variable of both commands.
func TestFlagsPage(t *testing.T) {
	var page strings.Builder
	page.WriteString(flagsIntro)
	writeFlags(&page, serve.App(command.Env{}))
	writeFlags(&page, message.App(command.Env{}))
	page.WriteString(variablesChapter)

	file := filepath.Join("..", "docs", "flags.md")
	if *update {
		if err := os.WriteFile(file, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page.String() {
		t.Error("docs/flags.md is not what the flags are: go test ./cli -run TestFlagsPage -update")
	}
}

// writeFlags writes a table of the flags of a command, a list of the commands
// below it, and a table of their flags.
func writeFlags(w *strings.Builder, app *cli.App) {
	fmt.Fprintf(w, "\n## %s\n\nIt %s.\n", app.Name, app.Usage)
	shown := "none"
	for _, f := range app.Flags {
		if f == cli.HelpFlag {
			continue
		}
		if category := f.(cli.CategorizableFlag).GetCategory(); category != shown {
			if shown = category; category != "" {
				fmt.Fprintf(w, "\n### %s\n", category)
			}
			w.WriteString("\n| flag | variable | default | meaning |\n|---|---|---|---|\n")
		}
		row := rowOf(f)
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", row.name, row.variables, row.value, row.usage)
	}
	fmt.Fprintf(w, "\nCommands of `%s`:\n\n", app.Name)
	var rows []flagRow
	of := make(map[flagRow][]string)
	var list func(parent string, commands []*cli.Command)
	list = func(parent string, commands []*cli.Command) {
		for _, c := range commands {
			name := parent + c.Name
			if len(c.Subcommands) > 0 {
				list(name+" ", c.Subcommands)
				continue
			}
			fmt.Fprintf(w, "- `%s` %s\n", strings.TrimSpace(name+" "+c.ArgsUsage), c.Usage)
			for _, f := range c.Flags {
				row := rowOf(f)
				if slices.ContainsFunc(app.Flags, func(own cli.Flag) bool { return own != cli.HelpFlag && rowOf(own) == row }) && len(c.Flags) > 20 {
					continue // the command takes all flags of the program
				}
				if of[row] == nil {
					rows = append(rows, row)
				}
				of[row] = append(of[row], "`"+name+"`")
			}
		}
	}
	list("", app.Commands)
	w.WriteString("\n| flag | of the command | variable | default | meaning |\n|---|---|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s |\n", row.name, strings.Join(of[row], ", "), row.variables, row.value, row.usage)
	}
}

// flagRow is what a table says of a flag.
type flagRow struct{ name, variables, value, usage string }

var (
	placeholder = regexp.MustCompile("`([^`]+)`")
	docsPage    = regexp.MustCompile(`docs/([a-z-]+\.md)`)
)

func rowOf(f cli.Flag) flagRow {
	documented := f.(cli.DocGenerationFlag)
	usage := documented.GetUsage()
	row := flagRow{name: "--" + f.Names()[0]}
	if found := placeholder.FindStringSubmatch(usage); found != nil {
		row.name += " " + found[1]
	}
	usage = placeholder.ReplaceAllString(usage, "$1")
	usage, told, _ := strings.Cut(docsPage.ReplaceAllString(usage, "[$1]($1)"), " (default: ")
	row.usage = strings.ReplaceAll(usage, "|", `\|`)
	var variables []string
	for _, v := range documented.GetEnvVars() {
		variables = append(variables, "`"+v+"`")
	}
	row.variables = strings.Join(variables, ", ")
	switch value := documented.GetValue(); {
	case told != "":
		row.value = strings.TrimSuffix(told, ")")
	case value == "", value == "false", value == "0s", value == "0" && !strings.Contains(usage, "0 "):
	default:
		row.value = "`" + strings.TrimSuffix(value, "m0s")
		if strings.HasSuffix(value, "m0s") {
			row.value += "m"
		}
		row.value += "`"
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 1<<20 && n%(1<<20) == 0 {
			row.value += fmt.Sprintf(" (%d MiB)", n>>20)
		}
	}
	return row
}
