//go:build linux

package test

import (
	"net/http/httptest"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// BenchmarkData is the server's processor time for a call, with a data folder and
// without one.
func BenchmarkData(b *testing.B) {
	for _, mode := range []string{"without", "with"} {
		b.Run(mode, func(b *testing.B) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			discord := httptest.NewServer(sb)
			defer discord.Close()
			defer sb.Close()
			args := []string{
				"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api",
				"--global-rate-limit", "0", "--no-gateway", "--no-data",
			}
			if mode == "with" {
				args = append(args[:len(args)-1], "--data", filepath.Join(b.TempDir(), "data"))
			}
			p := proxytest.StartProcess(b, nil, args...)
			send := func() error {
				_, err := p.Client.SendChannelMessage(b.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"})
				return err
			}
			for send() != nil {
			}
			before := processorTime(b, p.Cmd.Process.Pid)
			b.ResetTimer()
			var callers sync.WaitGroup
			calls := make(chan struct{})
			for range 16 {
				callers.Go(func() {
					for range calls {
						if err := send(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				calls <- struct{}{}
			}
			close(calls)
			callers.Wait()
			b.ReportMetric(float64((processorTime(b, p.Cmd.Process.Pid)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRestart is how long callers that retry get no answer while the server is
// restarted, without calls that wait for limits.
func BenchmarkRestart(b *testing.B) {
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL} {
		b.Run(name, func(b *testing.B) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			r := startRestarting(b, sb)
			call := func() {
				if err := persist(b.Context(), func() error {
					_, err := r.Client.GetUser(b.Context(), &pb.GetUserRequest{UserId: uint64(sb.World().Alice)})
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
			call()
			var longest, sum time.Duration
			for range b.N {
				last := time.Now()
				r.end(b, signal)
				r.start(b)
				call()
				down := time.Since(last)
				sum, longest = sum+down, max(longest, down)
			}
			b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "ms-down/op")
			b.ReportMetric(float64(longest.Milliseconds()), "ms-down-max")
		})
	}
}
