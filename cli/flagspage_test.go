package cli_test

import (
	"cmp"
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

var update = flag.Bool("update", false, "write docs/flags.md")

const flagsIntro = `# Flags and variables

All flags of ` + "`discordproxyserver` and `discordproxymessage`" + `, with their environment
variables and defaults. A flag takes precedence over its variable, a variable over the
[configuration file](configuration.md), and the file over the default.

- **Switch:** the variable is ` + "`true` or `false`" + `. ` + "`--flag=false`" + ` turns a switch off.
- **Repeatable flag:** the variable is a list, separated by commas.
- **Duration:** a number with a unit, such as ` + "`90s`, `1m30s` or `2h`" + `.
- **Size:** a number of bytes.

This page is generated from the code: run ` + "`go test ./cli -run TestFlagsPage -update`" + `.
`

const variablesChapter = `
## Variables without a flag

| variable | of | meaning |
|---|---|---|
| ` + "`CREDENTIALS_DIRECTORY`" + ` | server | set by systemd: folder of credentials; the server reads the token from its file ` + "`discord-bot-token`" + ` if no other setting gives one |
| ` + "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`" + ` | server | set by systemd: where the server reports that it listens, is alive and stops |
| ` + "`HTTPS_PROXY`, `NO_PROXY`" + ` | server | web proxy for connections to Discord, including the gateway; ` + "`HTTP_PROXY`" + ` if ` + "`--discord-api-url`" + ` begins with ` + "`http:`" + ` |
| ` + "`SSL_CERT_FILE`, `SSL_CERT_DIR`" + ` | both | CA certificates to trust instead of the system's |
| ` + "`DISCORDPROXY_CONTEXTS`" + ` | message | file with the contexts, instead of ` + "`discordproxy/contexts.yaml`" + ` in the user's configuration folder |
| ` + "`GOMEMLIMIT`" + ` | server | soft memory limit, such as ` + "`450MiB`" + `; set it to about nine tenths of the container's limit |
| ` + "`GOMAXPROCS`" + ` | server | number of processors to use, instead of all of the machine or the container |
| ` + "`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`" + ` | server | where to export traces; without them, there are no traces |
| ` + "`OTEL_TRACES_EXPORTER`, `OTEL_SDK_DISABLED`" + ` | server | ` + "`otlp`" + ` turns traces on, ` + "`none`" + ` or ` + "`true`" + ` off |
| ` + "`OTEL_EXPORTER_OTLP_PROTOCOL`, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`" + ` | server | ` + "`http/protobuf`, which is the default, or `grpc`" + ` |
| ` + "`OTEL_...`" + ` | server | other variables of [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), for example for headers, sampling and the service name |
`

// TestFlagsPage: docs/flags.md lists every flag and variable of both commands.
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
	usage, shown, _ := strings.Cut(docsPage.ReplaceAllString(usage, "[$1]($1)"), " (default: ")
	switch f := f.(type) {
	case *cli.BoolFlag:
		if shown = cmp.Or(shown, f.DefaultText); shown == "" && f.Value {
			shown = "`true`"
		}
	case *cli.StringSliceFlag:
		shown = cmp.Or(shown, f.DefaultText)
	}
	row.usage = strings.ReplaceAll(usage, "|", `\|`)
	var variables []string
	for _, v := range documented.GetEnvVars() {
		variables = append(variables, "`"+v+"`")
	}
	row.variables = strings.Join(variables, ", ")
	switch value := documented.GetValue(); {
	case shown != "":
		row.value = strings.TrimSuffix(shown, ")")
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
