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
	return context.WithValue(ctx, revokedKey{}, append(slices.Clip(revocations(ctx)), revoked))
}

// revocations returns the contexts that WithRevoked was given.
func revocations(ctx context.Context) []context.Context {
	all, _ := ctx.Value(revokedKey{}).([]context.Context)
	return all
}

// errRevoked ends the wait of a call whose caller may no longer make it.
var errRevoked = errors.New("the caller may no longer make the call")

// whenAny calls cancel, with errRevoked, when one of the contexts ends before stop.
func whenAny(all []context.Context, cancel context.CancelCauseFunc) (stop func()) {
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
