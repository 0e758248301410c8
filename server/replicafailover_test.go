//go:build unix

package server_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server/internal/store/storetest"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestReplicaFailover: servers as processes. When the leader is killed or hangs, another
// one leads, and calls at the others go on. Messages that the last leader may have sent are
// sent again, and arrive once. Calls that cannot be repeated fail with UNAVAILABLE. A leader
// that has hung follows, and leads again.
func TestReplicaFailover(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	address := storetest.Database(t)
	start := func() *process {
		port := proxytest.FreeAddress(t)
		_, number, _ := strings.Cut(port, ":")
		p := startProcess(t, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api", "--database", address,
			"--no-dashboard", "--no-gateway", "--advertise", port, "--port", number)
		p.serves(t)
		return p
	}
	get := func(p *process) error {
		_, err := p.client.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
		return err
	}
	first := start()
	within(t, func() error { return get(first) })
	second, third := start(), start()
	within(t, func() error { return get(second) })
	within(t, func() error { return get(third) })

	// Each client sends one message after the other, by two servers.
	ctx, cancel := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	var sent atomic.Int64
	for i, p := range []*process{second, third} {
		for j := range 3 {
			calling.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					content := fmt.Sprintf("%d %d %d", i, j, n)
					_, err := p.client.SendChannelMessage(context.WithoutCancel(ctx), &pb.SendChannelMessageRequest{
						ChannelId: uint64(sb.World().General), Content: content,
					})
					if err != nil {
						t.Errorf("%s: %v", content, err)
						return
					}
					sent.Add(1)
				}
			})
		}
	}
	more := func() {
		t.Helper()
		n := sent.Load() + 30
		within(t, func() error {
			if sent.Load() < n && !t.Failed() {
				return errors.New("the calls do not go on")
			}
			return nil
		})
	}
	more()
	began := time.Now()
	first.signal(t, syscall.SIGKILL)
	n := sent.Load() + 6
	within(t, func() error {
		if sent.Load() < n {
			return errors.New("the calls do not go on")
		}
		return nil
	})
	t.Logf("calls go on %v after the leader was killed", time.Since(began).Round(time.Millisecond))
	more()
	cancel()
	calling.Wait()
	contents := make(map[string]int)
	stream, err := second.client.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: uint64(sb.World().General), Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		contents[stream.Msg().GetMessage().GetContent()]++
	}
	if stream.Err() != nil {
		t.Fatal(stream.Err())
	}
	for content, n := range contents {
		if n > 1 {
			t.Errorf("%q was sent %d times", content, n)
		}
	}
	if got := int64(len(contents)); got != sent.Load() {
		t.Errorf("Discord got %d messages, %d were reported as sent", got, sent.Load())
	}

	// The leader hangs.
	leader, other := second, third
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var at string
	if err := db.QueryRowContext(t.Context(), "SELECT address FROM replicas r JOIN leases l ON l.holder = r.id").Scan(&at); err != nil {
		t.Fatal(err)
	}
	if at == third.address {
		leader, other = third, second
	}
	within(t, func() error { return get(other) })
	leader.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus // it stops a little after the signal
	if _, err := syscall.Wait4(leader.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the leader has not stopped: %v, %v", status, err)
	}
	began = time.Now()
	read, changed := make(chan error, 1), make(chan error, 1)
	go func() { read <- get(other) }()
	go func() {
		_, err := other.client.TriggerTyping(context.WithoutCancel(t.Context()), &pb.TriggerTypingRequest{ChannelId: uint64(sb.World().General)})
		changed <- err
	}()
	if err := receive(t, read); err != nil {
		t.Errorf("a call at a leader that hangs, which is repeated: %v", err)
	}
	if err := receive(t, changed); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "not known") {
		t.Errorf("a call at a leader that hangs: %v", err)
	}
	t.Logf("calls go on %v after the leader was paused", time.Since(began).Round(time.Millisecond))
	leader.signal(t, syscall.SIGCONT)
	if err := get(other); err != nil {
		t.Error(err)
	}
	// The last leader follows, and leads again, without a restart.
	within(t, func() error { return get(leader) })
	epoch := func() (n int64) {
		if err := db.QueryRowContext(t.Context(), "SELECT epoch FROM leases").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	last := epoch()
	other.signal(t, syscall.SIGTERM)
	if err := get(leader); err != nil {
		t.Error(err)
	}
	receive(t, other.ended)
	within(t, func() error { // the call above may have gone to the one that ends
		if n := epoch(); n != last+1 {
			return fmt.Errorf("the epoch is %d after %d", n, last)
		}
		return nil
	})
	select {
	case <-leader.ended:
		t.Error("the last leader ended")
	default:
	}
}
