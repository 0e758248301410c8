package hooks

import (
	"context"
	"encoding/json"
	"fmt"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
)

// target is the target of messages. Exactly one of channel, user and webhook is set.
type target struct {
	channel, user, webhook uint64
	token                  string // the webhook's
	thread                 uint64 // of the webhook's channel; 0 means none
}

// String describes the target without secrets.
func (t target) String() string {
	switch {
	case t.channel != 0:
		return fmt.Sprintf("channel %d", t.channel)
	case t.user != 0:
		return fmt.Sprintf("user %d", t.user)
	case t.thread != 0:
		return fmt.Sprintf("webhook %d, thread %d", t.webhook, t.thread)
	}
	return fmt.Sprintf("webhook %d", t.webhook)
}

// name returns the target as observers of calls are notified of it.
func (t target) name() (string, uint64) {
	switch {
	case t.channel != 0:
		return "channel_id", t.channel
	case t.user != 0:
		return "user_id", t.user
	}
	return "webhook_id", t.webhook
}

// reading is what the access rules of a client have to allow. A webhook is about
// no guild, channel or user, as in plain REST.
func (t target) reading() discord.Reading {
	switch {
	case t.channel != 0:
		return discord.Reading{About: []discord.Target{{Kind: discord.ChannelTarget, ID: t.channel}}}
	case t.user != 0:
		return discord.Reading{About: []discord.Target{{Kind: discord.UserTarget, ID: t.user}}}
	case t.thread != 0:
		return discord.Reading{Others: []discord.Target{{Kind: discord.ChannelTarget, ID: t.thread}}}
	}
	return discord.Reading{}
}

// webhookOnly are fields of a message that only webhooks have.
var webhookOnly = []string{"username", "avatar_url", "thread_name", "applied_tags"}

func (t target) send(ctx context.Context, d Discord, fields discord.Args, nonce string) (json.RawMessage, error) {
	if t.webhook != 0 {
		fields["webhook_id"], fields["webhook_token"] = t.webhook, t.token
		fields["wait"] = true // else the message does not come back
		fields["with_components"] = true
		if t.thread != 0 {
			fields["thread_id"] = t.thread
		}
		return d.Call(ctx, caller.Of(ctx), discord.ExecuteWebhook, fields)
	}
	if nonce != "" {
		fields["nonce"] = nonce
	}
	m := discord.Message{Fields: fields}
	if t.user != 0 {
		return d.SendDirectMessage(ctx, caller.Of(ctx), t.user, m)
	}
	return d.CreateMessage(ctx, caller.Of(ctx), t.channel, m)
}
