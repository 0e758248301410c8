package outbox

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/store"
)

// Maker makes calls.
type Maker interface {
	// Repeats reports how the call of a delivery may be repeated if the outcome of an
	// attempt is unknown.
	Repeats(method string, request []byte) Repeats
	// Make makes the call of a delivery, with a nonce that is made from the delivery.
	// All that changes something at Discord is recorded in the journal. An error that
	// is a *Held says that the caller may not make the call at the moment. d.TriedAt
	// is set if a try may have taken effect.
	Make(ctx context.Context, d store.Delivery, request []byte, journal *discord.Journal) (Made, error)
	// Find looks for the effect of the attempt that began at d.TriedAt.
	Find(ctx context.Context, d store.Delivery, request []byte) (Made, Found, error)
	// Describe returns the status of a call that failed, and its document for clients.
	Describe(err error) (status string, document []byte)
}

// Made identifies what a call created or changed. Both IDs are 0 if it has none.
type Made struct{ Channel, Message uint64 }

// Repeats is how a call may be repeated when it is not known what a try did.
type Repeats int

const (
	// Never: repeating the call could have a second effect.
	Never Repeats = iota
	// WithNonce: for as long as Discord remembers the nonce.
	WithNonce
	// Always: the call is idempotent.
	Always
)

// Found is the result of the search for the effect of an attempt.
type Found int

const (
	// Hidden: it cannot be seen.
	Hidden Found = iota
	Missing
	There
)

// Held is the error of a call that its caller may not make at the moment.
type Held struct{ Err error }

func (h *Held) Error() string { return h.Err.Error() }
func (h *Held) Unwrap() error { return h.Err }

// nonceMemory is how long after a try its message is sent again with the same nonce:
// Discord remembers nonces for a few minutes, and package discord sends none after
// two.
const nonceMemory = 100 * time.Second

// flight is a delivery that is being made.
type flight struct {
	*Outbox
	d       store.Delivery
	stopped context.Context // ends the wait for Discord's limits
	stop    context.CancelCauseFunc
	counts  bool // against the limit of its caller; guarded by Outbox.mu
	begun   atomic.Bool

	// State of the attempts of this process.
	open    bool // a try has begun
	unclear bool // one may have taken effect
}

// Why a flight stops waiting for Discord's limits.
var (
	errCancelled = errors.New("the delivery was cancelled")
	errReplaced  = errors.New("the delivery was replaced by a newer one")
	errExpired   = errors.New("the delivery has expired")
	errEnding    = errors.New("the server is shutting down")
)

type stoppedKey struct{}

// Stopped returns why the outbox withdrew the call for which a Maker got ctx, nil if it
// did not.
func Stopped(ctx context.Context) error {
	if why, ok := ctx.Value(stoppedKey{}).(func() error); ok {
		return why()
	}
	return nil
}

// begin starts a flight. o.mu is held.
func (o *Outbox) begin(ctx context.Context, running *sync.WaitGroup, d store.Delivery) {
	f := &flight{Outbox: o, d: d, counts: true}
	f.stopped, f.stop = context.WithCancelCause(ctx)
	l := line{d.Caller, d.Target}
	o.flights[d.Seq], o.lines[l] = f, f
	o.active[d.Caller]++
	o.bytes += d.Bytes
	running.Go(func() {
		defer f.stop(nil)
		if left := time.Until(d.ExpiresAt); left > 0 {
			defer time.AfterFunc(left, func() { f.stop(errExpired) }).Stop()
		}
		lingers := time.AfterFunc(slow, f.linger)
		defer lingers.Stop()
		f.fly(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.flights, d.Seq)
		delete(o.lines, l)
		o.bytes -= d.Bytes
		f.discount()
		o.scheduleLocked(d.Caller, time.Time{})
		o.poke()
	})
}

// linger lets others take the place of a flight that waits for long.
func (f *flight) linger() {
	if f.begun.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discount()
	f.scheduleLocked(f.d.Caller, time.Time{})
	f.poke()
}

