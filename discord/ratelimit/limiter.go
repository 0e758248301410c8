package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Config sets the limits that headers do not show. The zero value is ready to
// use.
type Config struct {
	// GlobalLimit is the number of calls a second that Discord allows a token
	// over all its routes. 0 means Discord's ordinary 50, a negative number no
	// limit. Other tokens have the ordinary limit, if there is one.
	GlobalLimit int
	// MaxQueue is the number of calls that may wait, those of [Limiter.Enter]
	// included. 0 means 10,000.
	MaxQueue int
	// MaxQueueBytes is the size of the bodies of all waiting calls. 0 means
	// 256 MiB.
	MaxQueueBytes int64
	// InvalidRequestLimit is the number of answers 401, 403 and 429 (not of
	// scope shared) in ten minutes at which Discord bans the address, over all
	// tokens. One at least is always kept, so it must be more than 1. 0 means
	// Discord's 10,000.
	InvalidRequestLimit int
	// Address is that of other limiters, too, which share its count and bans. All of
	// them must have the same InvalidRequestLimit. Nil means that there are none.
	Address *Address
	// MaxOtherTokens is the number of tokens, other than the process's own, whose
	// limits are tracked. Beyond it the token that was used longest ago is
	// forgotten. 0 means 1,000.
	MaxOtherTokens int
	// Changed is called whenever Export has something new to return. It must not
	// block or call the Limiter. urgent is whether a crash should not lose it: an
	// invalid request was counted, or the first headers of a route have come. It may
	// be nil.
	Changed func(urgent bool)
}

// defaults are Discord's limits, and ours.
const (
	defaultGlobalLimit    = 50
	defaultMaxQueue       = 10_000
	defaultMaxQueueBytes  = 256 << 20
	defaultInvalidLimit   = 10_000
	defaultMaxOtherTokens = 1_000
)

// Limiter holds calls until Discord will take them. It is safe for concurrent
// use.
type Limiter struct {
	began time.Time
	epoch instant // the same

	snapshotting sync.Mutex // held during a snapshot, locked before mu

	mu    sync.Mutex
	core  *core
	timer *time.Timer
	armed instant // when timer fires; never if it does not
}

// New returns a Limiter. It starts no goroutine.
func New(c Config) (*Limiter, error) {
	if c.MaxQueue < 0 || c.MaxQueueBytes < 0 || c.InvalidRequestLimit < 0 || c.MaxOtherTokens < 0 {
		return nil, errors.New("ratelimit: MaxQueue, MaxQueueBytes, InvalidRequestLimit and MaxOtherTokens must not be negative")
	}
	if c.InvalidRequestLimit == 1 {
		return nil, errors.New("ratelimit: an InvalidRequestLimit of 1 lets no call go")
	}
	began := time.Now()
	l := &Limiter{began: began, epoch: instant(began.UnixNano()), core: newCore(c), armed: never}
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	if c.Address != nil {
		c.Address.join(l)
	}
	return l, nil
}

// Request is a call that asks to be sent.
type Request struct {
	Route Route
	// Token names whose limits the call uses. It is compared only: pass a name
	// or a hash, never the secret. Routes that carry a token of their own
	// (webhooks, interactions) ignore it.
	Token string
	// OtherToken is whether the token is not the process's own but came with the
	// call. There may be any number of them, good and bad.
	OtherToken bool
	// Caller is the name of the caller that gets a fair share.
	Caller string
	// Line names what keeps its order; see [LineOf]: of the calls with the same
	// Line and Caller the next one is sent when the one before has ended for
	// good, its tries and the time between them included. Empty for calls that
	// may go side by side. A permit of such a call, the last one it got, must
	// also be ended by [Permit.Done].
	Line string
	// Joined is called once the call has its place in the queue: later calls of the same
	// line are behind it. It may be nil, must not block and is not called for a call that
	// is refused immediately.
	Joined func()
	// Bytes is the memory that the call's body holds while it waits.
	Bytes int64
	// Retry is the permit of this call's earlier try, or nil for the first one.
	// The call keeps the place it had, ahead of all that came after it, and
	// is not refused for a full queue.
	Retry *Permit
	// Entered is whether the call waited for something else before, see
	// [Limiter.Enter]. It is not refused for a full queue.
	Entered bool
	// Before is how long before the limiter's beginning the call came to another
	// process, which has passed it on unsent. The call takes its place ahead of all that
	// came later. 0 means that it comes now.
	Before time.Duration
	// Probe marks a check of the token: a call that Discord answers with 401 if
	// the token is bad, and with another status if it is good. It passes
	// although the token is refused. A 401 refuses all calls of the token, any
	// other answer lifts the refusal.
	Probe bool
}

// Acquire waits until r may be sent. It returns a plain context error when ctx
// ends first, and an *[Error] when the call is refused: immediately if that can be
// known, or as soon as it becomes known. A call that got an error is never
// sent later and its place is free.
//
// The permit must be ended by one of its methods. One that is not ended within
// fifteen minutes counts as [Permit.Lost].
func (l *Limiter) Acquire(ctx context.Context, r Request) (*Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Permit{limiter: l, call: call{deadline: never}}
	if deadline, ok := ctx.Deadline(); ok {
		p.call.deadline = l.at(deadline)
	}
	var state callState
	l.do(func(now instant) {
		l.core.admit(&p.call, &r, now)
		state = p.call.state
	})

	if r.Joined != nil && state != callRefused {
		r.Joined()
	}
	if state == callWaits {
		select {
		case <-p.call.woken:
		case <-ctx.Done():
			l.do(func(now instant) { l.core.leave(&p.call, now) })
			if p.call.err == nil {
				return nil, ctx.Err()
			}
		}
	}
	// Once decided, err is not written any more.
	if p.call.err != nil {
		return nil, p.call.err
	}
	return p, nil
}

