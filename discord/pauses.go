package discord

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"discordproxy/discord/ratelimit"
)

// Pause is a channel whose calls wait because somebody wants it.
type Pause struct {
	Channel uint64
	// By is the caller who paused it, and Since is when.
	By    string
	Since time.Time
	// Waiting is how many calls wait for the end of the pause. Others may wait for the
	// rate limits.
	Waiting int
}

// ErrTooManyPauses is the error of PauseChannel for one channel more than can be paused.
var ErrTooManyPauses = fmt.Errorf("%d channels are paused already", maxPauses)

const maxPauses = 100

// pauses are the channels that are paused. The calls that wait for the end of a pause
// are not in the limiter's queue, but take places in it.
type pauses struct {
	limiter  *ratelimit.Limiter
	mu       sync.Mutex
	channels map[string]*pause // by Try.Resource
}

type pause struct {
	Pause
	// ended is whether the channel was resumed. The calls then join the limiter one after
	// another, so that each caller's keep their order, and later ones wait behind them.
	ended bool
	queue []*pausedCall
	moves *pausedCall // that continues at the moment
}

type pausedCall struct {
	bytes int64
	turn  chan struct{} // closed when it may continue
}

// PauseChannel makes all calls that are limited by a channel wait until ResumeChannel.
// Their deadlines still apply. Calls that have their permit continue. Pausing a paused
// channel changes nothing.
func (c *Client) PauseChannel(channel uint64, by string) (Pause, error) {
	p := &c.transport.pauses
	p.mu.Lock()
	defer p.mu.Unlock()
	resource := channelResource(channel)
	there := p.channels[resource]
	switch {
	case there != nil && !there.ended:
		return there.shown(), nil
	case there == nil && len(p.channels) >= maxPauses:
		return Pause{}, ErrTooManyPauses
	case there == nil:
		there = new(pause)
	}
	there.Pause, there.ended = Pause{Channel: channel, By: by, Since: time.Now()}, false
	p.channels[resource] = there
	return there.shown(), nil
}

// ImportPauses pauses channels that an earlier run reported as Pauses. It is called
// before the first call.
func (c *Client) ImportPauses(all []Pause) {
	p := &c.transport.pauses
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, imported := range all[:min(len(all), maxPauses)] {
		imported.Waiting = 0
		p.channels[channelResource(imported.Channel)] = &pause{Pause: imported}
	}
}

// ResumeChannel ends a pause, and reports whether there was one. The calls that wait go
// on, those of each caller in their order.
func (c *Client) ResumeChannel(channel uint64) (Pause, bool) {
	p := &c.transport.pauses
	p.mu.Lock()
	defer p.mu.Unlock()
	there := p.channels[channelResource(channel)]
	if there == nil || there.ended {
		return Pause{}, false
	}
	was := there.shown()
	there.ended = true
	p.moveOn(channelResource(channel), there)
	return was, true
}

// Pauses returns the channels that are paused, the oldest pause first.
func (c *Client) Pauses() []Pause {
	p := &c.transport.pauses
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Pause
	for _, there := range p.channels {
		if !there.ended {
			all = append(all, there.shown())
		}
	}
	slices.SortFunc(all, func(a, b Pause) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Channel, b.Channel)) })
	return all
}

func channelResource(channel uint64) string { return fmt.Sprint("channel ", channel) }

func (p *pause) shown() Pause {
	shown := p.Pause
	shown.Waiting = len(p.queue)
	return shown
}

// active reports whether calls of a resource are to wait.
func (p *pauses) active(resource string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	there := p.channels[resource]
	return there != nil && !there.ended
}

// hold waits while a resource is paused. The result is nil if it is not. Otherwise it is
// to be called when the call has its place in the limiter's queue, or needs none any
// more: the next one follows then. It may be called more than once. A call that tries
// again is sent before those that have not been sent. Neither it nor one that has waited
// before is refused because too many wait.
func (p *pauses) hold(ctx context.Context, r *ratelimit.Request) (placed func(), err error) {
	resource := r.Route.Major
	p.mu.Lock()
	there := p.channels[resource]
	if there == nil || there.ended && r.Retry != nil {
		p.mu.Unlock()
		return nil, nil
	}
	if p.limiter.Enter(r.Bytes, r.Retry != nil || r.Entered) != nil {
		p.mu.Unlock()
		return nil, &ratelimit.Error{Reason: ratelimit.QueueFull, Route: r.Route.String()}
	}
	r.Entered = true
	call := &pausedCall{r.Bytes, make(chan struct{})}
	if r.Retry != nil {
		there.queue = slices.Insert(there.queue, 0, call)
	} else {
		there.queue = append(there.queue, call)
	}
	p.mu.Unlock()
	if r.Joined != nil { // the queue keeps the order from here on
		r.Joined()
		r.Joined = nil
	}

	placed = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if there.moves == call {
			there.moves = nil
			p.moveOn(resource, there)
		}
	}
	select {
	case <-call.turn:
		return placed, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	if i := slices.Index(there.queue, call); i >= 0 {
		there.queue = slices.Delete(there.queue, i, i+1)
		p.limiter.Leave(call.bytes)
	}
	p.mu.Unlock()
	placed() // its turn may just have come
	return nil, ctx.Err()
}

// moveOn lets the next call of an ended pause continue, and forgets a pause for which no
// call waits.
func (p *pauses) moveOn(resource string, there *pause) {
	if !there.ended || there.moves != nil {
		return
	}
	if len(there.queue) == 0 {
		delete(p.channels, resource)
		return
	}
	there.moves = there.queue[0]
	there.queue = slices.Delete(there.queue, 0, 1)
	p.limiter.Leave(there.moves.bytes)
	close(there.moves.turn)
}

// permit waits until nobody pauses the call and the limits allow it. A call that got its
// permit when its channel is paused gives the permit back and keeps its place.
func (s *sending) permit(ctx context.Context) (*ratelimit.Permit, error) {
	for {
		placed, err := s.pauses.hold(ctx, &s.ask)
		if err != nil {
			return nil, err
		}
		if placed != nil {
			s.ask.Joined = placed // hold has called the one before
		}
		permit, err := s.limiter.Acquire(ctx, s.ask)
		if placed != nil {
			s.ask.Joined = nil
			placed()
		}
		if err != nil || !s.pauses.active(s.ask.Route.Major) {
			return permit, err
		}
		permit.Cancel()
		s.ask.Retry, s.ask.Joined = permit, nil
	}
}
