package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server"
	"discordproxy/server/events"

	"github.com/urfave/cli/v2"
)

// gatewayConfig holds the flags about Discord's gateway and its events.
type gatewayConfig struct {
	off              bool
	status, activity string
	intents          cli.StringSlice
	eventBuffer      int
	eventBufferBytes int64
}

// defaultIntents stands for the intents that are used without --intents.
const defaultIntents = "default"

func (c *gatewayConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-gateway", EnvVars: env("no-gateway"), Destination: &c.off, Usage: "stay away from Discord's gateway: the bot does not show as online, and there are no events"},
		&cli.StringFlag{Name: "status", EnvVars: env("status"), Value: "online", Destination: &c.status, Usage: "how the bot shows: online, idle, dnd or invisible"},
		&cli.StringFlag{Name: "activity", EnvVars: env("activity"), Destination: &c.activity, Usage: "`TEXT` that shows under the bot's name"},
		&cli.StringSliceFlag{Name: "intents", EnvVars: env("intents"), Destination: &c.intents, Usage: "`NAMES` of the groups of events that come, as Discord's, separated by commas; default stands for all that need no switch at Discord (default: default)"},
		&cli.IntFlag{Name: "event-buffer", EnvVars: env("event-buffer"), Value: events.DefaultMaxEvents, Destination: &c.eventBuffer, Usage: "events that are kept for clients that lost their stream"},
		&cli.Int64Flag{Name: "event-buffer-bytes", EnvVars: env("event-buffer-bytes"), Value: events.DefaultMaxBytes, Destination: &c.eventBufferBytes, Usage: "bytes of the events that are kept"},
	}
}

func (c *gatewayConfig) check() error {
	if c.eventBuffer <= 0 {
		return errors.New("--event-buffer must be more than 0")
	}
	if c.eventBufferBytes <= 0 {
		return errors.New("--event-buffer-bytes must be more than 0")
	}
	_, err := c.parseIntents()
	return err
}

func (c *gatewayConfig) parseIntents() (gateway.Intents, error) {
	names := c.intents.Value()
	if len(names) == 0 {
		return events.DefaultIntents, nil
	}
	intents := gateway.Intents(0)
	for _, name := range names {
		name = strings.TrimSpace(name)
		if strings.EqualFold(name, defaultIntents) {
			intents |= events.DefaultIntents
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

// live is the bot at the gateway, and where its events go. The zero value is
// a server without the gateway.
type live struct {
	gateway *gateway.Gateway
	server  server.Gateway
}

// open puts the parts together. They do nothing before run.
func (c *gatewayConfig) open(token string, client *discord.Client, logger *slog.Logger) (live, error) {
	if c.off {
		return live{}, nil
	}
	intents, err := c.parseIntents()
	if err != nil {
		return live{}, err
	}
	hub, err := events.New(events.Config{MaxEvents: c.eventBuffer, MaxBytes: c.eventBufferBytes})
	if err != nil {
		return live{}, err
	}
	guilds := gateway.NewGuilds(intents)
	gw, err := gateway.New(gateway.Config{
		// Who hears of an event finds the guilds as they are after it.
		Token: token, Discord: client, Handler: gateway.Handlers{guilds, hub}, Intents: intents,
		Status: c.status, Activity: c.activity, UserAgent: userAgent(), Logger: logger,
	})
	if err != nil {
		return live{}, err
	}
	return live{gw, server.Gateway{Hub: hub, Intents: intents, Guilds: guilds}}, nil
}

// run keeps the bot at the gateway from when begin is closed until ctx ends, or
// Discord wants it no more: calls go on without it.
func (l live) run(ctx context.Context, begin <-chan struct{}) {
	if l.gateway == nil {
		return
	}
	select {
	case <-begin:
		_ = l.gateway.Run(ctx) // it is logged, and subscribers know
	case <-ctx.Done():
	}
}
