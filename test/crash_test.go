package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// answers are the answers that a client got, by contents.
type answers struct {
	enqueued, hooked []string // accepted by Enqueue and by a hook that queues, in their order
	sent             []string // by a direct call or hook that succeeded
	refused          []string // by one that failed for sure
	direct           int      // direct calls and hooks, those that a kill left without an answer included
}

// crashing is the load of one client, which keeps a book.
type crashing struct {
	address string
	channel sandbox.ID
	client  *client.Client
	book    answers
}

// untilAccepted makes a call until it is accepted. Without an answer it is repeated.
func untilAccepted(ctx context.Context, call func() (accepted bool, err error)) error {
	for ctx.Err() == nil {
		if accepted, err := call(); accepted || err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}

// enqueue leaves a message with the server.
func (c *crashing) enqueue(ctx context.Context, id, text string) error {
	req := &pb.EnqueueRequest{DeliveryId: id, Call: &pb.EnqueueRequest_SendChannelMessage{
		SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(c.channel), Content: text},
	}}
	c.book.enqueued = append(c.book.enqueued, text)
	return untilAccepted(ctx, func() (bool, error) {
		_, err := c.client.Enqueue(ctx, req)
		if errors.Is(err, client.ErrUnavailable) {
			return false, nil
		}
		return err == nil, err
	})
}

// hook posts a message to a hook, and returns the status of the answer, or 0 without one.
func (c *crashing) hook(ctx context.Context, name, id, text string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/hooks/"+name, strings.NewReader(text))
	if err != nil {
		return 0
	}
	req.Header.Set("Idempotency-Key", id)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0
	}
	return res.StatusCode
}

// queueByHook posts a message to a hook that queues.
func (c *crashing) queueByHook(ctx context.Context, name, id, text string) error {
	c.book.hooked = append(c.book.hooked, text)
	return untilAccepted(ctx, func() (bool, error) {
		switch status := c.hook(ctx, name, id, text); status {
		case http.StatusOK:
			return true, nil
		case 0, http.StatusServiceUnavailable:
			return false, nil
		default:
			return false, fmt.Errorf("%s: status %d", text, status)
		}
	})
}

// send sends a message without the outbox.
func (c *crashing) send(ctx context.Context, text string) {
	c.book.direct++
	_, err := c.client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(c.channel), Content: text})
	unknown := false
	if e, ok := errors.AsType[*client.Error](err); ok {
		unknown = e.OutcomeUnknown
	} else if e, ok := errors.AsType[*client.HTTPError](err); ok {
		unknown = e.OutcomeUnknown
	}
	switch {
	case err == nil:
		c.book.sent = append(c.book.sent, text)
	case !unknown && ctx.Err() == nil:
		c.book.refused = append(c.book.refused, text)
	}
}

// sendByHook posts a message to a hook that waits for Discord.
func (c *crashing) sendByHook(ctx context.Context, name, id, text string) {
	c.book.direct++
	switch c.hook(ctx, name, id, text) {
	case http.StatusOK:
		c.book.sent = append(c.book.sent, text)
	case 0, http.StatusBadGateway, http.StatusGatewayTimeout: // it may be there
	default:
		c.book.refused = append(c.book.refused, text)
	}
}

