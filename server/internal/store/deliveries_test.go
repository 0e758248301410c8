package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

var noon = time.UnixMilli(1_790_000_000_000)

// limits are larger than any test needs.
var limits = store.OutboxLimits{Deliveries: 1000, Bytes: 1 << 20}

type outboxTest struct {
	*testing.T
	*store.Outbox
}

func eachOutbox(t *testing.T, test func(outboxTest)) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		o, err := storetest.Open(t, c).Outbox(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		test(outboxTest{t, o})
	})
}

func delivery(id, target string, priority int) store.Delivery {
	return store.Delivery{
		Caller: "shop", ID: id, Digest: []byte(id), Method: "SendChannelMessage", Target: target, State: store.Waiting, Priority: priority,
		EnqueuedAt: noon, ExpiresAt: noon.Add(time.Hour), Request: []byte("the request"),
	}
}

func (t outboxTest) enqueue(all ...store.Delivery) []store.Enqueued {
	t.Helper()
	results, err := t.Enqueue(t.Context(), limits, all)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func (t outboxTest) heads() (ids []string) {
	t.Helper()
	heads, err := t.Heads(t.Context(), "shop", noon, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range heads {
		ids = append(ids, d.ID)
	}
	return ids
}

func (t outboxTest) get(id string) store.Delivery {
	t.Helper()
	d, err := t.Delivery(t.Context(), "shop", id)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return d
}

func (t outboxTest) finish(id string, state store.DeliveryState) {
	t.Helper()
	d := t.get(id)
	d.State, d.FinishedAt, d.Message = state, noon.Add(time.Minute), d.Seq+100
	if done, err := t.Finish(t.Context(), d); !done || err != nil {
		t.Fatal(done, err)
	}
}

func (t outboxTest) counts(unfinished, finished, bytes int64) {
	t.Helper()
	c, err := t.Counts(t.Context())
	if err != nil || c.Unfinished != unfinished || c.Finished != finished || c.Bytes != bytes {
		t.Errorf("%+v, %v; want %d, %d, %d bytes", c, err, unfinished, finished, bytes)
	}
}

// TestHeads: of each target one delivery is next, that of the highest priority and
// then the oldest; one that is being sent keeps its place.
func TestHeads(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		t.enqueue(delivery("a1", "channel 1", 1), delivery("a2", "channel 1", 1), delivery("b1", "channel 2", 0), delivery("b2", "channel 2", 2))
		if got := t.heads(); !slices.Equal(got, []string{"b2", "a1"}) {
			t.Errorf("heads %q", got)
		}
		if ok, err := t.BeginTry(t.Context(), t.get("a1").Seq, noon); !ok || err != nil {
			t.Fatal(ok, err)
		}
		t.enqueue(delivery("a3", "channel 1", 2))
		if got := t.heads(); !slices.Equal(got, []string{"b2", "a1"}) {
			t.Errorf("heads %q", got)
		}
		t.finish("a1", store.Delivered)
		t.finish("b2", store.Failed)
		if got := t.heads(); !slices.Equal(got, []string{"a3", "b1"}) {
			t.Errorf("heads %q", got)
		}
		t.counts(3, 2, int64(4*len("the request"))) // that of a1 is gone
		callers, err := t.Callers(t.Context())
		if err != nil || !slices.Equal(callers, []string{"shop"}) {
			t.Errorf("%q, %v", callers, err)
		}
	})
}

// TestOutboxDeleted: an outbox that is not there is not full.
func TestOutboxDeleted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, c store.Config) {
		s := storetest.Open(t, c)
		o, err := s.Outbox(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		s.Exec(t, "DELETE FROM outbox")
		if results, err := o.Enqueue(t.Context(), limits, []store.Delivery{delivery("a", "channel 1", 1)}); err == nil || errors.Is(err, store.ErrOutboxFull) {
			t.Errorf("%+v, %v", results, err)
		}
	})
}

