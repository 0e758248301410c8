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
			Usage:       "maximum size of one file of a message, in bytes; Discord accepts more in some guilds",
		},
		&cli.Int64Flag{
			Name:        "max-upload",
			EnvVars:     command.Variables("max-upload"),
			Value:       server.DefaultMaxUploadBytes,
			Destination: &c.all,
			Usage:       "maximum size of a plain REST request, or of all files of a call, in bytes",
		},
	}
}
