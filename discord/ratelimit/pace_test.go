package ratelimit

import (
	"testing"
	"time"
)

// TestFasterPaceIsTried accepts calls that a learnt limit held back: after
// enough of them in a row the time of a unit shrinks, so that a limit that was
// inferred too strictly does not last.
func TestFasterPaceIsTried(t *testing.T) {
	const per = time.Second
	now := modelStart
	l := throttle{kind: sliding, limit: 1, per: per, calm: patience, step: 4, flight: 1, until: now, anchor: now}
	for i := range patience {
		now = now.add(per)
		if l.per != per {
			t.Fatalf("after %d calls a unit takes %v, want %v", i, l.per, per)
		}
		l.binding = now // it held the call back
		l.send(now, 0)
		l.accepted(now.add(100*time.Millisecond), now)
	}
	if l.per >= per {
		t.Errorf("after %d calls a unit takes %v, want less than %v", patience, l.per, per)
	}
}
