//go:build linux

package discord_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord"
)

// TestConnectTimeout: connecting to Discord takes no longer than configured, however long
// the network would try.
func TestConnectTimeout(t *testing.T) {
	// The system drops what asks for a connection when so many wait already to
	// be accepted.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for full := false; !full; {
		conn, err := (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext(t.Context(), "tcp", address)
		if full = err != nil; !full {
			defer conn.Close()
		}
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	resp, err := discord.NewUpstream(100 * time.Millisecond).RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || time.Since(began) > 5*time.Second {
		t.Errorf("connecting ended after %v with %v", time.Since(began), err)
	}
}
