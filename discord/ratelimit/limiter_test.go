package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"

	"go.uber.org/goleak"
)

// TestMain fails when goroutines are left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answered is an answer of a bucket with units left.
var answered = ratelimit.Response{Status: http.StatusOK, Header: http.Header{
	"Via": {"1.1 google"}, "X-Ratelimit-Limit": {"1000"}, "X-Ratelimit-Remaining": {"999"},
	"X-Ratelimit-Reset-After": {"0.001"}, "X-Ratelimit-Bucket": {"b06b2c3d4e5f60718293a4b5c6d7e8f9"},
}}

// uncontended returns a call to a known bucket with units left. The
// answer has all the headers that Discord sends.
func uncontended(t testing.TB) func() {
	l := newLimiter(t, ratelimit.Config{GlobalLimit: -1})
	r := request("POST", messages(1))
	answer := answered
	answer.Header = answered.Header.Clone()
	began := time.Now()
	resets := make([][]string, 10_000) // as they are in each millisecond
	for i := range resets {
		resets[i] = []string{fmt.Sprintf("%.3f", float64(began.UnixMilli()+int64(i)+1)/1000)}
	}
	ctx, calls := t.Context(), 0
	return func() {
		p, err := l.Acquire(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if calls++; calls%256 == 1 {
			answer.Header["X-Ratelimit-Reset"] = resets[int(time.Since(began).Milliseconds())%len(resets)]
		}
		p.Complete(answer)
	}
}

func BenchmarkUncontended(b *testing.B) {
	call := uncontended(b)
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

func TestUncontendedCallAllocatesLittle(t *testing.T) {
	if n := testing.AllocsPerRun(1000, uncontended(t)); n > 2 {
		t.Errorf("Acquire and Complete make %v allocations, at most 2 are wanted", n)
	}
}

func TestPermitEndsOnce(t *testing.T) {
	for name, first := range map[string]func(*ratelimit.Permit){
		"completed": func(p *ratelimit.Permit) {
			p.Complete(ratelimit.Response{Status: http.StatusForbidden, Header: header()})
		},
		"cancelled": (*ratelimit.Permit).Cancel,
		"lost":      (*ratelimit.Permit).Lost,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{})
			p, err := l.Acquire(t.Context(), request("POST", messages(1)))
			if err != nil {
				t.Fatal(err)
			}
			first(p)
			before := l.Snapshot()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(p.Cancel)
				wg.Go(p.Lost)
				wg.Go(func() {
					if v := p.Complete(ratelimit.Response{Status: http.StatusForbidden, Header: header()}); v != (ratelimit.Verdict{}) {
						t.Errorf("a permit that has ended taught %+v", v)
					}
				})
			}
			wg.Wait()
			after := l.Snapshot()
			if after.InFlight != 0 || after.Invalid != before.Invalid || after.Tokens[0].Global != before.Tokens[0].Global {
				t.Errorf("from %+v\nto %+v", before, after)
			}
		})
	}
	t.Run("all together", func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		p, err := l.Acquire(t.Context(), request("POST", messages(1)))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { p.Complete(ratelimit.Response{Status: http.StatusForbidden, Header: header()}) })
		}
		wg.Wait()
		if s := l.Snapshot(); s.InFlight != 0 || s.Invalid.Count != 1 || s.Tokens[0].Global.Used != 1 {
			t.Errorf("counted as %+v", s)
		}
	})
}

// TestFarDeadline: a call waits, however far away its deadline is.
func TestFarDeadline(t *testing.T) {
	for _, years := range []time.Duration{100, 230, 250, 290} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(t, ratelimit.Config{GlobalLimit: 1})
			ctx, cancel := context.WithTimeout(t.Context(), years*365*24*time.Hour)
			defer cancel()
			for range 2 {
				p, err := l.Acquire(ctx, request("POST", messages(1)))
				if err != nil {
					t.Fatalf("%d years: %v", years, err)
				}
				p.Complete(answered)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []ratelimit.Config{{MaxQueue: -1}, {MaxQueueBytes: -1}, {InvalidRequestLimit: -1}, {InvalidRequestLimit: 1}, {MaxOtherTokens: -1}} {
		if l, err := ratelimit.New(c); err == nil {
			l.Close()
			t.Errorf("%+v is taken", c)
		}
	}
	// The smallest budget lets calls go, one at a time.
	simulate(t, limit{}, ratelimit.Config{InvalidRequestLimit: 2}, func(t *testing.T, s sender) {
		s.run(t, channels(3, 1, 1)...)
	})
}

// TestSnapshotFreesUnits: a snapshot of the global limit shows the units in use now,
// and not those that were in use when the last call went.
func TestSnapshotFreesUnits(t *testing.T) {
	simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
		s.run(t, job{3, "POST", messages(1)})
		used := func() int { return s.limiter.Snapshot().Tokens[0].Global.Used }
		if n := used(); n != 3 {
			t.Errorf("%d units are in use, want 3", n)
		}
		time.Sleep(2 * time.Second)
		if n := used(); n != 0 {
			t.Errorf("%d units are in use two seconds later", n)
		}
	})
}

