//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"discordproxy/cli"
)

// TestReplaceFileAsRoot: a file that root replaces still belongs to its owner, who can
// read it.
func TestReplaceFileAsRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const user, group = 54321, 54322
	path := filepath.Join(t.TempDir(), "auth.yaml")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, user, group); err != nil {
		t.Fatal(err)
	}
	if err := cli.ReplaceFile(path, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != user || owner.Gid != group || info.Mode() != 0o600 {
		t.Errorf("the file belongs to %d:%d, with the mode %v", owner.Uid, owner.Gid, info.Mode())
	}
	if data, err := os.ReadFile(path); string(data) != "new" {
		t.Errorf("the file contains %q, %v", data, err)
	}
}
