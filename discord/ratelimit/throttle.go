package ratelimit

import (
	"math"
	"time"
)

const (
	// firstPause is the wait after a refusal that does not say how long it
	// lasts; maxPause bounds it.
	firstPause = 5 * time.Second
	maxPause   = maxStall
	// firstFlights is how many calls may be in flight under a limit with
	// nothing but successes so far. One more may for each flightsPer
	// successes: what is in flight when the limit is hit is refused.
	firstFlights = 2
	flightsPer   = 8
	// restTime is how long nothing is sent until a throttle that has learnt
	// nothing begins to count again.
	restTime = 10 * time.Second
	// patience is the number of calls in a row that must be accepted before a faster pace
	// than the learnt one is tried. Each refusal that confirms the pace doubles it.
	patience    = 16
	maxPatience = 1 << 10
	// maxPardons is how often headers that agree with a 429 undo it.
	maxPardons = 2
	// firstExtra and maxExtra bound what is added to waits.
	firstExtra = 50 * time.Millisecond
	maxExtra   = 10 * time.Second
	// throttleLife is how long a learnt limit is remembered that held nothing
	// back.
	throttleLife = 10 * time.Minute
)

// throttle is a limit that Discord does not announce. Only its 429s show it, so
// it is inferred from them, and applies in addition to the window that the headers
// describe: a call needs both.
//
// Until something is refused, a throttle counts what is accepted and limits
// how many calls may be in flight. The first refusal, after n accepted calls
// and with r left to wait, leaves two explanations. Let D be the time from the
// first of the accepted calls to the end of r. A fixed window takes n calls in D.
// In a sliding window r ends with the return of a single unit. The throttle
// takes the window for fixed and lets one call go when r is over, then the
// next. If the next is refused too, the window slides, and the time between
// the ends of the two waits is that of a unit. If it is accepted, n calls may
// go in each D.
//
// From then on calls are paced by the inferred limit. Every further refusal
// measures it again: of the calls that were accepted since the end of the last
// wait until the end of the new one, the rate is the limit's, whatever the
// headers say. The number in flight grows by one for each success and is
// halved by each refusal. When calls wait and many are accepted in a row, the
// pace is tried to be exceeded, with ever larger steps until something is
// refused, so that what was inferred wrongly, or has changed, does not last.
//
// A throttle does no I/O and reads no clock. k is the number of calls in
// flight under it.
type throttle struct {
	kind   windowKind    // unknown until a call was refused; then sliding or fixed
	limit  int           // units of the window
	per    time.Duration // sliding: until one unit is back; fixed: the whole window
	sure   bool          // fixed: more than one call was accepted after a wait
	guess  bool          // only one refusal was explained
	proved int           // fixed: limit when it was last inferred
	flight int           // calls that may be in flight

	until   instant // end of the wait that the last 429 asked for
	full    instant // sliding: when all units are back
	ends    instant // fixed: end of the window
	used    int     // fixed: calls sent in the window
	opening bool    // the answer to the window's first call is still to come
	opened  instant // when that call was sent

	// A run is the calls since the limit was at rest, or since the end of a
	// wait, when exactly one unit was there (or all of a fixed window).
	anchor instant // end of that wait, 0 after rest
	taken  int     // accepted calls of the run
	start  instant // when the first of them was answered
	got    int     // fixed: accepted calls of the window, else those of the run
	first  instant // when the first of them was answered
	last   instant // when the last of them was answered
	sent   instant // when the last call was sent

	span    time.Duration // sliding: what the unit was inferred from
	counted int           // calls in it
	vague   bool          // a wait was too short, so that inference is too
	held    time.Duration // sliding: the pace at which a whole streak was accepted, since the last refusal
	extra   time.Duration // added to waits, after some were too short
	streak  int           // accepted calls since the pace has changed
	calm    int           // length of the streak after which it changes
	step    int           // parts by which it changes, of 32
	pause   time.Duration // between calls, where 429s do not say how long to wait
	binding instant       // when it last held a call back

	claimed instant // when a 429 came whose headers may be true; 0 if they are not
	pardons int

	fastest time.Duration // least round trip of an accepted call
}

// flights returns how many calls may be in flight before anything was refused.
func (t *throttle) flights() int { return firstFlights + t.taken/flightsPer }

