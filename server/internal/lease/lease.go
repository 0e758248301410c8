// Package lease decides which of several servers may send to Discord for a bot.
//
// A lease lasts for Length from the moment when the database grants or renews it, by the
// database's clock. The holder does not read that clock: it counts from the moment when
// it sent the request, which is before the database can have granted it, and stops Margin
// early. The holder has therefore stopped before the database lets another one in,
// however late the response arrives, and whatever the holder's clock shows. The margin
// allows for clocks that run at different speeds, and for requests that have just been
// sent to Discord.
//
// Each change of the holder gives the lease a higher epoch. The database refuses writes
// with an earlier epoch; see package store.
package lease

import "time"

const (
	// Length is how long a lease lasts by the clock of the database.
	Length = 6 * time.Second
	// Interval is the time between two renewals.
	Interval = 2 * time.Second
	// Margin is how much earlier than Length the holder stops.
	Margin = time.Second
)

// Term is a holder's view of its lease. The zero value holds no lease. It reads no clock
// and does no I/O.
type Term struct {
	epoch int64
	sent  time.Time // when the newest request was sent that was granted
	lost  bool
}

// Granted notes that the database granted or renewed the lease in response to a request
// that was sent at a moment. Responses may arrive late and in any order.
func (t *Term) Granted(sent time.Time, epoch int64) {
	switch {
	case t.lost || epoch < t.epoch:
	case epoch > t.epoch || sent.After(t.sent):
		t.epoch, t.sent = epoch, sent
	}
}

// Refused notes that another server has the lease. A holder that has lost its lease
// does not get it back: another server may have changed what this one has in memory.
func (t *Term) Refused() { t.lost = t.epoch > 0 }

// Epoch returns the epoch of the lease, or 0 before the first grant.
func (t *Term) Epoch() int64 { return t.epoch }

// Lost reports whether another server has the lease that this one had.
func (t *Term) Lost() bool { return t.lost }

// Left returns how long the holder may act from a moment on, 0 or less if it may not.
// It is the shorter time by the monotonic and by the wall clock: the former stands
// still while a machine sleeps, and the latter can be set.
func (t *Term) Left(now time.Time) time.Duration {
	if t.epoch == 0 || t.lost {
		return 0
	}
	passed := max(now.Sub(t.sent), now.Round(0).Sub(t.sent.Round(0)))
	return Length - Margin - passed
}
