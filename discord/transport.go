package discord

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"discordproxy/discord/ratelimit"

	"github.com/bwmarrin/discordgo"
)

// transport sends requests to Discord's API when the rate limits allow it, and
// repeats them as far as that is harmless.
type transport struct {
	base       string // the API's URL without version and slash at its end
	token      botToken
	bare       *discordgo.Session // has no token
	upstream   http.RoundTripper
	limiter    *ratelimit.Limiter
	tryTimeout time.Duration
	retryFor   time.Duration
	maxBytes   int64
	memory     *answerPools
	logger     *slog.Logger
	observers  []Observer
	waits      waits
	pauses     pauses
	mayNotSend func() error // nil if it always may
}

// do sends a request until an answer says what became of it. Every error is an
// *Error, except that of a request that cannot be built.
func (t *transport) do(ctx context.Context, r *request) (*answer, error) {
	s := t.begin(r)
	defer s.end()
	for {
		permit, err := s.acquire(ctx)
		if err != nil {
			return nil, s.refused(ctx, err)
		}
		if err := s.record(ctx); err != nil {
			permit.Cancel()
			return nil, s.unrecorded(err)
		}
		tried, ok := s.mayTake()
		if !ok {
			permit.Cancel()
			return nil, s.left(ctx)
		}
		a, err := s.send(ctx, permit)
		tried(s.seen.Outcome)
		switch s.seen.Outcome {
		case None:
			return nil, err
		case Limited:
			s.hit(ctx, a)
			continue
		case Settled:
			return s.settled(a), nil
		}
		again, err := s.failed(ctx, a, err)
		if err != nil {
			return nil, err
		}
		if !again {
			return a, nil
		}
	}
}

// sending is one request on its way through its tries.
type sending struct {
	*transport
	*request
	ask  ratelimit.Request // for the permits
	seen Try               // the newest try
	// State of earlier attempts.
	limited *answer       // the newest answer that spoke of a limit
	unknown bool          // a try may have taken effect
	failing time.Duration // spent on tries that failed, and between tries
	opened  time.Time     // when the first try of unknown outcome was sent, if only its nonce makes it repeatable
}

// begin returns a request before its first try. It is on the heap, so that the
// stack of a call that waits stays small.
func (t *transport) begin(r *request) *sending {
	r.by = cmp.Or(r.by, nobody)
	s := &sending{transport: t, request: r, ask: ratelimit.Request{
		Token:      cmp.Or(r.otherToken, BotToken),
		OtherToken: r.otherToken != "",
		Caller:     r.by.Name,
		Line:       ratelimit.LineOf(r.method, r.target()),
		Bytes:      r.size(),
		Entered:    r.entered,
		Probe:      r.probe,
		Joined:     r.joined,
	}}
	if u := r.by.Unmade; u != nil {
		s.ask.Before = u.before
	}
	s.resume()
	return s
}

// next describes the next try.
func (s *sending) next() {
	now := time.Now()
	// Each time: Discord counts apart by the age of a message.
	s.ask.Route = ratelimit.RouteOf(s.method, s.path, s.kind, now)
	number, before := s.seen.Number+1, s.seen.Outcome
	s.seen = Try{} // in place: a whole Try takes 200 bytes of the stack
	s.seen.Route, s.seen.Resource = s.ask.Route.String(), s.ask.Route.Major
	if s.unlisted {
		s.seen.Route = OtherRoute(s.method)
	}
	s.seen.Number, s.seen.Before, s.seen.Once, s.seen.Began = number, before, s.once, now
}

// acquire begins a try: it waits for the permit. A token that Discord may have
// refused is checked first.
func (s *sending) acquire(ctx context.Context) (*ratelimit.Permit, error) {
	s.next()
	permit, err := s.wait(ctx)
	if asksForCheck(err) {
		s.checkToken(ctx, s.request)
		permit, err = s.wait(ctx)
	}
	if err == nil {
		s.ask.Retry, s.ask.Joined = permit, nil
	}
	return permit, err
}