// TestForgottenPermitIsTakenBack: a permit that nobody ends holds its bucket
// for a while only.
func TestForgottenPermitIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		forgotten, err := l.Acquire(t.Context(), request("POST", messages(1)))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		p, err := l.Acquire(t.Context(), request("POST", messages(1))) // one at a time until the bucket is known
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != 15*time.Minute {
			t.Errorf("waited %v", waited)
		}
		p.Complete(answered)
		forgotten.Complete(answered)
		if s := l.Snapshot(); s.InFlight != 0 {
			t.Errorf("%d in flight", s.InFlight)
		}
	})
}

// full teaches the limiter that a channel's bucket is used up for a while.
func full(t testing.TB, l *ratelimit.Limiter, channel int) {
	t.Helper()
	p, err := l.Acquire(t.Context(), request("POST", messages(channel)))
	if err != nil {
		t.Fatal(err)
	}
	p.Complete(ratelimit.Response{Status: http.StatusOK, Header: header(
		"X-RateLimit-Limit", "1", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset-After", "250", "X-RateLimit-Bucket", "b")})
}

// inUse returns the bytes of heap and stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestParkedCallsAreCheap parks the maximum number of calls, and cancels them.
func TestParkedCallsAreCheap(t *testing.T) {
	const n = 10_000
	l := newLimiter(t, ratelimit.Config{})
	full(t, l, 1)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	before, goroutines := inUse(), runtime.NumGoroutine()
	var wg sync.WaitGroup
	var left atomic.Int64
	for range n {
		wg.Go(func() {
			if _, err := l.Acquire(ctx, request("POST", messages(1))); errors.Is(err, context.Canceled) {
				left.Add(1)
			}
		})
	}
	for l.Snapshot().Waiting < n {
		runtime.Gosched()
	}
	each := (inUse() - before) / n
	t.Logf("%d bytes for each of %d parked calls, with its goroutine", each, n)
	if each > 8<<10 {
		t.Errorf("a parked call takes %d bytes", each)
	}
	if more := runtime.NumGoroutine() - goroutines; more > n {
		t.Errorf("%d goroutines for %d calls", more, n)
	}
	if _, err := l.Acquire(ctx, request("POST", messages(1))); reasonOf(err) != ratelimit.QueueFull {
		t.Errorf("one more: %v", err)
	}
	leave()
	wg.Wait()
	if s := l.Snapshot(); left.Load() != n || s.Waiting != 0 || s.InFlight != 0 {
		t.Errorf("%d left, %d wait", left.Load(), s.Waiting)
	}
}

// TestManyBucketsAreOrdinary uses fifty thousand channels, which are forgotten afterwards.
func TestManyBucketsAreOrdinary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 50_000
		l := newLimiter(t, ratelimit.Config{GlobalLimit: -1})
		before := inUse()
		for i := range n {
			p, err := l.Acquire(t.Context(), request("POST", messages(i+1)))
			if err != nil {
				t.Fatal(err)
			}
			p.Complete(answered)
		}
		each := (inUse() - before) / n
		t.Logf("%d bytes for each of %d buckets", each, n)
		if each > 2<<10 {
			t.Errorf("a bucket takes %d bytes", each)
		}
		if got := len(l.Snapshot().Tokens[0].Buckets); got != n {
			t.Errorf("knows %d", got)
		}
		time.Sleep(11 * time.Minute)
		if s := l.Snapshot(); len(s.Tokens) != 0 {
			t.Errorf("still knows %d", len(s.Tokens[0].Buckets))
		}
		if left := inUse() - before; left > n*100 {
			t.Errorf("%d bytes are left", left)
		}
	})
}

// TestConcurrentUse gives the race detector something to look at: callers that
// wait, leave, complete, lose and cancel at the same time.
func TestConcurrentUse(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{GlobalLimit: -1})
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 7))
			for range 150 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(20))*time.Millisecond)
				r := request("POST", messages(rng.IntN(4)))
				r.Caller = fmt.Sprint(rng.IntN(3))
				if p, err := l.Acquire(ctx, r); err == nil {
					p.Begin()
					runtime.Gosched()
					switch rng.IntN(4) {
					case 0:
						p.Lost()
					case 1:
						p.Cancel()
					default:
						p.Complete(ratelimit.Response{Status: http.StatusOK, Header: header(
							"X-RateLimit-Limit", "3", "X-RateLimit-Remaining", fmt.Sprint(rng.IntN(3)), "X-RateLimit-Reset-After", "0.004",
							"X-RateLimit-Bucket", fmt.Sprint("b", rng.IntN(2)))})
					}
				}
				if rng.IntN(20) == 0 {
					l.Snapshot()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if s := l.Snapshot(); s.Waiting != 0 || s.InFlight != 0 || s.WaitingBytes != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// TestCloseRefusesAndWakes: no call waits after Close.
func TestCloseRefusesAndWakes(t *testing.T) {
	l := newLimiter(t, ratelimit.Config{})
	full(t, l, 1)
	refused := make(chan error)
	go func() {
		_, err := l.Acquire(context.WithoutCancel(t.Context()), request("POST", messages(1)))
		refused <- err
	}()
	for l.Snapshot().Waiting == 0 {
		runtime.Gosched()
	}
	l.Close()
	if err := <-refused; reasonOf(err) != ratelimit.Closed {
		t.Errorf("got %v", err)
	}
	if _, err := l.Acquire(t.Context(), request("POST", messages(2))); reasonOf(err) != ratelimit.Closed {
		t.Errorf("got %v", err)
	}
}
