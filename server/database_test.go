package server_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/store/storetest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// onDatabase is the configuration of a server with a database, against a sandbox.
func onDatabase(t *testing.T, sb *sandbox.Sandbox, address string) server.Config {
	t.Helper()
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	return server.Config{
		Token: sb.World().Token, APIURL: discord.URL + "/api", Database: address, Logger: slog.New(slog.DiscardHandler),
		Gateway: server.GatewayConfig{Off: true},
	}
}

func (r *running) outbox() discordapiconnect.OutboxClient {
	return discordapiconnect.NewOutboxClient(r.client(), "http://"+r.address)
}

// errEarly ends an attempt of within that is to be followed by another one.
var errEarly = errors.New("not yet")

// within waits until a call succeeds.
func within(t testing.TB, call func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = call(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing within 30 s")
		panic("unreachable")
	}
}

func enqueue(r *running, sb *sandbox.Sandbox, id string) error {
	_, err := r.outbox().Enqueue(context.Background(), &pb.EnqueueRequest{
		DeliveryId: id,
		Call: &pb.EnqueueRequest_SendChannelMessage{
			SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: id},
		},
	})
	return err
}

// TestDatabase: a second server waits until the first one has stopped, and then has
// what that one kept.
func TestDatabase(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	c := onDatabase(t, sb, storetest.Database(t))
	first := run(t, c)
	within(t, func() error { return enqueue(first, sb, "kept") })

	waiting := make(chan error, 10)
	c.Waiting = func(reason error) { waiting <- reason }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := server.Open(ctx, c)
		ended <- err
	}()
	if reason := receive(t, waiting); reason.Error() != "another server uses this bot with the database" {
		t.Errorf("it waits because %v", reason)
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a start that is ended: %v", err)
	}
	second := make(chan *running)
	go func() { second <- run(t, c) }()
	_ = receive(t, waiting)
	first.stop()
	if err := receive(t, first.ended); err != nil {
		t.Error(err)
	}
	next := receive(t, second)
	within(t, func() error {
		resp, err := next.outbox().GetDelivery(t.Context(), &pb.GetDeliveryRequest{DeliveryId: "kept"})
		if err == nil && resp.GetDelivery().GetState() != pb.Delivery_DELIVERED {
			err = errors.New(resp.GetDelivery().GetState().String())
		}
		return err
	})
	if len(waiting) > 0 {
		t.Error("it reported a reason twice")
	}
	next.stop()
	if err := receive(t, next.ended); err != nil {
		t.Error(err)
	}
}

// TestDatabaseAway: a start waits for the database. A server goes on without it until its
// lease ends, apart from the outbox. It goes on by itself when the database is back.
func TestDatabaseAway(t *testing.T) {
	p := storetest.NewPostgres(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	c := onDatabase(t, sb, p.Address())
	c.RetryFor = time.Millisecond
	waiting := make(chan error, 10)
	c.Waiting = func(reason error) { waiting <- reason }
	p.Stop(t)
	started := make(chan *running)
	go func() { started <- run(t, c) }()
	if reason := receive(t, waiting); reason.Error() != "the database cannot be reached" {
		t.Errorf("it waits because %v", reason)
	}
	p.Start(t)
	r := receive(t, started)
	send := func() error {
		_, err := r.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"})
		return err
	}
	within(t, send)
	within(t, func() error { return enqueue(r, sb, "before") })
	p.Stop(t)
	err := enqueue(r, sb, "during")
	if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "the outbox cannot be written: the database cannot be reached") {
		t.Errorf("the outbox without the database: %v", err)
	}
	within(t, func() error { // when the lease has ended
		err := send()
		if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "the server could not renew its lease of the bot in the database") {
			return fmt.Errorf("a call without the lease: %w", cmp.Or(err, errors.New("sent")))
		}
		return nil
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || !strings.HasPrefix(string(body), lease.ErrNotHeld.Error()+"\n") {
		t.Errorf("/readyz without the lease: %q, %v", body, err)
	}
	p.Start(t)
	within(t, send)
	within(t, func() error { return enqueue(r, sb, "after") })
	r.stop()
	if err := receive(t, r.ended); err != nil {
		t.Error(err)
	}
}

// TestDatabaseRefuses: mistakes end the start with an error without the password.
func TestDatabaseRefuses(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	address := storetest.Database(t)
	for address, want := range map[string]string{
		"mysql://proxy:correct-horse@db/x":   "cannot use the database: the address of the database is not of the form",
		address + "0 password=correct-horse": "cannot use the database: cannot connect to ",
	} {
		c := onDatabase(t, sb, address)
		if _, err := server.New(c); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "correct-horse") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