// refused returns the error of a call that got no permit.
func (s *sending) refused(ctx context.Context, err error) error {
	s.seen.Outcome, s.seen.Err = Refused, err
	s.tried(ctx)
	failure := refusal(ctx, err)
	if s.limited != nil && failure.Reason == DeadlineExceeded {
		failure = failure.limitedBy(answerError(s.limited.status, s.limited.header, s.limited.body))
	}
	failure.OutcomeUnknown = s.unknown
	return failure
}

// send sends the request once and reports how that ended. The error is that of
// a try without an answer.
func (s *sending) send(ctx context.Context, permit *ratelimit.Permit) (*answer, error) {
	s.seen.Sent = time.Now()
	a, outcome, err := s.try(ctx, s.request, permit)
	s.seen.Outcome, s.seen.Err = outcome, err
	if a != nil {
		s.seen.Status, s.seen.Limit = a.status, a.limit
		if a.status < http.StatusMultipleChoices { // Discord has the route
			s.seen.Route = s.ask.Route.String()
		}
	}
	s.tried(ctx)
	s.recorded(ctx)
	if a != nil && a.checkToken {
		s.checkToken(ctx, s.request)
	}
	return a, err
}

// hit remembers the answer that a limit was hit.
func (s *sending) hit(ctx context.Context, a *answer) {
	s.limited = a
	s.logger.WarnContext(ctx, "Discord rate limited a call; waiting", "route", s.seen.Route, "resource", s.seen.Resource,
		"status", a.status, "scope", a.header.Get("X-Ratelimit-Scope"), "try", s.seen.Number)
}

// settled returns the answer of a call.
func (s *sending) settled(a *answer) *answer {
	if s.unknown && s.done != 0 && a.status >= http.StatusBadRequest && answerError(a.status, a.header, a.body).Code == s.done {
		// The previous attempt has taken effect.
		a = &answer{status: http.StatusNoContent, header: a.header}
	}
	a.outcomeUnknown = s.unknown
	return a
}

// failed reports whether a try that failed is followed by another one, after
// the wait between them. If not, the call ends with the error, or with the
// answer if there is no error.
func (s *sending) failed(ctx context.Context, a *answer, cause error) (again bool, err error) {
	outcome := s.seen.Outcome
	s.unknown = s.unknown || outcome.unclear() && s.method != http.MethodGet
	if ctx.Err() != nil {
		return false, s.left(ctx)
	}
	if s.once && outcome != Unsent && s.opened.IsZero() {
		s.opened = s.seen.Sent
	}
	wait := backoff(s.seen.Number)
	if outcome == Failed {
		asked, _ := ratelimit.RetryAfter(a.header)
		wait = max(wait, asked)
	}
	if s.failing += wait; outcome != Lost {
		s.failing += time.Since(s.seen.Sent)
	}
	if s.retryFor < 0 || outcome != Unsent && !s.repeatable || s.tooLate(ctx, wait) {
		if outcome == Failed {
			a.outcomeUnknown = s.unknown
			return false, nil
		}
		reason := Unreachable
		if errors.Is(cause, ErrMayNotSend) {
			reason = MayNotSend
		}
		return false, &Error{Reason: reason, OutcomeUnknown: s.unknown, cause: cause}
	}
	s.logger.WarnContext(ctx, "request to Discord failed; retrying", "route", s.seen.Route, "resource", s.seen.Resource,
		"try", s.seen.Number, "wait", wait.Round(time.Millisecond), "status", s.seen.Status, "error", cause)
	if Sleep(ctx, wait) != nil {
		return false, s.left(ctx)
	}
	return true, nil
}

// left returns the error of a call whose context ended between two tries.
func (s *sending) left(ctx context.Context) error {
	failure := ContextError(ctx)
	failure.OutcomeUnknown = s.unknown
	return failure
}

// end lets the limiter send the next call of the same line.
func (s *sending) end() {
	if s.ask.Retry != nil {
		s.ask.Retry.Done()
	}
}

