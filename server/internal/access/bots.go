package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"connectrpc.com/connect"
)

// scope is which bots a Guard's handlers are about. The zero value is about none: it
// refuses no client.
type scope struct {
	bot string
	all bool
}

// ForBot returns a guard for the handlers of a bot. It refuses clients that may not use
// the bot, and shares everything else with g: a client has the same limits for all bots
// together. Nil, which allows everything, stays nil.
func (g *Guard) ForBot(name string) *Guard { return g.within(scope{bot: name}) }

// ForAllBots returns a guard for handlers that show all bots. It refuses clients that may
// not use every bot.
func (g *Guard) ForAllBots() *Guard { return g.within(scope{all: true}) }

// ForAnyBot returns a guard that lets clients in whichever bots they may use. Its handlers
// ask MayUse of a guard for a bot.
func (g *Guard) ForAnyBot() *Guard { return g.within(scope{}) }

func (g *Guard) within(s scope) *Guard {
	if g == nil {
		return nil
	}
	return &Guard{guarding: g.guarding, scope: s}
}

// MayUse refuses a client of ctx that may not use the bot that g is for. The request ends
// when the client loses the right to the bot.
func (g *Guard) MayUse(ctx context.Context) error {
	switch {
	case g == nil || g.scope == scope{}:
		return nil
	case g.scope.all:
		return require(ctx, "all bots", (*Client).mayUseAll)
	}
	return require(ctx, "bot "+g.scope.bot, func(c *Client) error { return c.mayUse(g.scope.bot) })
}

func (c *Client) mayUse(bot string) error {
	switch {
	case c == nil:
		return errUnguarded()
	case c == botTokenHolder || c.uses(bot): // only handlers of the token's own bot let its holder in
		return nil
	}
	return refuse(connect.CodePermissionDenied,
		"client %s may not use bot %s; add it to bots in the client's entry of the auth file", c.name, bot)
}

func (c *Client) mayUseAll() error {
	switch {
	case c == nil:
		return errUnguarded()
	case c.everyBot:
		return nil
	}
	return refuse(connect.CodePermissionDenied,
		`this is about every bot, and client %s may not use them all; set bots: ["*"] in the client's entry of the auth file`, c.name)
}

// uses reports whether the client may use a bot of this name.
func (c *Client) uses(bot string) bool {
	return c != nil && (c.everyBot || slices.Contains(c.bots, bot))
}

// Bots returns those of the named bots that the client of ctx may use. For the bot's own
// token it is the bot that the request is for.
func Bots(ctx context.Context, names []string) []string {
	client, bot := From(ctx), ""
	if s := sessionOf(ctx); s != nil && client == botTokenHolder {
		bot = s.bot
	}
	var used []string
	for _, name := range names {
		if client.uses(name) || bot != "" && name == bot {
			used = append(used, name)
		}
	}
	return used
}

// everyName stands for all bots in a list.
const everyName = "*"

// botName matches the names that bots can have.
var botName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// parseBots reads the bots of an entry. known are those of the server, the default bot
// first. A client whose entry names none may use the default bot.
func (c *Client) parseBots(list, known []string) error {
	for _, name := range list {
		if slices.Contains(c.bots, name) || name == everyName && c.everyBot {
			return fmt.Errorf("bots: %q is listed twice", name)
		}
		if name == everyName {
			c.everyBot = true
			continue
		}
		if err := CheckBot(name, known); err != nil {
			return fmt.Errorf("bots: %w", err)
		}
		c.bots = append(c.bots, name)
	}
	if len(list) == 0 && len(known) > 0 {
		c.bots = known[:1:1]
	}
	if len(known) > 0 && !slices.ContainsFunc(known, func(name string) bool { return !slices.Contains(c.bots, name) }) {
		c.everyBot = true
	}
	return nil
}

// CheckBot returns what is wrong with the name of a bot in a file. known are the names of
// the server's bots; if there are none, every name that a bot can have is good.
func CheckBot(name string, known []string) error {
	switch {
	case slices.Contains(known, name):
		return nil
	case len(known) > 0:
		list := strings.Join(known, ", ")
		if near := nearest(name, known); near != "" {
			return fmt.Errorf("there is no bot named %.40q: did you mean %s? The server has %s", name, near, list)
		}
		return fmt.Errorf("there is no bot named %.40q: the server has %s", name, list)
	case !botName.MatchString(name):
		return errors.New("the name of a bot has 1 to 32 lowercase letters, digits and hyphens")
	}
	return nil
}
