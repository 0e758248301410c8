package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	command "discordproxy/cli"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
)

// newClient is a client of an auth file, as YAML.
type newClient struct {
	Name     string   `yaml:"name"`
	Hashes   []string `yaml:"hashes,flow"`
	Methods  []string `yaml:"methods,flow,omitempty"`
	Guilds   []string `yaml:"guilds,flow,omitempty"`
	Channels []string `yaml:"channels,flow,omitempty"`
	Users    []string `yaml:"users,flow,omitempty"`
}

// entry returns the client as an item of a list, indented.
func (n newClient) entry(indent string) (string, error) {
	data, err := yaml.Marshal(n)
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\n")
	return indent + "- " + strings.ReplaceAll(text, "\n", "\n"+indent+"  ") + "\n", nil
}

// keyCommand makes keys for clients.
func keyCommand(e command.Env) *cli.Command {
	usage := command.Misuse(errors.New("expected key new --name NAME or key add FILE --name NAME"))
	return &cli.Command{
		Name:        "key",
		Usage:       "creates keys for clients; see --auth-file",
		Action:      func(*cli.Context) error { return usage },
		Subcommands: []*cli.Command{keyNewCommand(e, usage), keyAddCommand(e, usage)},
	}
}

// keyNewCommand prints a key. What is no key goes to standard error, so that a script can
// take the output as it is.
func keyNewCommand(e command.Env, usage error) *cli.Command {
	var client newClient
	var asJSON bool
	return &cli.Command{
		Name:  "new",
		Usage: "prints a new key once, and its entry for the auth file on standard error",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Destination: &client.Name, Usage: "`NAME` of the client in logs and metrics"},
			&cli.BoolFlag{Name: "json", Destination: &asJSON, Usage: "print the key, its hash and the entry as JSON"},
		},
		Action: func(c *cli.Context) error {
			if err := command.NoArguments(c); err != nil {
				return err
			}
			if client.Name == "" {
				return usage
			}
			key, hash := server.NewKey()
			client.Hashes = []string{hash}
			entry, err := client.entry("  ")
			if err != nil {
				return err
			}
			if _, err := server.DescribeClients([]byte("clients:\n" + entry)); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(e.Out).Encode(map[string]string{"name": client.Name, "key": key, "hash": hash, "entry": entry})
			}
			if _, err := fmt.Fprintln(e.Out, key); err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Err, `
This key is shown only now. The client sends it as Authorization: Bearer KEY.
Add this entry to the auth file, below "clients:". It contains no secret.

%s`, entry)
			return err
		},
	}
}

// keyAddCommand adds a client to an auth file.
func keyAddCommand(e command.Env, usage error) *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "adds a client to the auth file FILE, which it creates if needed, and prints the client's key",
		ArgsUsage: "FILE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the client in logs and metrics"},
			&cli.StringSliceFlag{Name: "methods", Usage: "`METHODS` that the client may call, comma-separated; default: all"},
			&cli.StringSliceFlag{Name: "guilds", Usage: "`IDS` of the guilds that the client is restricted to, or *"},
			&cli.StringSliceFlag{Name: "channels", Usage: "`IDS` of the channels that the client is restricted to, or *"},
			&cli.StringSliceFlag{Name: "users", Usage: "`IDS` of the users that the client is restricted to, or *"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 || c.String("name") == "" {
				return usage
			}
			key, hash := server.NewKey()
			client := newClient{
				Name: c.String("name"), Hashes: []string{hash}, Methods: c.StringSlice("methods"),
				Guilds: c.StringSlice("guilds"), Channels: c.StringSlice("channels"), Users: c.StringSlice("users"),
			}
			file := c.Args().First()
			if err := addClient(c, file, client); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(e.Out, key); err != nil {
				return err
			}
			_, err := fmt.Fprintf(e.Err, "\nThis key is shown only now. Client %s is in %s.\n", client.Name, file)
			return err
		},
	}
}

// addClient adds a client to an auth file and leaves everything else in it as it is.
func addClient(c *cli.Context, file string, client newClient) error {
	before, err := server.ReadFile(c.Context, file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot read the auth file: %w", err)
	}
	missing := err != nil
	after, err := withClient(before, client)
	if err == nil {
		_, err = server.DescribeClients(after)
	}
	if err != nil {
		return fmt.Errorf("auth file %s: %w", file, err)
	}
	again, err := server.ReadFile(c.Context, file)
	if missing != errors.Is(err, fs.ErrNotExist) || !bytes.Equal(before, again) {
		return fmt.Errorf("auth file %s was changed in the meantime; try again", file)
	}
	if err := command.ReplaceFile(file, after, 0o600); err != nil {
		return fmt.Errorf("cannot write the auth file: %w", err)
	}
	return nil
}

// comments matches a file that contains nothing else, each in a whole line.
var comments = regexp.MustCompile(`^([ \t]*(#.*)?\r?\n)*$`)

// withClient returns an auth file with one client more.
func withClient(data []byte, client newClient) ([]byte, error) {
	var document yaml.Node
	if !comments.Match(data) {
		// Mistakes are for the reader of auth files, which names them better.
		if _, err := server.DescribeClients(data); err != nil {
			return nil, err
		}
		if err := yaml.Load(data, &document); err != nil {
			return nil, err
		}
	}
	if document.Kind != yaml.DocumentNode {
		entry, err := client.entry("  ")
		return append(bytes.Clone(data), "clients:\n"+entry...), err
	}
	root := document.Content[0]
	list := root.Content[1] // there is no other field than clients
	if list.Kind != yaml.SequenceNode || list.Style&yaml.FlowStyle != 0 || root.Style&yaml.FlowStyle != 0 {
		return nil, errors.New(`the clients are in brackets: write each on lines of its own after "-"`)
	}
	entry, err := client.entry(strings.Repeat(" ", list.Column-1))
	if err != nil {
		return nil, err
	}
	newline := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		newline = "\r\n"
	}
	text := strings.TrimRight(string(data), " \t\r\n") + newline
	return []byte(text + strings.ReplaceAll(entry, "\n", newline)), nil
}
