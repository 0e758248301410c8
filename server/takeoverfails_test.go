package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"discordproxy/server"
)

// failTakeovers has each tenure that begins fail with an error of PostgreSQL, until mend.
func (f *fleet) failTakeovers(t *testing.T, code string) (mend func()) {
	t.Helper()
	db, err := sql.Open("pgx", f.config.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql
		AS $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '` + code + `'; END $$`)
	exec("CREATE TRIGGER fail BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION fail()")
	return func() {
		t.Helper()
		exec("DROP TRIGGER fail ON outbox")
	}
}

// handsOver stops a server that leads.
func handsOver(t *testing.T, r *running) {
	t.Helper()
	r.stop()
	if err := receive(t, r.ended); err != nil {
		t.Fatal(err)
	}
}

// endsWithoutTakeover waits until a server has ended since it could not take the bot over.
func endsWithoutTakeover(t *testing.T, r *running, reason string) {
	t.Helper()
	err := receive(t, r.ended)
	if err == nil || !strings.HasPrefix(err.Error(), "cannot take over the bot: ") || !strings.Contains(err.Error(), reason) {
		t.Fatalf("it ended with %v", err)
	}
}

// leadsAfter checks that a server that joins leads soon, because the lease is free.
func (f *fleet) leadsAfter(t *testing.T) {
	t.Helper()
	began := time.Now()
	next := f.join(t)
	within(t, next.ready)
	within(t, func() error { return leadsItself(t, next) })
	bot := next.fleet(t).GetBots()[0]
	if bot.GetReason() != "handed over" {
		t.Errorf("it leads %v after it began, because of %q: %v", time.Since(began), bot.GetReason(), bot)
	}
	if _, err := next.SendChannelMessage(t.Context(), hello(f.sb, "hello")); err != nil {
		t.Error(err)
	}
}

// leadsItself returns an error unless a server is the one that leads.
func leadsItself(t *testing.T, r *running) error {
	t.Helper()
	f := r.fleet(t)
	for _, replica := range f.GetReplicas() {
		if replica.GetAddress() == r.address && replica.GetId() == f.GetBots()[0].GetLeader() {
			return nil
		}
	}
	return fmt.Errorf("another server leads: %v", f)
}

// TestTakeoverFails: a server that gets the lease but cannot use what the last leader left
// ends with that reason, and leaves the lease to another one.
func TestTakeoverFails(t *testing.T) {
	f := newFleet(t)
	first, second := f.pair(t)
	mend := f.failTakeovers(t, "42501")
	handsOver(t, first)
	endsWithoutTakeover(t, second, "cannot open the outbox")
	mend()
	f.leadsAfter(t)
}

// TestTakeoverCannotServe is TestTakeoverFails for a server whose parts are complete, but
// whose settings do not let them serve.
func TestTakeoverCannotServe(t *testing.T) {
	f := newFleet(t)
	first := f.join(t)
	within(t, first.ready)
	lis, err := server.Listen(t.Context(), []string{"0.0.0.0"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := f.config
	c.ShowContents = true
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	c.Advertise = "127.0.0.1:" + port
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	second := serve(t, srv, lis)
	t.Cleanup(func() {
		second.stop()
		<-second.done
		second.over.CloseIdleConnections()
	})
	second.address = c.Advertise
	within(t, second.ready)
	handsOver(t, first)
	endsWithoutTakeover(t, second, "--dashboard-show-content")
	f.leadsAfter(t)
}

// TestTakeoverIsRepeated: a server that gets the lease while the database fails follows
// until the database is back, and then leads.
func TestTakeoverIsRepeated(t *testing.T) {
	for name, code := range map[string]string{"full": "53100", "stops": "57P01"} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			var log lockedBuffer
			f.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
			first, second := f.pair(t)
			mend := f.failTakeovers(t, code)
			handsOver(t, first)
			const failed = "failed to take over the bot; retrying"
			within(t, func() error {
				select {
				case err := <-second.ended:
					t.Fatalf("it ended with %v", err)
				default:
				}
				if strings.Count(log.String(), failed) < 2 {
					return errors.New("it did not try twice")
				}
				return nil
			})
			if err := second.ready(); err == nil {
				t.Error("it is ready without a leader")
			}
			mend()
			within(t, second.ready)
			within(t, func() error { return leadsItself(t, second) })
			if _, err := second.SendChannelMessage(t.Context(), hello(f.sb, "hello")); err != nil {
				t.Error(err)
			}
		})
	}
}
