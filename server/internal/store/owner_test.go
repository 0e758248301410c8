//go:build linux || darwin

package store_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"discordproxy/server/internal/store"
)

// TestRestoreAsRoot: the server's user can use data that root has restored.
func TestRestoreAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := store.Backup(t.Context(), filled(t), backup); err != nil {
		t.Fatal(err)
	}
	const user, group = 54321, 54322
	folder := t.TempDir()
	if err := os.Chown(folder, user, group); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), folder, backup); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t); owner.Uid != user || owner.Gid != group {
			t.Errorf("%s belongs to %d:%d", entry.Name(), owner.Uid, owner.Gid)
		}
	}
}
