package store_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// link is a way to PostgreSQL. While it is frozen, no results pass, and no connection is
// closed, as if the machine of the store was.
type link struct {
	address string
	frozen  sync.RWMutex
}

func (l *link) freeze() { l.frozen.Lock() }

func (l *link) thaw() { l.frozen.Unlock() }

// newLink returns a link to the database of an address by a Unix socket.
func newLink(t *testing.T, database string) *link {
	t.Helper()
	folder, rest, _ := strings.Cut(strings.TrimPrefix(database, "host="), " ")
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	l := &link{address: "host=127.0.0.1 port=" + port + " sslmode=disable " + rest}
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

func (l *link) pass(client net.Conn, socket string) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	for buffer := make([]byte, 4<<10); ; {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		l.frozen.RLock()
		_, err = client.Write(buffer[:n])
		l.frozen.RUnlock()
		if err != nil {
			return
		}
	}
}
