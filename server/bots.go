package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"discordproxy/server/api"
	"discordproxy/server/internal/access"
)

// BotConfig describes one of several bots of a server.
type BotConfig struct {
	// Name is what requests call the bot: 1 to 32 lowercase letters, digits and hyphens.
	Name string
	// Token and TokenFile are those of Config. One of them is required.
	Token, TokenFile string
	// Default is whether requests that name no bot are for this one. If no bot has it, the
	// first one does. It is refused for more than one.
	Default bool
	// Gateway is how the bot uses Discord's gateway.
	Gateway GatewayConfig
}

// validateBots names the first mistake in Bots.
func (c *Config) validateBots() error {
	names := make(map[string]bool)
	byDefault := ""
	for i, b := range c.Bots {
		switch {
		case access.CheckBot(b.Name, nil) != nil:
			return fmt.Errorf("server: Bots: the name of bot %d must be 1 to 32 lowercase letters, digits and hyphens", i+1)
		case names[b.Name]:
			return fmt.Errorf("server: Bots: two bots are named %s", b.Name)
		case b.Token == "" && b.TokenFile == "":
			return fmt.Errorf("server: Bots: %s has no token", b.Name)
		case b.Default && byDefault != "":
			return fmt.Errorf("server: Bots: both %s and %s are the default", byDefault, b.Name)
		}
		names[b.Name] = true
		if b.Default {
			byDefault = b.Name
		}
		if err := b.Gateway.validate("Bots: " + b.Name + ": Gateway"); err != nil {
			return err
		}
	}
	switch {
	case len(c.Bots) == 0:
		return nil
	case c.Token != "" || c.TokenFile != "":
		return errors.New("server: Bots and Token or TokenFile exclude each other")
	case c.Sandbox != nil:
		return errors.New("server: Bots and Sandbox exclude each other")
	}
	return nil
}

// BotNames returns the names of a server's bots, the default bot first.
func BotNames(c Config) []string {
	if len(c.Bots) == 0 {
		return []string{api.BotName}
	}
	var names []string
	for _, b := range c.Bots {
		if b.Default {
			names = slices.Insert(names, 0, b.Name)
		} else {
			names = append(names, b.Name)
		}
	}
	return names
}

// CheckBots returns what is wrong with Bots: their names, or tokens of the same bot. It
// reads the files of the tokens.
func CheckBots(ctx context.Context, c Config) error {
	if err := c.validateBots(); err != nil {
		return err
	}
	c.setDefaults()
	_, err := c.ofBots(ctx)
	return err
}

// ofBots returns the configuration of each bot with its token, in the order of BotNames.
func (c Config) ofBots(ctx context.Context) (configs []Config, err error) {
	if len(c.Bots) == 0 {
		err := c.readToken(ctx)
		return []Config{c}, err
	}
	ids := make(map[string]string)
	for _, name := range BotNames(c) {
		b := c.Bots[slices.IndexFunc(c.Bots, func(b BotConfig) bool { return b.Name == name })]
		own := c
		own.Token, own.TokenFile, own.Gateway = b.Token, b.TokenFile, b.Gateway
		own.Gateway.setDefaults()
		own.Logger = c.Logger.With("bot", b.Name)
		if err := own.readToken(ctx); err != nil {
			return nil, fmt.Errorf("server: Bots: %s: %w", b.Name, err)
		}
		if other, taken := ids[botOf(own)]; taken {
			return nil, fmt.Errorf("server: Bots: the tokens of %s and %s are those of the same bot", other, b.Name)
		}
		ids[botOf(own)] = b.Name
		configs = append(configs, own)
	}
	return configs, nil
}

// bots are those of a server, the default bot first.
type bots []*bot

// several reports whether the configuration names bots.
func (all bots) several() bool { return all[0].label != "" }

// check returns what is wrong with the settings of the first bot that could not lead.
func (all bots) check() error {
	for _, b := range all {
		if err := b.check(); err != nil {
			return b.named(err)
		}
	}
	return nil
}

// prepare has each bot begin a tenure unless another server leads it. Servers get the
// bots in the same order, so that two of them do not wait for each other.
func (all bots) prepare(ctx context.Context, p *places) error {
	inOrder := slices.SortedFunc(slices.Values(all), func(a, b *bot) int { return cmp.Compare(botOf(a.config), botOf(b.config)) })
	for _, b := range inOrder {
		if err := b.prepare(ctx, p); err != nil {
			return b.named(err)
		}
	}
	return nil
}

// close ends all bots.
func (all bots) close() {
	var closing sync.WaitGroup
	for _, b := range all {
		closing.Go(b.close)
	}
	closing.Wait()
}

// usable returns why no bot can be used, nil if one can: a server that can serve one bot
// is of use to its clients.
func (all bots) usable() error {
	var reasons []error
	for _, b := range all {
		err := b.usable()
		if err == nil {
			return nil
		}
		reasons = append(reasons, b.named(err))
	}
	return errors.Join(reasons...)
}

// warnings returns what an admin should know of the bots.
func (all bots) warnings() (warnings []string) {
	for _, b := range all {
		of := b.warnings()
		if !all.several() {
			return of
		}
		if err := b.usable(); err != nil {
			of = append([]string{"cannot be used: " + err.Error()}, of...)
		}
		for _, warning := range of {
			warnings = append(warnings, "bot "+b.label+": "+warning)
		}
	}
	return warnings
}

// named adds the name of the bot to an error if there are several.
func (b *bot) named(err error) error {
	if b.label == "" || err == nil {
		return err
	}
	return fmt.Errorf("bot %s: %w", b.label, err)
}

// byToken returns the bot whose own token an Authorization is, or -1.
func (all bots) byToken(authorization string) int {
	return slices.IndexFunc(all, func(b *bot) bool { return b.isOwn(authorization) })
}

// otherBot returns the name of the bot whose own token an Authorization is, or "" if it is
// that of no bot or of b.
func (b *bot) otherBot(authorization string) string {
	all := b.all()
	if i := all.byToken(authorization); i >= 0 && all[i] != b {
		return all[i].name
	}
	return ""
}

// guard authorizes clients for the bot.
func (b *bot) guard() *access.Guard { return b.gate.guard.ForBot(b.name) }

// isOwn reports whether an Authorization is the bot's own token.
func (b *bot) isOwn(authorization string) bool {
	scheme, given, _ := strings.Cut(authorization, " ")
	own, given := strings.TrimPrefix(*b.token.Load(), "Bot "), strings.TrimSpace(given)
	id, _, _ := strings.Cut(own, ".") // which is not secret
	if !strings.EqualFold(scheme, "Bot") || !strings.HasPrefix(given, id) {
		return false
	}
	want, got := sha256.Sum256([]byte(own)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
