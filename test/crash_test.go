package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// told is what clients were told of one channel, by contents.
type told struct {
	accepted []string        // by Enqueue, in their order
	sent     map[string]bool // by a direct call: whether it succeeded for sure
}

// TestCrashes kills the server at random moments, while it starts too, while calls
// are enqueued and sent and Discord fails at random. Afterwards the sandbox holds
// each message exactly once that was accepted, in the order of its channel.
// DISCORDPROXY_TEST_CRASHES is the number of kills.
func TestCrashes(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("DISCORDPROXY_TEST_CRASHES")); err == nil {
		kills = n
	}
	const workers = 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	sb := sandbox.New(sandbox.Config{Unlimited: true, Latency: sandbox.RoundTrip(5 * time.Millisecond), Seed: seed, MaxNonces: 1 << 20, MaxMessages: 1 << 20})
	const route = "POST /channels/{channel_id}/messages"
	sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, Probability: 0.05})
	sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, After: true, Probability: 0.05})
	sb.InjectFault(sandbox.Fault{Route: route, Status: 502, After: true, Probability: 0.05})
	r := startRestarting(t, sb)
	channels := sb.World().Channels
	books := make([]told, workers)
	load, unload := context.WithCancel(t.Context())
	defer unload()
	var working sync.WaitGroup
	queue, err := client.New(r.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer queue.Close()
	direct := r.Client
	for w := range workers {
		channel := channels[w%len(channels)]
		book := &books[w]
		book.sent = make(map[string]bool)
		working.Go(func() {
			for i := 0; load.Err() == nil; i++ {
				text := fmt.Sprintf("worker %d queued %d", w, i)
				req := &pb.EnqueueRequest{DeliveryId: fmt.Sprintf("%d-%d", w, i), Call: &pb.EnqueueRequest_SendChannelMessage{
					SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: text},
				}}
				// Without an answer the same delivery is enqueued again.
				for {
					_, err := queue.Enqueue(t.Context(), req) //nolint:contextcheck // the end of the load does not end it
					if err == nil {
						break
					}
					if !errors.Is(err, client.ErrUnavailable) || t.Context().Err() != nil {
						t.Errorf("%s: %v", text, err)
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				book.accepted = append(book.accepted, text)
				if i%5 == 0 {
					text := fmt.Sprintf("worker %d direct %d", w, i)
					_, err := direct.SendChannelMessage(load, &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: text})
					book.sent[text] = err == nil
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for range kills {
		time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
		r.end(t, syscall.SIGKILL)
		if rng.IntN(4) == 0 { // while it starts
			r.startAndKill(t, time.Duration(rng.IntN(60))*time.Millisecond)
		}
		r.start(t)
	}
	unload()
	working.Wait()
	sb.RemoveFault(0)
	r.waitDelivered(t, queue)

	accepted, lost, doubled, disordered, wrong := 0, 0, 0, 0, 0
	for w, book := range books {
		counts := make(map[string]int)
		var order []string
		for _, text := range posted(sb, channels[w%len(channels)]) {
			counts[text]++
			if slices.Contains(book.accepted, text) {
				order = append(order, text)
			}
		}
		accepted += len(book.accepted)
		for _, text := range book.accepted {
			switch n := counts[text]; {
			case n == 0:
				lost++
			case n > 1:
				doubled++
			}
		}
		if !slices.Equal(order, book.accepted) {
			disordered++
		}
		for text, ok := range book.sent {
			if n := counts[text]; n > 1 || ok && n == 0 {
				wrong++
			}
		}
	}
	t.Logf("%d kills, %d accepted: %d lost, %d doubled, %d channels out of order, %d direct calls told wrongly", kills, accepted, lost, doubled, disordered, wrong)
	if accepted == 0 || lost+doubled+disordered+wrong > 0 {
		t.Fail()
	}
}

// posted returns the contents of a channel's messages in their order.
func posted(sb *sandbox.Sandbox, channel sandbox.ID) (all []string) {
	messages := sb.Messages(channel)
	slices.SortFunc(messages, func(a, b sandbox.Message) int { return int(a.ID) - int(b.ID) })
	for _, m := range messages {
		all = append(all, m.Content)
	}
	return all
}

// startAndKill starts the process and kills it after a moment.
func (r *restarting) startAndKill(t *testing.T, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(proxytest.Commands(t), "discordproxyserver"), append(r.args, "--log-file-path", t.TempDir())...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
}

// waitDelivered waits until nothing is in the outbox that has not ended, and checks
// that all was delivered.
func (r *restarting) waitDelivered(t *testing.T, queue *client.Client) {
	t.Helper()
	list := func(states ...pb.Delivery_State) []*pb.Delivery {
		t.Helper()
		var res *pb.ListDeliveriesResponse
		if err := persist(t.Context(), func() (err error) {
			res, err = queue.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{States: states, PageSize: 5})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return res.GetDeliveries()
	}
	for deadline := time.Now().Add(4 * proxytest.Patience); len(list(pb.Delivery_WAITING, pb.Delivery_SENDING)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %v", list(pb.Delivery_WAITING, pb.Delivery_SENDING))
		}
	}
	if failed := list(pb.Delivery_FAILED, pb.Delivery_EXPIRED, pb.Delivery_UNKNOWN); len(failed) > 0 {
		t.Errorf("not delivered: %v", failed)
	}
}
