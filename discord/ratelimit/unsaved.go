package ratelimit

import "time"

const (
	// unsavedTime is how long after the newest record calls may have been sent that
	// no record contains, if the run before did not end by itself.
	unsavedTime = time.Second
	// shortWindow is the longest window whose units are all taken for used after
	// such an end: that of messages, 5 s, and what measuring it adds. Longer ones would
	// hold calls for long, to save a single 429.
	shortWindow = 6 * time.Second
)

// suppose takes the units of an unknown bucket for used if the run
// before may have used them and did not save that.
func (c *core) suppose(b *bucket, s *shape, now instant) {
	w, known := c.supposed[s]
	switch {
	case !known:
	case now >= w.full:
		delete(c.supposed, s)
	case b.window.kind == unknown:
		b.window = w
	}
}

// used takes all units of a short window for used at a moment, and reports whether
// it did; 0 is none.
func (w *window) used(at instant) bool {
	switch {
	case at == 0:
		return false
	case w.kind == unsure && w.length <= shortWindow:
		// Whichever kind it is, all units are back by then.
		w.kind, w.remaining, w.assumed = fixed, 0, true
		w.full = max(w.full, at.add(max(w.length, min(time.Duration(w.limit)*w.perHigh, shortWindow))))
		return true
	case w.kind == sliding && w.perHigh <= shortWindow/time.Duration(w.limit):
		w.remaining, w.assumed = 0, true
		w.full = max(w.full, at.add(time.Duration(w.limit)*w.perHigh))
		return true
	case w.kind == fixed && w.length <= shortWindow:
		w.remaining, w.assumed = 0, true
		w.full = max(w.full, at.add(w.length))
		return true
	}
	return false
}

// spent is used for a throttle.
func (t *throttle) spent(at instant) {
	switch {
	case at == 0:
	case t.kind == sliding && t.per <= shortWindow/time.Duration(t.limit):
		t.full = max(t.full, at.add(time.Duration(t.limit)*t.per))
	case t.kind == fixed && t.per <= shortWindow:
		t.ends, t.used = max(t.ends, at.add(t.per)), max(t.used, t.limit)
	}
}
