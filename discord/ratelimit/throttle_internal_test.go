package ratelimit

import (
	"testing"
	"time"
)

// TestAnswerOvertakenByTheNextRun: an answer that a 429 has overtaken, and that comes
// after the next window was opened, does not close that window.
func TestAnswerOvertakenByTheNextRun(t *testing.T) {
	at := func(ms int) instant { return modelStart.add(time.Duration(ms) * time.Millisecond) }
	for _, accepted := range []int{1, 3} { // a limit of one is taken for one that slides
		var th throttle
		for i := range accepted {
			th.send(at(10*i), 0)
			th.accepted(at(100+10*i), at(10*i))
		}
		th.send(at(8000), 0)
		th.send(at(8010), 1)
		th.refused(at(8100), at(8000), 50*time.Millisecond, true, hint{})
		th.send(th.until, 1) // opens the next window
		opened := th.until
		before := th.next(opened, 0)
		th.accepted(at(8200), at(8010)) // overtaken
		th.accepted(opened.add(100*time.Millisecond), opened)
		if next := th.next(opened.add(100*time.Millisecond), 0); next > max(before, opened.add(100*time.Millisecond)) {
			t.Errorf("after %d accepted calls the next one has to wait for %v", accepted, next.sub(opened))
		}
	}
}

// TestPaceOfAGatheringRun: calls that were rare at first, and came faster until one
// was refused, do not average to the pace of the limit.
func TestPaceOfAGatheringRun(t *testing.T) {
	const unit = 125 * time.Millisecond // two of them in a sliding window
	at := modelStart
	var th throttle
	call := func(after time.Duration) {
		at = at.add(after)
		th.send(at, 0)
		th.accepted(at.add(100*time.Millisecond), at)
	}
	for range 5 {
		call(unit)
	}
	th.refused(at.add(110*time.Millisecond), at.add(10*time.Millisecond), unit-10*time.Millisecond, true, hint{shared: true})
	at = at.add(3 * time.Second) // at rest
	for range 12 {
		call(800 * time.Millisecond)
	}
	for range 4 {
		call(93 * time.Millisecond)
	}
	th.refused(at.add(162*time.Millisecond), at.add(62*time.Millisecond), 34*time.Millisecond, true, hint{shared: true})
	if th.kind != sliding || th.per < unit/2 || th.per > 2*unit {
		t.Errorf("the pace of %v is taken for %d in %v", unit, th.limit, th.per)
	}
}

// TestPaceAfterAShortRun: a 429 after a single call, which may be of another limit, does
// not outweigh a pace that many calls have shown. A second one does.
func TestPaceAfterAShortRun(t *testing.T) {
	const unit = 80 * time.Millisecond
	at := modelStart
	th := throttle{
		kind: sliding, limit: 1, per: unit, counted: 70, span: 70 * unit, flight: 2, calm: patience,
		until: at, anchor: at, full: at, binding: at,
	}
	for refusals, bounds := range [][2]time.Duration{{unit + 1, 5 * unit / 2}, {5 * unit, 7 * unit}} {
		at = th.next(at, 0)
		th.send(at, 0)
		th.accepted(at.add(20*time.Millisecond), at)
		at = at.add(20 * time.Millisecond)
		now := at.add(20 * time.Millisecond)
		th.refused(now, at, th.anchor.add(6*unit).sub(now), true, hint{})
		if th.per < bounds[0] || th.per > bounds[1] {
			t.Errorf("after %d 429s the pace is %v, want %v to %v", refusals+1, th.per, bounds[0], bounds[1])
		}
	}
}

// TestPaceThatIsTooFast: a pace that is so fast that all units seem to be back after each
// round trip is mended by the first 429.
func TestPaceThatIsTooFast(t *testing.T) {
	const unit, way = 150 * time.Millisecond, 100 * time.Millisecond
	at := modelStart
	th := throttle{
		kind: sliding, limit: 18, per: unit / 16, counted: 80, span: 5 * unit, flight: 2, calm: patience, fastest: way,
		until: at, anchor: at, full: at, binding: at, sent: at,
	}
	var sent []instant
	for range 3 { // one after another
		at = th.next(at, 0)
		th.send(at, 0)
		sent = append(sent, at)
		at = at.add(way)
		th.accepted(at, sent[len(sent)-1])
	}
	th.send(at, 0)
	free := modelStart.add(4 * unit)
	th.refused(at.add(way), at, free.sub(at.add(way)), true, hint{})
	if th.per < unit/2 || th.per > 2*unit {
		t.Errorf("the pace is %v, that of the limit is %v", th.per, unit)
	}
}
