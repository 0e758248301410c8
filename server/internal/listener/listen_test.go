package listener_test

import (
	"errors"
	"io"
	"net"
	"strconv"
	"testing"

	"discordproxy/server/internal/listener"
)

// echo answers every connection of lis with the address that it came in by.
func echo(lis net.Listener) {
	for {
		conn, err := lis.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, conn.LocalAddr().String())
		_ = conn.Close()
	}
}

func portOf(t *testing.T, addr net.Addr) int {
	t.Helper()
	if all, ok := addr.(listener.Addresses); ok {
		addr = all[0]
	}
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		t.Fatalf("the address is %v", addr)
	}
	return tcp.Port
}

func needIPv6(t *testing.T) {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	_ = lis.Close()
}

// TestListen: every address of every host is open, at the same port.
func TestListen(t *testing.T) {
	needIPv6(t)
	for _, tt := range []struct {
		hosts, open []string
		loopback    bool
	}{
		{[]string{"127.0.0.1"}, []string{"127.0.0.1"}, true},
		{[]string{"::1"}, []string{"::1"}, true},
		{[]string{"127.0.0.1", "::1"}, []string{"127.0.0.1", "::1"}, true},
		{[]string{"localhost"}, []string{"127.0.0.1"}, true},
		{[]string{"127.0.0.1", "127.0.0.2", "localhost"}, []string{"127.0.0.1", "127.0.0.2"}, true},
		{[]string{""}, []string{"127.0.0.1", "::1"}, false},
		{[]string{"::"}, []string{"127.0.0.1", "::1"}, false},
		{[]string{"0.0.0.0", "::1"}, []string{"127.0.0.1", "::1"}, false},
	} {
		lis, err := listener.Listen(t.Context(), tt.hosts, 0, 0)
		if err != nil {
			t.Errorf("%v: %v", tt.hosts, err)
			continue
		}
		if got := listener.IsLoopback(lis.Addr()); got != tt.loopback {
			t.Errorf("%v, %v: loopback is %v", tt.hosts, lis.Addr(), got)
		}
		go echo(lis)
		for _, host := range tt.open {
			at := net.JoinHostPort(host, strconv.Itoa(portOf(t, lis.Addr())))
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
			if err != nil {
				t.Errorf("%v: %v", tt.hosts, err)
				continue
			}
			if text, err := io.ReadAll(conn); err != nil || string(text) != at {
				t.Errorf("%v at %s: %q %v", tt.hosts, at, text, err)
			}
			_ = conn.Close()
		}
		if err := lis.Close(); err != nil {
			t.Errorf("%v: close: %v", tt.hosts, err)
		}
		if _, err := lis.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: after closing: %v", tt.hosts, err)
		}
	}
}

// TestListenFails: if one address fails, the others are free again.
func TestListenFails(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := portOf(t, taken.Addr())
	for _, hosts := range [][]string{{"127.0.0.3", "127.0.0.2"}, {"127.0.0.3", "192.0.2.1"}, {"127.0.0.3", "no.such.host.invalid"}, {}} {
		if lis, err := listener.Listen(t.Context(), hosts, port, 0); err == nil {
			t.Errorf("%v: listens on %v", hosts, lis.Addr())
			_ = lis.Close()
		}
	}
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.3", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("it remains open: %v", err)
	}
	_ = free.Close()
}
