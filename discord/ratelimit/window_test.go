package ratelimit

import (
	"testing"
	"time"
)

// TestLostCallHidesNoAnswer: answers that were counted within the resolution of
// the headers are distinguished by Remaining alone, which must not be compared
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
		w.miss(at(lost.at))
		w.refresh(&clock{}, at(lost.at)) // after which nothing is known of the window's end
		w.observe(answer{limit: 3, remaining: 2, after: length, sent: at(199.5), heard: at(400.5)})
		if w.remaining != lost.want {
			t.Errorf("lost at %v ms: %d remain, want %d", lost.at, w.remaining, lost.want)
		}
	}
}

// TestLostCallBeginsNextWindow: a call whose answer is lost may have begun the next
// window, although an answer that is heard later describes the window before it.
func TestLostCallBeginsNextWindow(t *testing.T) {
	const length = 200 * time.Millisecond
	at := func(ms float64) instant { return modelStart.add(time.Duration(ms * float64(time.Millisecond))) }
	type state struct {
		at        float64
		available int
	}
	for _, test := range []struct {
		lost  []float64 // when the losses are noticed
		heard float64   // when the answer that describes the old window is heard
		want  []state
	}{
		{[]float64{250}, 255, []state{{256, 2}, {449, 2}, {450, 3}}},
		{[]float64{250}, 150, []state{{251, 2}, {449, 2}, {450, 3}}},
		{[]float64{205, 250}, 255, []state{{256, 1}, {404, 1}, {405, 2}, {449, 2}, {450, 3}}},
		{[]float64{200, 390}, 150, []state{{391, 1}, {401, 2}, {589, 2}, {590, 3}}}, // the second may begin a third window
		{[]float64{250, 251, 252, 253}, 255, []state{{256, 0}, {450, 0}, {451, 1}, {453, 3}}},
		{[]float64{120}, 255, []state{{256, 3}}}, // counted in the old window
		{[]float64{190}, 255, []state{{256, 3}}}, // the same, by Discord's clock
		{[]float64{30}, 255, []state{{256, 3}}},
		{[]float64{120, 130}, 150, []state{{151, 0}, {210, 3}}},
	} {
		w := window{kind: fixed}
		var c clock
		c.learn(at(0), at(1), at(0))
		hear := func(remaining int, sent, counted, heard float64) {
			w.observe(answer{
				limit: 3, remaining: remaining, after: length - time.Duration(counted*float64(time.Millisecond)),
				sent: at(sent), heard: at(heard), timed: true, counted: at(counted), reset: at(length.Seconds() * 1000), epoch: c.epoch,
			})
			w.refresh(&c, at(heard))
		}
		hear(2, 0, 0, 1)
		heard := false
		for _, lost := range test.lost {
			if !heard && test.heard < lost {
				hear(1, 20, 40, test.heard)
				heard = true
			}
			w.miss(at(lost))
			w.refresh(&c, at(lost))
		}
		if !heard {
			hear(1, 20, 40, test.heard)
		}
		for _, want := range test.want {
			w.refresh(&c, at(want.at))
			if got := w.available(at(want.at), 0); got != want.available {
				t.Errorf("lost at %v, heard at %v: %d are available at %v, want %d", test.lost, test.heard, got, want.at, want.available)
			}
		}
	}
}
