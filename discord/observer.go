package discord

import (
	"context"
	"time"
)

// Observer is notified of every request to Discord.
type Observer interface {
	// Tried is called when a try has ended, in the goroutine of its call: it
	// must be quick and safe for concurrent use.
	Tried(ctx context.Context, t Try)
}

// Try is one request to Discord, from the wait for the rate limits to the last
// byte of the answer.
type Try struct {
	// Route is the method and the path with placeholders, and Resource what it
	// is limited by, such as "channel 1". Neither holds a secret. Route is OtherRoute
	// unless this package knows the route or Discord has accepted the request.
	Route, Resource string
	// Number counts the tries of one request, from 1.
	Number int
	// Before is the outcome of the previous attempt; None for the first.
	Before Outcome
	// Began is when the attempt began to wait, Sent when the rate limits allowed it, or
	// zero if they did not, and Ended when the attempt had ended.
	Began, Sent, Ended time.Time
	Outcome            Outcome
	// Status is Discord's HTTP status, or 0 without an answer.
	Status int
	// Limit is the limit that Discord said was hit: bucket, sub, shared, global
	// or address. Empty when none was.
	Limit string
	// Once is whether the request makes something that the nonce in it keeps
	// single.
	Once bool
	// Err is the reason why there is no response.
	Err error
}

// Outcome is the outcome of an attempt.
type Outcome int

const (
	// None: there was no try.
	None Outcome = iota
	// Settled: Discord answered, and its answer says what happened.
	Settled
	// Limited: Discord answered that a limit was hit, most often with 429, and
	// did nothing.
	Limited
	// Failed: Discord, or the network before it, answered with a failure of
	// its own. The request may have taken effect.
	Failed
	// Lost: no complete answer came. The request may have taken effect.
	Lost
	// Unsent: Discord never saw the request.
	Unsent
	// Refused: the rate limits did not let it go.
	Refused
)

// String returns the name used in metrics and traces.
func (o Outcome) String() string {
	return [...]string{"none", "settled", "limited", "failed", "lost", "unsent", "refused"}[o]
}

// unclear reports whether a try may have taken effect without an answer that
// says so.
func (o Outcome) unclear() bool { return o == Failed || o == Lost }

// tried notifies the observers and the call's statistics.
func (s *sending) tried(ctx context.Context) {
	try := s.seen
	try.Ended = time.Now()
	s.by.Stats.add(try)
	for _, o := range s.observers {
		o.Tried(ctx, try)
	}
}
