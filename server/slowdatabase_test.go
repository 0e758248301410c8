package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowLink is a way to a database that delays each response.
type slowLink struct {
	address string
	delay   atomic.Int64
	frozen  sync.RWMutex // locked while there are no responses
}

// freeze has responses wait until thaw, which ends the delay, too.
func (l *slowLink) freeze() { l.frozen.Lock() }

func (l *slowLink) thaw() {
	l.delay.Store(0)
	l.frozen.Unlock()
}

// newSlowLink returns a link to the database of an address by a Unix socket.
func newSlowLink(t *testing.T, database string) *slowLink {
	t.Helper()
	folder, rest, _ := strings.Cut(strings.TrimPrefix(database, "host="), " ")
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	l := &slowLink{address: "host=127.0.0.1 port=" + port + " sslmode=disable " + rest}
	go func() {
		for {
			client, err := lis.Accept()
			if err != nil {
				return
			}
			go l.pass(client, folder+"/.s.PGSQL.5432")
		}
	}()
	return l
}

func (l *slowLink) pass(client net.Conn, socket string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	for buffer := make([]byte, 64<<10); ; {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		time.Sleep(time.Duration(l.delay.Load()))
		l.frozen.RLock()
		_, err = client.Write(buffer[:n])
		l.frozen.RUnlock()
		if err != nil {
			return
		}
	}
}

// TestSlowDatabase: while each statement takes a quarter of a second, the leader keeps its lease for
// longer than one lasts, servers know of each other, and the outbox accepts calls. Calls to the
// leader never wait for the database: they are made while it does not respond at all.
func TestSlowDatabase(t *testing.T) {
	f := newFleet(t)
	link := newSlowLink(t, f.config.Database)
	f.config.Database = link.address
	leader, entry := f.pair(t)
	link.delay.Store(int64(time.Second / 4))
	defer link.delay.Store(0)
	renewed := func() int {
		n, _ := strconv.Atoi(leader.counts("discordproxy_lease_renewals_total", `outcome="ok"`)) // 0 fails
		return n
	}
	first := renewed()
	if err := enqueue(entry, f.sb, "enqueued"); err != nil {
		t.Error(err)
	}
	within(t, func() error {
		if _, err := entry.SendChannelMessage(t.Context(), hello(f.sb, "slow")); err != nil {
			t.Fatal(err)
		}
		if n := renewed(); n < first+5 {
			return fmt.Errorf("the lease was renewed %d times", n-first)
		}
		return nil
	})
	if failed := leader.counts("discordproxy_lease_renewals_total", `outcome="failed"`); failed != "0" {
		t.Errorf("%q renewals failed", failed)
	}
	for name, r := range map[string]*running{"leader": leader, "entry": entry} {
		if n := r.counts("discordproxy_replicas"); n != "2" {
			t.Errorf("%s knows of %s servers", name, n)
		}
	}
	renewals := renewed()
	within(t, func() error { // so that the lease is fresh
		if renewed() == renewals {
			return errors.New("the lease is not renewed")
		}
		return nil
	})
	link.freeze()
	defer link.thaw()
	for _, r := range []*running{leader, entry} {
		if _, err := r.SendChannelMessage(t.Context(), hello(f.sb, "frozen")); err != nil {
			t.Error(err)
		}
	}
}
