package access

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"golang.org/x/time/rate"
)

// Client is a client and its rights. A nil Client may do nothing. Its methods are safe
// for concurrent use; their errors are *connect.Error.
type Client struct {
	name         string
	keys         []key
	certificates []string
	addresses    []netip.Prefix
	// bots are those that it may use, and everyBot is whether it may use all.
	bots     []string
	everyBot bool
	// methods are the patterns of what it may call; nil means everything.
	methods []pattern
	// places are the ids that it may name; nil means all.
	places map[discord.TargetKind]ids
	// untargeted is whether one with places may make calls that name none.
	untargeted bool
	// allDeliveries is whether it sees the deliveries of others in the outbox, too.
	allDeliveries bool
	// limit and burst are its rate; rate.Inf means no limit. maxCalls is how many calls
	// it may have in progress, and maxBytes how large they may be together; 0 means no
	// limit.
	limit    rate.Limit
	burst    int
	maxCalls int
	maxBytes int64
	// usage is nil where nothing is limited.
	usage *usage
	// timeout is how long its plain requests may take; nil if its entry does
	// not say, and 0 means any time.
	timeout *time.Duration
}

// usage counts what a client uses. It survives a change of the rules.
type usage struct {
	calls   atomic.Int64
	bytes   atomic.Int64 // of the requests of these calls
	limiter *rate.Limiter
}

// enter counts a call in progress until leave.
func (c *Client) enter() (leave func(), err error) {
	if c.usage == nil {
		return func() {}, nil
	}
	if n := c.usage.calls.Add(1); c.maxCalls > 0 && n > int64(c.maxCalls) {
		c.usage.calls.Add(-1)
		return nil, refuse(connect.CodeResourceExhausted, "client %s already has %d calls in progress, its max_calls", c.name, c.maxCalls)
	}
	return func() { c.usage.calls.Add(-1) }, nil
}

// MayCall refuses a method that the client may not call. Metrics, dashboard and operate
// are about the calls of all clients, so they count as untargeted.
func (c *Client) MayCall(method string) error {
	if c == nil {
		return errUnguarded()
	}
	if c.methods != nil && !slices.ContainsFunc(c.methods, func(p pattern) bool { return p.means(method) }) {
		return refuse(connect.CodePermissionDenied, "client %s may not call %s", c.name, method)
	}
	if method == MetricsPage || method == Dashboard || method == Operate {
		return c.MayTouch(Reading{})
	}
	return nil
}

// MayTouch refuses a call that names a guild, channel or user that the client may not
// use. It also refuses a call without a target if the client needs one.
func (c *Client) MayTouch(r Reading) error {
	if c == nil {
		return errUnguarded()
	}
	if !c.restricted() {
		return nil
	}
	if len(r.about) == 0 && !c.untargeted {
		return refuse(
			connect.CodePermissionDenied,
			"client %s is restricted to certain guilds, channels or users, and this call is about none of them, so it needs untargeted: true",
			c.name,
		)
	}
	for _, t := range slices.Concat(r.about, r.others) {
		switch known := c.places[t.kind]; {
		case known.all:
		case t.every:
			return refuse(connect.CodePermissionDenied, "client %s may not use every %s", c.name, t.kind)
		case t.id == 0:
			return refuse(connect.CodePermissionDenied, "client %s may not use a %s whose ID is not a plain number", c.name, t.kind)
		case !known.has(t.id):
			return refuse(connect.CodePermissionDenied, "client %s may not use %s %d", c.name, t.kind, t.id)
		}
	}
	return nil
}

// errUnguarded refuses a request that no Guard has let in.
func errUnguarded() error {
	return refuse(connect.CodePermissionDenied, "the server does not know who may do this")
}

// IsEveryone reports whether the client has no rules and can never get any.
func (c *Client) IsEveryone() bool { return c == everyone }

func (c *Client) maySeeDeliveries() error {
	switch {
	case c == nil:
		return errUnguarded()
	case c.IsEveryone() || c == botTokenHolder || c.allDeliveries:
		return nil
	}
	return refuse(connect.CodePermissionDenied,
		"client %s may not see the deliveries of other clients; set all_deliveries: true in the client's entry of the auth file", c.name)
}

// restricted reports whether the client may use only certain guilds, channels and users.
func (c *Client) restricted() bool { return c == nil || c.places != nil }

// Ruled reports whether the contents of a call decide whether the client may make it.
func (c *Client) Ruled() bool { return c == nil || c.methods != nil || c.places != nil }

// Hold waits until the client's own rate allows a call. It fails immediately if that time
// is after the deadline of ctx, and as soon as the client loses the right to the request.
func (c *Client) Hold(ctx context.Context) error {
	if c == nil {
		return errUnguarded()
	}
	if c.usage == nil {
		return nil
	}
	turn := c.usage.limiter.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		turn.Cancel()
		return retryLater(connect.CodeDeadlineExceeded, wait, "the deadline is earlier than the rate of client %s allows the call", c.name)
	}
	began := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	defer func() { caller.Of(ctx).Stats.AddWaited(time.Since(began)) }()
	revoked := Revoked(ctx)
	select {
	case <-timer.C:
		return nil
	case <-revoked.Done():
		turn.Cancel()
		return revocation(revoked)
	case <-ctx.Done():
		turn.Cancel()
		code, _ := rpc.ContextCode(ctx.Err())
		return connect.NewError(code, fmt.Errorf("the call waited for the rate of client %s: %w", c.name, context.Cause(ctx)))
	}
}

// Timeout returns how long a plain request of the client may take, or 0 for any
// time, and whether its entry says so.
func (c *Client) Timeout() (timeout time.Duration, ok bool) {
	if c == nil || c.timeout == nil {
		return 0, false
	}
	return *c.timeout, true
}

// Name returns the client's name in logs and metrics, or "" for nil.
func (c *Client) Name() string {
	if c == nil {
		return ""
	}
	return c.name
}
