package serve

import (
	"context"
	"errors"
	"fmt"

	command "discordproxy/cli"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// checkCommand reads the auth file as the server would, without starting it.
func checkCommand(e command.Env) *cli.Command {
	var file string
	var incoming hooksConfig
	return &cli.Command{
		Name:  "check",
		Usage: "reads the auth file and the hooks file, and prints what each client and hook may do",
		Flags: append([]cli.Flag{
			&cli.StringFlag{
				Name:        "auth-file",
				EnvVars:     command.Variables("auth-file"),
				TakesFile:   true,
				Destination: &file,
				Usage:       "`FILE` to check",
			},
		}, incoming.flags()...),
		Action: func(c *cli.Context) error {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			if file == "" && incoming.file == "" {
				return errors.New("expected check --auth-file FILE or --hooks-file FILE")
			}
			if err := incoming.check(); err != nil {
				return err
			}
			var lines []string
			if file != "" {
				clients, err := describeClients(c.Context, file)
				if err != nil {
					return err
				}
				lines = clients
			}
			if incoming.file != "" {
				described, err := server.DescribeHooks(c.Context, incoming.file, incoming.templates, nil, file != "")
				if err != nil {
					return err
				}
				lines = append(lines, described...)
			}
			for _, line := range lines {
				if _, err := fmt.Fprintln(e.Out, line); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func describeClients(ctx context.Context, file string) ([]string, error) {
	data, err := server.ReadFile(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the auth file: %w", err)
	}
	lines, err := server.DescribeClients(data)
	if err != nil {
		return nil, fmt.Errorf("auth file %s: %w", file, err)
	}
	return lines, nil
}
