package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/store"
)

// data is what survives a restart, and how it gets there, for as long as this server
// leads the bot. A nil *data keeps nothing.
type data struct {
	store  *store.Store
	logger *slog.Logger
	bot    string
	bots   []string      // of the server, this one included
	lease  *lease.Keeper // nil unless it is in a database that other servers can use
	holder string        // of the lease
	// why is why the lease is released, if not because the server shuts down.
	why store.Reason
	// skew returns how far this machine's clock is ahead of the one that times in the data
	// are by: the database's, since servers whose clocks differ share it.
	skew func() time.Duration
	// changed and urgent have a value when something is to be saved, urgent when a
	// crash should not lose it.
	changed, urgent chan struct{}
	flushes         chan chan struct{} // closed when everything until now was saved
	ended           chan struct{}      // closed when run has ended
	sources         []source
	failing         atomic.Bool // whether the last attempt to save failed
}

// source is a part of the server that has something to save.
type source interface {
	// save returns what changed since it was last called and done was called, by
	// names that begin with the source's own. A nil value deletes a name.
	save() (parts map[string][]byte, done func())
}

// saveInterval is the shortest time between two transactions, but for what is
// urgent.
const saveInterval = time.Second

// release lets another server have the lease, after this one has sent and saved the
// last.
func (d *data) release() {
	if d.lease == nil {
		return
	}
	epoch := d.lease.Epoch()
	d.lease.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), lease.Interval)
	defer cancel()
	if err := d.store.ReleaseLease(ctx, d.bot, d.holder, epoch, cmp.Or(d.why, store.LeaseHandedOver)); err != nil {
		d.logger.Warn("failed to release the lease; another server waits until it expires", "error", err)
	}
}

// lost returns a channel that is closed when another server has taken over the bot.
func (d *data) lost() <-chan struct{} {
	if d == nil {
		return nil
	}
	return d.lease.Lost()
}

// unsaved reports whether another server may continue from what was saved before now.
func (d *data) unsaved() bool {
	return d != nil && d.lease != nil && (d.failing.Load() || d.leads() != nil)
}

// leads returns why the server may not send to Discord at the moment.
func (d *data) leads() error {
	if d == nil {
		return nil
	}
	return d.lease.Check()
}

// whileLed adds to an error why the server may no longer lead, which explains the error.
// Call it before the lease is released.
func (d *data) whileLed(err error) error {
	if reason := d.leads(); reason != nil {
		return fmt.Errorf("%w: %w", reason, err)
	}
	return err
}

// notify has changes saved soon. It never waits.
func (d *data) notify(urgent bool) {
	if d == nil {
		return
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
	if urgent {
		select {
		case d.urgent <- struct{}{}:
		default:
		}
	}
}

// flush saves what changed, and waits for that for at most flushTime. It reports false
// when nothing is saved any more, since the server ends.
func (d *data) flush() bool {
	if d == nil {
		return true
	}
	timer := time.NewTimer(flushTime)
	defer timer.Stop()
	saved := make(chan struct{})
	select {
	case d.flushes <- saved:
	case <-d.ended:
		return false
	case <-timer.C:
		return true
	}
	select {
	case <-saved:
	case <-timer.C:
	}
	return true
}

const flushTime = time.Second

// run saves what changes until ctx ends: immediately after a pause, and at most once
// in saveInterval, once more within it if that is urgent, and whenever flush asks.
func (d *data) run(ctx context.Context) {
	if d == nil {
		return
	}
	defer close(d.ended)
	purge := time.NewTicker(purgeInterval)
	defer purge.Stop()
	d.purge(ctx)
	next := time.NewTimer(0) // when the next regular save may be
	defer next.Stop()
	var changed, urgent <-chan struct{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-purge.C:
			d.purge(ctx)
		case saved := <-d.flushes:
			d.saveFor(ctx, saved)
		case <-next.C:
			changed, urgent = d.changed, nil
		case <-changed:
			d.save(ctx)
			next.Reset(saveInterval)
			changed, urgent = nil, d.urgent
		case <-urgent:
			d.save(ctx)
			urgent = nil
		}
	}
}

