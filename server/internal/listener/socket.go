package listener

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// DefaultSocketMode lets the owner and the group of a Unix socket connect.
const DefaultSocketMode fs.FileMode = 0o660

// socketPrefix begins a host that is a Unix socket.
const socketPrefix = "unix:"

// SocketPath returns the path of a host that is a Unix socket, in a form that
// gRPC's libraries use too: unix:/path, unix:///path or unix:path.
func SocketPath(host string) (path string, ok bool) {
	path, ok = strings.CutPrefix(host, socketPrefix)
	if absolute, found := strings.CutPrefix(path, "//"); found {
		path = absolute
	}
	return path, ok
}

// socketPeer is the address of the other end of a Unix socket, which has none.
type socketPeer struct{}

// Network implements net.Addr.
func (socketPeer) Network() string { return "unix" }

// String implements net.Addr.
func (socketPeer) String() string { return "unix" }

// listenSocket listens on a Unix socket, which Close removes. A socket that a
// server left behind is replaced, but nothing else at its path is.
func listenSocket(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	longest := len(syscall.RawSockaddrUnix{}.Path) - 1
	switch {
	case path == "":
		return nil, errors.New("a Unix socket needs a path, such as unix:/run/discordproxy/sock")
	case path[0] == '@':
		return nil, fmt.Errorf("abstract socket %s is not supported: it has no permissions", path)
	case len(path) > longest:
		return nil, fmt.Errorf("socket path %s has %d bytes, at most %d can be used", path, len(path), longest)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	lis, err := listenWithMode(ctx, path, mode)
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return lis, nil
}

// removeStale removes a socket on which nobody listens.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket: choose another path, or remove it", path)
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process listens on socket %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("socket %s exists, and whether another process listens on it is not known: %w", path, err)
}

// bySocket reports whether a request came over a Unix socket.
func bySocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
