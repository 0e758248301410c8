package ratelimit

import (
	"context"
	"fmt"
	"strconv"
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
	// TooManyTokens: the limits of [Config.MaxGuests] guests are in use, and
	// this is one more.
	TooManyTokens
	// Banned: Discord's edge refuses this address until [Error.RetryAfter].
	Banned
	// BudgetSpent: the budget of invalid requests is nearly spent, and this
	// call would probably add to it.
	BudgetSpent
	// TokenRefused: Discord answered 401 to the token. See [Error.Check].
	TokenRefused
	// RouteRefused: Discord answered 401 to the token on this route, again and
	// again.
	RouteRefused
	// WebhookGone: Discord does not know the webhook.
	WebhookGone
	// Closed: the limiter was closed.
	Closed
)

// String describes the reason.
func (r Reason) String() string {
	switch r {
	case DeadlineTooEarly:
		return "the deadline is earlier than Discord's rate limits allow the call"
	case QueueFull:
		return "too many calls wait already"
	case TooManyTokens:
		return "calls with too many other tokens are in progress"
	case Banned:
		return "Discord's edge has banned this address for a while"
	case BudgetSpent:
		return "the budget of invalid requests is nearly spent"
	case TokenRefused:
		return "Discord refused the token"
	case RouteRefused:
		return "Discord refused the token on this route"
	case WebhookGone:
		return "the webhook is gone"
	case Closed:
		return "the rate limiter is closed"
	}
	return "reason " + strconv.Itoa(int(r))
}

// Error is a refusal of Acquire. Nothing was sent.
type Error struct {
	Reason Reason
	// RetryAfter is how long from the moment of the error until the call could
	// be sent at the earliest; 0 when nothing is known.
	RetryAfter time.Duration
	// Global is whether the wait for a deadline that is too early is one for
	// the limit over all routes of the token.
	Global bool
	// Check is whether the caller should find out whether a refused token is
	// good again, by a call with [Request.Probe].
	Check bool
	// Route is the call's route as Route.String gives it.
	Route string
}

// Error names the route, the reason, and when to try again.
func (e *Error) Error() string {
	text := fmt.Sprintf("hold %s: %v", e.Route, e.Reason)
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; it could go in %v", e.RetryAfter.Round(time.Millisecond))
	}
	return text
}

// Unwrap makes a deadline that is too early a context.DeadlineExceeded.
func (e *Error) Unwrap() error {
	if e.Reason == DeadlineTooEarly {
		return context.DeadlineExceeded
	}
	return nil
}
