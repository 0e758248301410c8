package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ReplaceFile replaces the contents of a file in one step: a reader, and anyone after a
// crash, finds the old contents or the new ones. A new file gets mode, an existing file
// keeps its own. A symbolic link stays, and its target is replaced.
func ReplaceFile(path string, data []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already unless something failed
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Sync())
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
