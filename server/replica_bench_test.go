//go:build unix

package server_test

import (
	"testing"

	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// BenchmarkForwarded compares a call that is forwarded with one at the leader, which is
// the floor. Client, servers and the sandbox share the process, so the CPU of a call
// includes theirs.
func BenchmarkForwarded(b *testing.B) {
	f := newFleet(b)
	f.config.GlobalRateLimit = -1
	leader, entry := f.pair(b)
	for name, call := range map[string]func(*running) error{
		"message": func(r *running) error {
			_, err := r.SendChannelMessage(b.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(f.sb.World().General), Content: "hello"})
			return err
		},
		"nothing at Discord": func(r *running) error {
			_, err := r.GetRateLimitStatus(b.Context(), new(pb.GetRateLimitStatusRequest))
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			proxytest.Compare(b, 2, func() error { return call(leader) }, func() error { return call(entry) })
		})
	}
}