// learnt reports whether a call was refused, so that the throttle limits more
// than what is in flight.
func (t *throttle) learnt() bool { return t.kind != unknown || t.pause > 0 || t.until > 0 }

// next returns the moment from which one more call may go; never if an answer
// must come first.
func (t *throttle) next(now instant, k int) instant {
	if !t.learnt() {
		return now
	}
	if k >= max(t.flight, 1) {
		return never
	}
	at := max(now, t.until)
	switch t.kind {
	case sliding:
		return max(at, t.full.add(-time.Duration(t.limit-1)*t.per))
	case fixed:
		if t.opening && k > 0 && at >= t.ends {
			return never // whose answer says when the window began
		}
		used := t.used
		if at >= t.ends {
			used = k
		}
		if used >= t.limit {
			return max(at, t.ends)
		}
		if t.proved > 0 && used >= t.proved && k > 0 {
			return max(at, t.ends) // what goes beyond is tried one by one
		}
	}
	return at
}

// send accounts for a call that is sent while k others are in flight.
func (t *throttle) send(now instant, k int) {
	switch t.kind {
	case unknown:
		if k == 0 && t.until == 0 && t.sent > 0 && now.sub(t.sent) >= restTime {
			t.anchor, t.taken, t.got = 0, 0, 0
		}
	case sliding:
		if now >= t.full {
			t.opening, t.opened = true, now
			// At rest, unless a pace that is too fast only makes it look so while calls go
			// one after another.
			if now >= t.full.add(t.per) && now.sub(t.sent) >= 2*t.fastest {
				t.anchor, t.taken, t.got = 0, 0, 0
			}
		}
		t.full = max(t.full, now).add(t.per)
	case fixed:
		if now >= t.ends {
			if now >= t.ends.add(t.per) {
				t.anchor, t.taken = 0, 0
			}
			t.got = 0
			t.opening, t.opened = true, now
			t.ends, t.used = now.add(t.per), k
		}
		t.used++
	}
	t.sent = now
}

// unsent takes back a call that was not sent.
func (t *throttle) unsent() {
	switch t.kind {
	case sliding:
		t.full = t.full.add(-t.per)
	case fixed:
		t.used = max(t.used-1, 0)
	}
}

// accepted accounts for a call that was sent at the given moment and counted.
func (t *throttle) accepted(now, sent instant) {
	if sent < t.until {
		if t.taken == 0 && t.kind == fixed && t.limit == math.MaxInt32 && t.proved == 0 {
			t.limit, t.per, t.guess = 0, max(t.until.sub(now), headerStep), true
		}
		if t.taken == 0 && (t.kind == fixed || t.guess) && t.limit < math.MaxInt32 {
			// It belongs to the run before; the 429 has overtaken its answer.
			switch {
			case t.sent < t.until:
				t.ends, t.used = t.until, math.MaxInt32
			case t.kind != fixed: // the next run has begun
				t.ends, t.used = t.sent.add(t.per), 1
			}
			t.kind = fixed
			t.limit++
			t.proved = t.limit
		} else if t.taken == 0 && t.kind == sliding && t.counted > 0 {
			t.counted++
			t.per = min(t.per, t.span/time.Duration(t.counted)+2*headerStep)
			if t.sent < t.until {
				t.full = t.until.add(time.Duration(t.limit-1) * t.per)
			}
		}
		return
	}
	if t.quiet(now) {
		*t = throttle{}
	}
	if t.pause > 0 {
		if t.pause /= 2; t.pause < firstPause {
			*t = throttle{}
			return
		}
		t.until = now.add(t.pause)
		return
	}
	if way := now.sub(sent); t.fastest == 0 || way < t.fastest {
		t.fastest = way
	}
	if t.taken++; t.taken == 1 {
		t.start = now
	}
	if t.got++; t.got == 1 {
		t.first = now
	}
	pressed := t.binding >= t.last // it has held calls back since
	t.last = now
	if !t.learnt() {
		return
	}
	if t.opening && sent >= t.opened {
		// It took at most this much longer on its way than another can.
		t.opening = false
		late := now.sub(sent) - t.fastest
		if t.kind == sliding {
			t.full = t.full.add(late)
		} else {
			t.ends = max(t.ends, sent.add(late+t.per))
		}
	}
	if t.kind == fixed && t.proved > 0 {
		t.proved = max(t.proved, t.got)
	}
	if t.kind != fixed || t.sure || t.taken > 1 || t.anchor == 0 { // one finds out whether the window slides
		t.flight = min(t.flight+1, t.flights())
	}
	if t.kind == fixed && t.anchor > 0 && t.taken > 1 {
		t.sure = true
	}
	if t.kind == fixed && t.sure && t.anchor == 0 {
		t.flight = max(t.flight, min(t.limit, t.taken))
	}
	if !pressed {
		return
	}
	if t.streak++; t.streak < t.calm {
		return
	}
	t.streak, t.extra = 0, t.extra/2
	switch t.kind {
	case sliding:
		t.held = t.per
		t.per = max(t.per-t.per*time.Duration(t.step)/32, time.Microsecond)
		if left := t.full.sub(now); left > 0 { // as many units are missing as before
			t.full = now.add(left - left/32*time.Duration(t.step))
		}
	case fixed:
		if t.limit < math.MaxInt32 {
			t.limit += max(t.limit*t.step/32, 1)
		}
	}
	t.step = min(2*t.step, 16)
}

