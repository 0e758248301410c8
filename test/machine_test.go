package test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "discordproxy/gen/discord_api"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// awaitLog waits until the log holds a text.
func awaitLog(t *testing.T, p *proxytest.Process, text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		data, err := os.ReadFile(p.Log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("the log does not say %q:\n%s", text, data)
		}
	}
}

// TestSystemd: systemd is notified that the server is ready, that it lives, also
// while it ends, and how long that may take.
func TestSystemd(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hear := func() string {
		text := make([]byte, 1000)
		_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := manager.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(text[:n])
	}
	p := proxytest.StartProcess(t, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+address, "WATCHDOG_USEC="+strconv.FormatInt((40*time.Millisecond).Microseconds(), 10))
	}, "--shutdown-grace", "30s")
	if text := hear(); text != "READY=1" {
		t.Errorf("first came %q", text)
	}
	for range 3 {
		if text := hear(); text != "WATCHDOG=1" {
			t.Errorf("then came %q", text)
		}
	}
	ended := proxytest.Fill(t, p.Client, 6)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text := hear()
	for text == "WATCHDOG=1" {
		text = hear()
	}
	if text != "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000" {
		t.Errorf("at the end came %q", text)
	}
	if text := hear(); text != "WATCHDOG=1" {
		t.Errorf("while a call waits came %q", text)
	}
	for range 6 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := p.Cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestDiskFull: the server continues when there is no space for its log.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	require.File(t, "/dev/full", "/dev/full", "use a system with this device, which is always full")
	logs := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(logs, "discordproxyserver.log")); err != nil {
		t.Fatal(err)
	}
	p := proxytest.StartProcess(t, nil, "--log-file-path", logs)
	if err := <-proxytest.Fill(t, p.Client, 6); err != nil {
		t.Error(err)
	}
}

// TestOutOfFileDescriptors: idle connections take all file descriptors. Calls of
// others continue, and when the connections end there are descriptors again.
func TestOutOfFileDescriptors(t *testing.T) {
	t.Parallel()
	require.File(t, "sh", "/bin/sh", "use a system with a POSIX shell")
	p := proxytest.StartProcess(t, func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	})
	ended := proxytest.Fill(t, p.Client, 6)
	// Connections succeed without being accepted.
	var idle []net.Conn
	for range 100 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		idle = append(idle, conn)
	}
	awaitLog(t, p, "too many open files")
	for range 6 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	another := proxytest.NewClient(p.Address)
	if _, err := another.GetRateLimitStatus(ctx, &pb.GetRateLimitStatusRequest{}); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

// TestRuntimeLimits: the process respects the limits of its environment, and logs them.
func TestRuntimeLimits(t *testing.T) {
	t.Parallel()
	p := proxytest.StartProcess(t, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOMEMLIMIT=100MiB")
	})
	awaitLog(t, p, "processors=1 memory_limit=104857600")
}
