package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"discordproxy/cli/configfile"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// Template returns a configuration file with every setting commented out at its default.
func Template() string {
	const intro = `Configuration of discordproxyserver, see docs/configuration.md. Each setting is the name of a flag.
Flags and environment variables take precedence over this file.
A line such as "#port: 50051" shows a setting with its default, or with a word in capitals that stands for your value.
Remove the "#" to set it.
Check the file with: discordproxyserver check --config FILE`
	const sections = `# === Sections ===

# Clients that may call, instead of auth-file; see docs/access.md.
# discordproxyserver key new prints a key and its hash.
#auth:
#  clients:
#    - name: shop
#      hashes: ["sha256:HASH"]
#      methods: [SendChannelMessage]

# Incoming hooks, POST /hooks/NAME, instead of hooks-file; see docs/hooks.md.
#hooks:
#  - name: alerts
#    channel: "CHANNEL_ID"
#    secret: SECRET

# Several bots, instead of token and token-file; see docs/bots.md. Each may have the settings
# of the group Gateway and events, and has those of this file otherwise.
#bots:
#  - name: main
#    token-file: FILE
#    default: true
#  - name: alerts
#    token-file: FILE
#    activity: TEXT
`
	return configfile.Template(schema(new(serverConfig).flags()), intro, sections)
}

// configCommand writes configuration files.
func configCommand(e command.Env) *cli.Command {
	usage := command.Misuse(errors.New("expected config init [FILE]"))
	return &cli.Command{
		Name:   "config",
		Usage:  "writes a configuration file for --config",
		Action: func(*cli.Context) error { return usage },
		Subcommands: []*cli.Command{{
			Name:      "init",
			Usage:     "writes every setting, commented out at its default, to FILE or standard output",
			ArgsUsage: "[FILE]",
			Action: func(c *cli.Context) error {
				switch {
				case c.NArg() > 1:
					return usage
				case !c.Args().Present() || c.Args().First() == "-":
					_, err := io.WriteString(e.Out, Template())
					return err
				}
				if err := writeNew(c.Args().First(), Template()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(e.Err, "Wrote %s. Check it with: discordproxyserver check --config %[1]s\n", c.Args().First())
				return err
			},
		}},
	}
}

// writeNew writes a file that only its owner may read, and that did not exist.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists and is not overwritten", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the configuration file: %w", err)
	}
	_, err = io.WriteString(f, text)
	if err = cmp.Or(err, f.Close()); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("cannot write the configuration file: %w", err)
	}
	return nil
}
