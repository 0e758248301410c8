package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// Saved is what one part of the server saved for one bot.
type Saved struct {
	Data []byte
	At   time.Time // in milliseconds
}

// SaveState saves data of a bot in parts by their names. All parts are saved or none
// is. They replace earlier parts of the same names. A part without data is deleted.
func (s *Store) SaveState(ctx context.Context, bot string, at time.Time, parts map[string][]byte) error {
	var deleted, saved []string
	for _, part := range slices.Sorted(maps.Keys(parts)) { // in one order, so that no two wait for each other
		if parts[part] == nil {
			deleted = append(deleted, part)
		} else {
			saved = append(saved, part)
		}
	}
	return s.write(ctx, func(ctx context.Context, tx *transaction) error {
		for names := range pieces(deleted, parts) {
			args := []any{bot}
			var list []string
			for _, part := range names {
				args = append(args, part)
				list = append(list, fmt.Sprintf("$%d", len(args)))
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM state WHERE bot = $1 AND part IN ("+strings.Join(list, ", ")+")", args...); err != nil {
				return err
			}
		}
		for names := range pieces(saved, parts) {
			args := []any{bot, at.UnixMilli()}
			var list []string
			for _, part := range names {
				args = append(args, part, parts[part])
				list = append(list, fmt.Sprintf("($1, $%d, $2, $%d)", len(args)-1, len(args)))
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO state (bot, part, saved_at, data) VALUES "+strings.Join(list, ", ")+
				" ON CONFLICT (bot, part) DO UPDATE SET saved_at = excluded.saved_at, data = excluded.data", args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Limits of what one statement saves.
const (
	partsAtOnce = 32
	bytesAtOnce = 1 << 20
)

// pieces cuts a list of parts into pieces of few different lengths, so that there are few
// different statements for them. With a slow database, one for each part would take longer
// than a transaction may.
func pieces(names []string, parts map[string][]byte) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for len(names) > 0 {
			fit, size := 0, 0
			for fit < min(len(names), partsAtOnce) && (fit == 0 || size+len(parts[names[fit]]) <= bytesAtOnce) {
				size += len(parts[names[fit]])
				fit++
			}
			n := 1 << (bits.Len(uint(fit)) - 1) //nolint:gosec // it is positive
			if !yield(names[:n]) {
				return
			}
			names = names[n:]
		}
	}
}

// State returns all that was saved for a bot.
func (s *Store) State(ctx context.Context, bot string) (map[string]Saved, error) {
	parts := make(map[string]Saved)
	err := s.read(ctx, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT part, saved_at, data FROM state WHERE bot = $1", bot)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var part string
			var at int64
			var saved Saved
			if err := rows.Scan(&part, &at, &saved.Data); err != nil {
				return err
			}
			saved.At = time.UnixMilli(at)
			parts[part] = saved
		}
		return rows.Err()
	})
	return parts, err
}

// StatePart returns one part of what was saved for a bot, nil if there is none.
func (s *Store) StatePart(ctx context.Context, bot, part string) (data []byte, err error) {
	err = s.readRow(ctx, "SELECT data FROM state WHERE bot = $1 AND part = $2", []any{bot, part}, &data)
	return data, ignoreNone(err)
}

// PurgeState deletes what was saved for a bot before a moment, of parts whose names begin
// with a prefix of ASCII.
func (s *Store) PurgeState(ctx context.Context, bot, prefix string, before time.Time) error {
	return s.write(ctx, func(ctx context.Context, tx *transaction) error {
		query := fmt.Sprintf("DELETE FROM state WHERE bot = $1 AND substr(part, 1, %d) = $2 AND saved_at < $3", len(prefix))
		_, err := tx.ExecContext(ctx, query, bot, prefix, before.UnixMilli())
		return err
	})
}

// PurgeBots deletes all that is kept of bots other than some, if nothing was saved for
// them since a moment, every delivery of theirs has expired before it, and no server has
// had their lease since.
func (s *Store) PurgeBots(ctx context.Context, before time.Time, keep ...string) error {
	bots, err := s.goneBots(ctx, before.UnixMilli())
	if err != nil {
		return err
	}
	for _, bot := range bots {
		if slices.Contains(keep, bot) {
			continue
		}
		if err := s.purgeBot(ctx, before.UnixMilli(), bot); err != nil {
			return err
		}
	}
	return nil
}

// gone is a query for the bots that may be purged.
const gone = `SELECT bot FROM (SELECT bot FROM state UNION SELECT bot FROM outbox) AS known
	WHERE NOT EXISTS (SELECT 1 FROM state WHERE state.bot = known.bot AND saved_at >= $1)
	AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.bot = known.bot AND expires_at >= $1)
	AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.bot = known.bot AND until_at >= $1)`

func (s *Store) goneBots(ctx context.Context, before int64) (bots []string, err error) {
	err = s.read(ctx, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, gone, before)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var bot string
			if err := rows.Scan(&bot); err != nil {
				return err
			}
			bots = append(bots, bot)
		}
		return rows.Err()
	})
	return bots, err
}

// purgeBot deletes all that is kept of a bot, unless a server has begun to use it.
func (s *Store) purgeBot(ctx context.Context, before int64, bot string) error {
	return s.write(ctx, func(ctx context.Context, tx *transaction) error {
		if s.dialect == postgres { // until the transaction ends, no server gets the lease
			err := tx.QueryRowContext(ctx, "SELECT epoch FROM leases WHERE bot = $1 FOR KEY SHARE", bot).Scan(new(int64))
			if ignoreNone(err) != nil {
				return err
			}
		}
		if err := tx.QueryRowContext(ctx, gone+" AND bot = $2", before, bot).Scan(new(string)); err != nil {
			return ignoreNone(err)
		}
		for _, table := range []string{"outbox", "deliveries", "state"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE bot = $1", bot); err != nil {
				return err
			}
		}
		return nil
	})
}
