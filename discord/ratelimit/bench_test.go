package ratelimit_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"discordproxy/discord/ratelimit"
)

// BenchmarkCall measures a call that need not wait while others, of many
// callers, of many tokens or of one blocked line, wait for something else.
func BenchmarkCall(b *testing.B) {
	type load struct {
		name    string
		n       int
		request func(i int) ratelimit.Request
	}
	var loads []load
	for _, n := range []int{10, 1_000, 20_000} {
		loads = append(loads, load{"callers", n, func(i int) ratelimit.Request {
			r := request("POST", messages(1))
			r.Caller = fmt.Sprint("caller ", i)
			return r
		}})
	}
	for _, n := range []int{1, 1_000} {
		loads = append(loads, load{"tokens", n, func(i int) ratelimit.Request {
			r := request("POST", messages(1))
			r.Token = fmt.Sprint("token ", i)
			return r
		}})
	}
	for _, n := range []int{10, 10_000} {
		loads = append(loads, load{"in a line", n, func(int) ratelimit.Request {
			r := request("POST", messages(1))
			r.Line = "channel 1"
			return r
		}})
	}
	for _, load := range loads {
		b.Run(fmt.Sprint(load.n, " ", load.name), func(b *testing.B) {
			l := newLimiter(b, ratelimit.Config{GlobalLimit: -1, MaxQueue: 100_000, InvalidRequestLimit: 1 << 20})
			ctx, leave := context.WithCancel(b.Context())
			var waiting sync.WaitGroup
			defer waiting.Wait()
			defer leave()
			// The first of each token goes and is never answered.
			for i := range load.n {
				waiting.Go(func() { _, _ = l.Acquire(ctx, load.request(i)) })
				waiting.Go(func() { _, _ = l.Acquire(ctx, load.request(i)) })
			}
			for s := l.Status(0); s.Waiting+s.InFlight < 2*load.n; s = l.Status(0) {
				runtime.Gosched()
			}
			r := load.request(0)
			r.Caller = "one more"
			b.ReportAllocs()
			for b.Loop() {
				// It joins the queue that is blocked, and leaves again.
				in, out := context.WithCancel(b.Context())
				r.Joined = out
				if _, err := l.Acquire(in, r); err == nil {
					b.Fatal("the bucket is in use")
				}
			}
		})
	}
}

// BenchmarkWaiting measures what each of 10,000 waiting calls takes in memory: in
// the heap without its goroutine's stack, and with it. All wait in one channel,
// in one line or without order, or each in a channel of its own.
func BenchmarkWaiting(b *testing.B) {
	const n = 10_000
	for _, load := range []struct {
		name    string
		request func(i int) ratelimit.Request
	}{
		{"without order", func(int) ratelimit.Request { return request("POST", messages(1)) }},
		{"in a line", func(int) ratelimit.Request {
			r := request("POST", messages(1))
			r.Line = "channel 1"
			return r
		}},
		{"a channel each", func(i int) ratelimit.Request {
			r := request("POST", messages(i))
			r.Line = fmt.Sprint("channel ", i)
			return r
		}},
	} {
		b.Run(load.name, func(b *testing.B) {
			var heap, stack uint64
			for b.Loop() {
				requests := make([]ratelimit.Request, n)
				for i := range requests {
					requests[i] = load.request(i)
				}
				l := newLimiter(b, ratelimit.Config{GlobalLimit: 1, MaxQueue: n})
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				ctx, leave := context.WithCancel(b.Context())
				var waiting sync.WaitGroup
				for _, r := range requests {
					waiting.Go(func() { _, _ = l.Acquire(ctx, r) })
				}
				for calls, _ := l.Queued(); calls < n-1; calls, _ = l.Queued() {
					runtime.Gosched()
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				heap += after.HeapAlloc - before.HeapAlloc
				stack += after.StackInuse - before.StackInuse
				leave()
				waiting.Wait()
				runtime.KeepAlive(requests)
			}
			b.ReportMetric(float64(heap)/float64(b.N*n), "heap-B/call")
			b.ReportMetric(float64(heap+stack)/float64(b.N*n), "B/call")
		})
	}
}