// nonceMemory is how long after a try of unknown outcome further ones may
// begin: well inside the few minutes for which Discord remembers a nonce.
const nonceMemory = 2 * time.Minute

// tooLate reports whether a try after a wait would come too late: beyond the
// caller's deadline or, without one, when the call has been failing for longer
// than retryFor; and in any case beyond nonceMemory after the first try that may
// have taken effect. Neither the time for which a call waits for its limits nor
// that of a try without an answer is time in which the call fails: the former is
// no failure, and the latter is long enough for one try to use it all up.
func (s *sending) tooLate(ctx context.Context, wait time.Duration) bool {
	next := time.Now().Add(wait)
	if !s.opened.IsZero() && next.After(s.opened.Add(nonceMemory)) {
		return true
	}
	if deadline, ok := ctx.Deadline(); ok {
		return next.After(deadline)
	}
	return s.failing > s.retryFor
}

// errTooLate ends the wait of a call whose next try would come too late.
var errTooLate = errors.New("the limits allow no further try while Discord remembers the first")

// wait waits for the permit of a try, but not beyond the last moment for it, and not
// longer than the caller may make the call.
func (s *sending) wait(ctx context.Context) (*ratelimit.Permit, error) {
	within, end := s.waiting(ctx)
	permit, err := s.permit(within)
	ended := end()
	switch {
	case err == nil && ended != nil: // while it got the permit
		permit.Cancel()
		s.ask.Retry = permit
		return nil, ended
	case err == nil || ctx.Err() != nil:
		return permit, err
	case ended != nil:
		return nil, ended
	}
	if _, ok := s.lastMoment(ctx); ok && errors.Is(err, context.DeadlineExceeded) {
		return nil, errTooLate
	}
	return nil, err
}

// waiting returns the context of a wait and its end, as listed does. It is apart from wait
// because the stack that it needs would be kept while the call waits.
//
//go:noinline
func (s *sending) waiting(ctx context.Context) (context.Context, func() error) {
	stop := func() {}
	if last, ok := s.lastMoment(ctx); ok {
		ctx, stop = context.WithDeadline(ctx, last)
	}
	within, end := s.listed(ctx, s.by, WaitingCall{
		Route: s.seen.Route, Resource: s.seen.Resource, Caller: s.ask.Caller, Since: s.seen.Began,
	})
	return within, func() error {
		defer stop()
		return end()
	}
}

// listed returns the context of a wait, which is listed until end. The result of end is
// errWithdrawn if somebody else cancelled the call before, errRevoked if its caller may
// no longer make it, and nil otherwise. Either ends the context.
func (t *transport) listed(ctx context.Context, by *Caller, call WaitingCall) (within context.Context, end func() error) {
	within, cancel := context.WithCancelCause(ctx)
	unhook := by.whenRevoked(cancel)
	unlist := t.waits.begin(call, cancel)
	return within, func() error {
		cancelled := unlist()
		unhook()
		cause := context.Cause(within)
		cancel(nil)
		switch {
		case cancelled:
			return errWithdrawn
		case errors.Is(cause, errRevoked):
			return errRevoked
		}
		return nil
	}
}

// lastMoment returns when Discord forgets the nonce of the first try, if that is
// before the caller's deadline.
func (s *sending) lastMoment(ctx context.Context) (last time.Time, ok bool) {
	if s.opened.IsZero() {
		return time.Time{}, false
	}
	last = s.opened.Add(nonceMemory)
	deadline, ok := ctx.Deadline()
	return last, !ok || last.Before(deadline)
}

// Waits between tries: doubled each time, then drawn from the upper half so
// that calls that failed together do not come back together.
const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 15 * time.Second
)

func backoff(try int) time.Duration {
	wait := min(firstBackoff<<min(try-1, 10), maxBackoff)
	return wait/2 + rand.N(wait/2)
}

// Sleep waits for d, or until ctx ends, and returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
