package ratelimit

import (
	"slices"
	"time"
)

const (
	// maxStall bounds how long headers alone can hold calls back, until some of
	// them agree. A 429 says for certain; headers have been seen to be wrong.
	maxStall = 5 * time.Minute
	// agreeing is how many answers in a row must agree on the window for a long
	// wait to be believed.
	agreeing = 3
	// bareAnswers is how many successes in a row without rate limit headers
	// show that a bucket which had them is no longer limited.
	bareAnswers = 3
)

type windowKind uint8

const (
	unknown   windowKind = iota // no answer so far
	unsure                      // one answer: sliding or fixed
	sliding                     // a unit comes back every so often
	fixed                       // all units come back together
	unlimited                   // answered without limits
)

// String returns the kind's name, or none while it is unknown.
func (k windowKind) String() string {
	return [...]string{"", "", "sliding", "fixed", "unlimited"}[k]
}

// window is what is known of a bucket's limit. It counts answered calls; those
// in flight are passed in as k.
//
// In a sliding window of limit L a unit comes back after each period T, and
// Reset is the moment when all are back: it moves by T with every call. The
// headers bound T, because Remaining is the whole part of what is left:
//
//	ResetAfter/(L-Remaining) <= T < ResetAfter/(L-Remaining-1)
//
// In a fixed window Reset stands still until the window ends.
type window struct {
	kind      windowKind
	rejected  bool  // the answer described was a 429, whose wait says more than its numbers
	agreed    uint8 // answers in a row that agree with those before
	bare      uint8 // successes without headers in a row
	epoch     uint32
	timed     bool // counted and reset are known
	limit     int
	remaining int
	perLow    time.Duration // bounds of the period T
	perHigh   time.Duration
	length    time.Duration // longest Reset-After seen: a fixed window's length, at most
	full      instant       // a call sent from here on arrives after Reset; see refresh
	assumed   bool          // full is not what an answer said
	lost      []instant     // when calls taught nothing that the described answer need not include, in order
	said      int           // Remaining in the answer described here, in which lost calls may be missing
	after     time.Duration // of the answer described here
	counted   instant       // of the answer described here, by Discord's clock
	reset     instant       // the same
	sent      instant       // of the same call, by our clock
	heard     instant
}

// answer is what a call's headers say, in plausible numbers.
type answer struct {
	limit     int
	remaining int
	after     time.Duration // Reset-After
	rejected  bool          // by a 429, so that it took no unit
	sent      instant
	heard     instant
	timed     bool    // counted and reset are known
	counted   instant // by Discord's clock
	reset     instant // the same
	epoch     uint32  // of Discord's clock
}

// observe takes an answer into account and reports whether it changed how
// fast calls may go. An answer that Discord counted before the one already
// known changes nothing: it describes an earlier state.
func (w *window) observe(a answer) (changed bool) {
	w.bare = 0
	if !a.rejected {
		w.rejected = false
	}
	if w.kind == unknown || w.kind == unlimited || a.limit != w.limit {
		kind := w.kind
		if kind == unknown || kind == unlimited {
			kind = unsure
		} else if w.order(a) < 0 {
			return false
		}
		*w = window{kind: kind, limit: a.limit, lost: w.lost}
		w.adopt(a)
		return true
	}
	kind := w.kind
	switch order := w.order(a); {
	case order < 0:
		return false
	case order > 0:
		if !a.rejected {
			w.tell(a)
		}
		w.adopt(a)
	default: // which was counted first cannot be said: believe the worse
		if a.sent.add(a.after) > w.full { // certainly a later window
			w.adopt(a)
			break
		}
		if a.heard.add(a.after) < w.full.add(-w.heard.sub(w.sent)) && w.kind == fixed {
			return false // certainly an earlier one
		}
		left := a.remaining
		for _, lost := range w.lost {
			if lost > a.sent { // it may have been counted after the answered call
				left--
			}
		}
		w.remaining = min(w.remaining, max(left, 0))
		w.full = max(w.full, a.heard.add(a.after+headerStep))
		w.sent, w.heard = min(w.sent, a.sent), max(w.heard, a.heard) // what is described is of both
		w.after = min(w.after, a.after)
		w.timed, w.assumed = false, true
		w.rejected = w.rejected || a.rejected
	}
	return w.kind != kind
}

