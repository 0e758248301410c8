package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// Inspection is what Inspect found in a data folder.
type Inspection struct {
	// Missing reports that there is no folder yet. Open would create it.
	Missing bool
	// Schema is the version of the data, or 0 if there is none. Supported is the newest
	// version that this program supports. Open updates an older one.
	Schema, Supported int64
	// Free is the number of bytes that the server's user may still write there, if
	// FreeKnown.
	Free      uint64
	FreeKnown bool
}

// minFree is the space below which a folder counts as full.
const minFree = 1 << 20

// Inspect reports what Open would find in a folder, and changes nothing there. The error
// wraps the same reasons as that of Open. A folder that another server uses is not
// examined further.
func Inspect(ctx context.Context, folder string) (Inspection, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return Inspection{}, err
	}
	var i Inspection
	if i.Supported, err = newestSchema(); err != nil {
		return i, err
	}
	there := folder // the folder, or the one in which it would be created
	for {
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			return i, fmt.Errorf("%w: %s is not a folder", ErrUnwritable, there)
		}
		if err == nil {
			break
		}
		if parent := filepath.Dir(there); errors.Is(err, fs.ErrNotExist) && parent != there {
			i.Missing, there = true, parent
			continue
		}
		return i, fmt.Errorf("%w: %s: %w", ErrUnwritable, folder, err)
	}
	if err := writable(there); err != nil {
		return i, fmt.Errorf("%w: %s: %w", ErrUnwritable, there, err)
	}
	i.Free, i.FreeKnown = freeSpace(there)
	if !i.Missing {
		if err := i.examine(ctx, folder); err != nil {
			return i, err
		}
	}
	if i.FreeKnown && i.Free < minFree {
		return i, fmt.Errorf("%w: %s", ErrFull, there)
	}
	return i, nil
}

// examine looks at the files of a folder.
func (i *Inspection) examine(ctx context.Context, folder string) error {
	for _, name := range []string{lockName, filepath.Base(file(folder))} {
		err := writable(filepath.Join(folder, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s: %w", ErrUnwritable, filepath.Join(folder, name), err)
		}
	}
	if err := inUse(folder); err != nil {
		return err
	}
	var err error
	if i.Schema, err = schemaOf(ctx, file(folder)); err != nil {
		return explain(err, folder)
	}
	if i.Schema > i.Supported {
		return newer(folder, i.Schema, i.Supported)
	}
	return nil
}

func newer(where string, current, supported int64) error {
	return fmt.Errorf("%w: %s has schema %d, this version supports schemas up to %d", ErrNewer, where, current, supported)
}

// inUse returns an error if a server uses a folder. A shared lock is enough to notice
// that, and a file that is opened to be read is not created.
func inUse(folder string) error {
	held := flock.New(filepath.Join(folder, lockName), flock.SetFlag(os.O_RDONLY))
	switch locked, err := held.TryRLock(); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrUnwritable, folder, err)
	case locked:
		return held.Close()
	}
	data, _ := os.ReadFile(filepath.Join(folder, pidName))
	if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
		return fmt.Errorf("%w: %s (process %d)", ErrInUse, folder, pid)
	}
	return fmt.Errorf("%w: %s", ErrInUse, folder)
}

// newestSchema returns the version of the newest migration, which both dialects have.
func newestSchema() (int64, error) {
	steps, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return 0, err
	}
	var newest int64
	for _, step := range steps {
		number, _, _ := strings.Cut(path.Base(step), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, err
		}
		newest = max(newest, n)
	}
	return newest, nil
}

// schemaOf returns the version of the database in a file that nobody uses, or 0 for none.
func schemaOf(ctx context.Context, from string) (int64, error) {
	if info, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return 0, nil
	}
	// After a crash there are changes next to the file, which SQLite would move into it.
	// This happens to a copy instead.
	options := "mode=ro&immutable=1"
	if info, err := os.Stat(from + "-wal"); err == nil && info.Size() > 0 {
		folder, err := os.MkdirTemp("", "discordproxy-check-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(folder) //nolint:errcheck // the system deletes it, too
		to := filepath.Join(folder, filepath.Base(from))
		if err := errors.Join(copyFile(from, to), copyFile(from+"-wal", to+"-wal")); err != nil {
			return 0, err
		}
		from, options = to, "mode=rw"
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed(from), RawQuery: options}).String())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = '"+versionTable+"'").Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	var version int64
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+versionTable).Scan(&version)
	return version, err
}
