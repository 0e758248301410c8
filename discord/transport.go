package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"discordproxy/discord/ratelimit"
)

// transport sends requests to Discord's API when the rate limits allow it, and
// repeats them as far as that is harmless. It is an http.RoundTripper; every
// error it returns is an *Error.
type transport struct {
	base       *url.URL
	upstream   http.RoundTripper
	limiter    *ratelimit.Limiter
	tryTimeout time.Duration
	retryFor   time.Duration
	maxBytes   int64
	answers    *answers
	logger     *slog.Logger
	observers  []Observer
}

// Waits between tries: doubled each time, then drawn from the upper half so
// that calls that failed together do not come back together.
const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 15 * time.Second
)

// answer is one answer of Discord, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	limit  string // that was hit, see Try.Limit
	// checkToken: the limiter wants to know whether the token is good.
	checkToken bool
}

// answerBody is the body of a response that the transport gives out.
type answerBody struct {
	bytes.Reader
	bytes []byte
	// outcomeUnknown: an earlier try, or this one, may have taken effect.
	outcomeUnknown bool
}

func (*answerBody) Close() error { return nil }

// RoundTrip sends a request whose URL is one of discord.com. The body must be
// repeatable by GetBody.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	how, _ := ctx.Value(callKey{}).(call)
	path, at, err := t.locate(req.URL, how.path)
	if err != nil {
		return nil, &Error{Reason: Unreachable, cause: err}
	}
	// What is sent in each try but for its context and body.
	req = req.Clone(ctx)
	req.URL, req.Host = at, ""
	held := ratelimit.Request{
		Token:  or(how.guest, BotToken),
		Guest:  how.guest != "",
		Caller: Caller(ctx),
		Line:   ratelimit.LineOf(req.Method, path+"?"+at.RawQuery),
		Bytes:  max(req.ContentLength, 0),
		Probe:  how.probe,
		Joined: how.joined,
	}
	defer func() {
		if held.Retry != nil {
			held.Retry.Done()
		}
	}()
	// What earlier tries of this call left behind.
	var (
		limited *answer // the newest answer that spoke of a limit
		unknown bool    // a try may have taken effect
		before  Outcome
		failing time.Duration // spent on tries that failed, and between tries
		opened  time.Time     // when the first try of unknown outcome was sent
	)
	for try := 1; ; try++ {
		// Anew each time: Discord counts apart by the age of a message.
		held.Route = ratelimit.RouteOf(req.Method, path, how.kind, time.Now())
		seen := Try{Route: held.Route.String(), Resource: held.Route.Major, Number: try, Before: before, Once: how.once, Began: time.Now()}
		permit, err := t.acquire(ctx, held, opened)
		if asksForCheck(err) {
			t.checkToken(req, how.guest)
			permit, err = t.acquire(ctx, held, opened)
		}
		if err != nil {
			seen.Outcome, seen.Err = Refused, err
			t.tried(ctx, seen)
			failure := refusal(ctx, err)
			if limited != nil && failure.Reason == DeadlineExceeded {
				failure = failure.limitedBy(answerError(limited.status, limited.header, limited.body))
			}
			failure.OutcomeUnknown = unknown
			return nil, failure
		}
		held.Retry, held.Joined = permit, nil

		seen.Sent = time.Now()
		a, outcome, err := t.try(req, permit)
		seen.Outcome, seen.Err, before = outcome, err, outcome
		if a != nil {
			seen.Status, seen.Limit = a.status, a.limit
			if isNoRoute(a.status, a.header, a.body) {
				seen.Route = OtherRoute(req.Method)
			}
		}
		t.tried(ctx, seen)
		if a != nil && a.checkToken {
			t.checkToken(req, how.guest)
		}

		switch outcome {
		case Limited:
			limited = a
			t.logger.WarnContext(ctx, "Discord limited a call, which is held", "route", seen.Route, "resource", seen.Resource, "status", a.status, "scope", a.header.Get("X-Ratelimit-Scope"), "try", try)
			continue
		case Settled:
			if unknown && how.done != 0 && a.status >= 400 && answerError(a.status, a.header, a.body).Code == how.done {
				// The try before has done it.
				a = &answer{status: http.StatusNoContent, header: a.header}
			}
			return a.response(req, unknown), nil
		}

		unknown = unknown || outcome.unclear() && req.Method != http.MethodGet
		if ctx.Err() != nil {
			failure := contextError(ctx)
			failure.OutcomeUnknown = unknown
			return nil, failure
		}
		if outcome != Unsent && opened.IsZero() {
			opened = seen.Sent
		}
		wait := backoff(try)
		if outcome == Failed {
			asked, _ := ratelimit.RetryAfter(a.header)
			wait = max(wait, asked)
		}
		if failing += wait; outcome != Lost {
			failing += time.Since(seen.Sent)
		}
		if t.retryFor < 0 || outcome != Unsent && !how.repeatable || t.tooLate(ctx, wait, failing, opened) {
			if outcome == Failed {
				return a.response(req, unknown), nil
			}
			return nil, &Error{Reason: Unreachable, OutcomeUnknown: unknown, cause: err}
		}
		t.logger.WarnContext(ctx, "A try of a call failed, it is repeated", "route", seen.Route, "resource", seen.Resource, "try", try, "wait", wait.Round(time.Millisecond), "status", seen.Status, "error", err)
		if err := sleep(ctx, wait); err != nil {
			failure := contextError(ctx)
			failure.OutcomeUnknown = unknown
			return nil, failure
		}
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
func (t *transport) tooLate(ctx context.Context, wait, failing time.Duration, opened time.Time) bool {
	next := time.Now().Add(wait)
	deadline, ok := ctx.Deadline()
	if !opened.IsZero() && next.After(opened.Add(nonceMemory)) {
		return true
	}
	return ok && next.After(deadline) || !ok && failing > t.retryFor
}

// errTooLate ends a call whose next try would come too late.
var errTooLate = errors.New("the limits allow no further try while Discord remembers the first")

// acquire waits for the permit of a try, but not beyond the last moment for it.
func (t *transport) acquire(ctx context.Context, held ratelimit.Request, opened time.Time) (*ratelimit.Permit, error) {
	allowed, stop := whileAllowed(ctx)
	defer stop()
	permit, err := t.acquireBefore(allowed, held, opened)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(allowed), errRevoked) {
		return nil, errRevoked
	}
	return permit, err
}

