package discord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// SendDirectMessage posts a message to a user. It opens the channel to the
// user if it is not known, and once more if Discord does not accept messages
// in the known one.
//
// A user who does not exist is 404 / 10013, although Discord refuses to open a
// channel to them with another error.
//
// The messages of one caller to one user keep their order, also while the
// channel is being opened.
func (c *Client) SendDirectMessage(ctx context.Context, by *Caller, userID uint64, m Message) (json.RawMessage, error) {
	turn := c.turns.enter(cmp.Or(by, nobody).Name, userID)
	defer turn.leave()
	open := func(ctx context.Context) (uint64, error) { return c.openDM(ctx, by, userID) }
	channelID, known, err := c.dms.channel(ctx, userID, open)
	if err != nil {
		return nil, err
	}
	r, err := m.request(by, channelID)
	if err != nil {
		return nil, err
	}
	r.joined = turn.pass
	if err := turn.wait(ctx); err != nil {
		return nil, err
	}
	message, err := c.call(ctx, r)
	if known && isGone(err) {
		turn.back()
		c.dms.forget(userID, channelID)
		return c.reopen(ctx, turn, userID, open, r)
	}
	return message, err
}

// reopen opens the channel to a user again and posts the message of r there.
func (c *Client) reopen(ctx context.Context, turn *turn, userID uint64, open opener, r *request) (json.RawMessage, error) {
	channelID, _, err := c.dms.channel(ctx, userID, open)
	if err != nil {
		return nil, err
	}
	if r.path, err = CreateMessage.path(Args{"channel_id": channelID}); err != nil {
		return nil, err
	}
	if err := turn.wait(ctx); err != nil {
		return nil, err
	}
	message, err := c.call(ctx, r)
	if isGone(err) {
		c.dms.forget(userID, channelID)
	}
	return message, err
}

// isGone reports whether a direct message channel takes no messages.
func isGone(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == codeUnknownChannel || e.Code == codeCannotSend || e.Code == codeNoMutualGuilds)
}

// openDM opens the channel to a user, or returns the one that is open. When
// Discord says that channels are opened too fast, the limiter holds this and
// all later openings; messages in channels that are known continue.
// https://discord.com/developers/docs/resources/user#create-dm
func (c *Client) openDM(ctx context.Context, by *Caller, userID uint64) (uint64, error) {
	data, err := c.Call(ctx, by, CreateDM, Args{"recipient_id": snowflake(userID)})
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeInvalidRecipient {
		// Discord does not say whether the user exists, so it is asked.
		if _, unknown := c.Call(ctx, by, GetUser, Args{"user_id": userID}); unknown != nil {
			return 0, unknown
		}
	}
	if err != nil {
		return 0, err
	}
	var channel struct {
		ID uint64 `json:"id,string"`
	}
	if err := json.Unmarshal(data, &channel); err != nil {
		return 0, fmt.Errorf("discord: open direct message channel: %w", err)
	}
	return channel.ID, nil
}

// dmChannels remembers the direct message channels of users, and opens one
// only once however many callers wait for it.
type dmChannels struct {
	mu      sync.Mutex
	known   *lru.Cache[uint64, uint64]
	opening map[uint64]*opening
	stats   DMCache
	changed map[uint64]uint64 // since the last export; 0 for a channel that was forgotten
}

// ExportDMs returns the direct message channels, by user, that have changed since the
// last call; 0 for a channel that was forgotten. The first call returns nothing, and
// starts to record changes.
func (c *Client) ExportDMs() map[uint64]uint64 {
	c.dms.mu.Lock()
	defer c.dms.mu.Unlock()
	changed := c.dms.changed
	c.dms.changed = make(map[uint64]uint64)
	return changed
}

// ImportDMs takes over channels that an earlier run exported.
func (c *Client) ImportDMs(channels map[uint64]uint64) {
	c.dms.mu.Lock()
	defer c.dms.mu.Unlock()
	for user, channel := range channels {
		if user != 0 && channel != 0 {
			c.dms.known.Add(user, channel)
		}
	}
}

// note records a change for the next export, if exports have begun. It keeps at most
// maxDMChanges changes. The lock is held.
func (d *dmChannels) note(user, channel uint64) {
	if d.changed != nil && len(d.changed) < maxDMChanges {
		d.changed[user] = channel
	}
}

const maxDMChanges = 100_000

// DMCache counts the uses of the remembered direct message channels.
type DMCache struct {
	Size   int   // channels that are remembered
	Hits   int64 // messages whose channel was known
	Opened int64 // channels that had to be opened, or failed to
}

// DMCache returns the statistics of the remembered direct message channels.
func (c *Client) DMCache() DMCache {
	c.dms.mu.Lock()
	defer c.dms.mu.Unlock()
	stats := c.dms.stats
	stats.Size = c.dms.known.Len()
	return stats
}

// opener opens the channel of one user.
type opener func(context.Context) (uint64, error)

// opening is the wait for one channel. Its fields are set before done closes.
type opening struct {
	done chan struct{}
	id   uint64
	err  error
}

func newDMChannels(size int) (*dmChannels, error) {
	d := &dmChannels{opening: make(map[uint64]*opening)}
	var err error
	// Add and Remove call it with the lock held.
	d.known, err = lru.NewWithEvict(size, func(user, _ uint64) { d.note(user, 0) })
	if err != nil {
		return nil, fmt.Errorf("discord: direct message channels to remember: %w", err)
	}
	return d, nil
}

// channel returns the user's channel and whether it was known before. One of
// several callers opens it within its own deadline; when that one gives up,
// the next takes over.
func (d *dmChannels) channel(ctx context.Context, userID uint64, open opener) (id uint64, known bool, err error) {
	for {
		d.mu.Lock()
		if id, ok := d.known.Get(userID); ok {
			d.stats.Hits++
			d.mu.Unlock()
			return id, true, nil
		}
		o, waiting := d.opening[userID]
		if !waiting {
			o = &opening{done: make(chan struct{}), err: errors.New("discord: opening the direct message channel broke off")}
			d.opening[userID] = o
			d.stats.Opened++
		}
		d.mu.Unlock()
		if !waiting {
			d.lead(ctx, userID, o, open)
			return o.id, false, o.err
		}
		select {
		case <-ctx.Done():
			return 0, false, ContextError(ctx)
		case <-o.done:
		}
		if o.err == nil || !isOwnFailure(o.err) {
			return o.id, false, o.err
		}
	}
}

// lead opens the channel for everybody who waits for o. Those are let go even
// if open panics.
func (d *dmChannels) lead(ctx context.Context, userID uint64, o *opening, open opener) {
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.opening, userID)
		if o.err == nil {
			d.known.Add(userID, o.id)
			d.note(userID, o.id)
		}
		close(o.done)
	}()
	o.id, o.err = open(ctx)
}

// forget drops a channel, unless another one has taken its place.
func (d *dmChannels) forget(userID, channelID uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.known.Peek(userID); ok && id == channelID {
		d.known.Remove(userID)
	}
}

// isOwnFailure reports whether a call failed only because its caller left, lost the right to it or
// had no time to wait for a limit, or because somebody cancelled it, which says nothing to others.
func isOwnFailure(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Reason == DeadlineExceeded || e.Reason == Canceled || e.Reason == Revoked || e.Reason == Withdrawn ||
		e.Status == http.StatusTooManyRequests || e.Code == codeOpeningTooFast)
}
