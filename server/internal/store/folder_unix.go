//go:build linux || darwin

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// writable returns why this user cannot write a file or folder, without writing to it.
func writable(path string) error {
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil {
		return err
	}
	mode := uint32(unix.R_OK | unix.W_OK)
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		mode |= unix.X_OK
	}
	return unix.Access(path, mode)
}

// freeSpace returns how many bytes this user may still write to a folder.
func freeSpace(folder string) (bytes uint64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true //nolint:unconvert // the types differ between systems
}

// giveToOwner gives a file that root made to the owner of its folder.
func giveToOwner(path, folder string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var info unix.Stat_t
	if err := unix.Stat(folder, &info); err != nil {
		return err
	}
	return os.Chown(path, int(info.Uid), int(info.Gid))
}
