package cli

import (
	"errors"
	"fmt"

	"discordproxy/server/access"

	"github.com/urfave/cli/v2"
)

// checkCommand reads the auth file as the server would, without starting it.
func checkCommand(e Env) *cli.Command {
	var file string
	return &cli.Command{
		Name:            "check",
		Usage:           "reads the auth file and prints what each client may do",
		HideHelpCommand: true,
		OnUsageError:    returnUsageError,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "auth-file", EnvVars: env("auth-file"), TakesFile: true, Destination: &file, Usage: "`FILE` to check"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q", c.Args().First())
			}
			if file == "" {
				return errors.New("expected check --auth-file FILE")
			}
			data, err := readSecret(c.Context, file)
			if err != nil {
				return fmt.Errorf("cannot read the auth file: %w", err)
			}
			rules, err := access.Parse(data, access.Defaults{Methods: guardedMethods()})
			if err != nil {
				return fmt.Errorf("auth file %s: %w", file, err)
			}
			for _, line := range rules.Describe() {
				if _, err := fmt.Fprintln(e.Out, line); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
