package serve

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"discordproxy/cli/configfile"
	"discordproxy/server"

	"github.com/urfave/cli/v2"
)

// botConfig is one of the bots of a configuration file.
type botConfig struct {
	where            string // in the file
	item             *configfile.File
	name             string
	token, tokenFile string
	isDefault        bool
	gateway          gatewayConfig
}

// flags are the settings of a bot, which only a file can set.
func (b *botConfig) flags() []cli.Flag {
	own := []cli.Flag{
		&cli.StringFlag{Name: "name", Destination: &b.name},
		&cli.StringFlag{Name: "token", Destination: &b.token},
		&cli.StringFlag{Name: "token-file", Destination: &b.tokenFile},
		&cli.BoolFlag{Name: "default", Destination: &b.isDefault},
	}
	return append(own, b.gateway.flags()...)
}

// loadBots reads the bots of the configuration file. What a bot does not say of the
// gateway is as the flags say.
func (c *serverConfig) loadBots() error {
	items, err := c.settings.file.List(botsSection, configfile.Schema{Flags: new(botConfig).flags()})
	if err != nil || items == nil {
		return err
	}
	where := c.settings.file.At(botsSection)
	var other string
	switch {
	case c.token != "":
		other = "token"
	case c.tokenFile != "":
		other = "token-file"
	case c.sandbox:
		other = "sandbox"
	}
	if other != "" {
		return fmt.Errorf("%s: bots and %s cannot be used together", where, c.settings.setBy(other))
	}
	for _, item := range items {
		b := botConfig{where: item.Here(), item: item}
		set := flag.NewFlagSet("", flag.ContinueOnError)
		set.SetOutput(io.Discard)
		for _, f := range b.flags() {
			if err := f.Apply(set); err != nil {
				return err
			}
		}
		b.gateway = c.gateway // not what the variables of the flags say
		b.gateway.intents = *cli.NewStringSlice(c.gateway.intents.Value()...)
		if err := item.Set(set.Set); err != nil {
			return err
		}
		b.gateway.proxyGiven = c.gateway.proxyGiven || item.Sets("gateway-proxy")
		if err := b.check(); err != nil {
			return fmt.Errorf("%s: %w", b.where, err)
		}
		c.bots = append(c.bots, b)
	}
	return nil
}

// check names the first mistake that concerns this bot alone.
func (b *botConfig) check() error {
	switch {
	case b.name == "":
		return errors.New("the bot has no name")
	case b.token != "" && b.tokenFile != "":
		return fmt.Errorf("bot %s: token and token-file cannot be used together", b.name)
	case b.token == "" && b.tokenFile == "":
		return fmt.Errorf("bot %s: set token or token-file", b.name)
	}
	if err := cmp.Or(b.gateway.check(), b.gateway.checkPresence()); err != nil {
		return fmt.Errorf("bot %s: %s", b.name, strings.TrimPrefix(err.Error(), "--"))
	}
	return nil
}

// applyBots sets what the file says of the bots.
func (c *serverConfig) applyBots(config *server.Config) error {
	for _, b := range c.bots {
		var own server.Config
		if err := b.gateway.apply(&own); err != nil {
			return err
		}
		config.Bots = append(config.Bots, server.BotConfig{
			Name: b.name, Token: b.token, TokenFile: b.tokenFile, Default: b.isDefault, Gateway: own.Gateway,
		})
	}
	return nil
}

// fixed returns what a reload does not change of the bots, which is all but their tokens.
func (c *serverConfig) fixed() string {
	var config server.Config
	_ = c.applyBots(&config) // was checked
	for i := range config.Bots {
		config.Bots[i].Token, config.Bots[i].TokenFile = "", ""
	}
	return fmt.Sprint(config.Bots)
}

// describe returns what the file sets for the bot alone, without its token.
func (b *botConfig) describe() (all []checkedSetting) {
	values := make(map[string][]string)
	_ = b.item.Set(func(name, value string) error {
		values[name] = append(values[name], value)
		return nil
	})
	for _, f := range b.flags() {
		name := f.Names()[0]
		if name == "name" || name == "default" || !b.item.Sets(name) {
			continue
		}
		value := withoutSecret(name, strings.Join(values[name], ","))
		all = append(all, checkedSetting{botsSection + "." + b.name + "." + name, value, b.item.At(name), slices.Contains(reloadable, name)})
	}
	return all
}

// describeBots returns the names of the bots.
func describeBots(all []botConfig) string {
	var texts []string
	for _, b := range all {
		text := b.name
		if b.isDefault {
			text += " (default)"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}
