package discord

import (
	"context"
	"slices"
	"time"
)

// Journal records the tries of one call, so that another process can go on with the
// call when this one ends in the middle of it. It is not told of requests that the
// call makes in addition to its own, such as the opening of a direct message
// channel. Its functions are called in the goroutine of the call. All fields are
// optional.
type Journal struct {
	// Opened is when an earlier process sent the first try whose outcome is not
	// known, by the wall clock. Zero means that no such try exists.
	Opened time.Time
	// Begin is called before each try, when the rate limits let it go. An error ends
	// the call, which was not sent then.
	Begin func(ctx context.Context) error
	// Ended is called after each try.
	Ended func(ctx context.Context, outcome Outcome)
}

type journalKey struct{}

// WithJournal returns a context whose calls are recorded in j. A call whose first
// try is that of an earlier process is one whose outcome is unknown so far.
func WithJournal(ctx context.Context, j *Journal) context.Context {
	return context.WithValue(ctx, journalKey{}, j)
}

// journalOf returns what records a request, nil if nothing does.
func journalOf(ctx context.Context, r *request) *Journal {
	if slices.Contains([]string{"GET", "HEAD"}, r.method) {
		return nil
	}
	j, _ := ctx.Value(journalKey{}).(*Journal)
	return j
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
