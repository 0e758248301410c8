package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

// BenchmarkRenewLease renews the leases of 1,000 bots, two at a time as one server does. The
// database does not wait for its disk, so it measures what a renewal costs apart from that.
func BenchmarkRenewLease(b *testing.B) {
	const bots = 1000
	s := storetest.Open(b, store.Config{PostgreSQL: storetest.Database(b)})
	for i := range bots {
		if epoch, err := s.AcquireLease(b.Context(), fmt.Sprint(i), "me", time.Hour); err != nil || epoch != 1 {
			b.Fatal(epoch, err)
		}
	}
	b.ResetTimer()
	var next atomic.Int64
	b.SetParallelism(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if ok, err := s.RenewLease(b.Context(), fmt.Sprint(next.Add(1)%bots), "me", 1, time.Hour); err != nil || !ok {
				b.Error(ok, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "renewals/s")
}