func (t *transport) acquireBefore(ctx context.Context, held ratelimit.Request, opened time.Time) (*ratelimit.Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opened.IsZero() {
		return t.limiter.Acquire(ctx, held)
	}
	last := opened.Add(nonceMemory)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(last) {
		last = deadline
	}
	within, cancel := context.WithDeadline(ctx, last)
	defer cancel()
	permit, err := t.limiter.Acquire(within, held)
	if deadline, ok := ctx.Deadline(); errors.Is(err, context.DeadlineExceeded) && (!ok || last.Before(deadline)) {
		return nil, errTooLate
	}
	return permit, err
}

// serverFailed reports whether a status leaves open what Discord, or the
// network before it, did with the request.
func serverFailed(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return status >= 520 && status <= 530
}

func backoff(try int) time.Duration {
	wait := min(firstBackoff<<min(try-1, 10), maxBackoff)
	return wait/2 + rand.N(wait/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// slowestUpload is the speed, in bytes a second, at which a try's time is
// prolonged for its body.
const slowestUpload = 256 << 10

// errTryTimeout ends a try that takes too long.
var errTryTimeout = errors.New("no answer within the time of one try")

// try sends the request once and ends the permit.
func (t *transport) try(req *http.Request, permit *ratelimit.Permit) (a *answer, outcome Outcome, err error) {
	// A panic below must not keep the permit.
	defer permit.Lost()

	timeout := t.tryTimeout + time.Duration(max(req.ContentLength, 0))*time.Second/slowestUpload
	ctx, cancel := context.WithTimeoutCause(req.Context(), timeout, errTryTimeout)
	defer cancel()
	var began, written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { began.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { permit.Begin() },
		WroteHeaders: func() { written.Store(true) },
	})
	out := req.WithContext(ctx)
	if req.GetBody != nil {
		if out.Body, err = req.GetBody(); err != nil {
			permit.Cancel()
			return nil, Unsent, fmt.Errorf("read the request's body again: %w", err)
		}
	}
	resp, err := t.upstream.RoundTrip(out)
	if err != nil {
		err = causeOf(ctx, err)
		// Only what the connection pool itself says proves that not a byte
		// has left.
		if began.Load() && !written.Load() {
			permit.Cancel()
			return nil, Unsent, err
		}
		permit.Lost()
		return nil, Lost, err
	}
	defer resp.Body.Close()
	a = &answer{status: resp.StatusCode, header: resp.Header}
	if a.status < 400 {
		// The limiter's estimate is the better the sooner it hears.
		permit.Complete(ratelimit.Response{Status: a.status, Header: a.header})
	}
	err = t.answers.read(ctx, a, resp.Body, t.maxBytes)
	if a.status >= 400 {
		how, _ := req.Context().Value(callKey{}).(call)
		if how.path != nil && CountsMilliseconds(how.path.String()) {
			a.inSeconds()
		}
		verdict := permit.Complete(ratelimit.Response{Status: a.status, Header: a.header, Body: ratelimit.ParseBody(a.body)})
		a.checkToken = verdict.CheckToken
		if verdict.Limit != ratelimit.NotLimited {
			a.limit = verdict.Limit.String()
		}
		// The status alone says what happened.
		switch {
		case a.status == http.StatusTooManyRequests || a.limit != "":
			return a, Limited, nil
		case serverFailed(a.status):
			return a, Failed, nil
		}
		return a, Settled, nil
	}
	if err != nil {
		return a, Lost, fmt.Errorf("read the answer: %w", causeOf(ctx, err))
	}
	how, _ := req.Context().Value(callKey{}).(call)
	switch {
	case a.status >= http.StatusMultipleChoices:
	case how.returns != Anything && !how.returns.in(a.body):
		return a, Lost, fmt.Errorf("the answer %d is not %s", a.status, how.returns)
	case how.returns == Anything && how.json && a.status <= http.StatusCreated && !json.Valid(a.body):
		return a, Lost, errors.New("the answer is not JSON")
	}
	return a, Settled, nil
}

// causeOf prefers the reason for which a context was ended. The text of an
// error is cut: net/http quotes what it cannot read.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if text := err.Error(); len(text) > maxErrorText {
		return &cutError{cut(text, maxErrorText), err}
	}
	return err
}

// cutError is an error whose text is too long to be logged.
type cutError struct {
	text  string
	cause error
}

func (e *cutError) Error() string        { return e.text }
func (e *cutError) Is(target error) bool { return errors.Is(e.cause, target) }

func (a *answer) response(req *http.Request, outcomeUnknown bool) *http.Response {
	body := &answerBody{bytes: a.body, outcomeUnknown: outcomeUnknown}
	body.Reset(a.body)
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: body, ContentLength: int64(len(a.body)), Request: req,
	}
}

// locate returns the part of an API path behind the version, and the URL of
// the same route at the API that this transport speaks to. The version is that
// of forwarded, a path that another program wrote, or this package's own.
func (t *transport) locate(u *url.URL, forwarded *APIPath) (path string, at *url.URL, err error) {
	version := apiVersion
	if forwarded != nil {
		version, path = forwarded.version, forwarded.below
	} else {
		_, rest, ok := strings.Cut(u.EscapedPath(), "/api/v")
		_, below, more := strings.Cut(rest, "/")
		if !ok || !more {
			return "", nil, errors.New("the path is not one of Discord's API")
		}
		path = "/" + below
	}
	at = t.base.JoinPath(version, path)
	at.RawQuery = u.RawQuery
	return path, at, nil
}