// hint is what the headers of a 429 say of the limit that it was for.
type hint struct {
	limit int
	after time.Duration // Reset-After
	known bool
	own   bool          // its headers are those of the window
	slack time.Duration // by which the wait may be rounded up
	// guessed is whether the 429 does not say how long to wait.
	guessed bool
	// shared is whether others use the limit too, so that the number of our
	// own calls says little.
	shared bool
}

// refused accounts for a call that was sent at the given moment and refused.
// waitKnown is whether Discord said how long to wait. It reports whether the refusal
// is a new one, not one of several of calls that were in flight together.
func (t *throttle) refused(now, sent instant, wait time.Duration, waitKnown bool, h hint) bool {
	guard := headerStep
	if h.shared && wait > 0 { // callers learn this wait, and need not wait longer
		guard = 0
	}
	if sent < t.until {
		t.until = max(t.until, now.add(wait+guard))
		return false
	}
	t.binding = now
	if !waitKnown {
		t.pause = min(max(2*t.pause, firstPause), maxPause)
		t.until, t.flight = now.add(t.pause+headerStep), 1
		return true
	}
	t.pause = 0
	if t.taken == 0 && t.anchor > 0 { // refused again after the wait
		t.vague = true
		if h.guessed {
			t.extra = min(max(2*t.extra, wait), maxPause)
		} else {
			t.extra = min(max(2*t.extra, firstExtra), maxExtra)
		}
	}
	wait += t.extra
	free := now.add(wait)
	t.infer(free, wait, h)
	t.until = free.add(guard)
	t.flight = max(min(t.flight, t.flights())/2, 1)
	t.anchor, t.taken, t.got, t.streak = t.until, 0, 0, 0
	t.opening = false
	t.step = 4
	switch t.kind {
	case sliding:
		t.full = t.until.add(time.Duration(t.limit-1) * t.per)
	case fixed:
		t.ends, t.used = t.until, t.limit
	}
	return true
}

