package discord

import (
	"context"
	"errors"
	"slices"
)

type revokedKey struct{}

// WithRevoked returns a context whose calls are not sent once revoked has ended. A call
// that waits for the rate limits then fails with Reason Revoked. A call that has been
// sent continues, because Discord carries it out anyway. Contexts
// of earlier calls of WithRevoked still count.
func WithRevoked(ctx, revoked context.Context) context.Context {
	earlier, _ := ctx.Value(revokedKey{}).([]context.Context)
	return context.WithValue(ctx, revokedKey{}, append(slices.Clip(earlier), revoked))
}

// errRevoked ends the wait of a call whose caller may no longer make it.
var errRevoked = errors.New("the caller may no longer make the call")

// whileAllowed returns a context for the wait of a call, which ends with
// errRevoked as its cause when the caller may no longer make it.
func whileAllowed(ctx context.Context) (_ context.Context, stop func()) {
	all, ok := ctx.Value(revokedKey{}).([]context.Context)
	if !ok {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unhooks := make([]func() bool, len(all))
	for i, revoked := range all {
		if revoked.Err() != nil {
			cancel(errRevoked)
		}
		unhooks[i] = context.AfterFunc(revoked, func() { cancel(errRevoked) })
	}
	return ctx, func() {
		for _, unhook := range unhooks {
			unhook()
		}
		cancel(nil)
	}
}
