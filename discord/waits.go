package discord

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// WaitingCall is a call that waits for the rate limits.
type WaitingCall struct {
	// Number identifies the waiting call. Later calls have higher numbers.
	Number int64
	// Route and Resource are those of Try, and Caller is the name of the caller.
	Route, Resource, Caller string
	// Since is when the wait began.
	Since time.Time
}

// errWithdrawn ends the wait of a call that somebody else has cancelled.
var errWithdrawn = errors.New("the call was cancelled while it waited")

// waits are the calls that wait for the rate limits. The zero value is ready to use.
type waits struct {
	mu    sync.Mutex
	count int64
	calls map[int64]wait
}

type wait struct {
	WaitingCall
	cancel context.CancelCauseFunc
}

// begin adds a call until end, which reports whether the call was cancelled. cancel is
// called with errWithdrawn when it is.
func (w *waits) begin(call WaitingCall, cancel context.CancelCauseFunc) (end func() (cancelled bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls == nil {
		w.calls = make(map[int64]wait)
	}
	w.count++
	number := w.count
	call.Number = number
	w.calls[number] = wait{call, cancel}
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, listed := w.calls[number]
		delete(w.calls, number)
		return !listed
	}
}

// WaitingCalls returns the calls that wait for the rate limits, the oldest first.
func (c *Client) WaitingCalls() []WaitingCall {
	w := &c.transport.waits
	w.mu.Lock()
	all := make([]WaitingCall, 0, len(w.calls))
	for _, wait := range w.calls {
		all = append(all, wait.WaitingCall)
	}
	w.mu.Unlock()
	slices.SortFunc(all, func(a, b WaitingCall) int { return cmp.Compare(a.Number, b.Number) })
	return all
}

// CancelWaiting ends the waiting calls for which match returns true, and returns them.
// They are not sent, and fail with Reason Withdrawn unless they have failed for another
// reason already. match must be fast: no call can begin or end its wait while it runs.
func (c *Client) CancelWaiting(match func(WaitingCall) bool) []WaitingCall {
	w := &c.transport.waits
	w.mu.Lock()
	defer w.mu.Unlock()
	var cancelled []WaitingCall
	for number, wait := range w.calls {
		if match(wait.WaitingCall) {
			wait.cancel(errWithdrawn)
			delete(w.calls, number)
			cancelled = append(cancelled, wait.WaitingCall)
		}
	}
	slices.SortFunc(cancelled, func(a, b WaitingCall) int { return cmp.Compare(a.Number, b.Number) })
	return cancelled
}
