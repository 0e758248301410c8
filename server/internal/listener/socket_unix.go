//go:build unix

package listener

import (
	"context"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
)

var umask sync.Mutex

// listenWithMode listens on a socket that nobody else can connect to before it
// has its mode. The umask is that of the process: files that it creates meanwhile
// are readable by their owner alone.
func listenWithMode(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	umask.Lock()
	defer umask.Unlock()
	usual := syscall.Umask(0o177)
	lis, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	syscall.Umask(usual)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = lis.Close()
		return nil, err
	}
	return lis, nil
}
