package discord

import (
	"context"
	"errors"
)

// Caller is on whose behalf a call is made, what ends the call, and what counts its cost.
// All fields are optional. A nil *Caller is one without any of them.
type Caller struct {
	// Name identifies the caller. Each caller gets a fair share of the rate limits.
	Name string
	// Revoked are contexts. When one of them has ended, the call is not sent any more: if it
	// waits for the rate limits, it fails with Reason Revoked. A call that has been sent
	// continues, because Discord carries it out anyway.
	Revoked []context.Context
	// Stats counts what the call costs.
	Stats *Stats
	// Unmade takes the call away from this process as long as nothing of it has happened.
	Unmade *Unmade
	// Memory counts the memory of the newest answer. If it is nil, an answer counts
	// against the limit for all answers until the call returns.
	Memory *AnswerMemory
}

// nobody is a nil *Caller.
var nobody = new(Caller)

// errRevoked ends the wait of a call whose caller may no longer make it.
var errRevoked = errors.New("the caller may no longer make the call")

// whenRevoked calls cancel, with errRevoked, when one of the contexts in Revoked ends
// before stop.
func (c *Caller) whenRevoked(cancel context.CancelCauseFunc) (stop func()) {
	if len(c.Revoked) == 0 {
		return func() {}
	}
	unhooks := make([]func() bool, len(c.Revoked))
	for i, revoked := range c.Revoked {
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
