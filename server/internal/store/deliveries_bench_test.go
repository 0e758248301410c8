package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/store"
)

// BenchmarkEnqueue is what a delivery costs that one of 16 callers enqueues.
func BenchmarkEnqueue(b *testing.B) {
	for _, state := range []store.DeliveryState{store.Scheduled, store.Waiting} {
		b.Run(map[store.DeliveryState]string{store.Scheduled: "scheduled", store.Waiting: "waiting"}[state], func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Config{Folder: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			outbox, err := s.Outbox(b.Context(), "bot")
			if err != nil {
				b.Fatal(err)
			}
			limits := store.OutboxLimits{Deliveries: 1 << 40, Bytes: 1 << 40}
			now := time.Now()
			var next atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := next.Add(1)
					results, err := outbox.Enqueue(b.Context(), limits, []store.Delivery{{
						Caller: "caller", ID: fmt.Sprint(n), Digest: make([]byte, 32), Method: "SendChannelMessage",
						Target: fmt.Sprint("channel ", n%100), State: state, Priority: 1,
						EnqueuedAt: now, NotBefore: now, ExpiresAt: now.Add(time.Hour), Request: make([]byte, 80),
					}})
					if err != nil || results[0].Err != nil {
						b.Error(err, results)
					}
				}
			})
		})
	}
}
