package sandbox

// Webhook is an incoming webhook.
// See https://discord.com/developers/docs/resources/webhook.
type Webhook struct {
	ID            ID      `json:"id"`
	Type          int     `json:"type"` // 1, incoming
	Name          string  `json:"name"`
	Avatar        *string `json:"avatar"`
	ChannelID     ID      `json:"channel_id"`
	GuildID       ID      `json:"guild_id,omitzero"`
	ApplicationID nullID  `json:"application_id"`
	Token         string  `json:"token,omitempty"`
	URL           string  `json:"url,omitempty"`
	User          *User   `json:"user,omitempty"`
}
