package ratelimit

import (
	"testing"
	"time"
)

// TestLostCallHidesNoAnswer: answers that were counted within the resolution of
// the headers are told apart by Remaining alone, which must not be compared
// with a number from which a lost call was taken.
func TestLostCallHidesNoAnswer(t *testing.T) {
	const length = 200 * time.Millisecond
	at := func(ms float64) instant { return modelStart.add(time.Duration(ms * float64(time.Millisecond))) }
	w := window{kind: unsure}
	for i, a := range []struct {
		remaining      int
		counted, heard float64
		want           int
	}{
		{5, 0, 3, 5},
		{2, 1, 4, 2},
		{1, 2, 6, 0}, // and one lost before
	} {
		if i == 2 {
			w.kind = fixed
			w.miss(at(5))
		}
		w.observe(answer{
			limit: 6, remaining: a.remaining, after: length - time.Duration(a.counted*float64(time.Millisecond)),
			sent: at(-10), heard: at(a.heard), timed: true, counted: at(a.counted), reset: at(length.Seconds() * 1000),
		})
		if w.remaining != a.want {
			t.Errorf("%d remain after an answer of %d, want %d", w.remaining, a.remaining, a.want)
		}
	}
}

// TestLostCallOfTheSameMoment: a call whose answer is lost, and one whose answer
// says what remains, arrive together in a new window. The answer need not include
// the lost call.
func TestLostCallOfTheSameMoment(t *testing.T) {
	const length = 200 * time.Millisecond
	at := func(ms float64) instant { return modelStart.add(time.Duration(ms * float64(time.Millisecond))) }
	for _, lost := range []struct {
		at   float64
		want int
	}{
		{400, 1}, // in flight at the same time
		{199, 2}, // certainly counted before
	} {
		w := window{kind: fixed}
		w.observe(answer{limit: 3, remaining: 2, after: time.Millisecond, sent: at(0), heard: at(200)})
		w.miss(at(lost.at)) // after which nothing is known of the window's end
		w.observe(answer{limit: 3, remaining: 2, after: length, sent: at(199.5), heard: at(400.5)})
		if w.remaining != lost.want {
			t.Errorf("lost at %v ms: %d remain, want %d", lost.at, w.remaining, lost.want)
		}
	}
}
