package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"

	_ "modernc.org/sqlite" // the driver
)

// openFolder locks a data folder and opens the database in it.
func openFolder(ctx context.Context, folder string) (*Store, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	s := &Store{where: folder, clock: new(databaseClock), unlock: unlock}
	if err := s.openSQLite(ctx, file(folder)); err != nil {
		return nil, errors.Join(s.explain(err), unlock())
	}
	return s, nil
}

// lockFolder makes a folder that only this user can read, and keeps other servers out of
// it until the returned function is called. The system releases it, too, when the
// process ends.
func lockFolder(folder string) (unlock func() error, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnwritable, folder, err)
	}
	held := flock.New(filepath.Join(folder, lockName), flock.SetPermissions(0o600))
	switch locked, err := held.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrUnwritable, folder, err)
	case !locked:
		return nil, fmt.Errorf("%w: %s", ErrInUse, folder)
	}
	// A folder that others use says who that is. It is used without that, too.
	pid := filepath.Join(folder, pidName)
	_ = os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return func() error {
		_ = os.Remove(pid)
		return held.Unlock()
	}, nil
}

// Files of a data folder next to the database. The process ID is not in the lock itself:
// some systems release a lock when any descriptor of its file is closed.
const (
	lockName = "lock"
	pidName  = "pid"
)

// openSQLite opens a file, which it creates if it is missing, for one writer and
// several readers.
func (s *Store) openSQLite(ctx context.Context, path string) error {
	// SQLite would create the file with the process's umask. Its other files get
	// the mode of this one.
	created, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnwritable, s.where, err)
	}
	if err := created.Close(); err != nil {
		return err
	}
	if s.writes, err = sql.Open("sqlite", dsn(path, url.Values{"_txlock": {"immediate"}, "_auto_vacuum": {"incremental"}})); err != nil {
		return err
	}
	s.writes.SetMaxOpenConns(1)
	s.leases = s.writes
	if s.reads, err = sql.Open("sqlite", dsn(path, url.Values{"_query_only": {"1"}})); err != nil {
		return errors.Join(err, s.writes.Close())
	}
	s.reads.SetMaxOpenConns(4)
	if err := s.writes.PingContext(ctx); err != nil {
		return errors.Join(err, s.reads.Close(), s.writes.Close())
	}
	return nil
}

// dsn is how the driver opens a file. A commit is on disk when it returns.
func dsn(path string, options url.Values) string {
	options["_pragma"] = []string{
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)",
		"foreign_keys(ON)", "journal_size_limit(67108864)",
	}
	return (&url.URL{Scheme: "file", Path: slashed(path), RawQuery: options.Encode()}).String()
}

// shrinkPages limits how much of a file one transaction gives back, so that other
// changes do not wait long for it.
const shrinkPages = 1024

// Shrink gives the space of what was deleted back to the file system. PostgreSQL does
// that by itself.
func (s *Store) Shrink(ctx context.Context) error {
	if s.dialect != sqlite {
		return nil
	}
	for before := math.MaxInt; ; {
		var free int
		if err := s.readRow(ctx, "PRAGMA freelist_count", nil, &free); err != nil {
			return err
		}
		if free == 0 || free >= before { // what others delete meanwhile can wait
			return nil
		}
		before = free
		if err := s.write(ctx, func(ctx context.Context, tx *transaction) error {
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkPages))
			return err
		}); err != nil {
			return err
		}
	}
}
