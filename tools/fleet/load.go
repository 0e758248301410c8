package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/sandbox"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// book holds the answers that one caller got.
type book struct {
	accepted []string // by Enqueue, in order
	unnamed  []string // the same without a name, whose call is not repeated by the caller
	sent     []string // by a call that succeeded, in order
	refused  []string // by one that failed for sure
	unknown  int
	repeated int // calls to Enqueue that failed
}

// load is the callers, and a subscriber to the events of each bot.
type load struct {
	fleet   *fleet
	options options
	books   []book
	working sync.WaitGroup
	end     context.CancelFunc // of the load
	watched []witness
	wait    func() // until the subscribers have ended

	mu        sync.Mutex
	successes []time.Time // of direct calls
	causes    map[string]int
	defects   int // calls that failed with an error that no fault explains
	outages   map[string][]time.Duration
	broken    error // callers that ended before the load
}

func newLoad(f *fleet, o options) *load {
	l := &load{
		fleet: f, options: o, books: make([]book, len(f.discord.channels)),
		outages: make(map[string][]time.Duration), causes: make(map[string]int),
	}
	l.watched = make([]witness, len(f.discord.bots))
	for i := range l.watched {
		l.watched[i].bot, l.watched[i].seen = i, make(map[uint64]bool)
	}
	return l
}

func (l *load) begin(ctx context.Context) error {
	loading, end := context.WithCancel(ctx)
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	subscribed := make(chan struct{}, len(l.watched))
	for i := range l.watched {
		watchers.Go(func() { l.watched[i].watch(watching, l.fleet, sync.OnceFunc(func() { subscribed <- struct{}{} })) })
	}
	l.end, l.wait = end, func() { stop(); watchers.Wait() }
	for range l.watched {
		select {
		case <-subscribed:
		case <-time.After(30 * time.Second):
			return errors.New("events cannot be subscribed to")
		}
	}
	for i, language := range l.options.packages() {
		l.working.Go(func() {
			if err := l.callWith(ctx, loading, language, l.options.callers+i); err != nil {
				l.mu.Lock()
				l.broken = errors.Join(l.broken, err)
				l.mu.Unlock()
			}
		})
	}
	for i := range l.options.callers {
		rng := rand.New(rand.NewPCG(l.options.seed, uint64(100+i))) //nolint:gosec // it need not be secret
		l.working.Go(func() { l.call(ctx, loading, rng, i) })
	}
	return nil
}

// call makes calls until the load ends, one after the other.
func (l *load) call(ctx, loading context.Context, rng *rand.Rand, i int) {
	b, channel, bot := &l.books[i], uint64(l.fleet.discord.channels[i]), l.fleet.discord.botOf(i)
	for n := 0; loading.Err() == nil; n++ {
		text := fmt.Sprintf("caller %d, %d", i, n)
		send := &pb.SendChannelMessageRequest{ChannelId: channel, Content: text}
		queued := &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: send}}
		server := func() *replica { return l.fleet.replicas[rng.IntN(len(l.fleet.replicas))] }
		within, cancel := context.WithTimeout(ctx, time.Minute)
		switch rng.IntN(4) {
		case 0:
			queued.DeliveryId = fmt.Sprintf("%d-%d", i, n)
			for {
				_, err := server().outbox[bot].Enqueue(within, queued)
				if err == nil {
					b.accepted = append(b.accepted, text)
					break
				}
				if b.repeated++; within.Err() != nil || ctx.Err() != nil {
					cancel()
					within, cancel = context.WithTimeout(ctx, time.Minute)
				}
				if ctx.Err() != nil {
					break
				}
				sleep(ctx, 100*time.Millisecond)
			}
		case 1:
			if _, err := server().outbox[bot].Enqueue(within, queued); err != nil {
				l.failed(b, text, err)
			} else {
				b.unnamed = append(b.unnamed, text)
			}
		default:
			if _, err := server().api[bot].SendChannelMessage(within, send); err != nil {
				l.failed(b, text, err)
				break
			}
			b.sent = append(b.sent, text)
			l.mu.Lock()
			l.successes = append(l.successes, time.Now())
			l.mu.Unlock()
		}
		cancel()
		sleep(loading, time.Duration(50+rng.IntN(300))*time.Millisecond)
	}
}

