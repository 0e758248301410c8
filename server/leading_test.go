package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/lease"
)

// TestWhileLeading: a connection to Discord sends nothing from the moment when the lease
// may have ended, and none is opened.
func TestWhileLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term lease.Term
		term.Granted(time.Now(), 1)
		d := &data{lease: lease.Keep(term, func(context.Context, int64) (bool, error) { return false, errors.New("away") }, slog.New(slog.DiscardHandler))}
		defer d.lease.Stop()
		here, there := net.Pipe()
		defer here.Close()
		dials := 0
		dial := d.whileLeading(func(context.Context, string, string) (net.Conn, error) {
			dials++
			return here, nil
		})
		conn, err := dial(t.Context(), "tcp", "discord.example:443")
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan string, 1)
		go func() {
			data, _ := io.ReadAll(there)
			received <- string(data)
		}()
		time.Sleep(4900 * time.Millisecond)
		if _, err := conn.Write([]byte("in time")); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, err := conn.Write([]byte("too late")); !errors.Is(err, lease.ErrNotHeld) {
			t.Errorf("a write after the end: %v", err)
		}
		if got := <-received; got != "in time" {
			t.Errorf("Discord got %q", got)
		}
		if _, err := dial(t.Context(), "tcp", "discord.example:443"); !errors.Is(err, lease.ErrNotHeld) || dials != 1 {
			t.Errorf("%d dials, %v", dials, err)
		}
	})
}

// TestWithoutLease: a server with a data folder, or without data, dials as if there were
// no leases.
func TestWithoutLease(t *testing.T) {
	for name, d := range map[string]*data{"no data": nil, "a folder": {}} {
		if d.whileLeading(nil) != nil || d.leads() != nil || d.lost() != nil {
			t.Errorf("%s: it has a lease", name)
		}
	}
}
