package cli

import (
	"net"

	"discordproxy/discord"
	"discordproxy/server/listener"
	"discordproxy/server/rest"

	"github.com/urfave/cli/v2"
)

// restConfig holds the flags of plain REST.
type restConfig struct {
	// on is what was said, given whether anything was.
	on, given bool
}

func (c *restConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "rest-proxy", EnvVars: env("rest-proxy"), Destination: &c.on, Usage: "pass plain requests below /api/ on to Discord; unless given, only while the server listens on a loopback address"},
	}
}

// config returns what plain REST is to do on a server that listens on addr. On
// an address that others can reach, everybody who reaches it could do whatever
// the bot may.
func (c *restConfig) config(client *discord.Client, addr net.Addr, maxUpload int64) rest.Config {
	if c.given && c.on || !c.given && listener.IsLoopback(addr) {
		return rest.Config{Discord: client, MaxBodyBytes: maxUpload}
	}
	return rest.Config{}
}
