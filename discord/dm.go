package discord

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"discordproxy/discord/ratelimit"

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
	by = cmp.Or(by, nobody)
	d := &directMessage{Client: c, request: m.request(by, ""), user: userID, turn: c.turns.enter(by.Name, userID)}
	defer d.turn.pass()
	defer d.proceed()
	if err := d.request.encode(); err != nil {
		return nil, err
	}
	d.request.joined = d.turn.pass
	message, channelID, known, err := d.send(ctx)
	if known && isGone(err) {
		d.turn.back()
		c.dms.forget(userID, channelID)
		if message, channelID, _, err = d.send(ctx); isGone(err) {
			c.dms.forget(userID, channelID)
		}
	}
	return message, err
}

// directMessage is a message to a user on its way.
type directMessage struct {
	*Client
	request *request
	user    uint64
	turn    *turn
	aside   bool // it has a place in the limiter's queue by await
}

// send posts the message in the user's channel, and reports whether that was known
// before.
func (d *directMessage) send(ctx context.Context) (message json.RawMessage, channelID uint64, known bool, err error) {
	channelID, known, err = d.dms.channel(d.user, func() (uint64, error) { return d.open(ctx) }, func(opened <-chan struct{}) error {
		return d.await(ctx, openDMPath, opened)
	})
	if err != nil {
		return nil, 0, false, err
	}
	if d.request.path, err = messagesOf(channelID); err != nil {
		return nil, channelID, known, err
	}
	if err := d.turn.wait(func(first <-chan struct{}) error { return d.await(ctx, d.request.path, first) }); err != nil {
		return nil, channelID, known, err
	}
	d.proceed()
	message, err = d.call(ctx, d.request)
	return message, channelID, known, err
}

// await waits for another message, which opens the channel or comes before this one. Like
// a call that waits for the limits, this one takes a place in the queue, until proceed, and
// is listed and can be cancelled; path is what it is listed under.
func (d *directMessage) await(ctx context.Context, path string, done <-chan struct{}) error {
	r := d.request
	route := ratelimit.RouteOf(r.method, path, "", time.Now())
	if !d.aside {
		if d.limiter.Enter(r.size(), r.entered) != nil {
			return refusal(ctx, &ratelimit.Error{Reason: ratelimit.QueueFull, Route: route.String()})
		}
		d.aside, r.entered = true, true
	}
	within, end := d.transport.listed(ctx, r.by, WaitingCall{
		Route: route.String(), Resource: route.Major, Caller: r.by.Name, Since: time.Now(),
	})
	select {
	case <-done:
	case <-within.Done():
	}
	if err := end(); err != nil {
		return refusal(ctx, err)
	}
	if ctx.Err() != nil {
		return ContextError(ctx)
	}
	return nil
}

// proceed ends the place that await took. What is called next takes its own.
func (d *directMessage) proceed() {
	if d.aside {
		d.aside = false
		d.limiter.Leave(d.request.size())
	}
}

// isGone reports whether a direct message channel takes no messages.
func isGone(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == codeUnknownChannel || e.Code == codeCannotSend || e.Code == codeNoMutualGuilds)
}

// open opens the channel to the user, or returns the one that is open. When
// Discord says that channels are opened too fast, the limiter holds this and
// all later openings; messages in channels that are known continue.
// https://discord.com/developers/docs/resources/user#create-dm
func (d *directMessage) open(ctx context.Context) (uint64, error) {
	d.proceed()
	by := d.request.by
	r, err := CreateDM.request(by, Args{"recipient_id": snowflake(d.user)}, nil)
	if err != nil {
		return 0, err
	}
	r.entered, r.carried = d.request.entered, d.request.size()
	data, err := d.call(ctx, r)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeInvalidRecipient {
		// Discord does not say whether the user exists, so it is asked.
		if _, unknown := d.Call(ctx, by, GetUser, Args{"user_id": d.user}); unknown != nil {
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
// the next takes over. await waits for another one to open it.
func (d *dmChannels) channel(
	userID uint64, open func() (uint64, error), await func(opened <-chan struct{}) error,
) (id uint64, known bool, err error) {
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
			d.lead(userID, o, open)
			return o.id, false, o.err
		}
		if err := await(o.done); err != nil {
			return 0, false, err
		}
		if o.err == nil || !isOwnFailure(o.err) {
			return o.id, false, o.err
		}
	}
}

// lead opens the channel for everybody who waits for o. Those are let go even
// if open panics.
func (d *dmChannels) lead(userID uint64, o *opening, open func() (uint64, error)) {
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
	o.id, o.err = open()
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
		e.Status == http.StatusTooManyRequests || e.Code == ratelimit.CodeOpeningDMs)
}
