//go:build unix

package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"

	pb "discordproxy/gen/discord_api"
)

// BenchmarkDashboards measures what 200 open dashboards cost while 50 calls a second are
// made: processor time a second, and the delay of the calls as a ratio to the delay
// without dashboards. One operation is 5 seconds without dashboards, and 5 with them. The processor time is that of the whole process: the server, the calls and their
// client, the sandbox, and the reading of what the dashboards receive.
func BenchmarkDashboards(b *testing.B) {
	const dashboards, pace, seconds = 200, 50, 5
	sb := sandbox.New(sandbox.Config{Unlimited: true, MaxMessages: 100})
	api := httptest.NewServer(sb)
	defer api.Close()
	srv := run(b, server.Config{
		Token: sb.World().Token, APIURL: api.URL + "/api", Gateway: server.GatewayConfig{Off: true},
		Logger: slog.New(slog.DiscardHandler), ShutdownGrace: time.Millisecond,
	})
	srv.answers(b)
	req := &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hello"}

	// calls makes calls at the pace and returns how long each took.
	calls := func() (took []time.Duration) {
		ticker := time.NewTicker(time.Second / pace)
		defer ticker.Stop()
		for range pace * seconds {
			<-ticker.C
			began := time.Now()
			if _, err := srv.SendChannelMessage(b.Context(), req); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		return took
	}
	var alone, watched []time.Duration
	var cpuAlone, cpuWatched time.Duration
	for range b.N {
		before := processorTime(b)
		alone = append(alone, calls()...)
		cpuAlone += processorTime(b) - before

		leave := watch(b, srv.address, dashboards)
		before = processorTime(b)
		watched = append(watched, calls()...)
		cpuWatched += processorTime(b) - before
		leave()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(cpuAlone.Seconds()*1e3/float64(b.N*seconds), "cpu-ms/s-alone")
	b.ReportMetric(cpuWatched.Seconds()*1e3/float64(b.N*seconds), "cpu-ms/s")
	for name, quantile := range map[string]float64{"p50": 0.5, "p99": 0.99} {
		of := func(all []time.Duration) float64 {
			slices.Sort(all)
			return all[int(float64(len(all)-1)*quantile)].Seconds() * 1e3
		}
		b.ReportMetric(of(watched), name+"-ms")
		b.ReportMetric(of(watched)/of(alone), name+"-ratio")
	}
}

// watch opens dashboards, each over a connection of its own, as pages do. It returns when
// each has its first message. leave closes them.
func watch(b *testing.B, address string, n int) (leave func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	transport := &http.Transport{DisableKeepAlives: true}
	var reading, opening sync.WaitGroup
	for range n {
		opening.Add(1)
		reading.Go(func() {
			opened := sync.OnceFunc(opening.Done)
			defer opened()
			empty := bytes.NewReader(make([]byte, 5)) // one empty message
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/discord_api.Dashboard/WatchStatus", empty)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/grpc-web+proto")
			resp, err := transport.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			defer resp.Body.Close()
			// The first byte of a frame says whether it is a message or the end.
			kind := make([]byte, 1)
			if _, err := io.ReadFull(resp.Body, kind); err != nil || kind[0] != 0 {
				b.Errorf("the stream has no message: kind %d, error %v", kind[0], err)
			}
			opened()
			_, _ = io.Copy(io.Discard, resp.Body)
		})
	}
	opening.Wait()
	return func() {
		cancel()
		reading.Wait()
	}
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
