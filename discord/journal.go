package discord

import (
	"context"
	"net/http"
	"time"
)

// Journal records the tries of one call, so that another process can continue with the
// call when this one ends in the middle of it. It does not record requests that
// the call makes in addition to its own, such as opening a direct message channel.
// Its functions are called in the goroutine of the call. All fields are
// optional.
type Journal struct {
	// Opened is when an earlier process sent the first try with an unknown outcome, by
	// the wall clock. Zero means that there is no such try.
	Opened time.Time
	// Begin is called before each try, when the rate limits allow it. If it returns an
	// error, the try is not sent and the call fails.
	Begin func(ctx context.Context) error
	// Ended is called after each try.
	Ended func(ctx context.Context, outcome Outcome)
}

// Recorded returns the operation for one call whose tries are recorded in j, unless it
// only reads. If an earlier process sent the first try, the call's outcome is unknown so
// far.
func (o Operation) Recorded(j *Journal) Operation {
	if o.Method != http.MethodGet {
		o.journal = j
	}
	return o
}

// resume takes over what an earlier process knew of the call.
func (s *sending) resume() {
	if s.journal == nil || s.journal.Opened.IsZero() {
		return
	}
	s.unknown = true
	if s.once { // all others can be repeated at any time
		s.opened = s.journal.Opened
	}
}

// record notes that a try begins. If it cannot be noted, the try must not be sent.
func (s *sending) record(ctx context.Context) error {
	if s.journal == nil || s.journal.Begin == nil {
		return nil
	}
	return s.journal.Begin(ctx)
}

// unrecorded is the error of a call that ended because a try could not be noted.
func (s *sending) unrecorded(err error) *Error {
	return &Error{Reason: Unreachable, OutcomeUnknown: s.unknown, cause: err}
}

// recorded notes how a try ended.
func (s *sending) recorded(ctx context.Context) {
	if s.journal != nil && s.journal.Ended != nil {
		s.journal.Ended(ctx, s.seen.Outcome)
	}
}