func (f *flight) discount() {
	if !f.counts {
		return
	}
	f.counts = false
	if f.active[f.d.Caller]--; f.active[f.d.Caller] == 0 {
		delete(f.active, f.d.Caller)
	}
}

// fly makes the delivery, as far as possible at the moment.
func (f *flight) fly(ctx context.Context) {
	request, err := f.Request(ctx, f.d.Seq)
	if f.noted(ctx, err) != nil {
		f.pause(pollInterval)
		return
	}
	repeats := f.maker.Repeats(f.d.Method, request)
	if !f.d.TriedAt.IsZero() && !f.mayRepeat(repeats) && !f.find(ctx, request) {
		return
	}
	made, err := f.make(ctx, request)
	if err == nil {
		f.finish(ctx, store.Delivered, made, nil)
		return
	}
	f.failed(ctx, request, repeats, err)
}

// mayRepeat reports whether the call can be made again although a try may have taken
// effect. A moment in the future is that of a clock that jumped.
func (f *flight) mayRepeat(r Repeats) bool {
	age := time.Since(f.d.TriedAt)
	if time.Now().After(f.d.ExpiresAt) {
		return false
	}
	return r == Always || r == WithNonce && age >= 0 && age < nonceMemory
}

// find looks for what a try did, and reports whether the call is to be made.
func (f *flight) find(ctx context.Context, request []byte) (again bool) {
	made, found, err := f.maker.Find(caller.Until(ctx, f.stopped), f.d, request)
	switch {
	case err != nil:
		f.suspend(ctx, err, true)
		return false
	case found == There:
		f.finish(ctx, store.Delivered, made, nil)
		return false
	case found == Hidden && !f.d.Resend:
		f.d.Reason = "the proxy may not read whether an interrupted request took effect"
		f.finish(ctx, store.Unknown, Made{}, nil)
		return false
	case time.Now().After(f.d.ExpiresAt):
		f.finish(ctx, store.Expired, Made{}, nil)
		return false
	}
	if f.noted(ctx, f.Reopen(ctx, f.d.Seq, time.Time{}, "")) != nil {
		f.pause(pollInterval)
		return false
	}
	f.d.TriedAt, f.unclear = time.Time{}, false
	return true
}

// make makes the call once.
func (f *flight) make(ctx context.Context, request []byte) (Made, error) {
	f.unclear = !f.d.TriedAt.IsZero()
	f.open = f.unclear
	journal := &discord.Journal{Opened: f.d.TriedAt, Begin: f.beginTry, Ended: f.endTry}
	ctx = context.WithValue(ctx, stoppedKey{}, func() error { return context.Cause(f.stopped) })
	return f.maker.Make(caller.Until(ctx, f.stopped), f.d, request, journal)
}

// beginTry notes that a try begins.
func (f *flight) beginTry(ctx context.Context) error {
	f.begun.Store(true)
	now := time.Now()
	ok, err := f.BeginTry(context.WithoutCancel(ctx), f.d.Seq, now)
	if f.noted(ctx, err) != nil {
		return err
	}
	if !ok {
		return errEnded
	}
	f.open = true
	if f.d.TriedAt.IsZero() {
		f.d.TriedAt = now
	}
	return nil
}

// endTry notes when it is certain that no try took effect.
func (f *flight) endTry(ctx context.Context, outcome discord.Outcome) {
	switch outcome {
	case discord.Failed, discord.Lost:
		f.unclear = true
	case discord.Limited, discord.Unsent:
		if !f.unclear {
			f.open, f.d.TriedAt = false, time.Time{}
			// If this is not recorded, the outcome only counts as unknown for longer.
			_ = f.noted(ctx, f.Reopen(context.WithoutCancel(ctx), f.d.Seq, time.Time{}, ""))
		}
	}
}

