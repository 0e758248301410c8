package discord

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
)

// MaxNonceLength is the largest number of characters of a nonce.
const MaxNonceLength = 25

// Message is a message to be posted.
type Message struct {
	// Fields is Discord's JSON object. The element of "attachments" that
	// belongs to a file has the file's index as its id.
	//
	// "nonce" names the message, in at most MaxNonceLength characters. Discord
	// answers a second message of the same nonce, within a few minutes, with
	// the one that exists, unless "enforce_nonce" is false. Without a nonce
	// the message gets a random one.
	// https://discord.com/developers/docs/resources/message#create-message
	Fields Args
	// Files are uploaded with it.
	Files []File
	// Journal records the tries; see Operation.Recorded. Nil means none.
	Journal *Journal
}

// CreateMessage posts a message and returns Discord's message object. The
// message is stored at most once, however often it had to be tried; with
// "enforce_nonce" false a try whose outcome is unknown is not repeated.
func (c *Client) CreateMessage(ctx context.Context, by *Caller, channelID uint64, m Message) (json.RawMessage, error) {
	path, err := messagesOf(channelID)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, m.request(by, path))
}

// messagesOf returns the path of the messages in a channel.
func messagesOf(channelID uint64) (string, error) {
	return CreateMessage.path(Args{"channel_id": channelID})
}

// request returns the request for a message, with the nonce that all tries of
// it carry.
func (m *Message) request(by *Caller, path string) *request {
	args, enforced := m.named()
	op := CreateMessage.Recorded(m.Journal)
	r := op.requestAt(path, by, args, m.Files)
	r.repeatable, r.once = enforced, enforced
	return r
}

// named returns a copy of the fields that names the message, and whether Discord keeps
// it single.
func (m *Message) named() (args Args, enforced bool) {
	args = make(Args, len(m.Fields)+2)
	maps.Copy(args, m.Fields)
	nonce, _ := args["nonce"].(string)
	enforced, said := args["enforce_nonce"].(bool)
	if nonce == "" {
		nonce, said = rand.Text()[:MaxNonceLength], false
	}
	enforced = enforced || !said
	args["nonce"], args["enforce_nonce"] = nonce, enforced
	return args, enforced
}
