// Package outbox stores the calls of clients on disk and makes them later. It decides
// when a delivery is made and what its outcome means; a Maker makes the call.
//
// Of all waiting deliveries, only those in progress are in memory. A
// caller's deliveries to one target are made one after the other: the store returns
// the next one, so neither the number of targets nor the number of deliveries
// matters. They wait for Discord's limits like calls of the same caller, and get its
// fair share.
//
// The start of each attempt is on disk before the attempt is sent. If the outcome of an
// attempt is unknown, for example after a crash, the call is repeated where that is safe:
// always if the call is idempotent, and as long as Discord remembers the nonce if the
// call posts a message. Otherwise, the Maker finds out what the attempt did.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/store"
)

// Config configures an Outbox. Records is required.
type Config struct {
	// Records stores the deliveries.
	Records *store.Outbox
	// MaxDeliveries limits the deliveries that have not ended, and the records of
	// those that have; MaxBytes limits the size of all requests that are kept. 0
	// means 1,000,000 and 1 GiB.
	MaxDeliveries, MaxBytes int64
	// Keep is how long the record of a delivery is kept after its end. 0 means 7
	// days.
	Keep time.Duration
	// Usable returns why no call can be made at the moment. A nil Usable means always.
	Usable func() error
	// Logger receives the reasons why deliveries cannot be made. Nil means slog.Default().
	Logger *slog.Logger
}

// Defaults of Config.
const (
	DefaultMaxDeliveries = 1_000_000
	DefaultMaxBytes      = 1 << 30
	DefaultKeep          = 7 * 24 * time.Hour
)

// How many deliveries are made at the same time. Those of one caller that wait for
// their turn any longer than slow no longer count, so that slow targets do not hold
// up the others. Each caller has some places that others cannot take.
const (
	maxOfCaller = 64
	minOfCaller = 8
	maxAll      = 2048
	maxBytes    = 64 << 20
	slow        = 3 * time.Second
)

// Outbox accepts deliveries and makes them. Its methods are safe for concurrent use.
type Outbox struct {
	*store.Outbox // the records
	limits        store.OutboxLimits
	keep          time.Duration
	usable        func() error
	logger        *slog.Logger
	maker         Maker // set by Run
	wake          chan struct{}
	abandoned     chan struct{}                   // closed by Abandon
	ended         [store.Unknown + 1]atomic.Int64 // by state
	failing       atomic.Pointer[error]           // of the newest write, or nil if that succeeded

	mu      sync.Mutex
	callers map[string]time.Time // who has deliveries to be made, and when to check
	flights map[int64]*flight
	lines   map[line]*flight
	active  map[string]int // flights that count, by caller
	bytes   int64          // of the requests in flight
	nextDue time.Time      // when to check the schedule
	paused  time.Time      // nothing is made before
	changed chan struct{}  // closed when deliveries end
}

// line is what keeps its order.
type line struct{ caller, target string }

// New returns an Outbox. Deliveries are accepted from then on, and made by Run.
func New(c Config) *Outbox {
	o := &Outbox{
		Outbox: c.Records,
		limits: store.OutboxLimits{Deliveries: cmp.Or(c.MaxDeliveries, DefaultMaxDeliveries), Bytes: cmp.Or(c.MaxBytes, DefaultMaxBytes)},
		keep:   cmp.Or(c.Keep, DefaultKeep),
		usable: c.Usable,
		logger: c.Logger,
		wake:   make(chan struct{}, 1), abandoned: make(chan struct{}),
		callers: make(map[string]time.Time), flights: make(map[int64]*flight), lines: make(map[line]*flight), active: make(map[string]int),
		changed: make(chan struct{}),
	}
	if o.logger == nil {
		o.logger = slog.Default()
	}
	if o.usable == nil {
		o.usable = func() error { return nil }
	}
	return o
}

// Enqueue accepts deliveries in one transaction and returns when they are on disk.
// It sets their state and when they were enqueued.
func (o *Outbox) Enqueue(ctx context.Context, deliveries ...store.Delivery) ([]store.Enqueued, error) {
	now := time.Now()
	for i := range deliveries {
		d := &deliveries[i]
		d.EnqueuedAt, d.State = now, store.Waiting
		if d.NotBefore.After(now) {
			d.State = store.Scheduled
		}
	}
	results, err := o.Outbox.Enqueue(ctx, o.limits, deliveries)
	if o.noted(ctx, err) != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range results {
		if r.Err != nil || r.Duplicate {
			continue
		}
		if r.Delivery.State == store.Waiting {
			o.scheduleLocked(r.Delivery.Caller, time.Time{})
		}
		o.dueLocked(r.Delivery)
		if len(r.Replaced) > 0 {
			o.ended[store.Cancelled].Add(int64(len(r.Replaced)))
			o.announceLocked()
			for _, seq := range r.Replaced {
				if f := o.flights[seq]; f != nil {
					f.stop(errReplaced) // so that the newer one gets a place in the queue for the limits now
				}
			}
			o.scheduleLocked(r.Delivery.Caller, time.Time{}) // the next of their lines
		}
	}
	o.poke()
	return results, nil
}

