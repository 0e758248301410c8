// Package store keeps what must survive a restart. It owns the schema and all SQL:
// other packages see plain structs.
//
// A Store is a SQLite file in a data folder, or a PostgreSQL database. Both have the same
// tables, and queries are written once where the dialects agree: $1 is a placeholder in
// both, times are whole milliseconds since 1970, and blobs have the type BYTEA, which
// SQLite stores unchanged.
//
// One goroutine writes all changes, and puts those that wait at the moment into one
// transaction, because a commit waits for the disk and many changes can share that wait.
// Reads use connections of their own and never wait for a change.
//
// While a server changes something for a bot in PostgreSQL, no other server gets the
// bot's lease. Should the server freeze, its transaction ends when it has been idle for
// a moment. It is not idle while PostgreSQL waits for somebody to receive a result, so a
// change must not have a result that does not fit into the buffers of a connection.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// Config says where the data is. One of the fields is required.
type Config struct {
	// Folder is the data folder, which Open makes if it is missing. Only one Store
	// can use it at a time. The database in it is SQLite.
	Folder string
	// PostgreSQL is the address of a database, as a URL or as libpq's key=value
	// list. Several servers may share it.
	PostgreSQL string
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	where   string // for messages
	dialect dialect
	reads   *sql.DB // never used to change anything
	// readTime limits a read. It is 0 for a folder, whose reads have no limit.
	readTime time.Duration
	writes   *sql.DB
	writer   *writer
	leases   *sql.DB // apart from writes, so that no change delays a renewal
	clock    *databaseClock
	fence    *fence       // nil if changes are not bound to a lease
	unlock   func() error // releases the folder
	close    func() error
}

// dialect is what differs between the databases.
type dialect int

const (
	sqlite dialect = iota
	postgres
)

// Open opens the database, creates or updates its schema, and starts the writer.
// The error wraps ErrInUse, ErrNewer, ErrCorrupt, ErrFull or ErrUnwritable where it
// is one of those.
func Open(ctx context.Context, c Config) (*Store, error) {
	if (c.Folder == "") == (c.PostgreSQL == "") {
		return nil, errors.New("store: one of Folder and PostgreSQL is required")
	}
	var s *Store
	var err error
	if c.PostgreSQL != "" {
		s, err = openPostgres(ctx, c.PostgreSQL)
	} else {
		s, err = openFolder(ctx, c.Folder)
	}
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.release())
	}
	s.writer = newWriter(s.writes)
	s.close = sync.OnceValue(func() error {
		s.writer.close()
		return s.release()
	})
	return s, nil
}

// Close finishes the changes that were accepted and closes the database. Later
// changes fail with ErrClosed.
func (s *Store) Close() error { return s.close() }

// release closes what is open without the writer.
func (s *Store) release() error {
	err := errors.Join(s.reads.Close(), s.writes.Close())
	if s.leases != s.writes {
		err = errors.Join(err, s.leases.Close())
	}
	if s.unlock != nil {
		err = errors.Join(err, s.unlock())
	}
	return err
}

// write runs change in a transaction that it may share with other changes, and
// returns when the transaction is on disk. A change that returns an error leaves
// nothing behind and does not affect the others. Change may run more than once,
// so its only effects must be those on the database and on variables that it sets
// again. Its context is not that of the caller: statements that use the caller's
// would break the shared transaction.
//
// If ctx ends before the change's turn has come, write returns ctx's error and the
// change does not happen. If ctx ends later, write returns the outcome, at the
// latest when the transaction's own time is over.
func (s *Store) write(ctx context.Context, change func(context.Context, *transaction) error) error {
	return s.explain(s.writer.write(ctx, s.fence, change))
}

// read runs queries. A database that does not answer them in time is away: a connection
// that is dead need not have been closed, and a read that waits for it would not end.
func (s *Store) read(ctx context.Context, queries func(context.Context, *sql.DB) error) error {
	within := ctx
	if s.readTime > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, s.readTime)
		defer cancel()
	}
	err := queries(within, s.reads)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %s: no response within %v: %w", ErrAway, s.where, s.readTime, err)
	}
	return s.explain(err)
}

// readRow reads one row.
func (s *Store) readRow(ctx context.Context, query string, args []any, to ...any) error {
	return s.read(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, query, args...).Scan(to...)
	})
}

// file is the database in a data folder.
func file(folder string) string { return filepath.Join(folder, "discordproxy.db") }