// Enter counts a call that waits for something other than a limit, with the bytes of its
// body, until Leave: it takes a place in the queue and is part of what [Limiter.Snapshot]
// returns as waiting. The error of a full queue has the reason QueueFull. A retry is
// counted even then.
func (l *Limiter) Enter(bytes int64, retry bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !retry && l.core.isFull(bytes) {
		return &Error{Reason: QueueFull}
	}
	l.core.entered++
	l.core.enteredBytes += bytes
	return nil
}

// Leave ends the wait of a call that Enter counted.
func (l *Limiter) Leave(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core.entered--
	l.core.enteredBytes -= bytes
}

// AllowToken forgets that Discord refused the token, after it was checked or
// replaced.
func (l *Limiter) AllowToken(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core.allow(token)
}

// Close refuses all waiting and all later calls with [Closed]. Permits given
// before may still be ended.
func (l *Limiter) Close() {
	if a := l.core.address; a != nil {
		a.leave(l)
	}
	l.do(func(now instant) {
		l.core.close(now)
		l.timer.Stop()
	})
}

// do has f decide with the lock held. Afterwards the timer is set to what comes next, and
// others of the address hear what was found out.
func (l *Limiter) do(f func(now instant)) {
	l.mu.Lock()
	defer l.unlock()
	now := l.now()
	f(now)
	l.arm(now)
}

// now is the time since the Unix epoch, by a clock that never steps.
func (l *Limiter) now() instant { return l.epoch.add(time.Since(l.began)) }

func (l *Limiter) at(t time.Time) instant {
	return l.epoch.add(min(t.Sub(l.began), never.sub(l.epoch)))
}

// time turns an instant back into a time; 0 into the zero time.
func (l *Limiter) time(t instant) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return l.began.Add(t.sub(l.epoch))
}

// arm sets the timer to the moment when there is something to do. A timer that
// fires too early finds nothing to do and is set again.
func (l *Limiter) arm(now instant) {
	if at := l.core.nextDue(now); at < l.armed && !l.core.closed {
		l.armed = at
		l.timer.Reset(at.sub(now))
	}
}

func (l *Limiter) tick() {
	l.do(func(now instant) {
		l.armed = never
		l.core.advance(now)
	})
}

// Permit is the right to send one request now. Exactly the first of Complete,
// Cancel and Lost has an effect; all are safe for concurrent use.
type Permit struct {
	limiter *Limiter
	call    call
}

// Begin says that the request is about to be written to a connection that is
// ready. It may be left out; but the limiter times later calls by how long
// earlier ones took to arrive, and the making of a connection would make them
// look slow.
func (p *Permit) Begin() { p.call.begun.Store(int64(p.limiter.now())) }

// Complete teaches the limiter Discord's answer, and says what it meant.
// It is to be called as soon as status and headers have arrived; for answers
// with a status of 400 or more, once the body was read.
func (p *Permit) Complete(r Response) (v Verdict) {
	p.limiter.do(func(now instant) { v = p.limiter.core.complete(&p.call, &r, now) })
	return v
}

// Cancel gives back the permit of a request if certainly nothing of it was
// sent.
func (p *Permit) Cancel() {
	p.limiter.do(func(now instant) { p.limiter.core.cancel(&p.call, now) })
}

// Lost ends the permit of a request that may have reached Discord but has no
// answer.
func (p *Permit) Lost() {
	p.limiter.do(func(now instant) { p.limiter.core.lose(&p.call, now) })
}

// Done says that the call makes no further try, after its last try has ended.
// Nothing else lets the next call of its [Request.Line] go. For calls without
// a line it does nothing.
func (p *Permit) Done() {
	if p.call.line != nil {
		p.limiter.do(func(now instant) { p.limiter.core.done(&p.call, now) })
	}
}

// Barred says what keeps every call of a token from being sent: a [Banned] or
// [TokenRefused] error, or nil. It is cheap whatever the number of buckets.
func (l *Limiter) Barred(token string) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, c := l.now(), l.core
	if c.ban.active && now < c.ban.until {
		return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)}
	}
	if a := c.accounts[accountKey{token: token}]; a != nil && a.refusal.active {
		return &Error{Reason: TokenRefused, RetryAfter: max(a.refusal.retry.sub(now), probeTime)}
	}
	return nil
}

// Reason is the reason of a refusal.
type Reason int

const (
	// DeadlineTooEarly: the earliest possible slot lies beyond the deadline of
	// the caller's context. [Error.RetryAfter] says when it could have gone.
	// errors.Is(err, context.DeadlineExceeded) holds.
	DeadlineTooEarly Reason = iota + 1
	// QueueFull: too many calls, or too many bytes of bodies, wait.
	QueueFull
	// TooManyTokens: the limits of [Config.MaxOtherTokens] tokens are in use, and
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
	// RetryAfter is the time from the error until the call could be sent at the earliest,
	// or 0 if it is not known.
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
		text += fmt.Sprintf("; retry after %v", e.RetryAfter.Round(time.Millisecond))
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