// dueLocked makes sure that a delivery's time is not missed.
func (o *Outbox) dueLocked(d store.Delivery) {
	at := d.ExpiresAt
	if d.State == store.Scheduled {
		at = d.NotBefore
	}
	if o.nextDue.IsZero() || at.Before(o.nextDue) {
		o.nextDue = at
	}
}

// scheduleLocked makes the loop look for deliveries of a caller at a time, or immediately.
func (o *Outbox) scheduleLocked(caller string, at time.Time) {
	if old, ok := o.callers[caller]; !ok || at.Before(old) {
		o.callers[caller] = at
	}
}

// Cancel ends a delivery that has not begun. The errors are those of package store.
func (o *Outbox) Cancel(ctx context.Context, caller, id string) (store.Delivery, error) {
	d, done, err := o.Outbox.Cancel(ctx, caller, id, time.Now())
	if err != nil || !done {
		return d, err
	}
	o.ended[store.Cancelled].Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.flights[d.Seq]; f != nil {
		f.stop(errCancelled)
	}
	o.scheduleLocked(caller, time.Time{}) // the next of its line
	o.announceLocked()
	o.poke()
	return d, nil
}

// Retry queues a delivery again if it ended without success. The errors are
// those of package store.
func (o *Outbox) Retry(ctx context.Context, caller, id string, expires time.Time) (store.Delivery, error) {
	d, err := o.Outbox.Retry(ctx, o.limits, caller, id, expires)
	if err != nil {
		return d, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scheduleLocked(caller, time.Time{})
	o.dueLocked(d)
	o.poke()
	return d, nil
}

// purgeAtOnce limits the records that one transaction deletes.
const purgeAtOnce = 1000

// Purge deletes the records of all deliveries that match and have ended, and returns
// how many there were.
func (o *Outbox) Purge(ctx context.Context, f store.DeliveryFilter) (int64, error) {
	for total := int64(0); ; {
		n, err := o.Outbox.Purge(ctx, f, purgeAtOnce)
		if total += int64(n); err != nil || n < purgeAtOnce {
			return total, err
		}
	}
}

// Changed returns a channel that is closed when the next delivery ends.
func (o *Outbox) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Outbox) announceLocked() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// Ended returns how many deliveries have ended in a state since the start.
func (o *Outbox) Ended(state store.DeliveryState) int64 { return o.ended[state].Load() }

// Failing returns why deliveries cannot be written at the moment, or nil if they can.
func (o *Outbox) Failing() error {
	if err := o.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// noted notes whether the records can be written, and logs when that changes.
func (o *Outbox) noted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err // says nothing of the records
	}
	var next *error
	if err != nil {
		next = &err
	}
	if before := o.failing.Swap(next); before == nil && err != nil {
		o.logger.ErrorContext(ctx, "failed to write the outbox; deliveries wait", "error", err)
	}
	return err
}

// poke makes the loop look for work.
func (o *Outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// pollInterval is how often the loop looks for work without being notified of any.
const pollInterval = time.Second

// Run makes deliveries until ctx ends. It waits then until the tries that have begun
// have ended, but not longer than ending.
func (o *Outbox) Run(ctx context.Context, maker Maker) {
	o.maker = maker
	flights, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	o.recall(ctx)
	kept := time.NewTicker(time.Minute)
	defer kept.Stop()
	for {
		o.round(ctx, flights, &running)
		select {
		case <-o.wake:
		case <-time.After(pollInterval):
		case <-kept.C:
			o.forget(ctx)
		case <-ctx.Done():
			o.end(&running)
			return
		}
	}
}

// ending is how long a shutdown waits for tries that have begun.
const ending = 20 * time.Second

// end ends the waits of all flights, and waits for the others.
func (o *Outbox) end(running *sync.WaitGroup) {
	o.mu.Lock()
	for _, f := range o.flights {
		f.stop(errEnding)
	}
	o.mu.Unlock()
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-o.abandoned:
	case <-time.After(ending):
	}
}

// Abandon has Run end without waiting for tries, whose outcomes nobody could save: another
// server has the deliveries. It is called once, when the context of Run has ended.
func (o *Outbox) Abandon() { close(o.abandoned) }

