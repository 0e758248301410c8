package message

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"
)

// contexts is the file that keeps how proxies are reached.
type contexts struct {
	Current string                       `yaml:"current,omitempty"`
	Named   map[string]map[string]string `yaml:"contexts"` // options by their names
}

// contextOptions are the options that a context keeps.
var contextOptions = []string{"host", "port", "key", "key-file", "bot", "tls", "tls-ca", "tls-name", "tls-cert", "tls-key"}

// contextFlag chooses a context.
func contextFlag() cli.Flag {
	return &cli.StringFlag{
		Name:        "context",
		EnvVars:     command.Variables("context"),
		DefaultText: "the current one",
		Usage:       "`NAME` of the context to use; see the command context",
	}
}

// contextsFile is the file of the contexts.
func contextsFile() (string, error) {
	if path := os.Getenv("DISCORDPROXY_CONTEXTS"); path != "" {
		return path, nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for contexts: %w", err)
	}
	return filepath.Join(folder, "discordproxy", "contexts.yaml"), nil
}

// readContexts returns the contexts that are kept, or none without a file. It refuses
// a file with a key that others can read.
func readContexts() (*contexts, error) {
	all := &contexts{Named: make(map[string]map[string]string)}
	path, err := contextsFile()
	if err != nil {
		return all, nil //nolint:nilerr // without a home there are none
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the contexts: %w", err)
	}
	if err := yaml.Unmarshal(data, all); err != nil {
		return nil, fmt.Errorf("the contexts in %s are not YAML of the expected form", path) // the cause may quote a key
	}
	if all.Named == nil {
		all.Named = make(map[string]map[string]string)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the contexts: %w", err)
	}
	for _, c := range all.Named {
		if c["key"] != "" && info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			return nil, fmt.Errorf("%s holds a key and others can read it; run chmod 600 %s", path, path)
		}
	}
	return all, nil
}

// write replaces the file.
func (all *contexts) write() error {
	path, err := contextsFile()
	if err != nil {
		return err
	}
	data, err := yaml.Marshal(all)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = command.ReplaceFile(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot write the contexts: %w", err)
	}
	return nil
}

// useContext sets the options that were not given to those of the chosen context.
// Without --context an address that was given turns the context off, and with
// it another address than the context's is an error, so that its key reaches no
// other proxy. Nor is the key sent without the TLS of the context. A key that was
// given replaces both kinds.
func useContext(c *cli.Context) error {
	if first := c.Args().First(); first == "context" || first == "help" || first == "version" || first == "completion" {
		return nil
	}
	name := c.String("context")
	if name == "" && (c.IsSet("host") || c.IsSet("port")) {
		return nil
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	if name == "" {
		if name = all.Current; name == "" {
			return nil
		}
	}
	kept, known := all.Named[name]
	if !known {
		return command.Misuse(fmt.Errorf("no context %q; see context list", name))
	}
	for _, option := range []string{"host", "port", "tls"} {
		if value := kept[option]; value != "" && fmt.Sprint(c.Value(option)) != value && c.IsSet(option) {
			return command.Misuse(fmt.Errorf("context %s has --%s %s, and --%s or %s is %v; leave out one of them",
				name, option, value, option, command.Variables(option)[0], c.Value(option)))
		}
	}
	for _, option := range []string{"tls-ca", "tls-name", "tls-cert", "tls-key"} {
		if kept[option] != "" && c.IsSet(option) && c.String(option) == "" {
			return command.Misuse(fmt.Errorf("context %s has --%s %s, and --%s is empty; leave it out", name, option, kept[option], option))
		}
	}
	hasKey := c.IsSet("key") || c.IsSet("key-file")
	for _, option := range contextOptions {
		value := kept[option]
		if value == "" || c.IsSet(option) || hasKey && (option == "key" || option == "key-file") {
			continue
		}
		if err := c.Set(option, value); err != nil {
			return fmt.Errorf("context %s: %s %q is not valid", name, option, value)
		}
	}
	return nil
}

// contextCommand keeps how proxies are reached.
func contextCommand() *cli.Command {
	named := func(action string, do func(c *cli.Context, all *contexts, name string) error) cli.ActionFunc {
		return func(c *cli.Context) error {
			if c.NArg() != 1 || c.Args().First() == "" {
				return command.Misuse(fmt.Errorf("expected context %s NAME", action))
			}
			all, err := readContexts()
			if err != nil {
				return err
			}
			return do(c, all, c.Args().First())
		}
	}
	known := func(all *contexts, name string) error {
		if _, ok := all.Named[name]; !ok {
			return command.Misuse(fmt.Errorf("no context %q; see context list", name))
		}
		return nil
	}
	return &cli.Command{
		Name: "context", Usage: "manages contexts: saved addresses and keys of proxies",
		Action: cli.ShowSubcommandHelp,
		Subcommands: []*cli.Command{
			{
				Name: "add", Usage: "saves the connection options under a name; the first context becomes the current one", ArgsUsage: "NAME",
				Action: named("add", addContext),
			},
			{
				Name: "use", Usage: "makes a context the current one", ArgsUsage: "NAME",
				Action: named("use", func(_ *cli.Context, all *contexts, name string) error {
					if err := known(all, name); err != nil {
						return err
					}
					all.Current = name
					return all.write()
				}),
			},
			{
				Name: "remove", Usage: "removes a context", ArgsUsage: "NAME",
				Action: named("remove", func(_ *cli.Context, all *contexts, name string) error {
					if err := known(all, name); err != nil {
						return err
					}
					delete(all.Named, name)
					if all.Current == name {
						all.Current = ""
					}
					return all.write()
				}),
			},
			{Name: "list", Usage: "lists the contexts, without their keys", Action: listContexts},
		},
	}
}

func addContext(c *cli.Context, all *contexts, name string) error {
	kept := make(map[string]string)
	for _, option := range contextOptions {
		if !c.IsSet(option) {
			continue
		}
		value := fmt.Sprint(c.Value(option))
		switch option {
		case "key-file", "tls-ca", "tls-cert", "tls-key":
			path, err := filepath.Abs(value)
			if err != nil {
				return fmt.Errorf("--%s: %w", option, err)
			}
			value = path
		}
		kept[option] = value
	}
	if len(kept) == 0 {
		return command.Misuse(errors.New("expected connection options, such as --host"))
	}
	if _, _, err := endpoint(c); err != nil {
		return command.Misuse(err)
	}
	all.Named[name] = kept
	if all.Current == "" {
		all.Current = name
	}
	return all.write()
}

func listContexts(c *cli.Context) error {
	if err := command.NoArguments(c); err != nil {
		return err
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	o, err := newOutput(c, c.App.Writer)
	if err != nil {
		return err
	}
	var names []string
	for name, kept := range all.Named {
		names = append(names, name)
		if kept["key"] != "" {
			kept["key"] = "***"
		}
	}
	if o.structured() {
		return o.write(map[string]any{"current": all.Current, "contexts": all.Named})
	}
	slices.Sort(names)
	table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CURRENT\tNAME\tHOST\tPORT\tBOT\tKEY")
	for _, name := range names {
		kept, mark, key := all.Named[name], "", "-"
		if name == all.Current {
			mark = "*"
		}
		if kept["key"] != "" {
			key = kept["key"]
		} else if kept["key-file"] != "" {
			key = kept["key-file"]
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", mark, name, kept["host"], kept["port"], cmp.Or(kept["bot"], "-"), key)
	}
	return table.Flush()
}