// saveFor saves for one call of flush, and for all that wait for the same.
func (d *data) saveFor(ctx context.Context, saved chan struct{}) {
	waiting := []chan struct{}{saved}
	for more := true; more; {
		select {
		case saved := <-d.flushes:
			waiting = append(waiting, saved)
		default:
			more = false
		}
	}
	d.save(ctx)
	for _, saved := range waiting {
		close(saved)
	}
}

// limitsKept is how long records of the rate limiter are kept, which uses none that
// is older.
const limitsKept = 24 * time.Hour

// otherBotsKept is how long the data of a bot is kept after another one has taken its
// place in the folder.
const otherBotsKept = 30 * 24 * time.Hour

const purgeInterval = time.Hour

// purge deletes what no later run would use, and gives the space back.
func (d *data) purge(ctx context.Context) {
	now := d.now()
	err := d.store.PurgeState(ctx, d.bot, limitsPart, now.Add(-limitsKept))
	if err == nil {
		err = d.store.PurgeBots(ctx, now.Add(-otherBotsKept), d.bots...)
	}
	if err == nil {
		err = d.store.Shrink(ctx)
	}
	if err != nil && ctx.Err() == nil {
		d.logger.Warn("failed to delete old state; retrying", "error", err)
	}
}

// save saves what changed. What could not be saved is tried again with the next
// change.
func (d *data) save(ctx context.Context) { d.saveWith(ctx, nil) }

// cleanPart says in the data whether the last run has saved everything in the end.
const cleanPart = "clean"

// finish saves everything in the end, after run, and releases the lease.
func (d *data) finish() {
	if d != nil {
		d.saveWith(context.Background(), map[string][]byte{cleanPart: []byte("true")})
		d.release()
	}
}

// abandon releases the lease without saving anything: what was there stays.
func (d *data) abandon() {
	if d != nil {
		d.release()
	}
}

func (d *data) saveWith(ctx context.Context, also map[string][]byte) {
	parts := make(map[string][]byte)
	var finished []func()
	for _, s := range d.sources {
		saved, done := s.save()
		maps.Copy(parts, saved)
		finished = append(finished, done)
	}
	maps.Copy(parts, also)
	if len(parts) == 0 {
		return
	}
	err := d.store.SaveState(context.WithoutCancel(ctx), d.bot, d.now(), parts)
	switch {
	case err != nil && !d.failing.Load():
		d.logger.Warn("failed to save the state; retrying", "error", err)
	case err == nil && d.failing.Load():
		d.logger.Info("saved the state again")
	}
	d.failing.Store(err != nil)
	if err != nil {
		d.notify(false)
		return
	}
	for _, done := range finished {
		done()
	}
}

// add has a source saved. It is not called while run runs.
func (d *data) add(s source) {
	if d != nil {
		d.sources = append(d.sources, s)
	}
}

// load reads what an earlier run saved, and notes that this one has begun.
// A damaged folder is no reason not to start, but a database that fails is: it is
// there again at the next start.
func (d *data) load(ctx context.Context) (savedState, error) {
	if d == nil {
		return savedState{}, nil
	}
	parts, err := d.store.State(ctx, d.bot)
	if err != nil && d.lease != nil {
		return savedState{}, fmt.Errorf("cannot read the state of the last run: %w", err)
	}
	if err != nil {
		d.logger.Error("failed to read the state of the last run; starting without it", "error", err)
		return savedState{}, nil
	}
	clean := string(parts[cleanPart].Data) == "true"
	if d.lease == nil {
		d.restoreClock(parts[clockPart].Data, sinceBoot)
	}
	delete(parts, clockPart)
	delete(parts, cleanPart)
	if err := d.store.SaveState(ctx, d.bot, d.now(), map[string][]byte{cleanPart: nil}); err != nil {
		if d.lease != nil {
			return savedState{}, fmt.Errorf("cannot save the state: %w", err)
		}
		d.logger.Warn("failed to save the state; retrying", "error", err)
	}
	return savedState{parts, clean, d.skew()}.local(), nil
}

// now returns the time by the clock of the data.
func (d *data) now() time.Time { return time.Now().Round(0).Add(-d.skew()) }