// work continues until the load ends. ctx ends calls that have begun.
func (c *crashing) work(ctx, load context.Context, w int) error {
	for i := 0; load.Err() == nil; i++ {
		name := func(kind string) string { return fmt.Sprintf("worker %d %s %d", w, kind, i) }
		id := fmt.Sprintf("%d-%d", w, i)
		if err := c.enqueue(ctx, id, name("enqueued")); err != nil {
			return err
		}
		hook := fmt.Sprint(c.channel)
		switch i % 5 {
		case 0:
			c.send(load, name("sent"))
		case 2:
			if err := c.queueByHook(ctx, "queue-"+hook, id, name("hooked")); err != nil {
				return err
			}
		case 4:
			c.sendByHook(load, "send-"+hook, id, name("sent by a hook"))
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// crashResult is the difference between the answers of clients and what Discord has.
type crashResult struct{ accepted, direct, answered, lost, doubled, disordered, failedButPresent int }

// audit adds the difference in one book.
func (r *crashResult) audit(book answers, stored []string) {
	counts := make(map[string]int)
	for _, text := range stored {
		counts[text]++
	}
	for _, accepted := range [][]string{book.enqueued, book.hooked} {
		r.accepted += len(accepted)
		var order []string
		for _, text := range stored {
			if slices.Contains(accepted, text) {
				order = append(order, text)
			}
		}
		if order = slices.Compact(order); !slices.Equal(order, accepted) && len(order) == len(accepted) {
			r.disordered++
		}
	}
	r.direct += book.direct
	r.answered += len(book.sent) + len(book.refused)
	for _, text := range slices.Concat(book.enqueued, book.hooked, book.sent) {
		if counts[text] == 0 {
			r.lost++
		}
	}
	for _, n := range counts {
		if n > 1 {
			r.doubled++
		}
	}
	for _, text := range book.refused {
		if counts[text] > 0 {
			r.failedButPresent++
		}
	}
}

// witnessed is what a subscriber has seen of messages over restarts of the server.
type witnessed struct {
	mu       sync.Mutex
	first    uint64 // messages with larger IDs count
	seen     map[uint64]bool
	excused  [][2]uint64 // between these messages some may be missing, as reported to it
	gaps     int
	sessions int
	open     bool // what is missing before the next message is excused
	last     uint64
}

// watch reads events, each stream from where the one before has ended, until ctx ends.
func (w *witnessed) watch(ctx context.Context, c *client.Client, position *pb.EventPosition) {
	for ctx.Err() == nil {
		stream, err := c.SubscribeEvents(ctx, &pb.SubscribeEventsRequest{After: position})
		if err == nil {
			for stream.Receive() {
				for _, e := range stream.Msg().GetEvents() {
					w.event(e)
				}
				position = stream.Msg().GetPosition()
			}
			_ = stream.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// begin returns where to begin. Messages that follow count.
func (w *witnessed) begin(t *testing.T, c *client.Client, sb *sandbox.Sandbox) *pb.EventPosition {
	t.Helper()
	var position *pb.EventPosition
	if err := persist(t.Context(), func() error {
		stream, err := c.SubscribeEvents(t.Context(), new(pb.SubscribeEventsRequest))
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		stream.Receive()
		position = stream.Msg().GetPosition() // the first response is empty
		return stream.Err()
	}); err != nil {
		t.Fatal(err)
	}
	id, err := sb.AddMessage(sandbox.Message{ChannelID: sb.World().General, Content: "the first"})
	if err != nil {
		t.Fatal(err)
	}
	w.first = uint64(id) - 1
	w.last = w.first
	return position
}

// wait waits until a message was seen.
func (w *witnessed) wait(t *testing.T, id sandbox.ID) {
	t.Helper()
	seen := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.seen[uint64(id)]
	}
	for deadline := time.Now().Add(proxytest.Patience); !seen(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("the event of message %d has not come", id)
			return
		}
	}
}

func (w *witnessed) event(e *pb.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case e.GetGap() != nil:
		w.gaps++
		w.open = true
	case e.GetGatewayState().GetState() == pb.Event_GatewayState_CONNECTED:
		w.sessions++
		w.open = true
	case e.GetType() == pb.Event_MESSAGE_CREATE:
		id := e.GetMessage().GetId()
		if w.open {
			w.excused = append(w.excused, [2]uint64{w.last, id})
			w.open = false
		}
		w.last = max(w.last, id)
		w.seen[id] = true
	}
}

// missed counts the messages that were neither seen nor said to be missing.
func (w *witnessed) missed(ids []sandbox.ID) (n int) {
	for _, id := range ids {
		id := uint64(id)
		excused := slices.ContainsFunc(w.excused, func(e [2]uint64) bool { return e[0] < id && id < e[1] })
		if id > w.first && !w.seen[id] && !excused {
			n++
		}
	}
	return n
}

// crashHooks writes a file with two hooks for each channel.
func crashHooks(t *testing.T, channels []sandbox.ID) string {
	t.Helper()
	var file strings.Builder
	file.WriteString("hooks:\n")
	for _, channel := range channels {
		fmt.Fprintf(&file, "- {name: queue-%d, channel: %d, queue: true}\n- {name: send-%d, channel: %d}\n", channel, channel, channel, channel)
	}
	path := filepath.Join(t.TempDir(), "hooks.yaml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCrashes kills the server at random moments, while it starts too, while calls are
// enqueued and sent, hooks are used, events come and Discord fails at random.
// Afterwards the sandbox holds each message exactly once that was accepted, in the
// order of its client, and none that failed; a subscriber has got each message as an
// event, or got a GAP. DISCORDPROXY_TEST_CRASHES is the number of kills.
func TestCrashes(t *testing.T) {
	kills := 6
	if n, err := strconv.Atoi(os.Getenv("DISCORDPROXY_TEST_CRASHES")); err == nil {
		kills = n
	}
	const workers = 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	sb := sandbox.New(sandbox.Config{Unlimited: true, Latency: sandbox.RoundTrip(5 * time.Millisecond), Seed: seed, MaxNonces: 1 << 20, MaxMessages: 1 << 20})
	channels := sb.World().Channels
	r := startRestarting(t, sb, "--hooks-file", crashHooks(t, channels))
	connect := func() *client.Client {
		t.Helper()
		c, err := client.New(r.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	queue := connect()
	for len(sb.GatewaySessions()) == 0 && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	watching, endWatching := context.WithCancel(t.Context())
	defer endWatching()
	watcher := &witnessed{seen: make(map[uint64]bool)}
	position := watcher.begin(t, queue, sb)
	var watchers sync.WaitGroup
	watchers.Go(func() { watcher.watch(watching, connect(), position) })

	const route = "POST /channels/{channel_id}/messages"
	sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, Probability: 0.05})
	sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, After: true, Probability: 0.05})
	sb.InjectFault(sandbox.Fault{Route: route, Status: 502, After: true, Probability: 0.05})
	load, unload := context.WithCancel(t.Context())
	defer unload()
	var working sync.WaitGroup
	clients := make([]*crashing, workers)
	for w := range clients {
		clients[w] = &crashing{address: r.Address, channel: channels[w%len(channels)], client: connect()}
		working.Go(func() {
			if err := clients[w].work(t.Context(), load, w); err != nil {
				t.Error(err)
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
	var ids []sandbox.ID
	for _, channel := range channels {
		for _, m := range sb.Messages(channel) {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	watcher.wait(t, ids[len(ids)-1])
	endWatching()
	watchers.Wait()

	var result crashResult
	for w, c := range clients {
		var stored []string
		for _, text := range posted(sb, c.channel) {
			if strings.HasPrefix(text, fmt.Sprintf("worker %d ", w)) {
				stored = append(stored, text)
			}
		}
		result.audit(c.book, stored)
	}
	missed := watcher.missed(ids)
	t.Logf("%d kills, %d accepted, %d direct calls, %d of them answered: %d lost, %d doubled, %d clients out of order, %d failed but present; %d events of messages, %d gaps, %d sessions, %d missed",
		kills, result.accepted, result.direct, result.answered, result.lost, result.doubled, result.disordered, result.failedButPresent, len(watcher.seen), watcher.gaps, watcher.sessions, missed)
	if result.accepted == 0 || result.direct == 0 || len(watcher.seen) == 0 || result.lost+result.doubled+result.disordered+result.failedButPresent+missed > 0 {
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
