package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"discordproxy/server/internal/store"
	"discordproxy/server/internal/store/storetest"
)

var parts = map[string][]byte{"part": []byte("what is known")}

func save(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.SaveState(t.Context(), "bot", time.UnixMilli(1), parts); err != nil {
		t.Fatal(err)
	}
}

func wantSaved(t *testing.T, s *store.Store) {
	t.Helper()
	wantState(t, s, "bot", map[string]store.Saved{"part": {Data: parts["part"], At: time.UnixMilli(1)}})
}

// filled returns a folder with a store that was closed.
func filled(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "a folder?#%20", "data")
	s, err := store.Open(t.Context(), store.Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

// wantFailure opens a folder, which fails for a reason, with an error of one line
// that names the folder.
func wantFailure(t *testing.T, folder string, reason error) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Folder: folder})
	if err == nil {
		t.Fatal("the store opened", s.Close())
	}
	if !errors.Is(err, reason) || !strings.Contains(err.Error(), folder) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %q, want %q", err, reason)
	}
}

func TestSecondStore(t *testing.T) {
	folder := filled(t)
	first := storetest.Open(t, store.Config{Folder: folder})
	wantFailure(t, folder, store.ErrInUse)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	wantSaved(t, storetest.Open(t, store.Config{Folder: folder}))
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode")
	}
	folder := filled(t)
	s := storetest.Open(t, store.Config{Folder: folder})
	save(t, s)
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, filepath.Join(file, "data"), store.ErrUnwritable)
	wantFailure(t, "/proc/data", store.ErrUnwritable)
}

func TestCorrupt(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"no database":     func([]byte) []byte { return []byte(strings.Repeat("no database ", 1000)) },
		"overwritten":     func(data []byte) []byte { return append(data[:100:100], make([]byte, len(data)-100)...) },
		"without its end": func(data []byte) []byte { return data[:len(data)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			folder := filled(t)
			path := filepath.Join(folder, "discordproxy.db")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(data), 0o600); err != nil {
				t.Fatal(err)
			}
			wantFailure(t, folder, store.ErrCorrupt)
		})
	}
}

func TestNewerSchema(t *testing.T) {
	folder := filled(t)
	s, err := store.Open(t.Context(), store.Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version_id, is_applied) VALUES (9999, $1)", true)
		return err
	}), s.Close()); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, folder, store.ErrNewer)
}

// TestFull fills the database up to its largest size: changes fail, what was
// written stays, and when there is space again, changes succeed.
func TestFull(t *testing.T) {
	s := storetest.Open(t, store.Config{Folder: filled(t)})
	limit := func(pages int) {
		t.Helper()
		if err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, "PRAGMA max_page_count = "+[]string{"1", "1000000"}[pages]).Scan(new(int))
		}); err != nil {
			t.Fatal(err)
		}
	}
	large := map[string][]byte{"part": make([]byte, 1<<20)}
	limit(0)
	if err := s.SaveState(t.Context(), "bot", time.UnixMilli(2), large); !errors.Is(err, store.ErrFull) {
		t.Fatalf("the error is %v", err)
	}
	wantSaved(t, s)
	limit(1)
	if err := s.SaveState(t.Context(), "bot", time.UnixMilli(2), large); err != nil {
		t.Error(err)
	}
}

// TestBackup copies a store while it is written, and restores the copy.
func TestBackup(t *testing.T) {
	folder := filled(t)
	s := storetest.Open(t, store.Config{Folder: folder})
	save(t, s)
	copied := filepath.Join(t.TempDir(), "backup")
	if err := store.Backup(t.Context(), folder, copied); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(copied); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := store.Backup(t.Context(), folder, copied); err == nil || !strings.Contains(err.Error(), "the file exists") {
		t.Errorf("a backup over another: %v", err)
	}
	if err := s.SaveState(t.Context(), "bot", time.UnixMilli(5), map[string][]byte{"part": nil, "later": []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), folder, copied); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a restore while the store is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), folder, copied); err != nil {
		t.Fatal(err)
	}
	wantSaved(t, storetest.Open(t, store.Config{Folder: folder}))
	elsewhere := filepath.Join(t.TempDir(), "new")
	if err := store.Restore(t.Context(), elsewhere, copied); err != nil {
		t.Fatal(err)
	}
	wantSaved(t, storetest.Open(t, store.Config{Folder: elsewhere}))
	if err := store.Backup(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup of nothing: %v", err)
	}
}

// TestRelativeFolder: backup and restore take paths relative to the working folder.
func TestRelativeFolder(t *testing.T) {
	folder := filled(t)
	t.Chdir(filepath.Dir(folder))
	if err := store.Backup(t.Context(), "data", "copy.db"); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), "data", "copy.db"); err != nil {
		t.Fatal(err)
	}
	wantSaved(t, storetest.Open(t, store.Config{Folder: folder}))
}

