package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// restarting is a server as a process that is ended and started again on one address
// and data folder, with a sandbox that stays.
type restarting struct {
	sb   *sandbox.Sandbox
	args []string
	*proxytest.Process
}

func startRestarting(t testing.TB, sb *sandbox.Sandbox, args ...string) *restarting {
	t.Helper()
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	r := &restarting{sb: sb, args: append([]string{
		"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api",
		"--data", filepath.Join(t.TempDir(), "data"), "--port", port(t),
	}, args...)}
	r.start(t)
	return r
}

func port(t testing.TB) string {
	_, port, _ := strings.Cut(proxytest.FreeAddress(t), ":")
	return port
}

func (r *restarting) start(t testing.TB) {
	t.Helper()
	r.Process = proxytest.StartProcess(t, nil, r.args...)
}

// end ends the process by a signal and waits for it.
func (r *restarting) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := r.Cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = r.Cmd.Wait() // killed
}

// persist makes a call until it is answered with something other than that the
// server is away or starts.
func persist(ctx context.Context, call func() error) error {
	for {
		err := call()
		if connect.CodeOf(err) != connect.CodeUnavailable || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// connected returns a client of a server that takes calls.
func connected(t *testing.T, r *restarting) *client.Client {
	t.Helper()
	c, err := client.New(r.Address, client.WithRetries(20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest)); err != nil {
		t.Fatal(err)
	}
	return c
}

// enqueueMany enqueues n calls by one stream.
func enqueueMany(ctx context.Context, c *client.Client, n int, request func(int) *pb.EnqueueRequest) error {
	stream, err := c.EnqueueMany(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.CloseResponse() }()
	go func() {
		defer func() { _ = stream.CloseRequest() }()
		for i := range n {
			if stream.Send(&pb.EnqueueManyRequest{Enqueue: request(i)}) != nil {
				return // Receive returns why
			}
		}
	}()
	for {
		res, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if res.GetError() != nil {
			return errors.New(res.GetError().GetText())
		}
	}
}

// TestRestartUnderLoad restarts the server in the middle of messages that wait for
// limits: Discord refuses none of them.
func TestRestartUnderLoad(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{})
			r := startRestarting(t, sb, "--no-gateway", "--shutdown-grace", "1s")
			channels := sb.World().Channels
			var sent atomic.Int64
			var callers sync.WaitGroup
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			caller, err := client.New(r.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer caller.Close()
			for i := range 40 {
				callers.Go(func() {
					request := &pb.SendChannelMessageRequest{ChannelId: uint64(channels[i%len(channels)]), Content: fmt.Sprint("message ", i)}
					if err := persist(ctx, func() error {
						_, err := caller.SendChannelMessage(ctx, request)
						return err
					}); err != nil {
						t.Errorf("message %d: %v", i, err)
					}
					sent.Add(1)
				})
			}
			for sent.Load() < 8 && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			r.end(t, signal)
			r.start(t)
			callers.Wait()
			if n := sb.Stats().Statuses[http.StatusTooManyRequests]; n > 0 {
				t.Errorf("%d calls were refused", n)
			}
		})
	}
}

// TestRestartOfTheQueue restarts the server in the middle of 500 messages that it has
// queued: Discord refuses no more of them than without a restart, and gets each of them
// once, those to one channel in their order.
func TestRestartOfTheQueue(t *testing.T) {
	const messages, channels = 500, 50
	refused := make(map[string]int)
	var mu sync.Mutex
	t.Run("restarts", func(t *testing.T) {
		for name, restart := range map[string]func(*testing.T, *restarting){
			"none":    func(*testing.T, *restarting) {},
			"SIGTERM": func(t *testing.T, r *restarting) { r.end(t, syscall.SIGTERM); r.start(t) },
			"SIGKILL": func(t *testing.T, r *restarting) { r.end(t, syscall.SIGKILL); r.start(t) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				n := restartQueue(t, messages, channels, restart)
				mu.Lock()
				defer mu.Unlock()
				refused[name] = n
			})
		}
	})
	t.Logf("refused: %v", refused)
	for name, n := range refused {
		if n > refused["none"] {
			t.Errorf("%s: %d requests were refused, %d without a restart", name, n, refused["none"])
		}
	}
}

