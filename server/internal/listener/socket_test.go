//go:build unix

package listener_test

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"
)

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	lis, err := listener.Listen(t.Context(), []string{"unix:" + path}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if !listener.IsLoopback(lis.Addr()) || lis.Addr().String() != path {
		t.Errorf("the address is %v", lis.Addr())
	}
	if second, err := listener.Listen(t.Context(), []string{"unix:" + path}, 0, 0); err == nil || !strings.Contains(err.Error(), "another process listens on socket "+path) {
		t.Errorf("a second one: %v %v", second, err)
	}
	if conn, err := net.Dial("unix", path); err != nil { //nolint:noctx // a socket does not wait
		t.Errorf("the first one is gone: %v", err)
	} else {
		_ = conn.Close()
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket remains")
	}
}

// TestSocketThatRemains: a socket of a server that was killed is replaced.
func TestSocketThatRemains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	lis, err := listener.Listen(t.Context(), []string{"127.0.0.1", "unix://" + path, "unix:" + path + "2"}, 0, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	for _, path := range []string{path, path + "2"} {
		if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	if portOf(t, lis.Addr()) == 0 {
		t.Errorf("the address is %v", lis.Addr())
	}
}

func TestSocketFails(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"unix:":        "a Unix socket needs a path",
		"unix:@name":   "abstract socket @name is not supported",
		"unix:" + file: "exists and is not a socket",
		"unix:" + filepath.Join(folder, "no", "sock"): "no such file or directory",
		"unix:/" + strings.Repeat("x", 200):           "at most",
	} {
		if lis, err := listener.Listen(t.Context(), []string{"127.0.0.1", host}, 0, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", host, lis, err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "kept" {
		t.Errorf("the file is %q %v", data, err)
	}
	if usual := syscall.Umask(0o022); usual == 0o177 {
		t.Error("the umask was not restored")
	} else {
		syscall.Umask(usual)
	}
}

// TestHostCheckOnSocket: a socket takes any host, as a reverse proxy hands it on,
// while a loopback address next to it does not, and --allowed-host holds for both.
func TestHostCheckOnSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	overSocket := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	for _, tt := range []struct {
		allowed     []string
		socket, tcp int
	}{{nil, 200, 403}, {[]string{"other.example"}, 403, 403}, {[]string{"proxy.example"}, 200, 200}} {
		lis, err := listener.Listen(t.Context(), []string{"127.0.0.1", "unix:" + path}, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var peer string
		echo := newService().handler(t, rpc.Config{})
		server := serveOn(t, lis, listener.Config{AllowedHosts: tt.allowed, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peer = r.RemoteAddr
			echo.ServeHTTP(w, r)
		})})
		server.addr = lis.Addr().(listener.Addresses)[0].String()
		ask := request{method: http.MethodPost, path: procedureEcho, body: `"x"`, host: "proxy.example", header: map[string]string{"Content-Type": "application/json"}}
		if code, _, body := send(t, overSocket, server, ask); code != tt.socket || code == 200 && peer != "unix" {
			t.Errorf("%v over the socket: %d %s, peer %q", tt.allowed, code, body, peer)
		}
		if code, _, body := send(t, newHTTP1Client(t), server, ask); code != tt.tcp {
			t.Errorf("%v over TCP: %d %s", tt.allowed, code, body)
		}
		server.stop()
		if err := server.ended(t); err != nil {
			t.Error(err)
		}
	}
}
