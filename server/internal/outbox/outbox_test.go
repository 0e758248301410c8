package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/store"
)

// maker makes calls as a test says.
type maker struct {
	repeats outbox.Repeats
	make    func(store.Delivery) error
	found   outbox.Found
	client  *discord.Client // sends a message before, if not nil
	begins  func(store.Delivery)
}

func (m maker) Repeats(string, []byte) outbox.Repeats { return m.repeats }

func (m maker) Make(ctx context.Context, d store.Delivery, _ []byte, journal *discord.Journal) (outbox.Made, error) {
	if m.begins != nil {
		m.begins(d)
	}
	if m.client != nil {
		message := discord.Message{Fields: discord.Args{"content": "hello"}, Journal: journal}
		if _, err := m.client.CreateMessage(ctx, caller.Of(ctx), 1, message); err != nil {
			return outbox.Made{}, err
		}
	}
	return outbox.Made{}, m.make(d)
}

func (m maker) Find(context.Context, store.Delivery, []byte) (outbox.Made, outbox.Found, error) {
	return outbox.Made{}, m.found, nil
}

func (m maker) Describe(err error) (status string, document []byte) {
	return "UNKNOWN", []byte(err.Error())
}

// stored is a Discord that stores every message.
type stored struct{}

func (stored) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"id":"1"}`)),
	}, nil
}

// engine is an outbox on a clock of its own.
type engine struct {
	*testing.T
	*outbox.Outbox
}

// inTime runs a test, which ends before the outbox.
func inTime(t *testing.T, test func(e engine, run func(maker))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		records, err := store.Open(t.Context(), store.Config{Folder: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		o, err := records.Outbox(t.Context(), "bot")
		if err != nil {
			t.Fatal(err)
		}
		e := engine{t, outbox.New(outbox.Config{Records: o, Logger: slog.New(slog.DiscardHandler)})}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		test(e, func(m maker) { running.Go(func() { e.Outbox.Run(ctx, m) }) })
	})
}

func delivery(caller string, n int) store.Delivery {
	return store.Delivery{
		Caller: caller, ID: fmt.Sprint(n), Method: "SendChannelMessage", Target: fmt.Sprint("channel ", n), ExpiresAt: time.Now().Add(time.Hour),
		Digest: []byte("its digest"), Request: []byte("the request"),
	}
}

func (e engine) enqueue(all ...store.Delivery) {
	e.Helper()
	if _, err := e.Enqueue(e.Context(), all...); err != nil {
		e.Fatal(err)
	}
}

// is checks the state of the first delivery of a caller.
func (e engine) is(caller string, state store.DeliveryState) {
	e.Helper()
	d, err := e.Delivery(e.Context(), caller, "0")
	if err != nil || d.State != state {
		e.Errorf("%+v, %v, want state %d", d, err, state)
	}
}

// TestSlowTargetsOfAnother: a caller with thousands of targets that are slow leaves
// places to the others.
func TestSlowTargetsOfAnother(t *testing.T) {
	inTime(t, func(e engine, run func(maker)) {
		answered := make(chan struct{})
		defer close(answered)
		run(maker{make: func(d store.Delivery) error {
			if d.Caller == "many" {
				<-answered
			}
			return nil
		}})
		all := make([]store.Delivery, 2100)
		for i := range all {
			all[i] = delivery("many", i)
		}
		e.enqueue(all...)
		time.Sleep(10 * time.Minute)
		e.enqueue(delivery("few", 0))
		time.Sleep(10 * time.Second)
		e.is("few", store.Delivered)
	})
}

// TestExpiryAfterACrash: a delivery expires in time whose try, as it turns out, has
// had no effect.
func TestExpiryAfterACrash(t *testing.T) {
	inTime(t, func(e engine, run func(maker)) {
		e.enqueue(delivery("shop", 0))
		if _, err := e.BeginTry(e.Context(), 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		run(maker{found: outbox.Missing, make: func(store.Delivery) error {
			return &outbox.Held{Err: errors.New("the key is revoked")}
		}})
		time.Sleep(59 * time.Minute)
		e.is("shop", store.Waiting)
		time.Sleep(2 * time.Minute)
		e.is("shop", store.Expired)
	})
}

// TestFailureAfterATry: a delivery whose call breaks after a request has begun, by a
// panic for example, does not count as failed unless that had no effect.
func TestFailureAfterATry(t *testing.T) {
	client, err := discord.New(discord.Config{Token: "token", Upstream: stored{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for found, want := range map[outbox.Found]store.DeliveryState{
		outbox.Hidden: store.Unknown, outbox.There: store.Delivered, outbox.Missing: store.Failed,
	} {
		inTime(t, func(e engine, run func(maker)) {
			e.enqueue(delivery("shop", 0))
			run(maker{found: found, client: client, make: func(store.Delivery) error { return errors.New("panic") }})
			time.Sleep(time.Minute)
			e.is("shop", want)
		})
	}
	inTime(t, func(e engine, run func(maker)) {
		e.enqueue(delivery("shop", 0))
		run(maker{found: outbox.Hidden, make: func(store.Delivery) error { return errors.New("panic") }})
		time.Sleep(time.Minute)
		e.is("shop", store.Failed)
	})
}

// TestCancelledOnce: what is cancelled, or replaced, is counted once.
func TestCancelledOnce(t *testing.T) {
	inTime(t, func(e engine, _ func(maker)) {
		first, second := delivery("shop", 0), delivery("shop", 1)
		first.ReplaceKey, second.ReplaceKey = "status", "status"
		e.enqueue(first)
		e.enqueue(second)
		e.is("shop", store.Cancelled)
		if n := e.Ended(store.Cancelled); n != 1 {
			t.Errorf("%d were replaced, want 1", n)
		}
		for range 2 {
			if _, err := e.Cancel(e.Context(), "shop", "1"); err != nil {
				t.Fatal(err)
			}
		}
		if n := e.Ended(store.Cancelled); n != 2 {
			t.Errorf("%d were cancelled, want 2", n)
		}
	})
}

// limited is a Discord that allows one message in an hour.
type limited struct{}

func (limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := stored{}.RoundTrip(r)
	for name, value := range map[string]string{"Bucket": "b", "Limit": "1", "Remaining": "0", "Reset-After": "3600"} {
		res.Header.Set("X-RateLimit-"+name, value)
	}
	return res, err
}

// TestReplacedLeavesTheQueue: a replaced delivery does not wait for Discord's limits, so
// that the newer one has its place in that queue from then on.
func TestReplacedLeavesTheQueue(t *testing.T) {
	inTime(t, func(e engine, run func(maker)) {
		client, err := discord.New(discord.Config{Token: "token", Upstream: limited{}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		began := make(chan string, 10)
		run(maker{client: client, begins: func(d store.Delivery) { began <- d.ID }, make: func(store.Delivery) error { return nil }})
		for i := range 3 {
			d := delivery("shop", i)
			d.Target = "channel 1"
			if i > 0 {
				d.ReplaceKey = "board"
			}
			e.enqueue(d)
			time.Sleep(10 * time.Second)
			select {
			case id := <-began:
				if id != d.ID {
					t.Errorf("delivery %s began, want %s", id, d.ID)
				}
			default:
				t.Errorf("delivery %d has not begun", i)
			}
		}
	})
}
