package cli

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
)

// ReplaceFile replaces the contents of a file in one step: a reader, and anyone after a
// crash, finds the old contents or the new ones. A new file gets mode, an existing file
// keeps its own, and its owner and group. A symbolic link stays, and its target is replaced.
func ReplaceFile(path string, data []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	before, missing := os.Stat(path)
	if missing == nil {
		mode = before.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already unless something failed
	_, err = file.Write(data)
	if err == nil && missing == nil {
		err = keepOwner(file, before)
	}
	err = cmp.Or(err, file.Chmod(mode), file.Sync())
	if err = cmp.Or(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