// TestReplacedLog: the log of changes of one replaced database is not kept as that of
// the next.
func TestReplacedLog(t *testing.T) {
	folder := filled(t)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := store.Backup(t.Context(), folder, copied); err != nil {
		t.Fatal(err)
	}
	// After a crash, there is such a log.
	if err := os.WriteFile(filepath.Join(folder, "discordproxy.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if err := store.Restore(t.Context(), folder, copied); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(folder, "discordproxy.db.replaced-wal")); (err == nil) != want {
			t.Errorf("%v, want a log: %v", err, want)
		}
	}
}

// TestRestoreDoubts: of deliveries in a backup it is not known whether they were made
// since, unless their time has not come. A backup of a version without deliveries is one.
func TestRestoreDoubts(t *testing.T) {
	folder, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy.db")
	s := storetest.Open(t, store.Config{Folder: folder})
	o, err := s.Outbox(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	past := time.UnixMilli(1_000_000) // for every clock
	at := func(id string, target string, state store.DeliveryState, begins time.Time) store.Delivery {
		d := delivery(id, target, 1)
		d.State, d.EnqueuedAt, d.NotBefore = state, past, begins
		d.ExpiresAt = time.Now().Add(2 * time.Hour)
		return d
	}
	waiting := at("waiting", "channel 1", store.Waiting, time.Time{})
	due := at("due", "channel 2", store.Scheduled, past.Add(time.Second))
	behind := at("behind", "channel 2", store.Scheduled, past.Add(time.Second))
	later := at("later", "channel 3", store.Scheduled, time.Now().Add(time.Hour))
	if _, err := o.Enqueue(t.Context(), limits, []store.Delivery{waiting, due, behind, later}); err != nil {
		t.Fatal(err)
	}
	if err := store.Backup(t.Context(), folder, copied); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := store.Restore(t.Context(), elsewhere, copied); err != nil {
		t.Fatal(err)
	}
	if o, err = storetest.Open(t, store.Config{Folder: elsewhere}).Outbox(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]time.Time{"waiting": waiting.EnqueuedAt, "due": due.NotBefore, "behind": due.NotBefore, "later": {}} {
		d, err := o.Delivery(t.Context(), "shop", id)
		if err != nil || !d.TriedAt.Equal(want) || (d.State == store.Sending) == want.IsZero() {
			t.Errorf("%s is in state %d, and was tried at %v, want %v: %v", id, d.State, d.TriedAt, want, err)
		}
	}
	if c, err := o.Counts(t.Context()); err != nil || c.Position < 1_000_000 || c.Purged != c.Position || c.Unfinished != 4 {
		t.Errorf("%+v, %v", c, err)
	}
	heads, err := o.Heads(t.Context(), "shop", time.Now(), 10)
	if err != nil || len(heads) != 2 || heads[0].ID != "waiting" || heads[1].ID != "due" {
		t.Errorf("heads %+v, %v", heads, err)
	}
	old := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite", old)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE schema_version (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), t.TempDir(), old); err != nil {
		t.Errorf("a backup without deliveries: %v", err)
	}
}

// TestRestoreOfOtherFiles: a file that is not a backup changes nothing.
func TestRestoreOfOtherFiles(t *testing.T) {
	folder := filled(t)
	no := filepath.Join(t.TempDir(), "no backup")
	if err := os.WriteFile(no, []byte(strings.Repeat("no backup ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{no: store.ErrCorrupt.Error(), empty: "the file is no backup", no + "x": "no such file"} {
		if err := store.Restore(t.Context(), folder, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	wantSaved(t, storetest.Open(t, store.Config{Folder: folder}))
}

// TestShrink: the file shrinks after its contents were deleted.
func TestShrink(t *testing.T) {
	c := store.Config{Folder: t.TempDir()}
	s := storetest.Open(t, c)
	long := make(map[string][]byte)
	for i := range 2000 {
		long[fmt.Sprint("limits ", i)] = make([]byte, 5000)
	}
	at := time.UnixMilli(1_790_000_000_000)
	if err := s.SaveState(t.Context(), "bot", at, long); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveState(t.Context(), "bot", at, map[string][]byte{"kept": []byte("kept")}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.PurgeState(t.Context(), "bot", "limits ", at.Add(time.Millisecond)), s.Shrink(t.Context())); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "bot", map[string]store.Saved{"kept": {Data: []byte("kept"), At: at}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(c.Folder, "discordproxy.db"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 1<<20 {
		t.Errorf("the file has %d bytes", info.Size())
	}
}
