package health

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"discordproxy/discord"
)

// Reachability records since when Discord has given no valid response. It is
// a discord.Observer, safe for concurrent use.
type Reachability struct {
	since atomic.Int64 // Unix nanoseconds; 0 while Discord answers
}

// Tried records an attempt.
func (r *Reachability) Tried(ctx context.Context, t discord.Try) {
	switch t.Outcome {
	case discord.Settled, discord.Limited:
		r.since.Store(0)
	case discord.Failed, discord.Lost, discord.Unsent:
		// A caller that disconnects, or a server that may not send, proves nothing about Discord.
		if ctx.Err() == nil && !errors.Is(t.Err, discord.ErrMayNotSend) {
			r.since.CompareAndSwap(0, t.Sent.UnixNano())
		}
	}
}

// Check returns nil while Discord answers.
func (r *Reachability) Check() error {
	since := r.since.Load()
	if since == 0 {
		return nil
	}
	return fmt.Errorf("no valid response from Discord since %s", time.Unix(0, since).UTC().Format(time.RFC3339))
}
