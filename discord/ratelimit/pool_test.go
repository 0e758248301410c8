package ratelimit

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestPoolCausesNo429 drains queues through nothing but a pool and a clock, over
// many networks. No second may get more arrivals than the limit, also where a
// small limit leaves few samples of Discord's clock.
func TestPoolCausesNo429(t *testing.T) {
	const ms = time.Millisecond
	even := func(rng *rand.Rand, low, high time.Duration) time.Duration {
		return low + time.Duration(rng.Int64N(int64(high-low)+1))
	}
	for _, network := range []struct {
		name  string
		least int                                                          // limit, of those that are tried
		ways  func(rng *rand.Rand) func(since time.Duration) time.Duration // one way at a moment
	}{
		{"even", 3, func(rng *rand.Rand) func(time.Duration) time.Duration {
			return func(time.Duration) time.Duration { return even(rng, 5*ms, 150*ms) }
		}},
		{"even, of any width", 3, func(rng *rand.Rand) func(time.Duration) time.Duration {
			low := even(rng, ms, 100*ms)
			high := low + even(rng, 0, 400*ms)
			return func(time.Duration) time.Duration { return even(rng, low, high) }
		}},
		{"long tail", 3, func(rng *rand.Rand) func(time.Duration) time.Duration {
			return func(time.Duration) time.Duration {
				return 5*ms + time.Duration(min(rng.ExpFloat64()*30, 1000)*float64(ms))
			}
		}},
		{"each burst has its own delay", 10, func(rng *rand.Rand) func(time.Duration) time.Duration {
			delays := make(map[time.Duration]time.Duration)
			return func(since time.Duration) time.Duration {
				burst := since / (300 * ms)
				if delays[burst] == 0 {
					delays[burst] = even(rng, 20*ms, 80*ms)
				}
				return delays[burst] + even(rng, 0, 5*ms)
			}
		}},
		{"processes that stall", 3, func(rng *rand.Rand) func(time.Duration) time.Duration {
			// What arrives while one of them has no core is seen when it has one again.
			until := time.Duration(0)
			return func(since time.Duration) time.Duration {
				if since >= until && rng.IntN(300) == 0 {
					until = since + even(rng, 5*ms, 120*ms)
				}
				return max(until-since, 0) + even(rng, 200*time.Microsecond, 3*ms)
			}
		}},
		{"in waves", 3, func(rng *rand.Rand) func(time.Duration) time.Duration {
			phase := rng.Float64() * 2 * math.Pi
			return func(since time.Duration) time.Duration {
				return 80*ms + time.Duration(70*math.Sin(2*since.Seconds()+phase)*float64(ms)) + even(rng, 0, 5*ms)
			}
		}},
	} {
		for _, work := range []struct {
			limit, calls, runs int
			spread             time.Duration // over which calls come
		}{
			{3, 60, 2000, 3 * time.Second},
			{10, 100, 200, 0},
			{50, 500, 100, 50 * ms},
			{2000, 10_000, 3, 0},
		} {
			if work.limit < network.least {
				continue
			}
			earned := 0
			for seed := range uint64(work.runs) {
				rng := rand.New(rand.NewPCG(seed, uint64(work.limit)))
				if drainPool(rng, work.limit, work.calls, work.spread, network.ways(rng)) > 0 {
					earned++
				}
			}
			if earned > 0 {
				t.Errorf("%s: %d of %d drains of %d calls under a limit of %d earned a 429", network.name, earned, work.runs, work.calls, work.limit)
			}
		}
	}
}

// drainPool sends calls as soon as a pool lets them go, and returns how many of
// them Discord refuses.
func drainPool(rng *rand.Rand, limit, calls int, spread time.Duration, way func(time.Duration) time.Duration) (refused int) {
	type event struct {
		at instant
		do func()
	}
	var (
		p       = newPool(limit)
		c       clock
		now     = modelStart
		events  = heap[event]{less: func(a, b event) bool { return cmp.Less(a.at, b.at) }}
		counted []instant
		waiting int
		woken   = never
	)
	after := func(d time.Duration, do func()) { events.push(event{now.add(d), do}) }
	const ahead = 37*time.Second + 123456*time.Microsecond
	send := func() {
		sent := now
		p.take(now)
		after(way(now.sub(modelStart)), func() {
			counted = slices.DeleteFunc(counted, func(t instant) bool { return now.sub(t) >= second })
			if len(counted) < limit {
				counted = append(counted, now)
			} else {
				refused++
			}
			// As it follows from two rounded headers.
			wait := time.Duration(rng.Int64N(int64(5 * time.Second)))
			reset := time.Duration(now.add(ahead + wait)).Round(headerStep)
			seen := instant(reset - wait.Round(headerStep))
			after(way(now.sub(modelStart)), func() {
				u, epoch := unit{sent: sent, heard: now}, c.epoch
				timed := c.learn(sent, now, seen)
				if c.epoch != epoch {
					p.restart(&c)
				}
				if u.counted = c.latest(now); timed {
					u.counted = seen
				}
				p.arrived(u)
			})
		})
	}
	for range calls {
		after(time.Duration(rng.Int64N(int64(spread)+1)), func() { waiting++ })
	}
	for events.len() > 0 {
		e := events.pop()
		now = e.at
		e.do()
		for ; waiting > 0; waiting-- {
			at := p.next(now, &c)
			if at <= now {
				send()
				continue
			}
			if at < never && (at < woken || woken <= now) {
				woken = at
				after(at.sub(now), func() {})
			}
			break
		}
	}
	return refused
}

