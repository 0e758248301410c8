package ratelimit

import (
	"fmt"
	"time"
)

// Reason is why a call was refused.
type Reason int

const (
	// DeadlineTooEarly: the earliest possible slot lies beyond the deadline of
	// the caller's context. [Error.RetryAfter] says when it could have gone.
	// errors.Is(err, context.DeadlineExceeded) holds.
	DeadlineTooEarly Reason = iota + 1
	// QueueFull: too many calls, or too many bytes of bodies, wait.
	QueueFull
	// Banned: Discord's edge refuses this address until [Error.RetryAfter].
	Banned
	// BudgetSpent: the budget of invalid requests is nearly spent, and this
	// call would probably add to it.
	BudgetSpent
	// TokenRefused: Discord answered 401 to the token.
	TokenRefused
	// Closed: the limiter was closed.
	Closed
)

// Error is a refusal of Acquire.
type Error struct {
	Reason Reason
	// RetryAfter is how long from the moment of the error until the call could
	// be sent at the earliest; 0 when nothing is known.
	RetryAfter time.Duration
	// Route is the call's route as Route.String gives it.
	Route string
}

// Error says what the caller can do about it.
func (e *Error) Error() string { return fmt.Sprint(e.Reason) }
