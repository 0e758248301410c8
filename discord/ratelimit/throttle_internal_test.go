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
