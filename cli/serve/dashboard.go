package serve

import (
	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// dashboardConfig holds the flags of the dashboard.
type dashboardConfig struct {
	off, contents bool
}

func (c *dashboardConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name:        "no-dashboard",
			EnvVars:     command.Variables("no-dashboard"),
			Destination: &c.off,
			Usage:       "do not serve the dashboard at /",
		},
		&cli.BoolFlag{
			Name:        "dashboard-show-content",
			EnvVars:     command.Variables("dashboard-show-content"),
			Destination: &c.contents,
			Usage:       "show the contents of calls on the dashboard; needs a loopback address",
		},
	}
}

// apply sets what the flags say.
func (c *dashboardConfig) apply(config *server.Config) {
	config.NoDashboard, config.ShowContents = c.off, c.contents
}
