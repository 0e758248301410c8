package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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

	"connectrpc.com/connect"
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

// TestRestartKeepsEvents restarts the server while messages are written at Discord. A
// subscriber that goes on at its position gets each of them once, in order, and the
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
