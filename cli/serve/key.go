package serve

import (
	"errors"
	"fmt"

	command "discordproxy/cli"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// keyCommand makes keys for clients.
func keyCommand(e command.Env) *cli.Command {
	var name string
	usage := errors.New("expected key new --name NAME")
	return &cli.Command{
		Name:   "key",
		Usage:  "makes keys for clients, see --auth-file",
		Action: func(*cli.Context) error { return usage },
		Subcommands: []*cli.Command{{
			Name:  "new",
			Usage: "prints a new key, which is not stored anywhere, and its entry for the auth file",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "name", Destination: &name, Usage: "`NAME` of the client, for logs and metrics"},
			},
			Action: func(c *cli.Context) error {
				if err := command.NoArguments(c); err != nil {
					return err
				}
				if name == "" {
					return usage
				}
				key, hash := server.NewKey()
				entry := fmt.Sprintf("  - name: %q\n    hashes: [%q]\n", name, hash)
				if _, err := server.DescribeClients([]byte("clients:\n" + entry)); err != nil {
					return err
				}
				_, err := fmt.Fprintf(e.Out, `The key, which is shown only now. The client sends it as Authorization: Bearer KEY.

%s

The entry for the auth file, below "clients:". It holds no secret.

%s`, key, entry)
				return err
			},
		}},
	}
}