// order says whether Discord counted the answered call after (1) or before
// (-1) the one described, or that this is unknown (0).
func (w *window) order(a answer) int {
	if w.timed && a.timed && w.epoch == a.epoch {
		// Each is the difference of two rounded numbers.
		switch d := a.counted.sub(w.counted); {
		case d > 2*headerStep:
			return 1
		case d < -2*headerStep:
			return -1
		}
		// Within the resolution of the headers: every call lowers Remaining
		// or moves Reset on.
		if a.reset.sub(w.reset) > headerStep || a.remaining < w.said {
			return 1
		}
		return -1
	}
	if a.sent >= w.heard {
		return 1
	}
	if a.heard <= w.sent {
		return -1
	}
	return 0
}

// tell infers the kind of window from a later answer of the same limit.
func (w *window) tell(a answer) {
	oldLow, oldHigh := w.full.add(-w.heard.sub(w.sent)), w.full
	low, high := a.sent.add(a.after), a.heard.add(a.after)
	at := a.heard
	if w.timed && a.timed && w.epoch == a.epoch {
		oldLow, oldHigh = w.reset, w.reset
		low, high = a.reset, a.reset
		at = a.counted
	}
	const tolerance = 2 * headerStep
	if w.assumed || at.add(tolerance) >= oldLow {
		return // nothing to compare, or the window described was over
	}
	switch {
	case low > oldHigh.add(tolerance):
		w.kind = sliding
	case high >= oldLow.add(-tolerance) && high.sub(low)+oldHigh.sub(oldLow)+2*tolerance < w.perLow:
		w.kind = fixed
	}
}

// adopt makes the answer the one described.
func (w *window) adopt(a answer) {
	steady := false // whether a fixed window ends when it was said to
	if d := a.heard.add(a.after + headerStep).sub(w.full); w.kind == fixed {
		steady = d.Abs() <= a.heard.sub(a.sent)+w.heard.sub(w.sent)+2*headerStep
	}
	w.remaining, w.said, w.after, w.full = a.remaining, a.remaining, a.after, a.heard.add(a.after+headerStep)
	w.timed, w.epoch, w.counted, w.reset = a.timed, a.epoch, a.counted, a.reset
	w.sent, w.heard, w.assumed, w.rejected = a.sent, a.heard, false, a.rejected
	w.length = max(w.length, a.after)
	defer w.takeLost()
	used := a.limit - a.remaining
	if used <= 0 || a.rejected && w.perHigh > 0 { // a success says more
		return
	}
	low := (a.after - headerStep) / time.Duration(used)
	high := a.after + headerStep
	if used > 1 {
		high /= time.Duration(used - 1)
	}
	low = max(low, 0)
	if w.perHigh == 0 || low > w.perHigh || high < w.perLow {
		w.perLow, w.perHigh = low, high
		if !steady {
			w.agreed = 0
			return
		}
	} else {
		w.perLow, w.perHigh = max(w.perLow, low), min(w.perHigh, high)
	}
	w.agreed = min(w.agreed+1, agreeing)
}

// narrow bounds the period of a sliding window by the 429 that is described: after
// its wait one unit is back, and at Reset all others are. slack is by how much the
// wait may be too long.
func (w *window) narrow(wait, slack time.Duration) {
	if !w.rejected || w.remaining > 0 {
		return
	}
	others := time.Duration(w.limit - 1)
	low := max(w.perLow, (w.after-wait-headerStep)/others)
	high := min(w.perHigh, (w.after-wait+slack+headerStep)/others)
	if low <= high {
		w.perLow, w.perHigh = low, high
	}
}

// refresh brings full up to date with what is known of Discord's clock. Once the
// described window is over, it describes the one that lost calls may have begun.
func (w *window) refresh(c *clock, now instant) {
	if w.timed && w.epoch == c.epoch {
		at := c.local(w.reset)
		w.full = max(w.sent.add(w.after), min(at, w.heard.add(w.after))).add(headerStep)
	}
	if now < w.full {
		return
	}
	if n, ends := w.begun(c, now); n > 0 {
		w.remaining, w.full, w.timed, w.assumed = max(w.limit-n, 0), ends, false, true
	}
}

// begun returns how many lost calls may be counted in a window that one of them
// began after the described window, and until when they all may. It returns 0 if
// there is none, or if that window is over.
func (w *window) begun(c *clock, now instant) (n int, ends instant) {
	if w.kind != unsure && w.kind != fixed {
		return 0, 0
	}
	over := w.sent.add(w.after) // the described window ends later
	if w.timed && w.epoch == c.epoch {
		over = max(over, c.earliest(w.reset))
	}
	for _, lost := range w.lost {
		if lost < over.add(-headerStep) || lost.add(w.length) <= now {
			continue
		}
		if n++; n == 1 {
			ends = lost.add(w.length) // from here on, a window begun by a later one
		}
	}
	return n, ends
}

