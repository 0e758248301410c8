package discord

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/bwmarrin/discordgo"
)

// MaxNonceLength is the largest number of characters of a nonce.
const MaxNonceLength = 25

// MessageCreate is a message to be posted. Embeds are Discord's JSON objects.
// https://discord.com/developers/docs/resources/message#create-message
type MessageCreate struct {
	Content string            `json:"content,omitempty"`
	Embeds  []json.RawMessage `json:"embeds,omitempty"`
	// Nonce names the message, in at most MaxNonceLength characters. Discord
	// answers a second message of the same nonce, within a few minutes, with
	// the one that exists. Empty means a random one.
	Nonce string `json:"nonce"`
	// AllowDuplicate lets Discord make a second message of the same nonce. A
	// try whose outcome is unknown is then not repeated.
	AllowDuplicate bool `json:"-"`
	// EnforceNonce is set from AllowDuplicate.
	EnforceNonce bool `json:"enforce_nonce,omitempty"`
}

// CreateMessage posts a message and returns Discord's message object. The
// message is stored at most once, however often it had to be tried.
func (c *Client) CreateMessage(ctx context.Context, channelID uint64, m MessageCreate) (json.RawMessage, error) {
	m = m.named()
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("discord: encode message: %w", err)
	}
	return c.do(ctx, call{repeatable: m.EnforceNonce, once: m.EnforceNonce, json: true},
		http.MethodPost, discordgo.EndpointChannelMessages(snowflake(channelID)), "application/json", body)
}

// named returns the message with the nonce that all tries of it carry.
func (m MessageCreate) named() MessageCreate {
	if m.Nonce == "" {
		m.Nonce, m.AllowDuplicate = rand.Text()[:MaxNonceLength], false
	}
	m.EnforceNonce = !m.AllowDuplicate
	return m
}
