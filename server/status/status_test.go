package status

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/calls"

	pb "discordproxy/gen/discord_api"
)

func TestRecent(t *testing.T) {
	r := recent[int]{size: 3}
	for i := 1; i <= 5; i++ {
		r.add(i)
		for known := range int64(i) + 1 {
			var want []int
			for j := max(int(known), i-3) + 1; j <= i; j++ {
				want = append(want, j)
			}
			if got := r.after(known); !slices.Equal(got, want) {
				t.Errorf("after %d of %d there are %v, want %v", known, i, got, want)
			}
		}
	}
}

func TestSlots(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0) // the start of a slot
	var s slots
	s.add(begin, "ok", 1)
	s.add(begin.Add(9*time.Second), "not_found", 2)
	s.add(begin.Add(10*time.Second), "ok", 3)
	s.add(begin.Add(59*time.Minute+59*time.Second), "ok", 4)

	type want struct {
		known int64
		at    time.Duration
		sums  []int
	}
	for _, c := range []want{
		{0, 59*time.Minute + 59*time.Second, []int{2, 1, 1}},
		{1, 59*time.Minute + 59*time.Second, []int{2, 1, 1}},
		{2, 59*time.Minute + 59*time.Second, []int{1, 1}},
		{4, 59*time.Minute + 59*time.Second, nil},
		{0, time.Hour, []int{1, 1}},
		{0, time.Hour + 10*time.Second, []int{1}},
		{0, 3 * time.Hour, nil},
	} {
		var sums []int
		for _, slot := range s.after(c.known, begin.Add(c.at)) {
			sum := 0
			for _, n := range slot.GetCalls() {
				sum += int(n)
			}
			sums = append(sums, sum)
		}
		if !slices.Equal(sums, c.sums) {
			t.Errorf("after call %d, at %s: %v, want %v", c.known, c.at, sums, c.sums)
		}
	}
	for at, want := range map[time.Duration]float64{
		5 * time.Second:  2.0 / 15,
		10 * time.Second: 3.0 / 10,
		20 * time.Second: 1.0 / 10,
		30 * time.Second: 0,
	} {
		if got := s.rate(begin.Add(at)); got != want {
			t.Errorf("the rate at %s is %v, want %v", at, got, want)
		}
	}

	// A slot of another hour takes the place of an old one.
	s.add(begin.Add(time.Hour), "ok", 5)
	if got := s.after(0, begin.Add(time.Hour)); len(got) != 3 || got[2].GetCalls()["ok"] != 1 {
		t.Errorf("an hour later there are %v", got)
	}
}

// TestSlowWatcher has who did not listen for a while hear the newest state in
// one message.
func TestSlowWatcher(t *testing.T) { synctest.Test(t, testSlowWatcher) }

func testSlowWatcher(t *testing.T) {
	waiting := int32(0)
	b, err := New(Config{Limits: func() *pb.GetRateLimitStatusResponse {
		waiting++
		return &pb.GetRateLimitStatusResponse{Waiting: waiting}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !b.enter() {
		t.Fatal("the first watcher is one too many")
	}
	b.look()
	var w watcher
	if _, m := w.next(b); m.GetProxy() == nil || m.GetLimits().GetWaiting() != 1 || len(m.GetCalls()) > 0 {
		t.Errorf("the first message is %v", m)
	}
	if _, m := w.next(b); m != nil {
		t.Errorf("without news there is %v", m)
	}
	for range 500 {
		b.Ended(t.Context(), &calls.Call{Method: "SendChannelMessage", Code: "ok"})
		time.Sleep(interval)
		b.look()
	}
	news, m := w.next(b)
	if n := len(m.GetCalls()); n != maxCalls || m.GetCalls()[0].GetNumber() != 301 || m.GetCalls()[n-1].GetNumber() != 500 {
		t.Errorf("there are %d calls", n)
	}
	if m.GetProxy() != nil || m.GetLimits().GetWaiting() != 501 {
		t.Errorf("the next message is %v", m)
	}
	if _, m := w.next(b); m != nil {
		t.Errorf("after that there is %v", m)
	}
	select {
	case <-news:
		t.Error("there are news that nobody made")
	default:
	}
}