// TestEnqueueAgain: the same call under the same ID is the same delivery.
func TestEnqueueAgain(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		other := delivery("a", "channel 1", 1)
		other.Digest = []byte("other")
		results := t.enqueue(delivery("a", "channel 1", 1), delivery("a", "channel 1", 2), other)
		if results[0].Duplicate || !results[1].Duplicate || results[1].Delivery.Seq != results[0].Delivery.Seq || results[1].Delivery.Priority != 1 {
			t.Errorf("%+v", results)
		}
		if !errors.Is(results[2].Err, store.ErrOtherCall) {
			t.Errorf("another call under the same ID: %+v", results[2])
		}
		t.counts(1, 0, 11)
	})
}

// TestOutboxFull: deliveries beyond the limit are refused, and none is dropped.
func TestOutboxFull(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		for limit, l := range map[string]store.OutboxLimits{"deliveries": {Deliveries: 2, Bytes: 1000}, "bytes": {Deliveries: 9, Bytes: 30}} {
			first, second, third := delivery(limit+"1", limit, 1), delivery(limit+"2", limit, 1), delivery(limit+"3", limit, 1)
			results, err := t.Enqueue(t.Context(), l, []store.Delivery{first, second, third})
			if err != nil || results[0].Err != nil || results[1].Err != nil || !errors.Is(results[2].Err, store.ErrOutboxFull) {
				t.Errorf("%s: %+v, %v", limit, results, err)
			}
			t.finish(first.ID, store.Delivered)
			if results, err = t.Enqueue(t.Context(), l, []store.Delivery{third}); err != nil || results[0].Err != nil {
				t.Errorf("%s after one has ended: %+v, %v", limit, results, err)
			}
			t.finish(second.ID, store.Delivered)
			t.finish(third.ID, store.Delivered)
		}
	})
}

// TestReplaceKey: a delivery takes the place of a waiting one with its key, also
// when the outbox is full, and of none that is being sent.
func TestReplaceKey(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		keyed := func(id string) store.Delivery {
			d := delivery(id, "channel 1", 1)
			d.ReplaceKey = "board"
			return d
		}
		one := store.OutboxLimits{Deliveries: 1, Bytes: 1000}
		for _, id := range []string{"a", "b"} {
			if results, err := t.Enqueue(t.Context(), one, []store.Delivery{keyed(id)}); err != nil || results[0].Err != nil {
				t.Fatal(results, err)
			}
		}
		if d := t.get("a"); d.State != store.Cancelled || d.Reason == "" || d.Position != 1 || d.Bytes != 0 {
			t.Errorf("%+v", d)
		}
		if counts, err := t.Counts(t.Context()); err != nil || counts.Bytes != t.get("b").Bytes {
			t.Errorf("the request of a replaced delivery is kept: %+v, %v", counts, err)
		}
		if _, err := t.Retry(t.Context(), limits, "shop", "a", noon.Add(time.Hour)); !errors.Is(err, store.ErrReplaced) {
			t.Errorf("a replaced delivery waits again: %v", err)
		}
		if ok, err := t.BeginTry(t.Context(), t.get("b").Seq, noon); !ok || err != nil {
			t.Fatal(ok, err)
		}
		t.enqueue(keyed("c"))
		if d := t.get("b"); d.State != store.Sending {
			t.Errorf("%+v", d)
		}
	})
}

// TestRestAfterClockJump: a delivery rests until its time, but not for the hours by which
// the clock has jumped back since.
func TestRestAfterClockJump(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		t.enqueue(delivery("a", "channel 1", 1), delivery("b", "channel 2", 1))
		for id, rest := range map[string]time.Duration{"a": time.Minute, "b": time.Hour} {
			if err := t.Suspend(t.Context(), t.get(id).Seq, noon.Add(rest), "it rests"); err != nil {
				t.Fatal(err)
			}
		}
		if got := t.heads(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("heads %q", got)
		}
	})
}

