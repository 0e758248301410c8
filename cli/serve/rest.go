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
			Usage:       "answer a plain request 429 when its turn comes later than this, such as 25s; 0 is off",
		},
		&cli.BoolFlag{
			Name:        "rest-ratelimit-headers",
			EnvVars:     command.Variables("rest-ratelimit-headers"),
			Value:       true,
			Destination: &c.limits,
			Usage:       "pass Discord's X-RateLimit headers on in answers to plain requests; on by default",
		},
		&cli.BoolFlag{
			Name:        "rest-proxy",
			EnvVars:     command.Variables("rest-proxy"),
			Destination: &c.on,
			Usage:       "pass requests below /api/ on to Discord; by default only on loopback addresses",
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
