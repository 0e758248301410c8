//go:build linux

package test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// sizeOf is how much a part of the measurement does: little, or much if
// DISCORDPROXY_TEST_OUTBOX is "full".
func sizeOf(little, much int) int {
	if os.Getenv("DISCORDPROXY_TEST_OUTBOX") == "full" {
		return much
	}
	return little
}

// perChannel spreads messages over channels that the sandbox may not have.
func perChannel(i, channels int, text string) *pb.EnqueueRequest {
	return &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
		SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(1_000_000 + i%channels), Content: text},
	}}
}

// TestOutboxLoad measures the outbox of a whole server. It fails only if a call does:
// figures depend on the machine. DISCORDPROXY_TEST_OUTBOX=full measures up to a million
// deliveries.
func TestOutboxLoad(t *testing.T) {
	t.Run("enqueue", measureEnqueue)
	t.Run("drain", measureDrain)
	t.Run("waiting", measureWaiting)
	t.Run("calls", measureCalls)
}

// measureEnqueue is how fast calls are accepted one by one.
func measureEnqueue(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	r := startRestarting(t, sb, "--no-gateway")
	c := connected(t, r)
	later := timestamppb.New(time.Now().Add(time.Hour))
	for _, callers := range []int{1, 16, 256} {
		n := sizeOf(10*callers, []int{2000, 30000, 60000}[slices.Index([]int{1, 16, 256}, callers)])
		times := make([]time.Duration, n)
		var next atomic.Int64
		var working sync.WaitGroup
		began, before := time.Now(), processorTime(t, r.Cmd.Process.Pid)
		for range callers {
			working.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					req := perChannel(i, 100, "A message of usual length, as an application would send it.")
					req.NotBefore = later
					at := time.Now()
					if _, err := c.Enqueue(t.Context(), req); err != nil {
						t.Error(err)
						return
					}
					times[i] = time.Since(at)
				}
			})
		}
		working.Wait()
		took := time.Since(began)
		used := processorTime(t, r.Cmd.Process.Pid) - before
		slices.Sort(times)
		t.Logf("Enqueue by %d callers: %.0f/s, median %s, p99 %s; processor time of a call %s", callers, float64(n)/took.Seconds(),
			times[n/2].Round(10*time.Microsecond), times[n*99/100].Round(10*time.Microsecond), (used / time.Duration(n)).Round(time.Microsecond))
	}
}

// measureDrain is how fast deliveries are made, where the global limit of 50 a second
// is what bounds them.
func measureDrain(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	var channels []sandbox.ID
	for range 60 {
		id, err := sb.AddChannel(sandbox.Channel{GuildID: w.Guild, Name: "channel"})
		if err != nil {
			t.Fatal(err)
		}
		channels = append(channels, id)
	}
	r := startRestarting(t, sb, "--no-gateway")
	c := connected(t, r)
	n := sizeOf(120, 2000)
	began := time.Now()
	if err := enqueueMany(t.Context(), c, n, func(i int) *pb.EnqueueRequest {
		return &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
			SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(channels[i%len(channels)]), Content: fmt.Sprint(i)},
		}}
	}); err != nil {
		t.Fatal(err)
	}
	r.waitDelivered(t, c)
	took := time.Since(began)
	t.Logf("drained %d messages to %d channels at %.1f/s, Discord's limit is 50/s; %d refused", n, len(channels), float64(n)/took.Seconds(), sb.Stats().Statuses[429])
}

// measureWaiting is what many waiting deliveries cost.
func measureWaiting(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	folder := filepath.Join(t.TempDir(), "data")
	r := &restarting{sb: sb, args: []string{
		"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--data", folder, "--port", port(t), "--no-gateway",
	}}
	r.start(t)
	c := connected(t, r)
	n := sizeOf(2000, 999_000)
	later := timestamppb.New(time.Now().Add(24 * time.Hour))
	began := time.Now()
	if err := enqueueMany(t.Context(), c, n, func(i int) *pb.EnqueueRequest {
		// Half of them could be made, but for the limits; the others are scheduled.
		req := perChannel(i, 10_000, "A message of usual length, as an application would send it.")
		req.ExpiresAt = timestamppb.New(time.Now().Add(48 * time.Hour))
		if i%2 == 0 {
			req.NotBefore = later
		}
		return req
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("EnqueueMany of %d calls by one stream: %.0f/s; resident memory afterwards %d MB", n, float64(n)/time.Since(began).Seconds(), resident(t, r.Cmd.Process.Pid)>>20)
	var size int64
	files, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += info.Size()
		}
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		r.end(t, signal)
		began := time.Now()
		r.start(t)
		listens := time.Since(began)
		if _, err := c.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{PageSize: 1}); err != nil {
			t.Fatal(err)
		}
		answers := time.Since(began)
		if _, err := c.Enqueue(t.Context(), perChannel(0, 1, "one more")); err != nil {
			t.Fatal(err)
		}
		accepts := time.Since(began)
		peak := int64(0)
		for range 20 {
			peak = max(peak, resident(t, r.Cmd.Process.Pid))
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("start after %s with %d waiting: listens after %s, lists after %s, accepts after %s; resident memory at most %d MB in 2 s; %d MB on disk",
			signal, n, listens.Round(time.Millisecond), answers.Round(time.Millisecond), accepts.Round(time.Millisecond), peak>>20, size>>20)
	}
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// measureCalls is what the store costs calls that do not use the outbox: the processor
// time of two servers, one with a data folder, whose calls alternate.
func measureCalls(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	args := []string{"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--global-rate-limit", "0", "--no-gateway"}
	servers := []*proxytest.Process{
		proxytest.StartProcess(t, nil, append(slices.Clip(args), "--no-data")...),
		proxytest.StartProcess(t, nil, append(slices.Clip(args), "--data", filepath.Join(t.TempDir(), "data"))...),
	}
	rounds, calls := sizeOf(2, 40), sizeOf(50, 2000)
	var used [2]time.Duration
	for round := -1; round < rounds; round++ { // the first one warms up
		for k := range servers {
			i := (k + round + 2) % 2
			p := servers[i]
			before := processorTime(t, p.Cmd.Process.Pid)
			var callers sync.WaitGroup
			var next atomic.Int64
			for range 16 {
				callers.Go(func() {
					for next.Add(1) <= int64(calls) {
						if err := persist(t.Context(), func() error {
							_, err := p.Client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"})
							return err
						}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			callers.Wait()
			if round >= 0 {
				used[i] += processorTime(t, p.Cmd.Process.Pid) - before
			}
		}
	}
	each := func(d time.Duration) time.Duration {
		return (d / time.Duration(rounds*calls)).Round(100 * time.Nanosecond)
	}
	t.Logf("processor time of a call: %s without a data folder, %s with one, %+.1f %%", each(used[0]), each(used[1]),
		100*(float64(used[1])/float64(max(used[0], 1))-1))
}