// infer explains a refusal after which a unit is free at the given moment.
func (t *throttle) infer(free instant, wait time.Duration, h hint) {
	kind, per, counted := t.kind, t.per, t.counted
	t.guess, t.counted = false, 0
	defer func() { t.held = 0 }()
	switch {
	case t.taken == 0:
		if t.kind == unknown { // others use it: open until it is hit again
			t.kind, t.limit, t.per = fixed, math.MaxInt32, max(wait, headerStep)
		}
	case t.anchor == 0:
		t.inferFromRest(free, wait, h)
	case t.kind == fixed && t.sure && t.got > 0 && t.got >= t.proved:
		t.limit, t.per = t.got, free.sub(t.first)
	default:
		d := free.sub(t.anchor)
		unit := d/time.Duration(t.taken) + 2*headerStep // each moment is rounded
		if t.taken == 1 && t.kind == fixed {
			// If the limit is a single call, none comes back while it waits to
			// be used, and the time of a unit begins with the call.
			single := free.sub(t.start) + 2*headerStep
			if t.proved > 0 && t.proved+1-int((t.per+single/2)/single) <= 1 {
				unit, t.limit = single, 1
			}
		}
		if known := min(counted, patience) / 4; t.kind == sliding && t.taken < known {
			// A few calls may have met another limit than the many before, while
			// several limits are taken for one.
			unit = (unit*time.Duration(t.taken) + per*time.Duration(known)) / time.Duration(t.taken+known)
		}
		if t.vague && t.kind == sliding {
			unit = max(unit, t.per*5/4)
		}
		if t.held > 0 && t.kind == sliding {
			unit = min(unit, 4*t.held)
		}
		evenly := t.last.sub(t.anchor) >= unit*time.Duration(t.taken-1)*3/4
		switch {
		case t.taken == 1 || evenly || t.got < t.taken:
			if t.kind == fixed {
				units := 1
				if t.limit < math.MaxInt32 {
					units = t.limit + 1 - int(t.per/max(unit, 1))
				}
				t.limit = min(max(units, 1), t.limit)
			}
			t.kind, t.per, t.span, t.counted = sliding, unit, d, t.taken
		default:
			t.kind, t.limit, t.per, t.sure = fixed, t.taken, free.sub(t.first), true
		}
	}
	if t.kind == fixed && t.limit == 1 {
		t.kind = sliding
	}
	if t.limit < math.MaxInt32 {
		t.proved = t.limit
	}
	t.per, t.limit = max(t.per, time.Microsecond), max(t.limit, 1)
	if t.kind == kind && per > 0 && t.per < per*5/4 && t.per > per*3/4 {
		t.calm = min(2*t.calm, maxPatience)
	} else {
		t.calm = patience
	}
}

// inferFromRest explains a refusal after a run that began with all units.
func (t *throttle) inferFromRest(free instant, wait time.Duration, h hint) {
	d := free.sub(t.start)
	switch {
	case t.kind == sliding:
		if back := t.taken + 1 - t.limit; back > 0 {
			if per := d / time.Duration(back); per > t.per*3/4 && per < t.per*5/4 {
				t.per = per + 2*headerStep
				return
			}
		}
		if units := t.taken + 1 - int((d+t.per/2)/t.per); units >= 1 {
			t.limit = units
			return
		}
		t.limit, t.per = 1, d/time.Duration(t.taken)
	case t.kind == fixed && t.sure && t.got > 0 && t.got >= t.proved:
		t.limit, t.per = t.got, free.sub(t.first)
	case t.got < t.taken:
		per := d / time.Duration(t.taken)
		if t.got > 1 { // calls were rarer before, so that units came back unused
			per = min(per, free.sub(t.first)/time.Duration(t.got))
		}
		t.kind, t.limit, t.per = sliding, 1, per+2*headerStep
	case h.known && h.limit > 1 && h.limit <= t.taken && h.after > wait*5/4 &&
		(h.after-wait)/time.Duration(h.limit-1) >= wait*9/10:
		// (limit-1) units come back after the first one.
		t.kind, t.limit, t.per = sliding, h.limit, (h.after-wait)/time.Duration(h.limit-1)+2*headerStep
	case h.shared && t.taken > 1:
		t.kind, t.limit, t.per, t.proved = fixed, math.MaxInt32, d, t.taken
	default:
		t.kind, t.limit, t.per, t.guess = fixed, t.taken, d, true
	}
}

// drain returns how long n waiting calls take by this limit alone.
func (t *throttle) drain(now instant, n int) time.Duration {
	left := max(t.until.sub(now), 0)
	switch {
	case t.kind == sliding:
		return max(left, t.full.sub(now)+time.Duration(n-t.limit)*t.per)
	case t.kind == fixed && t.limit < math.MaxInt32:
		free := t.limit
		if now < t.ends {
			left, free = max(left, t.ends.sub(now)), t.limit-t.used
			if n <= free {
				return max(t.until.sub(now), 0)
			}
		}
		return left + time.Duration((n-max(free, 0)-1)/t.limit)*t.per
	}
	return left
}

// quiet reports whether what was learnt is old enough to forget.
func (t *throttle) quiet(now instant) bool {
	return t.learnt() && now >= t.until && now.sub(t.binding) >= throttleLife
}
