//go:build !unix

package listener

import (
	"context"
	"io/fs"
	"net"
)

// listenWithMode listens on a socket, whose permissions are those of its folder.
func listenWithMode(ctx context.Context, path string, _ fs.FileMode) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "unix", path)
}
