package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// contents returns the files of a folder with what is in them, and when each was changed.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files[path] = fmt.Sprint(info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			files[path] += string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// inspect inspects a folder, and checks that it stays as it was.
func inspect(t *testing.T, folder, watched string) (store.Inspection, error) {
	t.Helper()
	before := contents(t, watched)
	i, err := store.Inspect(t.Context(), folder)
	if diff := cmp.Diff(before, contents(t, watched)); diff != "" {
		t.Errorf("it changed the folder: %s", diff)
	}
	return i, err
}

func TestInspect(t *testing.T) {
	above := t.TempDir()
	i, err := inspect(t, filepath.Join(above, "a", "b"), above)
	if err != nil || !i.Missing || i.Schema != 0 || i.Supported < 2 {
		t.Errorf("missing: %+v, %v", i, err)
	}
	newest := i.Supported
	if i, err = inspect(t, above, above); err != nil || i.Missing || i.Schema != 0 {
		t.Errorf("empty: %+v, %v", i, err)
	}

	odd := filled(t) // with characters that addresses of files escape
	if i, err = inspect(t, odd, odd); err != nil || i.Missing || i.Schema != newest {
		t.Errorf("filled: %+v, %v", i, err)
	}
	folder := t.TempDir()
	if s, err := store.Open(t.Context(), store.Config{Folder: folder}); err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	db := openDatabase(t, "sqlite", filepath.Join(folder, "discordproxy.db"))
	db.SetMaxOpenConns(1)
	change := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	change("DELETE FROM schema_version WHERE version_id > 1")
	if i, err = inspect(t, folder, folder); err != nil || i.Schema != 1 || i.Supported != newest {
		t.Errorf("older: %+v, %v", i, err)
	}
	// The change is next to the file, as after a crash.
	change("PRAGMA journal_mode = WAL")
	change("PRAGMA wal_autocheckpoint = 0")
	change("INSERT INTO schema_version (version_id, is_applied) VALUES (999, 1)")
	if info, err := os.Stat(filepath.Join(folder, "discordproxy.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("the change is in the file: %v", err)
	}
	if i, err = inspect(t, folder, folder); !errors.Is(err, store.ErrNewer) || i.Schema != 999 || !strings.Contains(err.Error(), "schema 999") {
		t.Errorf("newer: %+v, %v", i, err)
	}
}

// TestInspectUnusable finds why a folder cannot be used.
func TestInspectUnusable(t *testing.T) {
	folder := filled(t)
	s := storetest.Open(t, store.Config{Folder: folder})
	if _, err := inspect(t, folder, folder); !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("%s (process %d)", folder, os.Getpid())) {
		t.Errorf("in use: %v", err)
	}
	if err := os.Remove(filepath.Join(folder, "pid")); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(t, folder, folder); !errors.Is(err, store.ErrInUse) || strings.Contains(err.Error(), "process") {
		t.Errorf("in use by somebody: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := inspect(t, folder, folder); err != nil {
		t.Errorf("not in use any more: %v", err)
	}

	above := t.TempDir()
	file := filepath.Join(above, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "discordproxy.db"), bytes.Repeat([]byte("damage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		folder, watched string
		want            error
	}{
		{file, above, store.ErrUnwritable},
		{filepath.Join(file, "below"), above, store.ErrUnwritable},
		{damaged, damaged, store.ErrCorrupt},
	} {
		if _, err := inspect(t, tt.folder, tt.watched); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.folder, err, tt.want)
		}
	}

	if os.Getuid() <= 0 {
		return // the mode keeps root from nothing, and Windows has none
	}
	for path, mode := range map[string]fs.FileMode{above: 0o500, filepath.Join(folder, "discordproxy.db"): 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, unwritable := range []string{above, filepath.Join(above, "below"), folder} {
		if _, err := store.Inspect(t.Context(), unwritable); !errors.Is(err, store.ErrUnwritable) {
			t.Errorf("%s: %v, want %v", unwritable, err, store.ErrUnwritable)
		}
	}
	if err := os.Chmod(above, 0o700); err != nil { // so that it can be deleted
		t.Fatal(err)
	}
}
