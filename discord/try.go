package discord

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"discordproxy/discord/ratelimit"

	"github.com/bwmarrin/discordgo"
)

// answer is one answer of Discord, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	limit  string // that was hit; see Try.Limit
	// checkToken: the limiter asks for a check of the token.
	checkToken bool
	// outcomeUnknown: an earlier try, or this one, may have taken effect.
	outcomeUnknown bool
}

// newSession returns the session that makes the requests of all tries. Its methods
// that wait for rate limits are not used: they lock a URL for the whole round trip
// and sleep regardless of the context.
func newSession(authorization, userAgent string) *discordgo.Session {
	// Otherwise it prints answers that it cannot decode.
	const silent = -1
	return &discordgo.Session{Token: authorization, UserAgent: userAgent, LogLevel: silent}
}

// slowestUpload is the speed, in bytes a second, at which a try's time is
// prolonged for its body.
const slowestUpload = 256 << 10

// ErrMayNotSend is the cause of a try that Config.MayNotSend has kept from being sent.
var ErrMayNotSend = errors.New("this process may not send to Discord at the moment")

var (
	// errTryTimeout ends a try that takes too long.
	errTryTimeout = errors.New("no response within the timeout of one attempt")
	// errNotBuilt is the error of an invalid request, which was not sent.
	// It does not contain the URL, which may contain a secret.
	errNotBuilt = errors.New("discord: the request could not be built")
)

// try sends a request once and ends the permit. Of a request that cannot be
// built the outcome is None.
func (t *transport) try(ctx context.Context, r *request, permit *ratelimit.Permit) (*answer, Outcome, error) {
	// A panic below must not keep the permit.
	defer permit.Lost()

	timeout := t.tryTimeout + time.Duration(len(r.body))*time.Second/slowestUpload
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTryTimeout)
	defer cancel()
	if t.mayNotSend != nil {
		if err := t.mayNotSend(); err != nil {
			permit.Cancel()
			return nil, Unsent, fmt.Errorf("%w: %w", ErrMayNotSend, err)
		}
	}
	x := &exchange{transport: t, by: r.by, permit: permit}
	x.send(ctx, r)
	switch {
	case x.answer != nil:
		return x.judge(ctx, r)
	case x.err == nil:
		permit.Cancel()
		return nil, None, errNotBuilt
	case x.began.Load() && !x.written.Load():
		// Only the connection pool itself can prove that no byte was sent.
		permit.Cancel()
		return nil, Unsent, causeOf(ctx, x.err)
	}
	return nil, Lost, causeOf(ctx, x.err)
}

// exchange is one request at Discord and what came back. It is the transport by
// which discordgo sends.
type exchange struct {
	*transport
	by     *Caller
	permit *ratelimit.Permit
	client http.Client
	bucket discordgo.Bucket

	began, written atomic.Bool
	answer         *answer // nil without one
	err            error   // of the upstream without an answer, or of the reading of the answer
}

// send makes and sends the request with discordgo. The exchange records more than
// discordgo returns.
func (x *exchange) send(ctx context.Context, r *request) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { x.began.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { x.permit.Begin() },
		WroteHeaders: func() { x.written.Store(true) },
	})
	session := x.token.current()
	if r.tokenless || r.otherToken != "" {
		session = x.bare
	}
	x.client.Transport = x
	x.bucket.Lock() // discordgo unlocks it
	_, _ = session.RequestWithLockedBucket(r.method, x.address(r), r.contentType, r.body, &x.bucket, 0,
		func(c *discordgo.RequestConfig) {
			if r.contentType == "" {
				delete(c.Request.Header, "Content-Type")
			}
			maps.Copy(c.Request.Header, r.header)
			c.Request = c.Request.WithContext(ctx)
			c.Client = &x.client
		})
}

// address returns the URL of a request at the API that this transport speaks to.
func (t *transport) address(r *request) string {
	if r.version == "" {
		return t.base + r.target()
	}
	return t.base + "/" + r.version + r.target()
}

// RoundTrip implements http.RoundTripper. It keeps the answer, and leaves only
// its status to discordgo, which would act on rate limits and redirects.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := x.upstream.RoundTrip(req)
	if err != nil {
		x.err = err
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if a.status < http.StatusBadRequest {
		// The limiter's estimate is better if it learns of the response early.
		x.permit.Complete(ratelimit.Response{Status: a.status, Header: a.header})
	}
	x.err = x.memory.read(req.Context(), x.by.Memory, a, resp.Body, resp.ContentLength, x.maxBytes)
	x.answer = a
	resp.Header, resp.Body = nil, http.NoBody
	return resp, nil
}

// judge says what an answer means.
func (x *exchange) judge(ctx context.Context, r *request) (*answer, Outcome, error) {
	a := x.answer
	if a.status < http.StatusBadRequest {
		if x.err != nil {
			return a, Lost, fmt.Errorf("read the answer: %w", causeOf(ctx, x.err))
		}
		if err := r.returns.check(a.status, a.body); err != nil {
			return a, Lost, err
		}
		return a, Settled, nil
	}
	if countsMilliseconds(r.version) {
		a.inSeconds()
	}
	verdict := x.permit.Complete(ratelimit.Response{Status: a.status, Header: a.header, Body: ratelimit.ParseBody(a.body)})
	a.checkToken = verdict.CheckToken
	if verdict.Limit != ratelimit.NotLimited {
		a.limit = verdict.Limit.String()
	}
	// The status alone determines what happened.
	switch {
	case a.status == http.StatusTooManyRequests || a.limit != "":
		return a, Limited, nil
	case serverFailed(a.status):
		return a, Failed, nil
	}
	return a, Settled, nil
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
