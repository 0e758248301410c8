//go:build unix

package cli

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives file the owner and the group of the file that it will replace.
func keepOwner(file *os.File, replaced fs.FileInfo) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	from, to := info.Sys().(*syscall.Stat_t), replaced.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // on all such systems
	if from.Uid == to.Uid && from.Gid == to.Gid {
		return nil
	}
	if err := file.Chown(int(to.Uid), int(to.Gid)); err != nil {
		return fmt.Errorf("the file belongs to user %d and group %d, and cannot be given to them: %w", to.Uid, to.Gid, err)
	}
	return nil
}
