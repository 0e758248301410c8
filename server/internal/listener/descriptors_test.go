//go:build unix

package listener_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"
)

// A process that is out of file descriptors serves the connections it has and
// accepts others when there are descriptors again.
func TestOutOfFileDescriptors(t *testing.T) {
	// The limit is the whole process's, so another process does it.
	const inChild = "LISTENER_TEST_OUT_OF_DESCRIPTORS"
	if os.Getenv(inChild) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOutOfFileDescriptors$", "-test.v")
		cmd.Env = append(os.Environ(), inChild+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "descriptors are used up") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}

	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &gatedListener{Listener: inner, gate: make(chan struct{})}
	failed := make(failedAccept, 1)
	s := newService()
	server := serveOn(t, ln, listener.Config{Handler: s.handler(t, rpc.Config{}), Logger: slog.New(slog.NewTextHandler(failed, nil))})
	client := newHTTP2Client(t)
	if err := get(client, server.url("/")); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	full := limit
	limit.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Connections succeed without being accepted, so all descriptors go to this
	// end of them.
	var open []net.Conn
	for {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.addr)
		if err != nil {
			break
		}
		open = append(open, conn)
	}
	close(ln.gate)
	select {
	case <-failed:
		fmt.Println("descriptors are used up")
	case <-time.After(30 * time.Second):
		t.Fatal("accepting did not fail")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("an open connection is not served: %v", err)
	}
	_ = res.Body.Close()

	for _, conn := range open {
		_ = conn.Close()
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &full); err != nil {
		t.Fatal(err)
	}
	if err := get(newHTTP1Client(t), server.url("/")); err != nil {
		t.Errorf("no connection afterwards: %v", err)
	}
}

// gatedListener accepts one connection and others after the gate is closed.
type gatedListener struct {
	net.Listener
	gate     chan struct{}
	accepted int
}

func (l *gatedListener) Accept() (net.Conn, error) {
	if l.accepted++; l.accepted > 1 {
		<-l.gate
	}
	return l.Listener.Accept()
}

// failedAccept is a log that reports when accepting failed.
type failedAccept chan struct{}

func (f failedAccept) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("too many open files")) {
		select {
		case f <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}