// TestReplacedBytes: the bytes of a replaced delivery are free for the newer one.
func TestReplacedBytes(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		old := delivery("a", "channel 1", 1)
		old.ReplaceKey = "board"
		full := store.OutboxLimits{Deliveries: 10, Bytes: int64(len(old.Request))}
		for i, want := range []error{nil, nil, store.ErrOutboxFull} {
			d := old
			d.ID = fmt.Sprint(i)
			if i == 2 {
				d.ReplaceKey = "another"
			}
			results, err := t.Enqueue(t.Context(), full, []store.Delivery{d})
			if err != nil || !errors.Is(results[0].Err, want) {
				t.Errorf("%d: %+v, %v, want %v", i, results, err, want)
			}
			if i == 1 && !slices.Equal(results[0].Replaced, []int64{1}) {
				t.Errorf("replaced %v", results[0].Replaced)
			}
		}
		t.counts(1, 1, full.Bytes)
	})
}

// TestDue: scheduled deliveries begin to wait at their time and do not hold up
// others before; late ones expire.
func TestDue(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		later := delivery("later", "channel 1", 1)
		later.State, later.NotBefore, later.ExpiresAt = store.Scheduled, noon.Add(time.Minute), noon.Add(time.Hour)
		short := delivery("short", "channel 1", 1)
		short.ExpiresAt = noon.Add(time.Second)
		t.enqueue(later, short)
		if next, err := t.NextDue(t.Context()); err != nil || !next.Equal(short.ExpiresAt) {
			t.Errorf("%v, %v", next, err)
		}
		if ok, err := t.BeginTry(t.Context(), t.get("short").Seq, noon.Add(time.Minute)); ok || err != nil {
			t.Errorf("a try began after its delivery had expired: %v, %v", ok, err)
		}
		if callers, gone, more, err := t.Due(t.Context(), noon.Add(2*time.Second)); err != nil || more || gone != 1 || len(callers) != 1 {
			t.Errorf("%q, %d, %v, %v", callers, gone, more, err)
		}
		if d := t.get("short"); d.State != store.Expired {
			t.Errorf("%+v", d)
		}
		if got := t.heads(); got != nil {
			t.Errorf("heads %q", got)
		}
		if _, _, _, err := t.Due(t.Context(), later.NotBefore); err != nil {
			t.Error(err)
		}
		if got := t.heads(); !slices.Equal(got, []string{"later"}) {
			t.Errorf("heads %q", got)
		}
		if done, err := t.Finish(t.Context(), t.get("short")); done || err != nil {
			t.Errorf("ended twice: %v, %v", done, err)
		}
	})
}

// TestTries: a try of unknown outcome keeps the moment of the first one until it is
// certain that none took effect.
func TestTries(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		t.enqueue(delivery("a", "channel 1", 1))
		seq := t.get("a").Seq
		for i := range 2 {
			if ok, err := t.BeginTry(t.Context(), seq, noon.Add(time.Duration(i)*time.Second)); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if err := t.Suspend(t.Context(), seq, noon.Add(time.Minute), "Discord is away"); err != nil {
			t.Fatal(err)
		}
		if d := t.get("a"); !d.TriedAt.Equal(noon) || d.Tries != 2 || d.State != store.Sending || d.Reason != "Discord is away" {
			t.Errorf("%+v", d)
		}
		heads, err := t.Heads(t.Context(), "shop", noon, 10)
		if err != nil || len(heads) != 0 {
			t.Errorf("%v, %v", heads, err)
		}
		for _, now := range []time.Time{noon, noon.Add(time.Minute)} {
			next, err := t.NextTry(t.Context(), "shop", now)
			if err != nil || next.IsZero() == now.Equal(noon) || !next.IsZero() && !next.Equal(noon.Add(time.Minute)) {
				t.Errorf("after %v: %v, %v", now, next, err)
			}
		}
		if _, _, err := t.Cancel(t.Context(), "shop", "a", noon); !errors.Is(err, store.ErrInProgress) {
			t.Errorf("cancelled while it was sent: %v", err)
		}
		if err := t.Reopen(t.Context(), seq, time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		if d := t.get("a"); !d.TriedAt.IsZero() || d.State != store.Waiting {
			t.Errorf("%+v", d)
		}
		if d, done, err := t.Cancel(t.Context(), "shop", "a", noon); err != nil || !done || d.State != store.Cancelled {
			t.Errorf("%+v, %v", d, err)
		}
		if ok, err := t.BeginTry(t.Context(), seq, noon); ok || err != nil {
			t.Errorf("a cancelled delivery was tried: %v, %v", ok, err)
		}
		if d, done, err := t.Cancel(t.Context(), "shop", "a", noon); err != nil || done || d.State != store.Cancelled {
			t.Errorf("cancelled twice: %+v, %v", d, err)
		}
		if _, _, err := t.Cancel(t.Context(), "other", "a", noon); !errors.Is(err, store.ErrNoDelivery) {
			t.Errorf("another client's: %v", err)
		}
	})
}

