//go:build unix

package proxytest

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Compare makes b.N calls and as many calls of a floor, several at a time. It
// reports what one call costs the whole process, with client, server and API,
// and the ratio of its processor time to the floor's. Both take turns in small
// batches, and the ratio is the median of those of all pairs of batches, so that
// what else the machine does at the moment burdens both or is left out.
func Compare(b *testing.B, atATime int, floor, call func() error) {
	b.Helper()
	const batch = 200
	batchOf := func(n int, call func() error) (c cost) {
		before := costs(b)
		var callers sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(n))
		for range atATime {
			callers.Go(func() {
				for left.Add(-1) >= 0 {
					if err := call(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		callers.Wait()
		after := costs(b)
		return cost{after.cpu - before.cpu, after.allocations - before.allocations}
	}
	// What a connection costs is no part of a call.
	batchOf(atATime, floor)
	batchOf(atATime, call)
	var floors, calls cost
	var ratios []float64
	for n := b.N; n > 0; n -= batch {
		f, c := batchOf(min(n, batch), floor), batchOf(min(n, batch), call)
		floors, calls = cost{floors.cpu + f.cpu, floors.allocations + f.allocations}, cost{calls.cpu + c.cpu, calls.allocations + c.allocations}
		ratios = append(ratios, float64(c.cpu)/float64(f.cpu))
	}
	slices.Sort(ratios)
	per := float64(b.N)
	b.ReportMetric(0, "ns/op") // of both
	b.ReportMetric(calls.cpu/per, "cpu-µs/op")
	b.ReportMetric(calls.allocations/per, "allocations/op")
	b.ReportMetric(floors.cpu/per, "floor-µs/op")
	b.ReportMetric(floors.allocations/per, "floor-allocations/op")
	b.ReportMetric(ratios[len(ratios)/2], "x-floor")
}

// cost is what the process has used: processor time in microseconds, and
// allocations.
type cost struct{ cpu, allocations float64 }

func costs(b *testing.B) cost {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return cost{float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e3, float64(memory.Mallocs)}
}
