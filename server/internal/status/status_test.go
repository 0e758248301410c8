package status

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/calls"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
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
			if got := r.between(known, int64(i)); !slices.Equal(got, want) {
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

// tell returns what a watcher reads next, or nil for nothing.
func tell(t *testing.T, w *watcher, b *Service) (<-chan struct{}, *pb.WatchStatusResponse) {
	t.Helper()
	changed, s := w.next(b)
	if s == nil {
		return changed, nil
	}
	m, err := s.message(false)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	read := new(pb.WatchStatusResponse)
	if err := proto.Unmarshal(wire, read); err != nil {
		t.Fatal(err)
	}
	if plain, err := s.message(true); err != nil || !proto.Equal(plain, read) {
		t.Errorf("as JSON it is %v, in the binary form %v", plain, read)
	}
	return changed, read
}

// TestSlowWatcher: a watcher that did not read for a while gets the newest state in one message.
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
	if _, entered := b.enter(); !entered {
		t.Fatal("the first watcher is one too many")
	}
	b.refresh()
	var w watcher
	if _, m := tell(t, &w, b); m.GetProxy() == nil || m.GetLimits().GetWaiting() != 1 || len(m.GetCalls()) > 0 {
		t.Errorf("the first message is %v", m)
	}
	if _, m := tell(t, &w, b); m != nil {
		t.Errorf("although nothing changed there is %v", m)
	}
	for range 500 {
		b.Ended(t.Context(), &calls.Call{Method: "SendChannelMessage", Code: "ok"})
		time.Sleep(interval)
		b.refresh()
	}
	changed, m := tell(t, &w, b)
	if n := len(m.GetCalls()); n != maxCalls || m.GetCalls()[0].GetNumber() != 301 || m.GetCalls()[n-1].GetNumber() != 500 {
		t.Errorf("there are %d calls", n)
	}
	if m.GetProxy() != nil || m.GetLimits().GetWaiting() != 501 {
		t.Errorf("the next message is %v", m)
	}
	if _, m := tell(t, &w, b); m != nil {
		t.Errorf("after that there is %v", m)
	}
	select {
	case <-changed:
		t.Error("a change is reported although nothing changed")
	default:
	}
}

// TestSharedMessage: watchers who know the same share what was encoded, also one who
// entered while nothing happened, and each call is sent to each of them once.
func TestSharedMessage(t *testing.T) { synctest.Test(t, testSharedMessage) }

func testSharedMessage(t *testing.T) {
	b, err := New(Config{Limits: func() *pb.GetRateLimitStatusResponse { return new(pb.GetRateLimitStatusResponse) }})
	if err != nil {
		t.Fatal(err)
	}
	b.enter()
	b.refresh()
	var early, late watcher
	early.next(b)
	time.Sleep(interval)
	b.refresh() // in which nothing has changed
	if _, s := early.next(b); s != nil {
		t.Errorf("although nothing changed there is %v", s.plain)
	}
	late.next(b)
	for i := range 3 {
		b.Ended(t.Context(), &calls.Call{Method: "SendChannelMessage", Code: "ok"})
		time.Sleep(interval)
		b.refresh()
		b.Ended(t.Context(), &calls.Call{Method: "GetChannel", Code: "ok"}) // is for the next view
		_, one := early.next(b)
		_, other := late.next(b)
		if one == nil || one != other {
			t.Fatalf("the messages are %v and %v", one, other)
		}
		m, err := one.message(false)
		again, _ := other.message(false)
		if err != nil || m != again {
			t.Errorf("encoded twice: %v", err)
		}
		if got := one.plain.GetCalls(); len(got) != min(i+1, 2) || got[len(got)-1].GetMethod() != "SendChannelMessage" {
			t.Errorf("view %d shows %v", i, got)
		}
	}
}

// TestPhases: at no moment of the interval do many watchers wake up.
func TestPhases(t *testing.T) {
	for _, first := range []int64{1, 12_345} {
		var in [10]int
		for i := range int64(maxWatchers) {
			p := phase(first + i)
			if p < 0 || p >= interval {
				t.Fatalf("watcher %d waits %v", first+i, p)
			}
			in[int(p*10/interval)]++
		}
		for i, n := range in {
			if n > maxWatchers/5 {
				t.Errorf("%d watchers wake up in the tenth %d: %v", n, i, in)
			}
		}
	}
}

// BenchmarkTick is a second in which 20 calls end, with more and more watchers.
func BenchmarkTick(b *testing.B) {
	for _, watchers := range []int{1, 10, maxWatchers} {
		b.Run(fmt.Sprint(watchers, " watchers"), func(b *testing.B) {
			waiting := int32(0)
			service, err := New(Config{Limits: func() *pb.GetRateLimitStatusResponse {
				waiting++
				limits := &pb.GetRateLimitStatusResponse{Waiting: waiting}
				for i := range maxBuckets {
					limits.Buckets = append(limits.Buckets, &pb.GetRateLimitStatusResponse_Bucket{
						Routes: []string{"POST /channels/{channel_id}/messages"}, Resource: fmt.Sprint(i), Waiting: 1, Limit: 5,
					})
				}
				return limits
			}})
			if err != nil {
				b.Fatal(err)
			}
			service.enter()
			all := make([]watcher, watchers)
			for b.Loop() {
				for range 20 {
					service.Ended(b.Context(), &calls.Call{Method: "SendChannelMessage", Code: "ok", RequestID: "a-request"})
				}
				if service.view != nil {
					service.view.at = service.view.at.Add(-interval)
				}
				service.refresh()
				for i := range all {
					_, s := all[i].next(service)
					m, err := s.message(false)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := proto.Marshal(m); err != nil { // as connect-go does
						b.Fatal(err)
					}
				}
			}
		})
	}
}
