package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// Reasons for which a Store cannot be opened or written. Errors of this package
// wrap them together with the database's own error.
var (
	ErrInUse      = errors.New("another server uses the data folder")
	ErrFenced     = errors.New("another server has taken over the bot")
	ErrNewer      = errors.New("the data was written by a newer version of the server")
	ErrCorrupt    = errors.New("the data file is damaged")
	ErrFull       = errors.New("the disk of the data is full")
	ErrUnwritable = errors.New("the data folder cannot be written")
	ErrAway       = errors.New("the database cannot be reached")
	ErrClosed     = errors.New("the store is closed")
)

// explain names the reason of an error and the database, if the reason is one of
// the package's.
func (s *Store) explain(err error) error { return explain(err, s.where) }

func explain(err error, where string) error {
	if reason := reasonOf(err); reason != nil {
		return fmt.Errorf("%w: %s: %w", reason, where, err)
	}
	return err
}

// reasonOf returns which of the package's reasons an error of a database has, nil
// if it has none or names it already.
func reasonOf(err error) error {
	if failed, ok := errors.AsType[*driver.Error](err); ok {
		switch failed.Code() & 0xff { // the rest is detail
		case codes.SQLITE_FULL:
			return ErrFull
		case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
			return ErrCorrupt
		case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_PERM, codes.SQLITE_IOERR:
			return ErrUnwritable
		}
	}
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && failed.Code == "53100" {
		return ErrFull
	}
	if isAway(err) && !errors.Is(err, ErrAway) {
		return ErrAway
	}
	return nil
}
