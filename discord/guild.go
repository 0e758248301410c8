package discord

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/bwmarrin/discordgo"
)

// GuildChannels returns Discord's array of the guild's channels, threads not
// included. https://discord.com/developers/docs/resources/guild#get-guild-channels
func (c *Client) GuildChannels(ctx context.Context, guildID uint64) (json.RawMessage, error) {
	return c.do(ctx, call{repeatable: true, json: true},
		http.MethodGet, discordgo.EndpointGuildChannels(snowflake(guildID)), "", nil)
}
