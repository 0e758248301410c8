package lease

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ErrNotHeld is the error of Check while the lease may have ended.
var ErrNotHeld = errors.New("the server could not renew its lease of the bot in the database, so another server may have it")

// ErrLost is the error of Check from the moment when another server has the lease.
var ErrLost = errors.New("another server has taken over the bot")

// Keeper renews a lease that was granted. It is safe for concurrent use.
type Keeper struct {
	renew  func(ctx context.Context, epoch int64) (bool, error)
	logger *slog.Logger
	lost   chan struct{}
	stop   context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	term Term
	// renewed and failed count renewals, and took is how long they took in all.
	renewed, failed int64
	took            time.Duration
}

// Keep renews the lease of a term until Stop. renew reports whether the holder still has
// the lease. Its context ends when the response would come too late for the next one.
func Keep(term Term, renew func(ctx context.Context, epoch int64) (bool, error), logger *slog.Logger) *Keeper {
	ctx, stop := context.WithCancel(context.Background())
	k := &Keeper{renew: renew, logger: logger, term: term, lost: make(chan struct{}), stop: stop, ended: make(chan struct{})}
	go k.run(ctx)
	return k
}

// Check returns nil if the server may send at the moment, else ErrNotHeld or ErrLost. A
// nil Keeper always may.
func (k *Keeper) Check() error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.term.Lost():
		return ErrLost
	case k.term.Left(time.Now()) <= 0:
		return ErrNotHeld
	}
	return nil
}

// Epoch returns the epoch of the lease.
func (k *Keeper) Epoch() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.term.Epoch()
}

// Renewals returns how many renewals succeeded and how many failed.
func (k *Keeper) Renewals() (renewed, failed int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.renewed, k.failed
}

// RenewalTime returns how long the renewals that Renewals counts took in all.
func (k *Keeper) RenewalTime() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.took
}

// Lost returns a channel that is closed when another server has the lease. A nil Keeper
// never loses it.
func (k *Keeper) Lost() <-chan struct{} {
	if k == nil {
		return nil
	}
	return k.lost
}

// Stop ends the renewals. From then on Check fails, so that the lease can be released.
func (k *Keeper) Stop() {
	if k == nil {
		return
	}
	k.stop()
	<-k.ended
	k.mu.Lock()
	defer k.mu.Unlock()
	k.term.Refused()
}

// retry is the time from a failed renewal to the next one.
const retry = Interval / 4

func (k *Keeper) run(ctx context.Context) {
	defer close(k.ended)
	failing := false
	for wait := Interval; ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := k.once(ctx)
		wait = Interval
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrLost):
			k.logger.ErrorContext(ctx, "another server has taken over the bot")
			close(k.lost)
			return
		case err != nil:
			wait = retry
			if !failing {
				k.logger.WarnContext(ctx, "failed to renew the lease; retrying", "error", err)
			}
		case failing:
			k.logger.InfoContext(ctx, "renewed the lease again")
		}
		failing = err != nil
	}
}

// once renews the lease once.
func (k *Keeper) once(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, Interval)
	defer cancel()
	sent, epoch := time.Now(), k.Epoch()
	held, err := k.renew(ctx, epoch)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.took += time.Since(sent)
	if err != nil {
		k.failed++
		return err
	}
	k.renewed++
	if !held {
		k.term.Refused()
		return ErrLost
	}
	k.term.Granted(sent, epoch)
	return nil
}