// restartQueue queues messages, has the server restarted when a third of them has
// arrived, and returns how many requests Discord has refused.
func restartQueue(t *testing.T, messages, channels int, restart func(*testing.T, *restarting)) (refused int) {
	t.Helper()
	sb := sandbox.New(sandbox.Config{})
	ids := make([]sandbox.ID, channels)
	for i := range ids {
		var err error
		if ids[i], err = sb.AddChannel(sandbox.Channel{GuildID: sb.World().Guild, Name: "channel"}); err != nil {
			t.Fatal(err)
		}
	}
	r := startRestarting(t, sb, "--no-gateway")
	queue := connected(t, r)
	if err := enqueueMany(t.Context(), queue, messages, func(i int) *pb.EnqueueRequest {
		return &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
			SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(ids[i%channels]), Content: fmt.Sprint(i)},
		}}
	}); err != nil {
		t.Fatal(err)
	}
	arrived := func() (n int) {
		for _, id := range ids {
			n += len(sb.Messages(id))
		}
		return n
	}
	for end := time.Now().Add(4 * proxytest.Patience); arrived() < messages/3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages have arrived", arrived(), messages)
		}
	}
	if n := arrived(); n == messages {
		t.Fatal("nothing is left to send after the restart")
	}
	restart(t, r)
	r.waitDelivered(t, queue)
	for i, id := range ids {
		var want []string
		for n := i; n < messages; n += channels {
			want = append(want, fmt.Sprint(n))
		}
		if got := posted(sb, id); !slices.Equal(got, want) {
			t.Errorf("channel %d has %q, want %q", i, got, want)
		}
	}
	return sb.Stats().Statuses[http.StatusTooManyRequests]
}

// TestDowntimeOfARestart: clients that repeat calls get an answer to each of them, and
// wait for a moment only. The longest time without an answer is logged; the limit has
// time for a busy machine.
func TestDowntimeOfARestart(t *testing.T) {
	const limit = 15 * time.Second
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			r := startRestarting(t, sb, "--no-gateway", "--global-rate-limit", "0")
			caller := connected(t, r)
			var mu sync.Mutex
			var answered int
			var longest time.Duration
			last := time.Now()
			answer := func() {
				mu.Lock()
				defer mu.Unlock()
				answered++
				longest = max(longest, time.Since(last))
				last = time.Now()
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() {
					for ctx.Err() == nil {
						if _, err := caller.GetUser(t.Context(), &pb.GetUserRequest{UserId: uint64(sb.World().Alice)}); err != nil { //nolint:contextcheck // a call that has begun must succeed
							t.Errorf("a call failed: %v", err)
							return
						}
						answer()
						time.Sleep(time.Millisecond)
					}
				})
			}
			more := func() {
				t.Helper()
				mu.Lock()
				from := answered
				mu.Unlock()
				for end := time.Now().Add(proxytest.Patience); ; time.Sleep(time.Millisecond) {
					mu.Lock()
					n := answered
					mu.Unlock()
					if n >= from+20 {
						return
					}
					if time.Now().After(end) {
						t.Fatalf("%d calls were answered, then none", n)
					}
				}
			}
			for range 5 {
				more()
				mu.Lock()
				last, longest = time.Now(), 0
				mu.Unlock()
				r.end(t, signal)
				r.start(t)
				more()
				mu.Lock()
				t.Logf("no answer for %s", longest.Round(time.Millisecond))
				if longest > limit {
					t.Errorf("no answer for %s", longest)
				}
				mu.Unlock()
			}
			stop()
			callers.Wait()
		})
	}
}

// TestRestartKeepsEvents restarts the server while messages are written at Discord. A
// subscriber that continues at its position gets each of them once, in order, and the
// bot begins no other session.
func TestRestartKeepsEvents(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			r := startRestarting(t, sb)
			w := sb.World()
			for len(sb.GatewaySessions()) == 0 {
				time.Sleep(10 * time.Millisecond)
			}
			var written []sandbox.ID
			write := func(n int) {
				for range n {
					id, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: "event"})
					if err != nil {
						t.Fatal(err)
					}
					written = append(written, id)
				}
			}
			read := 0
			var position *pb.EventPosition
			follow := func(until int) {
				ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
				defer cancel()
				for read < until {
					stream, err := r.Client.SubscribeEvents(ctx, &pb.SubscribeEventsRequest{After: position})
					if err != nil {
						t.Fatal(err)
					}
					for read < until && stream.Receive() {
						for _, e := range stream.Msg().GetEvents() {
							switch e.GetType() {
							case pb.Event_MESSAGE_CREATE:
								if want := uint64(written[min(read, len(written)-1)]); e.GetMessage().GetId() != want {
									t.Errorf("event %d is %d, want %d", read, e.GetMessage().GetId(), want)
								}
								read++
							case pb.Event_GAP:
								t.Errorf("a gap: %v", e)
							}
						}
						position = stream.Msg().GetPosition()
					}
					if ctx.Err() != nil {
						t.Fatalf("%d of %d events came: %v", read, until, stream.Err())
					}
					_ = stream.Close()
				}
			}
			// The first response is empty and has a position.
			stream, err := r.Client.SubscribeEvents(t.Context(), &pb.SubscribeEventsRequest{})
			if err != nil || !stream.Receive() {
				t.Fatal(err, stream.Err())
			}
			position = stream.Msg().GetPosition()
			_ = stream.Close()
			for range 4 {
				write(50)
				follow(len(written) - 10)
				write(20)
				follow(len(written) - 5)
				r.end(t, signal)
				write(10)
				r.start(t)
				write(10)
				follow(len(written))
			}
			if counts := sb.GatewayCounts(); counts.Identifies != 1 || counts.Resumes < 4 {
				t.Errorf("%d sessions began, %d were resumed", counts.Identifies, counts.Resumes)
			}
		})
	}
}

