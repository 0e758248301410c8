package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	command "discordproxy/cli"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// dataConfig holds the flags about what survives a restart.
type dataConfig struct {
	folder, database, databaseFile string
	advertise                      string
	off                            bool
	outbox                         server.OutboxConfig
}

func (c *dataConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name:        "data",
			EnvVars:     command.Variables("data"),
			Destination: &c.folder,
			Usage:       "`FOLDER` of the server's data; default: $STATE_DIRECTORY or ~/.local/state/discordproxy",
		},
		&cli.StringFlag{
			Name:        "database",
			EnvVars:     command.Variables("database"),
			Destination: &c.database,
			Usage:       "`URL` of a PostgreSQL database to use instead of --data; prefer --database-file",
		},
		&cli.StringFlag{
			Name:        "database-file",
			EnvVars:     command.Variables("database-file"),
			Destination: &c.databaseFile,
			Usage:       "`FILE` with the URL for --database, which contains a password",
		},
		&cli.StringFlag{
			Name:        "advertise",
			EnvVars:     command.Variables("advertise"),
			Destination: &c.advertise,
			Usage:       "`HOST:PORT` at which other servers with the same --database reach this one",
		},
		&cli.BoolFlag{Name: "no-data", EnvVars: command.Variables("no-data"), Destination: &c.off, Usage: "store nothing across restarts"},
		&cli.DurationFlag{
			Name:        "outbox-keep",
			EnvVars:     command.Variables("outbox-keep"),
			Value:       server.DefaultOutboxKeep,
			Destination: &c.outbox.Keep,
			Usage:       "how long to keep records of finished deliveries",
		},
		&cli.Int64Flag{
			Name:        "outbox-max",
			EnvVars:     command.Variables("outbox-max"),
			Value:       server.DefaultOutboxDeliveries,
			Destination: &c.outbox.MaxDeliveries,
			Usage:       "maximum number of unfinished deliveries in the outbox",
		},
		&cli.Int64Flag{
			Name:        "outbox-max-bytes",
			EnvVars:     command.Variables("outbox-max-bytes"),
			Value:       server.DefaultOutboxBytes,
			Destination: &c.outbox.MaxBytes,
			Usage:       "maximum total size of the requests in the outbox, in bytes",
		},
	}
}

func (c *dataConfig) check() error {
	switch {
	case c.off && c.onDatabase():
		return errors.New("--database and --no-data cannot be used together")
	case c.advertise != "" && !c.onDatabase():
		return errors.New("--advertise needs --database or --database-file")
	case c.advertise != "" && !server.IsHostPort(c.advertise):
		return fmt.Errorf("--advertise %q is not an address such as 10.0.0.1:50051", c.advertise)
	case c.off && c.folder != "":
		return errors.New("--data and --no-data cannot be used together")
	case c.outbox.Keep <= 0:
		return errors.New("--outbox-keep must be more than 0")
	case c.outbox.MaxDeliveries <= 0:
		return errors.New("--outbox-max must be more than 0")
	case c.outbox.MaxBytes <= 0:
		return errors.New("--outbox-max-bytes must be more than 0")
	}
	return nil
}

// onDatabase reports whether PostgreSQL takes the place of the data folder. It does so
// even if the folder is set: the container image sets it.
func (c *dataConfig) onDatabase() bool { return c.database != "" || c.databaseFile != "" }

// apply sets what the flags say. A sandbox is new at each start, so that its server
// gets a temporary folder, which remove deletes.
func (c *dataConfig) apply(config *server.Config, sandbox bool) (remove func(), err error) {
	remove = func() {}
	config.Outbox = c.outbox
	switch {
	case c.off:
	case c.onDatabase():
		config.Database, config.DatabaseFile, config.Advertise = c.database, c.databaseFile, c.advertise
	case c.folder != "":
		config.DataFolder = c.folder
	case sandbox:
		if config.DataFolder, err = os.MkdirTemp("", "discordproxy-data-"); err != nil {
			return nil, fmt.Errorf("cannot make a temporary data folder: %w", err)
		}
		remove = func() { _ = os.RemoveAll(config.DataFolder) }
	default:
		config.DataFolder = defaultDataFolder()
	}
	return remove, nil
}

// defaultDataFolder returns the folder that systemd made for the service, or one
// for the state of programs in the user's home, or "" without a home.
// https://specifications.freedesktop.org/basedir-spec/latest/
func defaultDataFolder() string {
	if folders := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(folders) > 0 {
		return folders[0]
	}
	state := os.Getenv("XDG_STATE_HOME")
	if runtime.GOOS == "windows" {
		state = os.Getenv("LocalAppData")
	}
	if !filepath.IsAbs(state) { // the specification has others ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "discordproxy")
}

// copyCommands copy a server's data to a file and back.
func copyCommands() []*cli.Command {
	var folder string
	copyCommand := func(name, usage string, do func(ctx context.Context, folder, file string) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "FILE",
			Flags: []cli.Flag{
				&cli.StringFlag{
					Name:        "data",
					EnvVars:     command.Variables("data"),
					Destination: &folder,
					Usage:       "`FOLDER` of the server's data; default: as for the server",
				},
			},
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return command.Misuse(fmt.Errorf("expected %s FILE", name))
				}
				if folder = cmp.Or(folder, defaultDataFolder()); folder == "" {
					return command.Misuse(errors.New("there is no home folder: set --data"))
				}
				return do(c.Context, folder, c.Args().First())
			},
		}
	}
	return []*cli.Command{
		copyCommand("backup", "copies the server's data into a new FILE, also while the server runs", server.Backup),
		copyCommand("restore", "replaces the data of a stopped server with the backup in FILE", server.Restore),
	}
}
