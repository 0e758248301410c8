package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"discordproxy/discord"
)

// Describe returns a readable line for each client that says what it may do. It shows no keys.
func (r *Rules) Describe() []string {
	lines := make([]string, len(r.clients))
	for i, c := range r.clients {
		lines[i] = c.describe()
		if r.several {
			lines[i] += c.describeBots()
		}
	}
	return lines
}

// describeBots describes which bots the client may use, if that is known.
func (c *Client) describeBots() string {
	switch {
	case c.everyBot:
		return "; may use every bot"
	case len(c.bots) == 0:
		return ""
	case len(c.bots) == 1:
		return "; may use bot " + c.bots[0]
	}
	return "; may use bots " + strings.Join(c.bots, ", ")
}

func (c *Client) describe() string {
	methods := "every method"
	if c.methods != nil {
		texts := make([]string, len(c.methods))
		for i, p := range c.methods {
			texts[i] = p.text
		}
		methods = strings.Join(texts, ", ")
	}
	line := c.name + ": may call " + methods
	if c.places == nil {
		return line + ", for all guilds, channels and users"
	}
	var kinds []string
	for _, kind := range []discord.TargetKind{discord.GuildTarget, discord.ChannelTarget, discord.UserTarget} {
		switch known, some := c.places[kind]; {
		case !some:
		case known.all:
			kinds = append(kinds, fmt.Sprintf("every %s", kind))
		default:
			kinds = append(kinds, strings.Trim(fmt.Sprintf("%s %v", kind, slices.Sorted(maps.Keys(known.ids))), "[]"))
		}
	}
	line += ", for " + strings.NewReplacer("[", "").Replace(strings.Join(kinds, "; "))
	if c.FiltersChannels() && len(c.places[discord.GuildTarget].ids) > 0 {
		line += "; sees only these channels in lists and events of its guilds"
	}
	if c.untargeted {
		return line + "; and calls without a target"
	}
	return line + "; no calls without a target"
}
