// Package ratelimit knows when Discord will take a request: buckets, the
// global limit, bans and the budget of invalid requests.
//
// A caller names what it wants to send with a [Route], waits for a [Permit]
// with [Limiter.Acquire], sends, and hands what came back to
// [Permit.Complete]. The decisions are plain functions of state and a
// passed-in time; the Limiter adds a mutex, one timer for all of them, and one
// parked goroutine for each waiting call.
//
// See https://docs.discord.com/developers/topics/rate-limits.
package ratelimit

import (
	"context"
	"time"
)

// Config sets the limits that headers do not tell. The zero value is ready to
// use.
type Config struct {
	// GlobalLimit is the number of calls a second that Discord allows each
	// token over all its routes. 0 means Discord's ordinary 50, a negative
	// number no limit.
	GlobalLimit int
	// MaxQueue is the number of calls that may wait. 0 means 10,000.
	MaxQueue int
	// MaxQueueBytes is the size of the bodies of all waiting calls. 0 means
	// 256 MiB.
	MaxQueueBytes int64
	// InvalidRequestLimit is the number of answers 401, 403 and 429 (not of
	// scope shared) in ten minutes at which Discord bans the address, over all
	// tokens. 0 means Discord's 10,000.
	InvalidRequestLimit int
}

// Limiter holds calls until Discord will take them. It is safe for concurrent
// use.
type Limiter struct{}

// New returns a Limiter. It starts no goroutine.
func New(c Config) (*Limiter, error) { return &Limiter{}, nil }

// Request is a call that asks to be sent.
type Request struct {
	Route Route
	// Token names whose limits the call uses. It is compared only: pass a name
	// or a hash, never the secret. Routes that carry a token of their own
	// (webhooks, interactions) ignore it.
	Token string
	// Caller is who shares fairly with the other callers.
	Caller string
	// Bytes is the memory that the call's body holds while it waits.
	Bytes int64
	// Retry is the permit of this call's earlier try, nil for the first one.
	// The call keeps the place it had, ahead of all that came after it, and
	// is not refused for a full queue.
	Retry *Permit
	// Probe lets the call pass although its token is refused: a check of the
	// token. A success lifts the refusal.
	Probe bool
}

// Acquire waits until r may be sent. It returns a plain context error when ctx
// ends first, and an *[Error] when the call is refused: at once if that can be
// known, or as soon as it becomes known. A call that got an error is never
// sent later and its place is free.
//
// The permit must be ended by one of its methods. One that is not ended within
// fifteen minutes counts as [Permit.Lost].
func (l *Limiter) Acquire(ctx context.Context, r Request) (*Permit, error) {
	return &Permit{}, nil
}

// AllowToken forgets that Discord refused the token, after it was checked or
// replaced.
func (l *Limiter) AllowToken(token string) {}

// Close refuses all waiting and all later calls with [Closed]. Permits given
// before may still be completed.
func (l *Limiter) Close() {}

// Permit is the right to send one request now. Exactly the first of Complete,
// Cancel and Lost has an effect; all are safe for concurrent use.
type Permit struct{}

// Complete teaches the limiter Discord's answer, and says what it meant.
// It is to be called as soon as status and headers have arrived; for answers
// with a status of 400 or more, once the body was read.
func (p *Permit) Complete(r Response) Verdict { return Verdict{} }

// Cancel gives back the permit of a request of which certainly nothing was
// sent.
func (p *Permit) Cancel() {}

// Lost ends the permit of a request that may have reached Discord but has no
// answer.
func (p *Permit) Lost() {}

// Waited returns how long the call was held.
func (p *Permit) Waited() time.Duration { return 0 }
