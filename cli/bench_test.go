package cli_test

import (
	"syscall"
	"testing"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// BenchmarkSendChannelMessage sends through a real listener to a pretend
// Discord without limits. Processor time is that of the whole process, client
// and pretend Discord included.
func BenchmarkSendChannelMessage(b *testing.B) {
	for _, protocol := range []string{"gRPC", "Connect JSON", "gRPC-Web"} {
		b.Run(protocol, func(b *testing.B) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			p := against(b, sb, "--global-rate-limit", "0")
			client := p.clients()[protocol]
			req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				if _, err := client.SendChannelMessage(b.Context(), connect.NewRequest(req)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu returns the processor time of the process in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
