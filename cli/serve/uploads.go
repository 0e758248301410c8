package serve

import (
	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// uploadConfig holds the flags that bound files.
type uploadConfig struct{ file, all int64 }

func (c *uploadConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.Int64Flag{
			Name:        "max-file",
			EnvVars:     command.Variables("max-file"),
			Value:       server.DefaultMaxFileBytes,
			Destination: &c.file,
			Usage:       "bytes of one file of a message; Discord takes more in some guilds",
		},
		&cli.Int64Flag{
			Name:        "max-upload",
			EnvVars:     command.Variables("max-upload"),
			Value:       server.DefaultMaxUploadBytes,
			Destination: &c.all,
			Usage:       "bytes of all files of a request, and of a plain request",
		},
	}
}
