package server

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// queuedCallBytes estimates the memory of a waiting call without its body:
	// its goroutines, streams and buffers.
	queuedCallBytes = 32 << 10
	// largeQueue is the size in bytes from which the end of a queue is worth a
	// garbage collection.
	largeQueue = 64 << 20
	// calmTicks is how many seconds in a row a queue must be small: calls need
	// a moment to end.
	calmTicks = 2
)

// emptied finds out when a large queue has emptied.
type emptied struct {
	peak int64 // bytes, since the last time
	calm int   // ticks in a row below a quarter of it
}

// tick takes the size of the queue in bytes, once a second. It reports whether
// the queue was large and has been below a quarter of its largest size for
// calmTicks. It does so once for each such fall.
func (e *emptied) tick(queued int64) bool {
	e.peak = max(e.peak, queued)
	if e.peak < largeQueue || queued >= e.peak/4 {
		e.calm = 0
		return false
	}
	if e.calm++; e.calm < calmTicks {
		return false
	}
	*e = emptied{peak: queued}
	return true
}

// returnMemory gives memory back to the operating system after a large queue
// has emptied, until ctx ends. The runtime itself would collect the garbage up
// to two minutes later, and return it slowly.
func returnMemory(ctx context.Context, queued func() (calls int, bytes int64)) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var queue emptied
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			calls, bytes := queued()
			if queue.tick(int64(calls)*queuedCallBytes + bytes) {
				debug.FreeOSMemory()
			}
		}
	}
}