// recall finds the callers with deliveries to be made.
func (o *Outbox) recall(ctx context.Context) {
	for ctx.Err() == nil {
		callers, err := o.Callers(ctx)
		if o.noted(ctx, err) == nil {
			o.mu.Lock()
			for _, caller := range callers {
				o.scheduleLocked(caller, time.Time{})
			}
			o.nextDue = time.Now()
			o.mu.Unlock()
			return
		}
		_ = discord.Sleep(ctx, pollInterval) // the loop looks at ctx
	}
}

// round begins what can be begun.
func (o *Outbox) round(ctx, flights context.Context, running *sync.WaitGroup) {
	now := time.Now()
	if err := o.sweep(ctx, now); err != nil {
		return
	}
	o.mu.Lock()
	paused := o.paused.After(now)
	callers := make([]string, 0, len(o.callers))
	for caller, at := range o.callers {
		if !at.After(now) {
			callers = append(callers, caller)
		}
	}
	o.mu.Unlock()
	if paused || o.usable() != nil {
		return
	}
	for _, caller := range callers {
		if ctx.Err() != nil {
			return
		}
		if err := o.fill(ctx, flights, running, caller, now); o.noted(ctx, err) != nil {
			return
		}
	}
}

// sweep moves what the time moves, or a part of it.
func (o *Outbox) sweep(ctx context.Context, now time.Time) error {
	o.mu.Lock()
	due := !o.nextDue.IsZero() && !o.nextDue.After(now)
	if due {
		o.nextDue = time.Time{}
	}
	o.mu.Unlock()
	if !due {
		return nil
	}
	callers, gone, more, err := o.Due(ctx, now)
	var next time.Time
	if err == nil && !more {
		next, err = o.NextDue(ctx)
	}
	o.ended[store.Expired].Add(int64(gone))
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, caller := range callers {
		o.scheduleLocked(caller, time.Time{})
	}
	if err != nil || more {
		next = now
	}
	if !next.IsZero() && (o.nextDue.IsZero() || next.Before(o.nextDue)) {
		o.nextDue = next
	}
	if len(callers) > 0 {
		o.announceLocked()
	}
	if more {
		o.poke() // what is due already is begun before
	}
	return o.noted(ctx, err)
}

// forget deletes records that are old, or too many.
func (o *Outbox) forget(ctx context.Context) {
	if _, err := o.Purge(ctx, store.DeliveryFilter{EndedBefore: time.Now().Add(-o.keep)}); o.noted(ctx, err) != nil {
		return
	}
	for {
		counts, err := o.Counts(ctx)
		excess := counts.Finished - o.limits.Deliveries
		if err != nil || excess <= 0 {
			return
		}
		if _, err := o.Outbox.Purge(ctx, store.DeliveryFilter{}, int(min(excess, purgeAtOnce))); o.noted(ctx, err) != nil {
			return
		}
	}
}

// fill begins deliveries of a caller.
func (o *Outbox) fill(ctx, flights context.Context, running *sync.WaitGroup, caller string, now time.Time) error {
	o.mu.Lock()
	busy := make(map[line]bool)
	for l := range o.lines {
		if l.caller == caller {
			busy[l] = true
		}
	}
	inFlight := len(busy)
	limit := max(min(maxOfCaller-o.active[caller], maxAll-len(o.flights)), minOfCaller-inFlight)
	if limit <= 0 {
		o.mu.Unlock()
		return nil
	}
	delete(o.callers, caller) // unless something more comes meanwhile
	o.mu.Unlock()
	heads, err := o.Heads(ctx, caller, now, limit+inFlight)
	if begun, more := o.beginAll(flights, running, heads, busy, limit); err != nil || begun > 0 || more {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.scheduleLocked(caller, time.Time{})
		return err
	}
	next, err := o.NextTry(ctx, caller, now)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !next.IsZero() {
		next = now.Add(next.Sub(now)) // by the monotonic clock, which does not jump
	}
	if err != nil || !next.IsZero() {
		o.scheduleLocked(caller, next)
	}
	return err
}

// beginAll begins up to limit of a caller's deliveries, in lines that were not busy before
// heads were read: a flight that has ended since may have changed its record. more is
// whether others could begin soon.
func (o *Outbox) beginAll(
	flights context.Context, running *sync.WaitGroup, heads []store.Delivery, busy map[line]bool, limit int,
) (begun int, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range heads {
		l := line{d.Caller, d.Target}
		if busy[l] {
			continue
		}
		if begun == limit || len(busy) > 0 && o.bytes+d.Bytes > maxBytes {
			return begun, true
		}
		o.begin(flights, running, d)
		busy[l] = true
		begun++
	}
	return begun, false
}

// errEnded ends a flight whose delivery has ended otherwise, or must not begin.
var errEnded = errors.New("the delivery has ended")