// miss accounts for a call that Discord may have counted and that taught
// nothing.
func (w *window) miss(now instant) {
	w.assumed = true
	if w.kind == unknown || w.kind == unlimited {
		return
	}
	if len(w.lost) >= w.limit {
		w.lost = slices.Delete(w.lost, 0, 1)
	}
	w.lost = append(w.lost, now)
	w.take(now)
}

// take uses a unit that no answer shows.
func (w *window) take(now instant) {
	if w.kind == sliding {
		w.full, w.timed, w.assumed = max(w.full, now).add(w.perHigh), false, true
	}
	w.remaining = max(w.remaining-1, 0)
	w.rejected = false // the unit that it promised may be the one
}

// takeLost uses the units of the lost calls that Discord may have counted after
// the call whose answer was just adopted.
func (w *window) takeLost() {
	w.lost = slices.DeleteFunc(w.lost, func(lost instant) bool { return lost <= w.sent })
	for range w.lost {
		w.take(w.heard)
	}
}

// bareSuccess accounts for a call that was answered well and without any rate
// limit header.
func (w *window) bareSuccess(now instant) {
	w.bare++
	if w.kind == unknown || w.bare >= bareAnswers {
		*w = window{kind: unlimited}
		return
	}
	w.miss(now)
}

// next returns the moment from which one more call may go while k are in
// flight; never if an answer must come first.
//
// Calls in flight may have been counted or not, and arrive in any order at any
// time from now on, so each is taken to use a unit as if it arrived together
// with the next one.
func (w *window) next(now instant, k int) instant {
	switch {
	case w.kind == unlimited:
		return now
	case (w.kind == unknown || w.rejected) && k > 0:
		return never
	case w.kind == unknown || w.rejected:
		return now
	case k >= w.limit:
		return never
	case now >= w.full || w.remaining > k:
		return now
	}
	at := w.full
	switch {
	case w.kind == sliding:
		at = at.add(-time.Duration(w.limit-1-k) * w.perLow)
	case w.kind == unsure && k > 0:
		return never
	case w.kind == unsure: // most windows slide; one call finds out
		at = at.add(-time.Duration(w.limit-1) * w.perLow)
	}
	if k == 0 && w.agreed < agreeing {
		at = min(at, w.heard.add(maxStall))
	}
	return max(at, now)
}

// earliest returns a moment before which the call behind ahead others
// certainly cannot go.
func (w *window) earliest(now instant, k, ahead int) instant {
	before := k + ahead
	if w.kind == unknown || w.kind == unlimited || w.rejected {
		return now
	}
	// Nothing is certain within the time of one round trip.
	full := max(w.full.add(-w.heard.sub(w.sent)), now)
	free := w.limit
	if now < w.full {
		free = w.remaining
		if w.kind != fixed { // the rest comes back one by one
			at := full.add(-time.Duration(w.limit-1-before) * w.perLow)
			return w.atMostStall(max(at, now), now, before)
		}
	} else if w.kind != fixed {
		return max(now, now.add(time.Duration(before+1-w.limit)*w.perLow))
	}
	if before < free {
		return now
	}
	if free == w.limit && now >= w.full { // a window that is not open yet
		return now.add(time.Duration(before/w.limit) * w.length)
	}
	at := full.add(time.Duration((before-free)/w.limit) * w.length)
	return w.atMostStall(at, now, before)
}

func (w *window) atMostStall(at, now instant, before int) instant {
	if before == 0 && w.agreed < agreeing {
		return max(now, min(at, w.heard.add(maxStall)))
	}
	return at
}

// drain returns how long n waiting calls take by this limit alone.
func (w *window) drain(now instant, k, n int) time.Duration {
	left := max(w.full.sub(now), 0)
	switch w.kind {
	case sliding, unsure:
		return max(left+time.Duration(n+k-w.limit)*w.perHigh, 0)
	case fixed:
		free := w.limit - k
		if left > 0 {
			free = w.remaining - k
		}
		if n <= free {
			return 0
		}
		return left + time.Duration((n-max(free, 0)-1)/w.limit)*w.length
	}
	return 0
}

// available returns how many calls could go now while k are in flight.
func (w *window) available(now instant, k int) int {
	switch w.kind {
	case unknown, unlimited:
		return 0
	case sliding:
		if left := w.full.sub(now); left > 0 && w.perLow > 0 {
			return max(w.limit-k-int((left+w.perLow-1)/w.perLow), w.remaining-k, 0)
		}
	case unsure, fixed:
		if now < w.full {
			return max(w.remaining-k, 0)
		}
	}
	return max(w.limit-k, 0)
}
