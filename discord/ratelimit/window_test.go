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
