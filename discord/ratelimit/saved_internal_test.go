package ratelimit

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// TestValues saves each field of the parts of the state, and restores it. A field
// that is not saved must be named here.
func TestValues(t *testing.T) {
	const now = instant(1_790_000_000_000_000_000)
	for _, p := range []struct {
		part  part
		fresh part
		// without are the fields that mean nothing to a later run.
		without []string
	}{
		// Moments of Discord's clock, which is learnt again; and calls that Remaining includes.
		{new(window), new(window), []string{"epoch", "timed", "counted", "reset", "lost"}},
		{new(throttle), new(throttle), []string{"opening"}}, // the answer to a call of the run before
		// Saved by themselves, made from the route's name, or about calls.
		{new(shape), new(shape), []string{"hash", "routes", "throttle", "apart", "before", "inFlight", "offered", "parked", "opens", "gateAt"}},
		{new(route), new(route), []string{"key", "shape", "bucket", "inFlight", "waiting", "kinds", "denial", "run", "granted", "earlier", "costly"}},
		{new(denial), new(denial), []string{"since", "probe"}},
		{new(refusal), new(refusal), []string{"since"}},
		{new(ban), new(ban), []string{"since", "met", "probe"}},
		{new(gone), new(gone), []string{"major", "links", "since", "probe"}},
		{new(pool), new(pool), []string{"limit", "inFlight", "answered"}}, // SavedToken.Units
	} {
		fields := reflect.TypeOf(p.part).Elem()
		for i := range fields.NumField() {
			name := fields.Field(i).Name
			reflect.ValueOf(p.part).Elem().SetZero()
			set := access(p.part, i)
			switch set.Interface().(type) {
			case instant:
				set.SetInt(int64(now) - int64(i+1)*int64(time.Millisecond))
			case bool:
				set.SetBool(true)
			case int, time.Duration, uint8, windowKind, uint32, uint64:
				set.Set(reflect.ValueOf(i%3 + 1).Convert(set.Type()))
			case sharing:
				set.Set(reflect.ValueOf(sharing{kind: shared}))
			default:
				if !slices.Contains(p.without, name) {
					t.Errorf("field %s of %s is not saved", name, fields)
				}
				continue
			}
			data, err := json.Marshal(valuesOf(p.part, now))
			if err != nil {
				t.Fatal(err)
			}
			var values Values
			if err := json.Unmarshal(data, &values); err != nil {
				t.Fatal(err)
			}
			reflect.ValueOf(p.fresh).Elem().SetZero()
			sound := values.restore(p.fresh, now, now.add(time.Second))
			saved := sound && reflect.DeepEqual(access(p.fresh, i).Interface(), set.Interface())
			if saved == slices.Contains(p.without, name) {
				t.Errorf("field %s of %s: saved %v (%s)", name, fields, saved, data)
			}
		}
	}
}

// access returns a field of a struct, whether it is exported or not.
func access(p part, i int) reflect.Value {
	f := reflect.ValueOf(p).Elem().Field(i)
	return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem() //nolint:gosec // of a test
}

// TestSavedBudget saves counts of invalid requests: as many stay, for as long.
func TestSavedBudget(t *testing.T) {
	c := newCore(Config{})
	now := instant(1_790_000_000_300_000_000)
	for i := range 900 {
		c.budget.add(now.add(time.Duration(i) * time.Second))
		if i%3 == 0 {
			c.budget.add(now.add(time.Duration(i) * time.Second))
		}
	}
	now = now.add(899 * time.Second)
	records := c.export(Mark{}, now)
	next := newCore(Config{})
	const down = 7500 * time.Millisecond
	next.restore(records, true, now.add(down), func(time.Time) instant { return now })
	for i := range 700 {
		at := now.add(down + time.Duration(i)*time.Second)
		c.budget.advance(at)
		next.budget.advance(at)
		if c.budget.total != next.budget.total {
			t.Fatalf("%d s later: %d, without a restart %d", i, next.budget.total, c.budget.total)
		}
	}
}

// TestSavedBudgetOfACrash: a run that crashes again and again never counts less.
func TestSavedBudgetOfACrash(t *testing.T) {
	now := instant(1_790_000_000_300_000_000)
	var records []Saved
	var at instant
	for crash := range 50 {
		c := newCore(Config{})
		c.restore(records, false, now, func(time.Time) instant { return at })
		if c.budget.total < 3*crash {
			t.Fatalf("crash %d: %d invalid requests, there were %d", crash, c.budget.total, 3*crash)
		}
		c.budget.add(now)
		records, at = c.export(Mark{}, now), now // the first of a run is saved immediately
		c.budget.add(now.add(100 * time.Millisecond))
		c.budget.add(now.add(200 * time.Millisecond))
		now = now.add(3 * time.Second)
	}
}

// TestSavedLostCall: a call that is lost around the end of a fixed window may have
// begun the next one, also for the run that reads what was saved before that end.
func TestSavedLostCall(t *testing.T) {
	const start = instant(1_790_000_000_000_000_000)
	at := func(ms int) instant { return start.add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		sent, lost int // 0: in flight when saved
		full       int
	}{
		{9900, 9960, 19960},
		{9900, 0, 19990},
		{5000, 5100, 10100}, // counted in the old window
	} {
		c := newCore(Config{})
		request := Request{Route: RouteOf("POST", "/channels/1/messages", "", time.Time{}), Token: "token", Caller: "a"}
		p := &Permit{call: call{deadline: never}}
		c.admit(&p.call, &request, at(test.sent))
		p.call.route.bucket.window = window{
			kind: fixed, limit: 3, remaining: 2, said: 2, agreed: agreeing, after: 10 * time.Second, length: 10 * time.Second,
			perLow: 5 * time.Second, perHigh: 5 * time.Second, sent: at(-50), heard: at(100), full: at(10_100),
		}
		if test.lost > 0 {
			c.lose(&p.call, at(test.lost))
		}
		const saved, read = 9990, 9995
		records := c.export(Mark{}, at(saved))
		next := newCore(Config{})
		next.restore(records, true, at(read), func(time.Time) instant { return at(saved) })
		q := &Permit{call: call{deadline: never}}
		next.admit(&q.call, &request, at(read))
		w := q.call.route.bucket.window
		if d := w.full.sub(at(test.full)); d.Abs() > 5*time.Millisecond || w.kind != fixed {
			t.Errorf("sent at %d, lost at %d: full at %v ms, want %d", test.sent, test.lost, w.full.sub(start).Milliseconds(), test.full)
		}
		if w.remaining != 1 {
			t.Errorf("sent at %d, lost at %d: %d remain, want 1", test.sent, test.lost, w.remaining)
		}
	}
}