// reserved is a core whose last units are kept for a channel with 50 messages
// of caller a, behind its 100 single ones, and the time.
type reserved struct {
	*core
	now instant
	hot []*call
}

func reserve(t *testing.T) *reserved {
	r := &reserved{core: newCore(Config{}), now: modelStart}
	for i := range 100 {
		r.ask("a", 2+i)
	}
	for range 50 {
		r.hot = append(r.hot, r.ask("a", 1))
	}
	r.pass(quietTime)
	if r.hot[0].state != callSent {
		t.Fatalf("the first message of the hot channel is %v", r.hot[0].state)
	}
	if n := r.sent.n; n != 50-50/lateShare+1 {
		t.Fatalf("%d calls are in flight", n)
	}
	r.pass(quietTime) // the burst is over
	return r
}

func (r *reserved) ask(caller string, channel int) *call {
	x := &call{deadline: never}
	path := fmt.Sprintf("/channels/%d/messages", channel)
	r.admit(x, &Request{Route: RouteOf("POST", path, "", time.Time{}), Caller: caller, Line: LineOf("POST", path)}, r.now)
	return x
}

func (r *reserved) pass(d time.Duration) {
	r.now = r.now.add(d)
	r.advance(r.now)
}

// TestKeptUnits: units that are kept for the queue that decides when all is done
// are free for callers that are owed a turn, and for everybody as soon as the
// queue does not need them.
func TestKeptUnits(t *testing.T) {
	t.Run("its own calls use them", func(t *testing.T) {
		r := reserve(t)
		for _, x := range r.hot[:4] {
			if x.state != callSent {
				t.Fatalf("it is %v", x.state)
			}
			r.pass(100 * time.Millisecond)
			r.complete(x, &Response{Status: 200, Header: http.Header{}}, r.now)
			r.done(x, r.now)
		}
	})
	t.Run("the caller's other calls do not", func(t *testing.T) {
		r := reserve(t)
		if x := r.ask("a", 999); x.state != callWaits {
			t.Errorf("it is %v", x.state)
		}
	})
	t.Run("another caller does", func(t *testing.T) {
		r := reserve(t)
		if x := r.ask("b", 999); x.state != callSent {
			t.Errorf("it is %v", x.state)
		}
	})
	t.Run("the queue is gone", func(t *testing.T) {
		r := reserve(t)
		x := r.ask("a", 999)
		for _, o := range r.hot[1:] {
			r.leave(o, r.now)
		}
		if free := r.hot[0].account.pool.free(); free > 0 || x.state != callWaits {
			t.Errorf("%d units are left, and the last of 60 calls is %v", free, x.state)
		}
	})
	t.Run("its answer does not come", func(t *testing.T) {
		r := reserve(t)
		for r.now < modelStart.add(2*time.Second) && r.hot[0].account.pool.free() > 0 {
			at := r.nextDue(r.now)
			if at == never {
				break
			}
			r.now = at
			r.advance(r.now)
		}
		if free := r.hot[0].account.pool.free(); free > 0 {
			t.Errorf("%d units are still kept", free)
		}
	})
}

// TestNothingIsKeptForHeaders: a queue on a route whose headers may promise more
// than Discord takes, and that has few calls in flight therefore, keeps no
// units that it cannot use.
func TestNothingIsKeptForHeaders(t *testing.T) {
	r := &reserved{core: newCore(Config{}), now: modelStart}
	read := func() *call {
		x := &call{deadline: never}
		r.admit(x, &Request{Route: RouteOf("GET", "/channels/1/messages", "", time.Time{}), Caller: "a"}, r.now)
		return x
	}
	first := read()
	for range 25 {
		read()
	}
	answer := func(x *call, status int, body string) {
		r.pass(100 * time.Millisecond)
		h := http.Header{}
		if status == 200 {
			announce(h, SimulatedLimit{Name: "b", N: 1000, Window: 5 * time.Second}, 990, 0.05, time.Unix(0, int64(r.now)))
		} else {
			announce(h, SimulatedLimit{Name: "c", N: 5, Window: 20 * time.Second}, 0, 20, time.Unix(0, int64(r.now)))
		}
		r.complete(x, &Response{Status: status, Header: h, Body: ParseBody([]byte(body))}, r.now)
	}
	answer(first, 200, "")
	answer(r.sent.first, 429, `{"retry_after": 2}`)
	for r.sent.n > 0 {
		answer(r.sent.first, 200, "")
	}
	r.pass(3 * time.Second) // a call finds out whether more may go
	if r.sent.n != 1 {
		t.Fatalf("%d calls are in flight", r.sent.n)
	}
	waiting := first.account.waiting
	for i := range 40 {
		if x := r.ask("a", 2+i); x.state != callSent {
			t.Fatalf("with %d calls waiting, the message to channel %d is %v", waiting, 2+i, x.state)
		}
	}
}
