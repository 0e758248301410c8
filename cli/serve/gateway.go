package serve

import (
	"errors"
	"fmt"
	"strings"

	command "discordproxy/cli"
	"discordproxy/discord/gateway"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// gatewayConfig holds the flags about Discord's gateway and its events.
type gatewayConfig struct {
	off              bool
	status, activity string
	intents          cli.StringSlice
	eventBuffer      int
	eventBufferBytes int64
	// proxy is what was said of the gateway proxy, given whether anything was.
	proxy, proxyGiven bool
	proxyURL          string
	stateBytes        int64
}

// defaultIntents is the name of the intents that are used without --intents.
const defaultIntents = "default"

func (c *gatewayConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name:        "no-gateway",
			EnvVars:     command.Variables("no-gateway"),
			Destination: &c.off,
			Usage:       "do not connect to Discord's gateway: the bot shows as offline and there are no events",
		},
		&cli.StringFlag{
			Name:        "status",
			EnvVars:     command.Variables("status"),
			Value:       "online",
			Destination: &c.status,
			Usage:       "status of the bot: online, idle, dnd or invisible",
		},
		&cli.StringFlag{
			Name:        "activity",
			EnvVars:     command.Variables("activity"),
			Destination: &c.activity,
			Usage:       "`TEXT` to show below the bot's name",
		},
		&cli.StringSliceFlag{
			Name:        "intents",
			EnvVars:     command.Variables("intents"),
			Destination: &c.intents,
			Usage:       "`NAMES` of gateway intents, comma-separated; \"default\" is every non-privileged intent",
			DefaultText: `default`,
		},
		&cli.IntFlag{
			Name:        "event-buffer",
			EnvVars:     command.Variables("event-buffer"),
			Value:       server.DefaultEventBuffer,
			Destination: &c.eventBuffer,
			Usage:       "maximum number of events kept for clients that reconnect",
		},
		&cli.Int64Flag{
			Name:        "event-buffer-bytes",
			EnvVars:     command.Variables("event-buffer-bytes"),
			Value:       server.DefaultEventBufferBytes,
			Destination: &c.eventBufferBytes,
			Usage:       "maximum total size of the kept events, in bytes",
		},
		&cli.BoolFlag{
			Name:        "gateway-proxy",
			EnvVars:     command.Variables("gateway-proxy"),
			Destination: &c.proxy,
			Usage:       "let bots use Discord's gateway through the server, at /gateway",
			DefaultText: onLoopback,
		},
		&cli.StringFlag{
			Name:        "gateway-proxy-url",
			EnvVars:     command.Variables("gateway-proxy-url"),
			Destination: &c.proxyURL,
			Usage:       "`URL` of /gateway for bots, such as wss://proxy.example.org/gateway; default: from the request",
		},
		&cli.Int64Flag{
			Name:        "gateway-state-bytes",
			EnvVars:     command.Variables("gateway-state-bytes"),
			Value:       server.DefaultStateBytes,
			Destination: &c.stateBytes,
			Usage:       "maximum total size of the guilds, channels and members kept for bots, in bytes",
		},
	}
}

func (c *gatewayConfig) check() error {
	if c.eventBuffer <= 0 {
		return errors.New("--event-buffer must be more than 0")
	}
	if c.eventBufferBytes <= 0 {
		return errors.New("--event-buffer-bytes must be more than 0")
	}
	if c.stateBytes <= 0 {
		return errors.New("--gateway-state-bytes must be more than 0")
	}
	_, err := c.parseIntents()
	return err
}

// checkPresence finds what the server itself refuses when it starts.
func (c *gatewayConfig) checkPresence() error {
	if c.off {
		return nil
	}
	return nameFlag(gateway.CheckPresence(c.status, c.activity))
}

func (c *gatewayConfig) parseIntents() (gateway.Intents, error) {
	names := c.intents.Value()
	if len(names) == 0 {
		return server.DefaultIntents, nil
	}
	intents := gateway.Intents(0)
	for _, name := range names {
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, defaultIntents) {
			intents |= server.DefaultIntents
			continue
		}
		intent, err := gateway.ParseIntent(name)
		if err != nil {
			return 0, fmt.Errorf("--intents: %w; the names are default,%s", err, ^gateway.Intents(0))
		}
		intents |= intent
	}
	return intents, nil
}

// apply sets what the flags say.
func (c *gatewayConfig) apply(config *server.Config) error {
	intents, err := c.parseIntents()
	config.Gateway = server.GatewayConfig{
		Off: c.off, Status: c.status, Activity: c.activity, Intents: intents,
		EventBuffer: c.eventBuffer, EventBufferBytes: c.eventBufferBytes,
		Proxy: switchOf(c.proxy, c.proxyGiven), ProxyURL: c.proxyURL, StateBytes: c.stateBytes,
	}
	return err
}
