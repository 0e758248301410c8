package ratelimit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// disk keeps a limiter's records as the server does: immediately after a pause, and
// at most once a second; once more within that if it is urgent.
type disk struct {
	mu      sync.Mutex
	records map[string][]byte
	mark    ratelimit.Mark
	changed chan struct{}
	urgent  chan struct{}
}

func newDisk() *disk {
	return &disk{records: make(map[string][]byte), changed: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
}

func (d *disk) notify(urgent bool) {
	select {
	case d.changed <- struct{}{}:
	default:
	}
	if urgent {
		select {
		case d.urgent <- struct{}{}:
		default:
		}
	}
}

func (d *disk) save(t *testing.T, l *ratelimit.Limiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	records, mark := l.Export(d.mark)
	d.mark = mark
	for _, r := range records {
		data, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
		}
		d.records[r.Key] = data
	}
}

func (d *disk) run(ctx context.Context, t *testing.T, l *ratelimit.Limiter) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.changed:
		}
		d.save(t, l)
		pause := time.After(time.Second)
		select {
		case <-ctx.Done():
			return
		case <-pause:
			continue
		case <-d.urgent:
		}
		d.save(t, l)
		select {
		case <-ctx.Done():
			return
		case <-pause:
		}
	}
}

func (d *disk) read(t *testing.T) (records []ratelimit.Saved) {
	for _, key := range slices.Sorted(maps.Keys(d.records)) {
		data := d.records[key]
		var r ratelimit.Saved
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		r.Key = key
		records = append(records, r)
	}
	return records
}

// TestRestartInALongWindow: after an end like that by SIGKILL, calls do not wait for
// the end of a long window that was little used.
func TestRestartInALongWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiscord(fixed("a", 30, 10*time.Second))
		first := newLimiter(t, ratelimit.Config{})
		for range 3 {
			s := sender{discord: d, limiter: first, token: "bot"}
			if _, err := s.send(t.Context(), "POST", messages(1)); err != nil {
				t.Fatal(err)
			}
		}
		stored := newDisk()
		stored.save(t, first)
		next := newLimiter(t, ratelimit.Config{})
		next.Import(stored.read(t), false)
		began := time.Now()
		s := sender{discord: d, limiter: next, token: "bot"}
		if _, err := s.send(t.Context(), "POST", messages(1)); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 2*time.Second { // the global limit's second, and a round trip
			t.Errorf("it waited for %s", waited)
		}
	})
}

// TestRestart ends a limiter in the middle of 500 calls, gracefully or as SIGKILL does,
// and continues with another one that knows what the first one saved. Discord refuses no call.
func TestRestart(t *testing.T) {
	const ms = time.Millisecond
	limits := map[string]limit{
		"sliding 5 in 5 s": sliding("a", 5, 5*time.Second),
		"sliding 5 in 1 s": sliding("a", 5, time.Second),
		"fixed 5 in 5 s":   fixed("a", 5, 5*time.Second),
		"fixed 10 in 10 s": fixed("a", 10, 10*time.Second),
		"single in 2 s":    sliding("a", 1, 2*time.Second),
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		for _, clean := range []bool{true, false} {
			for _, spread := range []int{5, 100} {
				for seed := range uint64(4) {
					t.Run(fmt.Sprintf("%s, clean %v, %d channels, %d", name, clean, spread, seed), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							rng := rand.New(rand.NewPCG(seed, 7))
							d := newDiscord(limits[name])
							d.delay = jitter(rand.New(rand.NewPCG(seed, 8)), 20*ms, 120*ms)
							stored := newDisk()
							first := newLimiter(t, ratelimit.Config{Changed: stored.notify})
							ctx, end := context.WithCancel(t.Context())
							var calls, saver sync.WaitGroup
							saver.Go(func() { stored.run(ctx, t, first) })
							var left atomic.Int64
							for i := range 500 {
								calls.Go(func() {
									s := sender{discord: d, limiter: first, token: "bot"}
									if _, err := s.send(ctx, "POST", messages(i%spread+1)); err != nil {
										left.Add(1)
									}
								})
							}
							time.Sleep(time.Duration(rng.Int64N(int64(8*time.Second))) + 500*ms)
							end()
							if clean {
								calls.Wait() // those in flight
							}
							saver.Wait()
							if clean {
								stored.save(t, first)
							}
							time.Sleep(time.Duration(rng.Int64N(int64(300 * ms))))
							next := newLimiter(t, ratelimit.Config{})
							next.Import(stored.read(t), clean)
							calls.Wait()
							if left.Load() == 0 {
								t.Fatal("the first run sent everything")
							}
							s := sender{discord: d, limiter: next, token: "bot", sharing: 3}
							each := max(int(left.Load())/spread, 1)
							s.run(t, channels(spread, min(each, 15), 1)...)
							for reply, n := range d.replies {
								if strings.HasPrefix(reply, "429") {
									t.Errorf("%d times %s", n, reply)
								}
							}
						})
					})
				}
			}
		}
	}
}

