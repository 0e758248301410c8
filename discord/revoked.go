package discord

import (
	"context"
	"errors"
	"slices"
)

type revokedKey struct{}

// WithRevoked returns a context whose calls are not sent once revoked has
// ended. A call that waits for the rate limits fails then with Reason Revoked;
// one that is at Discord goes on, since what it does is done there. Contexts that
// were given before count, too.
func WithRevoked(ctx, revoked context.Context) context.Context {
	earlier, _ := ctx.Value(revokedKey{}).([]context.Context)
	return context.WithValue(ctx, revokedKey{}, append(slices.Clip(earlier), revoked))
}

// errRevoked ends the wait of a call whose caller may no longer make it.
var errRevoked = errors.New("the caller may no longer make the call")

// whenRevoked calls cancel, with errRevoked, when the caller of ctx may no longer make
// the call, until stop.
func whenRevoked(ctx context.Context, cancel context.CancelCauseFunc) (stop func()) {
	all, _ := ctx.Value(revokedKey{}).([]context.Context)
	if len(all) == 0 {
		return func() {}
	}
	unhooks := make([]func() bool, len(all))
	for i, revoked := range all {
		if revoked.Err() != nil {
			cancel(errRevoked)
		}
		unhooks[i] = context.AfterFunc(revoked, func() { cancel(errRevoked) })
	}
	return func() {
		for _, unhook := range unhooks {
			unhook()
		}
	}
}
