package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/http"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/plainhttp"
)

// Queue stores messages that are sent later.
type Queue interface {
	// Enqueue returns when the message is on disk. A message with the ID of an
	// earlier one of the same hook is the same message; one that failed or expired is
	// then sent again.
	Enqueue(ctx context.Context, m Queued) (Accepted, error)
}

// Queued is a message of a hook. Exactly one of Channel, User and Webhook is set.
type Queued struct {
	Hook string
	// ID names the message. Empty means that nobody repeats it.
	ID                     string
	Channel, User, Webhook uint64
	Token                  string // the webhook's
	Thread                 uint64 // of the webhook's channel; 0 means none
	// Fields are those of Discord's message object.
	Fields discord.Args
}

// Accepted is a message that is in the queue.
type Accepted struct {
	DeliveryID string
	Duplicate  bool // it was there before
}

// Caller is the caller of a hook's messages whose sender has no key.
func Caller(hook string) string { return "hook " + hook }

func (h *Handler) enqueue(ctx context.Context, hook *Hook, fields discord.Args, header http.Header, res *result) error {
	if h.Queue == nil {
		return &plainhttp.Refusal{Status: http.StatusServiceUnavailable, Text: fmt.Sprintf("hook %s cannot queue messages here", hook.Name)}
	}
	if !caller.Of(ctx).Unmade.Keep() {
		return discord.ContextError(ctx)
	}
	t := hook.target
	accepted, err := h.Queue.Enqueue(ctx, Queued{
		Hook: hook.Name, ID: deliveryOf(hook, header), Channel: t.channel, User: t.user, Webhook: t.webhook, Token: t.token,
		Thread: t.thread, Fields: fields,
	})
	res.Queued, res.DeliveryID, res.Duplicate = err == nil, accepted.DeliveryID, accepted.Duplicate
	return err
}

// MayPost returns nil if the hook may post to a target such as "channel 7", otherwise the
// reason. A queued message waits while its hook may not post.
func (h *Handler) MayPost(hook, target string) error {
	known := h.hooks.Load().find(hook)
	if known == nil {
		return fmt.Errorf("hook %s was removed", hook)
	}
	to := known.target
	to.thread = 0 // it is in the webhook's channel
	if to.String() != target {
		return fmt.Errorf("hook %s no longer posts to %s", hook, target)
	}
	return nil
}

// deliveryHeaders name a delivery, the same one when it is repeated.
var deliveryHeaders = []string{"Idempotency-Key", "X-Gitea-Delivery", "X-Forgejo-Delivery", "X-Github-Delivery", "X-Gitlab-Event-Uuid"}

// deliveryOf returns a text that a repeated delivery has again, or "" if the sender does
// not name its deliveries.
func deliveryOf(hook *Hook, header http.Header) string {
	for _, name := range deliveryHeaders {
		if id := header.Get(name); id != "" {
			sum := sha256.Sum256([]byte(hook.Name + "\x00" + name + "\x00" + id))
			return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
		}
	}
	return ""
}

// nonceOf returns the nonce of the message of a delivery, or "" if that has no name.
func nonceOf(hook *Hook, header http.Header) string {
	id := deliveryOf(hook, header)
	return id[:min(len(id), discord.MaxNonceLength)]
}