// spoil changes numbers of a JSON document to others, valid or not.
func spoil(rng *rand.Rand, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			v[key] = spoil(rng, v[key])
		}
	case []any:
		for i := range v {
			v[i] = spoil(rng, v[i])
		}
	case float64:
		if rng.IntN(4) == 0 {
			odd := []int64{0, 1, 2, 3, 4, 5, 9, 255, 256, -1, 1 << 31, 1 << 32, 1<<63 - 1, -1 << 63, int64(time.Hour), -int64(time.Hour), int64(30 * 24 * time.Hour)}
			return json.Number(fmt.Sprint(odd[rng.IntN(len(odd))]))
		}
		return json.Number(fmt.Sprintf("%.0f", v))
	}
	return v
}

// TestSpoiledRecords imports records that are not what was exported. Nothing panics,
// and every call is sent in the end.
func TestSpoiledRecords(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			d := newDiscord([]limit{sliding("a", 5, time.Second), fixed("a", 3, 4*time.Second)}[seed%2])
			if seed%3 == 0 {
				d.Lie = &ratelimit.Lie{Truth: []limit{sliding("", 2, time.Second)}, Refusal: ratelimit.Bare}
			}
			stored := newDisk()
			first := newLimiter(t, ratelimit.Config{})
			jobs := append(channels(3, 12, 1), job{5, "GET", "/users/@me"}, job{5, "PATCH", "/channels/1"})
			sender{discord: d, limiter: first, token: "bot"}.run(t, jobs...)
			stored.save(t, first)
			var records []ratelimit.Saved
			for _, key := range slices.Sorted(maps.Keys(stored.records)) {
				data := stored.records[key]
				var doc any
				if err := json.Unmarshal(data, &doc); err != nil {
					t.Fatal(err)
				}
				data, err := json.Marshal(spoil(rng, doc))
				if err != nil {
					t.Fatal(err)
				}
				r := ratelimit.Saved{Key: key}
				if json.Unmarshal(data, &r) == nil { // the server leaves out what cannot be read
					records = append(records, r)
				}
			}
			next := newLimiter(t, ratelimit.Config{})
			next.Import(records, seed%2 == 0)
			took := sender{discord: d, limiter: next, token: "bot"}.run(t, jobs...)
			if took > 25*time.Hour {
				t.Errorf("seed %d: the calls took %v", seed, took)
			}
			_ = next.Snapshot()
			next.Export(ratelimit.Mark{})
		})
	}
}

// TestRestartWhileSuspected ends a limiter while it finds out what a hidden limit is
// and whether channels share it. The next one continues with what is known, and costs
// no more 429s than a hidden limit may, and a few for what it finds out again.
func TestRestartWhileSuspected(t *testing.T) {
	const ms = time.Millisecond
	for _, l := range lies {
		for _, truth := range []limit{sliding("c", 5, 5*time.Second), fixed("c", 5, 5*time.Second), sliding("c", 2, 10*time.Second), sliding("c", 5, time.Second)} {
			for _, ids := range []int{1, 2, 5} {
				for _, across := range []bool{true, false} {
					for _, after := range []time.Duration{650 * ms, 2 * time.Second, 5500 * ms, 12 * time.Second} {
						for _, clean := range []bool{true, false} {
							lie := l.lie
							lie.Truth, lie.Across = []limit{truth}, across
							lie.Only = func(_, path string) bool { return strings.HasSuffix(path, "/messages") }
							t.Run(fmt.Sprintf("%s/%s/%d channels/across=%t/%v/clean=%t", l.name, describe(truth), ids, across, after, clean), func(t *testing.T) {
								synctest.Test(t, func(t *testing.T) { restartLie(t, &lie, ids, after, clean) })
							})
						}
					}
				}
			}
		}
	}
}

