//go:build !linux && !darwin

package store

import (
	"io/fs"
	"os"
)

// writable returns why a file or folder cannot be written, as far as its mode says.
func writable(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		err = &fs.PathError{Op: "write", Path: path, Err: fs.ErrPermission}
	}
	return err
}

// freeSpace is not known on these systems.
func freeSpace(string) (bytes uint64, known bool) { return 0, false }

// giveToOwner does nothing: there is no root on these systems.
func giveToOwner(string, string) error { return nil }
