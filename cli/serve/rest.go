package serve

import (
	"fmt"
	"time"

	"discordproxy/server"

	command "discordproxy/cli"

	"github.com/urfave/cli/v2"
)

// restConfig holds the flags of plain REST.
type restConfig struct {
	// on is what was said, given whether anything was.
	on, given bool
	timeout   time.Duration
	// limits is whether answers have the X-RateLimit headers.
	limits bool
}

func (c *restConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{
			Name:        "rest-timeout",
			EnvVars:     command.Variables("rest-timeout"),
			Destination: &c.timeout,
			Usage:       "reject plain REST requests with 429 if they would wait longer, such as 25s; 0 for no limit",
		},
		&cli.BoolFlag{
			Name:        "rest-ratelimit-headers",
			EnvVars:     command.Variables("rest-ratelimit-headers"),
			Value:       true,
			Destination: &c.limits,
			Usage:       "pass on Discord's X-RateLimit headers in responses to plain REST requests",
		},
		&cli.BoolFlag{
			Name:        "rest-proxy",
			EnvVars:     command.Variables("rest-proxy"),
			Destination: &c.on,
			Usage:       "serve plain REST below /api/",
			DefaultText: onLoopback,
		},
	}
}

func (c *restConfig) check() error {
	if c.timeout < 0 {
		return fmt.Errorf("--rest-timeout %v must not be negative", c.timeout)
	}
	return nil
}

// apply sets what the flags say.
func (c *restConfig) apply(config *server.Config) {
	config.RESTTimeout, config.HideRESTLimits = c.timeout, !c.limits
	config.PlainREST = switchOf(c.on, c.given)
}

// onLoopback is the default of a flag that switchOf reads.
const onLoopback = "on loopback addresses"

// switchOf returns what a flag says that is on by default on a loopback address only.
func switchOf(on, given bool) server.Switch {
	switch {
	case !given:
		return server.OnLoopback
	case on:
		return server.On
	}
	return server.Off
}