func restartLie(t *testing.T, lie *ratelimit.Lie, ids int, after time.Duration, clean bool) {
	d := newDiscord(sliding("b", 5, time.Second))
	d.Lie = lie
	stored := newDisk()
	first := newLimiter(t, ratelimit.Config{Changed: stored.notify})
	ctx, end := context.WithCancel(t.Context())
	var calls, saver sync.WaitGroup
	saver.Go(func() { stored.run(ctx, t, first) })
	const n = 40
	began := time.Now()
	left := make([]atomic.Int64, ids)
	for i := range n {
		calls.Go(func() {
			if _, err := (sender{discord: d, limiter: first, token: "bot"}).send(ctx, "GET", messages(1+i%ids)); err != nil {
				left[i%ids].Add(1)
			}
		})
	}
	time.Sleep(after)
	end()
	if clean {
		calls.Wait()
	}
	saver.Wait()
	if clean {
		stored.save(t, first)
	}
	next := newLimiter(t, ratelimit.Config{})
	next.Import(stored.read(t), clean)
	calls.Wait()
	var jobs []job
	for i := range left {
		jobs = append(jobs, job{int(left[i].Load()), "GET", messages(1 + i)})
	}
	sender{discord: d, limiter: next, token: "bot"}.run(t, jobs...)
	took := time.Since(began)
	refused, allowed := d.replies["429 user"]+d.replies["429 shared"]+d.replies["429 "], 3+n/10+6
	bound := lie.Bound(n) + 200*time.Millisecond
	if !lie.Across { // each channel has its own limit, or is taken to share one
		allowed = ids*(3+6) + n/10
	}
	if l := lie.Announced; l.N > 0 && l.N <= 5 {
		bound = max(bound, time.Duration(n)*l.Window/time.Duration(l.N))
	}
	if lie.Scope == "shared" && !clean { // what others may use too says little at first
		bound = bound * 3 / 2
	}
	if most := bound*5/4 + 5*lie.Truth[0].Window; refused > allowed || took > most {
		t.Errorf("%d 429s, at most %d are allowed; %v, at most %v may pass", refused, allowed, took, most)
	}
}

// useWebhook calls a webhook, to which Discord responds with 404 and code 10015 if it is
// gone. It reports whether the call was sent.
func useWebhook(t *testing.T, l *ratelimit.Limiter, id int, gone bool) bool {
	t.Helper()
	route := ratelimit.RouteOf("GET", fmt.Sprintf("/webhooks/%d/token", id), "", time.Now())
	p, err := l.Acquire(t.Context(), ratelimit.Request{Route: route})
	if refused, ok := errors.AsType[*ratelimit.Error](err); ok && refused.Reason == ratelimit.WebhookGone {
		return false
	} else if err != nil {
		t.Fatal(err)
	}
	r := ratelimit.Response{Status: 200}
	if gone {
		r = ratelimit.Response{Status: 404, Body: ratelimit.Body{JSON: true, Code: 10015}}
	}
	p.Complete(r)
	return true
}

// store applies records to what is stored.
func store(stored map[string]ratelimit.Saved, records []ratelimit.Saved) {
	for _, r := range records {
		if stored[r.Key] = r; r.Webhook == nil {
			delete(stored, r.Key)
		}
	}
}

// TestSavedWebhookThatIsBack: the record of a webhook that exists again is deleted, also
// if the first attempt to save that fails.
func TestSavedWebhookThatIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := make(map[string]ratelimit.Saved)
		first := newLimiter(t, ratelimit.Config{})
		useWebhook(t, first, 1, true)
		records, _ := first.Export(ratelimit.Mark{})
		store(stored, records)
		time.Sleep(2 * time.Minute)

		next := newLimiter(t, ratelimit.Config{})
		next.Import(slices.Collect(maps.Values(stored)), true)
		for range 2 {
			if !useWebhook(t, next, 1, false) {
				t.Fatal("a webhook that exists is refused")
			}
		}
		_, _ = next.Export(ratelimit.Mark{}) // and not saved
		records, mark := next.Export(ratelimit.Mark{})
		store(stored, records)
		if len(stored) > 0 {
			t.Errorf("stored are %v", stored)
		}
		useWebhook(t, next, 2, false)
		records, _ = next.Export(mark)
		for _, r := range records {
			if strings.HasPrefix(r.Key, "webhook ") {
				t.Error("the deletion was exported again after it was saved")
			}
		}
	})
}

// TestSavedWebhooksAreBounded: of too many webhooks that are gone, those whose answers are
// the newest are remembered, stored, and remembered by the next run.
func TestSavedWebhooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls, most = 10_500, 10_000
		all, stored := make(map[string]ratelimit.Saved), make(map[string]ratelimit.Saved)
		first := newLimiter(t, ratelimit.Config{GlobalLimit: -1})
		var mark ratelimit.Mark
		for i := 1; i <= calls; i++ {
			useWebhook(t, first, i, true)
			if i%500 == 0 {
				time.Sleep(time.Millisecond)
				var records []ratelimit.Saved
				records, mark = first.Export(mark)
				store(stored, records)
				for _, r := range records {
					if r.Webhook != nil {
						all[r.Key] = r
					}
				}
			}
		}
		if len(stored) != most || first.Snapshot().GoneWebhooks != most {
			t.Errorf("%d records are stored, %d webhooks are remembered", len(stored), first.Snapshot().GoneWebhooks)
		}
		next := newLimiter(t, ratelimit.Config{GlobalLimit: -1})
		next.Import(slices.Collect(maps.Values(all)), true)
		if n := next.Snapshot().GoneWebhooks; n != most {
			t.Errorf("the next run remembers %d", n)
		}
		if useWebhook(t, next, calls, true) || useWebhook(t, next, calls-most+500, true) || !useWebhook(t, next, 1, true) {
			t.Error("the next run does not remember the newest")
		}
	})
}