// TestRestartKeepsDirectMessageChannels: a channel that an earlier run opened is not
// opened again.
func TestRestartKeepsDirectMessageChannels(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	r := startRestarting(t, sb, "--no-gateway")
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	for range 2 {
		if err := persist(ctx, func() error {
			_, err := r.Client.SendDirectMessage(ctx, &pb.SendDirectMessageRequest{UserId: uint64(sb.World().Alice), Content: "hi"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r.end(t, syscall.SIGTERM)
		r.start(t)
	}
	if n := sb.Stats().Routes["POST /users/@me/channels"]; n != 1 {
		t.Errorf("the channel was opened %d times", n)
	}
}

// TestRestartWithoutWaitingForTheTokensCheck: calls are taken while Discord has not
// answered the check of a token that was good in the last run.
func TestRestartWithoutWaitingForTheTokensCheck(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	r := startRestarting(t, sb, "--no-gateway")
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	call := func() error {
		_, err := r.Client.GetUser(ctx, &pb.GetUserRequest{UserId: uint64(sb.World().Alice)})
		return err
	}
	if err := persist(ctx, call); err != nil {
		t.Fatal(err)
	}
	r.end(t, syscall.SIGTERM)
	sb.InjectFault(sandbox.Fault{Route: "/users/@me", Delay: time.Hour})
	r.start(t)
	if err := call(); err != nil {
		t.Error(err)
	}
}

// TestRestartKeepsPauses: a channel that was paused still is after a restart, as is one
// that was resumed.
func TestRestartKeepsPauses(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	r := startRestarting(t, sb, "--no-gateway")
	queue := connected(t, r)
	dashboard := discordapiconnect.NewDashboardClient(http.DefaultClient, "http://"+r.Address)
	pauses := func() []*pb.ChannelPause {
		t.Helper()
		res, err := dashboard.ListWaiting(t.Context(), new(pb.ListWaitingRequest))
		if err != nil {
			t.Fatal(err)
		}
		return res.GetPauses()
	}
	general, random := sb.World().General, sb.World().Random
	for _, channel := range []sandbox.ID{general, random} {
		if _, err := dashboard.PauseChannel(t.Context(), &pb.PauseChannelRequest{ChannelId: uint64(channel)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dashboard.ResumeChannel(t.Context(), &pb.ResumeChannelRequest{ChannelId: uint64(random)}); err != nil {
		t.Fatal(err)
	}
	before := pauses()
	if len(before) != 1 || before[0].GetBy() == "" || before[0].GetChannelId() != uint64(general) {
		t.Fatalf("the pauses are %v", before)
	}
	r.end(t, syscall.SIGTERM)
	r.start(t)
	after := pauses()
	if len(after) != 1 || !proto.Equal(after[0], before[0]) {
		t.Fatalf("after the restart the pauses are %v, want %v", after, before)
	}
	for _, channel := range []sandbox.ID{general, random} {
		if err := enqueueMany(t.Context(), queue, 1, func(int) *pb.EnqueueRequest {
			return &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
				SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: "hi"},
			}}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(proxytest.Patience); len(sb.Messages(random)) == 0 || pauses()[0].GetWaiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the other channel has %d messages, and the pauses are %v", len(sb.Messages(random)), pauses())
		}
	}
	if n := len(sb.Messages(general)); n != 0 {
		t.Errorf("the paused channel has %d messages", n)
	}
	if _, err := dashboard.ResumeChannel(t.Context(), &pb.ResumeChannelRequest{ChannelId: uint64(general)}); err != nil {
		t.Fatal(err)
	}
	r.waitDelivered(t, queue)
	r.end(t, syscall.SIGTERM)
	r.start(t)
	if after := pauses(); len(after) != 0 || len(sb.Messages(general)) != 1 {
		t.Errorf("the pauses are %v, and the channel has %d messages", after, len(sb.Messages(general)))
	}
}
