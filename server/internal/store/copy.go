package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Backup copies the database of a data folder into a new file, as it is at one
// moment. The server may run meanwhile.
func Backup(ctx context.Context, folder, to string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	from := file(folder)
	if _, err := os.Stat(from); err != nil {
		return fmt.Errorf("cannot back up %s: %w", folder, err)
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot back up to %s: the file exists", to)
	}
	db, err := sql.Open("sqlite", dsn(from, url.Values{"mode": {"rw"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	// SQLite would make the copy with the process's umask.
	created, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot back up: %w", err)
	}
	if err := created.Close(); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return errors.Join(fmt.Errorf("cannot back up to %s: %w", to, explain(err, folder)), os.Remove(to))
	}
	return syncFile(to)
}

// Restore puts a backup in the place of the database of a data folder, which no
// server may use. What was there is kept as discordproxy.db.replaced.
func Restore(ctx context.Context, folder, from string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	unlock, err := lockFolder(folder)
	if err != nil {
		return err
	}
	defer unlock() //nolint:errcheck // the process ends
	path := file(folder)
	next := path + ".restoring"
	if err := copyFile(from, next); err != nil {
		return fmt.Errorf("cannot restore: %w", err)
	}
	// Root restores for a user that exists only while the server runs.
	for _, made := range []string{next, filepath.Join(folder, lockName)} {
		if err := giveToOwner(made, folder); err != nil {
			return errors.Join(fmt.Errorf("cannot restore: %w", err), os.Remove(next))
		}
	}
	if err := check(ctx, next); err != nil {
		return errors.Join(fmt.Errorf("cannot restore: %w", explain(err, from)), os.Remove(next))
	}
	if err := doubt(ctx, next, time.Now()); err != nil {
		return errors.Join(fmt.Errorf("cannot restore: %w", explain(err, folder)), os.Remove(next))
	}
	// A log of changes that remains would be applied to another database than its own.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(path+suffix, path+".replaced"+suffix)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Remove(path + ".replaced" + suffix)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot restore: %w", err)
		}
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("cannot restore: %w", err)
	}
	return nil
}

// check reads a whole database.
func check(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed(path), RawQuery: "mode=ro&immutable=1"}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = '"+versionTable+"'").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return errors.New("the file is no backup of a server")
	}
	return nil
}

// lostResults is more than the results that can have come between a backup and now.
const lostResults = 1_000_000_000

// doubt notes of the deliveries in a backup that wait that they may have been made since
// the backup, so that the server finds out before it makes them. The positions of later
// results are not used again: a client that has seen them would miss the new ones.
func doubt(ctx context.Context, path string, now time.Time) error {
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed(path), RawQuery: "mode=rw&_pragma=synchronous(FULL)"}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	var tables int
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'deliveries'").Scan(&tables)
	if err != nil || tables == 0 { // an old version had none
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 3, tried_at = max(enqueued_at, not_before)
		WHERE state = 2 OR state = 1 AND not_before <= $1`, now.UnixMilli()); err != nil {
		return err
	}
	// Those that were scheduled are in a line since then, which may have no head.
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET head = 1 WHERE state = 3 AND head = 0 AND seq = (
		SELECT seq FROM deliveries AS line
		WHERE line.bot = deliveries.bot AND line.caller = deliveries.caller AND line.target = deliveries.target AND line.state IN (2, 3)
		ORDER BY line.head DESC, line.priority DESC, line.seq LIMIT 1)`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE outbox SET position = position + $1, purged = position + $1", lostResults); err != nil {
		return err
	}
	return tx.Commit()
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Sync(), out.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// slashed is a path in a URL.
func slashed(path string) string {
	path = filepath.ToSlash(path)
	if len(path) > 0 && path[0] != '/' {
		path = "/" + path // of a volume
	}
	return path
}