// failed notes a call that failed. Only an answer of a server that says so proves that
// the call was not made.
func (l *load) failed(b *book, text string, err error) {
	failure, ok := errors.AsType[*connect.Error](err)
	known := false
	if ok {
		for _, d := range failure.Details() {
			if value, err := d.Value(); err == nil {
				if e, ok := value.(*pb.DiscordError); ok {
					known = !e.GetOutcomeUnknown()
				}
			}
		}
	}
	if known {
		b.refused = append(b.refused, text)
	} else {
		b.unknown++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if code := connect.CodeOf(err); code == connect.CodeInternal || ok && code == connect.CodeUnknown {
		l.defects++
	}
	l.causes[fmt.Sprintf("known %t: %.90s", known, err)]++
}

// disturbed notes the longest time without a success since a disturbance began.
func (l *load) disturbed(kind string, began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, worst := began, time.Duration(0)
	for _, t := range append(slices.Clone(l.successes), time.Now()) {
		if t.Before(began) {
			continue
		}
		worst = max(worst, t.Sub(last))
		last = t
	}
	l.outages[kind] = append(l.outages[kind], worst)
}

// finish ends the load, and waits until everything that was accepted is sent.
func (l *load) finish(ctx context.Context) error {
	l.end()
	l.working.Wait()
	deadline := time.Now().Add(5 * time.Minute)
	for i := range l.watched {
		if err := l.empty(ctx, i, deadline); err != nil {
			return err
		}
	}
	last, err := l.fleet.discord.sandbox.AddMessage(sandbox.Message{ChannelID: l.fleet.discord.channels[0], Content: "the last"})
	if err != nil {
		return err
	}
	for i := range l.watched {
		for !l.watched[i].has(uint64(last)) {
			if time.Now().After(deadline) || ctx.Err() != nil {
				return fmt.Errorf("the last event of bot %d does not come", i)
			}
			sleep(ctx, 50*time.Millisecond)
		}
	}
	l.wait()
	return nil
}

// empty waits until the outbox of a bot is empty.
func (l *load) empty(ctx context.Context, bot int, deadline time.Time) error {
	for {
		resp, err := l.fleet.replicas[0].outbox[bot].ListDeliveries(ctx, &pb.ListDeliveriesRequest{
			States: []pb.Delivery_State{pb.Delivery_SCHEDULED, pb.Delivery_WAITING, pb.Delivery_SENDING}, PageSize: 1,
		})
		if err == nil && len(resp.GetDeliveries()) == 0 {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("the outbox of bot %d does not become empty: %w", bot, err)
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// inOrder returns how many of the texts, which are in the order of their caller, come
// after a later one.
func inOrder(texts []string, place map[string]int) (wrong int) {
	last := -1
	for _, text := range texts {
		at, ok := place[text]
		if ok && at < last {
			wrong++
		}
		last = max(last, at)
	}
	return wrong
}

func (l *load) report(out io.Writer) error {
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	var accepted, sent, refused, unknown, repeated, lost, doubled, falseFailures, disordered int
	d := l.fleet.discord
	var ids []uint64
	for i, b := range l.books {
		place, count := make(map[string]int), make(map[string]int)
		for n, m := range d.sandbox.Messages(d.channels[i]) {
			ids = append(ids, uint64(m.ID))
			if count[m.Content]++; count[m.Content] == 1 {
				place[m.Content] = n
			}
		}
		for text, n := range count {
			if n > 1 {
				printf("doubled: %q, %d times\n", text, n)
				doubled++
			}
		}
		for _, text := range slices.Concat(b.accepted, b.unnamed, b.sent) {
			if count[text] == 0 {
				printf("lost: %q\n", text)
				lost++
			}
		}
		for _, text := range b.refused {
			if count[text] > 0 {
				printf("sent although it failed: %q\n", text)
				falseFailures++
			}
		}
		queued := slices.Concat(b.accepted, b.unnamed)
		slices.SortFunc(queued, func(a, b string) int { return number(a) - number(b) })
		disordered += inOrder(queued, place) + inOrder(b.sent, place)
		accepted, sent, refused = accepted+len(queued), sent+len(b.sent), refused+len(b.refused)
		unknown, repeated = unknown+b.unknown, repeated+b.repeated
	}
	missed, gaps := 0, 0
	for i := range l.watched {
		for _, id := range l.watched[i].missed(ids) {
			missed++
			at := time.UnixMilli(int64(id>>22) + discordEpoch) //nolint:gosec // IDs of the sandbox have 63 bits
			printf("bot %d missed message %d, sent at %s\n%s", i, id, at.Format(time.StampMilli), l.watched[i].around(at))
		}
		gaps += l.watched[i].gaps
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	printf("messages: %d sent, %d enqueued, %d refused, %d with an unknown outcome; %d calls to Enqueue repeated by their callers\n",
		sent, accepted, refused, unknown, repeated)
	for _, cause := range sortedKeys(l.causes) {
		printf("  %5d  %s\n", l.causes[cause], cause)
	}
	printf("failovers %d, gaps reported to the subscribers %d, 429s by scope: %v\n", d.failovers, gaps, d.limited)
	for _, kind := range sortedKeys(l.outages) {
		times := slices.Sorted(slices.Values(l.outages[kind]))
		printf("  %-24s %3d times, no call succeeded for: median %v, worst %v\n", kind, len(times),
			times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	}
	printf("lost %d, doubled %d, sent although they failed %d, out of order %d, events missed %d, sent by a former leader %d\n",
		lost, doubled, falseFailures, disordered, missed, d.overlaps)
	wrong := []error{l.broken}
	if lost+doubled+falseFailures+disordered+missed+d.overlaps > 0 {
		wrong = append(wrong, errors.New("the answers and the sandbox differ"))
	}
	if l.defects > 0 {
		wrong = append(wrong, fmt.Errorf("%d calls failed with an internal error", l.defects))
	}
	if n := d.limited["global"]; n > d.failovers {
		wrong = append(wrong, fmt.Errorf("%d global 429s in %d failovers", n, d.failovers))
	}
	if n := d.limited["user"]; n > d.failovers*len(d.channels) {
		wrong = append(wrong, fmt.Errorf("%d 429s of buckets in %d failovers", n, d.failovers))
	}
	if sent == 0 || accepted == 0 {
		wrong = append(wrong, errors.New("nothing was sent"))
	}
	return errors.Join(wrong...)
}

// discordEpoch is what the times in IDs are after, in Unix milliseconds.
// https://docs.discord.com/developers/reference#snowflakes
const discordEpoch = 1420070400000

// number returns the number of a text of a caller.
func number(text string) (n int) {
	_, after, _ := strings.Cut(text, ", ")
	_, _ = fmt.Sscan(after, &n)
	return n
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
