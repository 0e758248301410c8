//go:build unix

package server_test

import (
	"syscall"
	"testing"
	"time"

	pb "discordproxy/gen/discord_api"
)

// BenchmarkForwarded compares a call that is forwarded with one at the leader. Client,
// servers and the sandbox share the process, so the CPU of a call includes theirs.
func BenchmarkForwarded(b *testing.B) {
	f := newFleet(b)
	f.config.GlobalRateLimit = -1
	leader, entry := f.pair(b)
	for name, r := range map[string]*running{"direct": leader, "forwarded": entry} {
		b.Run(name, func(b *testing.B) {
			before := cpu(b)
			for b.Loop() {
				if _, err := r.GetRateLimitStatus(b.Context(), new(pb.GetRateLimitStatusRequest)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu returns the time that the process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