// TestRetry: a delivery that failed waits behind the others.
func TestRetry(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		t.enqueue(delivery("a", "channel 1", 1), delivery("b", "channel 1", 1))
		if _, err := t.Retry(t.Context(), limits, "shop", "a", noon); !errors.Is(err, store.ErrNotEnded) {
			t.Error(err)
		}
		t.finish("a", store.Failed)
		d, err := t.Retry(t.Context(), limits, "shop", "a", noon.Add(time.Hour))
		if err != nil || d.State != store.Waiting || d.Seq <= t.get("b").Seq {
			t.Errorf("%+v, %v", d, err)
		}
		if got := t.heads(); !slices.Equal(got, []string{"b"}) {
			t.Errorf("heads %q", got)
		}
		if request, err := t.Request(t.Context(), d.Seq); err != nil || string(request) != "the request" {
			t.Errorf("%q, %v", request, err)
		}
		t.finish("b", store.Delivered)
		if _, err := t.Retry(t.Context(), limits, "shop", "b", noon); !errors.Is(err, store.ErrDelivered) {
			t.Error(err)
		}
		t.counts(1, 1, 11)
	})
}

// TestPagesAndPurge lists, reads results from a position on, and purges.
func TestPagesAndPurge(t *testing.T) {
	eachOutbox(t, func(t outboxTest) {
		for i := range 5 {
			d := delivery(fmt.Sprint(i), fmt.Sprint("channel ", i%2), 1)
			d.EnqueuedAt = noon.Add(time.Duration(i) * time.Second)
			t.enqueue(d)
		}
		ids := func(all []store.Delivery, err error) (ids string) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range all {
				ids += d.ID
			}
			return ids
		}
		page, err := t.List(t.Context(), store.DeliveryFilter{}, 0, 3)
		if got := ids(page, err); got != "432" {
			t.Error(got)
		}
		if got := ids(t.List(t.Context(), store.DeliveryFilter{}, page[2].Seq, 3)); got != "10" {
			t.Error(got)
		}
		if got := ids(t.List(t.Context(), store.DeliveryFilter{Target: "channel 1", Caller: "shop", Since: noon.Add(2 * time.Second)}, 0, 3)); got != "3" {
			t.Error(got)
		}
		t.finish("3", store.Failed)
		t.finish("0", store.Delivered)
		t.finish("1", store.Delivered)
		if got := ids(t.Results(t.Context(), store.DeliveryFilter{}, 1, 10)); got != "01" {
			t.Error(got)
		}
		if got := ids(t.Results(t.Context(), store.DeliveryFilter{States: []store.DeliveryState{store.Failed}}, 0, 10)); got != "3" {
			t.Error(got)
		}
		claimed, err := t.Claimed(t.Context(), []int64{t.get("0").Message, 5, 0})
		if err != nil || !claimed[t.get("0").Message] || claimed[5] || claimed[0] {
			t.Error(claimed, err)
		}
		if n, err := t.Purge(t.Context(), store.DeliveryFilter{EndedBefore: noon}, 10); n != 0 || err != nil {
			t.Error(n, err)
		}
		if n, err := t.Purge(t.Context(), store.DeliveryFilter{States: []store.DeliveryState{store.Delivered}}, 10); n != 2 || err != nil {
			t.Error(n, err)
		}
		t.counts(2, 1, 33)
		if c, err := t.Counts(t.Context()); err != nil || c.Purged != 3 || c.Position != 3 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
