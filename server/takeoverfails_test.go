package server_test

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
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

// startFails starts a server that listens on a host, and returns why it does not run.
func startFails(t *testing.T, c server.Config, host string) error {
	t.Helper()
	lis, err := server.Listen(t.Context(), []string{host}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	if c.Database != "" {
		_, port, _ := net.SplitHostPort(lis.Addr().String())
		c.Advertise = "127.0.0.1:" + port
	}
	srv, err := server.New(c)
	if err != nil {
		return err
	}
	r := serve(t, srv, lis)
	defer r.over.CloseIdleConnections()
	defer r.stop()
	return receive(t, r.ended)
}

// TestSettingsOfFollower: a server whose settings do not let it lead ends at its start with
// the reason, whether it would lead or follow.
func TestSettingsOfFollower(t *testing.T) {
	f := newFleet(t)
	first, second := addBot(t, f.sb, "first"), addBot(t, f.sb, "second")
	f.config.Token, f.config.Bots = "", []server.BotConfig{first, second}
	leader := f.join(t)
	within(t, leader.ready)
	const loopback, open = "127.0.0.1", "0.0.0.0"
	for want, tt := range map[string]struct {
		host   string
		change func(*server.Config)
	}{
		"bot first: ratelimit: an InvalidRequestLimit of 1 lets no call go": {loopback, func(c *server.Config) { c.InvalidRequestLimit = 1 }},
		"bot second: discord: the bot token contains an invalid character":  {loopback, func(c *server.Config) { c.Bots[1].Token += "\u00e4" }},
		`bot first: gateway: status "away" is not one of`: {loopback, func(c *server.Config) {
			c.Bots[0].Gateway = server.GatewayConfig{Status: "away"}
		}},
		"bot second: gateway: an activity of 1000 characters": {loopback, func(c *server.Config) {
			c.Bots[1].Gateway = server.GatewayConfig{Activity: strings.Repeat("x", 1000)}
		}},
		"bot first: --dashboard-show-content would show the contents": {open, func(c *server.Config) { c.ShowContents = true }},
		"bot second: --gateway-proxy would let anyone": {open, func(c *server.Config) {
			c.Bots[1].Gateway = server.GatewayConfig{Proxy: server.On}
		}},
	} {
		c := f.config
		c.Bots = slices.Clone(c.Bots)
		tt.change(&c)
		follows := startFails(t, c, tt.host)
		c.Database = ""
		leads := startFails(t, c, tt.host)
		if follows == nil || leads == nil || !strings.HasPrefix(follows.Error(), want) || follows.Error() != leads.Error() {
			t.Errorf("want %s\na follower ended with %v\na leader ended with %v", want, follows, leads)
		}
	}
	// What would be a mistake elsewhere is none here.
	fine := f.join(t, func(c *server.Config) {
		c.ShowContents = true
		c.Bots = slices.Clone(c.Bots)
		c.Bots[1].Gateway = server.GatewayConfig{Proxy: server.On}
	})
	within(t, fine.ready)
	within(t, leader.ready)
}

// TestTakeoverIsRepeated: a server that gets the lease while the database fails follows
// until the database is back, and then leads. So does one that the database has stopped,
// such as for a deadlock.
func TestTakeoverIsRepeated(t *testing.T) {
	for name, code := range map[string]string{
		"full": "53100", "stops": "57P01", "hung": "25P03", "deadlock": "40P01", "cancelled": "57014", "memory": "53200",
	} {
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
