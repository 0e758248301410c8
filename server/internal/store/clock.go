package store

import (
	"sync/atomic"
	"time"
)

// clockKept is how long a reading of the database's clock is preferred to a less exact one.
const clockKept = time.Minute

// databaseClock relates this machine's clock to the database's.
type databaseClock struct{ reading atomic.Pointer[reading] }

// reading is the database's clock at a moment, which is right up to within.
type reading struct {
	clock, at time.Time
	within    time.Duration
}

// read notes what the database's clock was at some moment since sent.
func (c *databaseClock) read(ms int64, sent time.Time) {
	within := time.Since(sent) / 2
	next := &reading{clock: time.UnixMilli(ms), at: sent.Add(within), within: within + time.Millisecond}
	last := c.reading.Load()
	if last != nil && last.within < next.within && next.at.Sub(last.at) < clockKept {
		expected := last.clock.Add(next.at.Sub(last.at))
		if expected.Sub(next.clock).Abs() <= last.within+next.within {
			return
		}
	}
	c.reading.Store(next)
}

// ahead returns how far this machine's clock is ahead of the database's at the moment.
func (c *databaseClock) ahead(now time.Time) time.Duration {
	r := c.reading.Load()
	if r == nil {
		return 0
	}
	return now.Round(0).Sub(r.clock.Add(now.Sub(r.at)))
}

// Ahead returns how far this machine's clock is ahead of the database's, as the latest
// operation on a lease has shown it. It is negative for a clock that is behind. A folder has no
// clock of its own: it is always 0.
func (s *Store) Ahead() time.Duration { return s.clock.ahead(time.Now()) }
