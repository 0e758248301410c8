package discord

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Unmade is a call that can be taken away from this process as long as nothing of it has
// happened, so that another process makes it. It is safe for concurrent use.
type Unmade struct {
	end    context.CancelCauseFunc // of the call's context
	before time.Duration

	mu sync.Mutex
	// tries may take effect at the moment.
	tries int
	// kept is whether something has happened.
	kept          bool
	wanted, taken bool
}

// NewUnmade returns a call whose context Take ends with end. before is
// ratelimit.Request.Before of a call that another process has passed on.
func NewUnmade(end context.CancelCauseFunc, before time.Duration) *Unmade {
	return &Unmade{end: end, before: before}
}

// openDMPath is where direct message channels are opened.
const openDMPath = "/users/@me/channels"

// Take ends the call if nothing of it has happened. If a try is at Discord, that is
// decided when the try ends: a rate limit may have refused it.
func (u *Unmade) Take() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted = true
	u.decide()
}

// decide takes the call if that is wanted and possible. u.mu is held.
func (u *Unmade) decide() {
	if u.wanted && !u.kept && u.tries == 0 && !u.taken {
		u.taken = true
		u.end(nil)
	}
}

// Taken reports whether the call was taken away.
func (u *Unmade) Taken() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.taken
}

// Keep notes that something has happened, such as a response that began. It reports
// false for a call that was taken away before, which a nil Unmade never is.
func (u *Unmade) Keep() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.kept = u.kept || !u.taken
	return !u.taken
}

// begin notes that a try is sent next. It reports false if it must not be.
func (u *Unmade) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.taken {
		u.tries++
	}
	return !u.taken
}

// ended notes how a try ended.
func (u *Unmade) ended(o Outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tries--
	u.kept = u.kept || o != Limited && o != Unsent && o != None
	u.decide()
}

// mayTake begins a try of a request that may be taken away. It reports whether the try may
// be sent. ended is to be called with its outcome. What changes nothing, or opens a channel
// that Discord opens once, is not counted: it may be done again.
func (s *sending) mayTake() (ended func(Outcome), ok bool) {
	u := s.by.Unmade
	switch {
	case u == nil:
		return func(Outcome) {}, true
	case s.method == http.MethodGet || s.method == http.MethodPost && s.path == openDMPath:
		return func(Outcome) {}, !u.Taken()
	}
	return u.ended, u.begin()
}
