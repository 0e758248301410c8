package discord

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

var getBotGateway = Operation{Name: "get_bot_gateway", Method: http.MethodGet, Path: "/gateway/bot"}

// GatewayBot says where the gateway is, and how often this bot may begin a
// session there.
// https://discord.com/developers/docs/events/gateway#get-gateway-bot
type GatewayBot struct {
	// URL has the scheme wss, and no query.
	URL string
	// Shards is the number of connections that Discord recommends.
	Shards int
	// Total is the number of sessions that may begin in a day, or 0 when Discord
	// does not say, Remaining how many of them are left, or -1 when Discord does
	// not say, and ResetAfter when all of them are there again.
	Total, Remaining int
	ResetAfter       time.Duration
}

// GatewayBot asks Discord where the gateway is.
func (c *Client) GatewayBot(ctx context.Context) (GatewayBot, error) {
	var answer struct {
		URL    string `json:"url"`
		Shards int    `json:"shards"`
		Limit  struct {
			Total      int   `json:"total"`
			Remaining  *int  `json:"remaining"`
			ResetAfter int64 `json:"reset_after"` // milliseconds
		} `json:"session_start_limit"`
	}
	data, err := c.Call(ctx, nil, getBotGateway, nil)
	if err != nil {
		return GatewayBot{}, err
	}
	// An odd field is left as it is.
	_ = json.Unmarshal(data, &answer)
	remaining := -1
	if left := answer.Limit.Remaining; left != nil {
		remaining = max(*left, 0)
	}
	return GatewayBot{
		URL: answer.URL, Shards: answer.Shards,
		Total: max(answer.Limit.Total, 0), Remaining: remaining,
		ResetAfter: time.Duration(answer.Limit.ResetAfter) * time.Millisecond,
	}, nil
}