// failed decides what happens to a delivery whose call failed.
func (f *flight) failed(ctx context.Context, request []byte, repeats Repeats, err error) {
	e, ok := errors.AsType[*discord.Error](err)
	switch {
	case errors.Is(err, errEnded):
		f.mu.Lock() // the schedule says what became of it
		f.nextDue = time.Now()
		f.mu.Unlock()
	case !ok && !isHeld(err) && f.open:
		f.settle(ctx, request, err, "the proxy failed after a request had begun, and may not read whether that took effect")
	case !ok && !isHeld(err):
		f.finish(ctx, store.Failed, Made{}, err)
	case !ok:
		f.suspend(ctx, err, f.open)
	case !final(e):
		f.suspend(ctx, err, e.OutcomeUnknown)
	case e.OutcomeUnknown && repeats != Always:
		// A try took effect, or none did; the refusal is that of another one.
		f.settle(ctx, request, err, "Discord refused a repeated request, and the proxy may not read whether the first one took effect")
	default:
		f.finish(ctx, store.Failed, Made{}, err)
	}
}

// settle ends a delivery that failed after a try that may have taken effect. hidden is
// the reason if nobody can find out whether it did.
func (f *flight) settle(ctx context.Context, request []byte, err error, hidden string) {
	if f.d.TriedAt.IsZero() {
		f.d.TriedAt = time.Now()
	}
	made, found, lost := f.maker.Find(caller.Until(ctx, f.stopped), f.d, request)
	switch {
	case lost != nil:
		f.suspend(ctx, lost, true)
	case found == There:
		f.finish(ctx, store.Delivered, made, nil)
	case found == Missing:
		f.finish(ctx, store.Failed, Made{}, err)
	default:
		f.d.Reason = hidden
		f.finish(ctx, store.Unknown, Made{}, err)
	}
}

func isHeld(err error) bool {
	_, ok := errors.AsType[*Held](err)
	return ok
}

// final reports whether an error is Discord's last word on a call.
func final(e *discord.Error) bool {
	if e.Reason != discord.Answered && e.Reason != discord.Invalid {
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// Waits before a delivery is tried again.
const (
	firstWait = time.Second
	maxWait   = time.Minute
	heldWait  = 10 * time.Second
)

// suspend lets the delivery rest, with a try open if that may have taken effect.
// While Discord cannot be reached, so do all others.
func (f *flight) suspend(ctx context.Context, err error, open bool) {
	ctx = context.WithoutCancel(ctx)
	wait, reason := heldWait, err.Error()
	e, ok := errors.AsType[*discord.Error](err)
	if ok {
		wait = min(max(firstWait<<min(f.d.Tries, 6), e.RetryAfter), maxWait)
		switch e.Reason {
		case discord.Revoked, discord.Canceled, discord.ShuttingDown, discord.DeadlineExceeded:
			wait, reason = 0, "" // it was stopped here
		case discord.Unreachable, discord.MayNotSend, discord.Banned, discord.BudgetSpent, discord.TokenRefused:
			f.pause(min(wait, 5*time.Second))
			wait = firstWait
		}
	}
	next := time.Time{}
	if wait > 0 {
		next = time.Now().Add(wait)
	}
	rest := f.Reopen
	if open {
		rest = f.Suspend
	}
	if f.noted(ctx, rest(ctx, f.d.Seq, next, reason)) != nil {
		f.pause(pollInterval)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dueLocked(f.d) // it could not expire while a try was open
}

// pause lets no flight begin for a while.
func (o *Outbox) pause(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if until := time.Now().Add(d); until.After(o.paused) {
		o.paused = until
	}
}

// finish ends the delivery. Its result must not be lost, so it is written again and
// again until it is on disk or the process ends.
func (f *flight) finish(ctx context.Context, state store.DeliveryState, made Made, err error) {
	f.d.State, f.d.FinishedAt = state, time.Now()
	if state == store.Delivered {
		f.d.Reason = ""
	}
	f.d.Channel, f.d.Message = int64(made.Channel), int64(made.Message)
	if err != nil {
		f.d.Status, f.d.Failure = f.maker.Describe(err)
	}
	for {
		done, err := f.Finish(context.WithoutCancel(ctx), f.d)
		if f.noted(ctx, err) == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if done {
				f.ended[state].Add(1)
			}
			f.announceLocked()
			return
		}
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return
		}
		_ = discord.Sleep(ctx, pollInterval) // the loop looks at ctx
	}
}
