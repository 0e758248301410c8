package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Saved is what one part of the server saved for one bot.
type Saved struct {
	Data []byte
	At   time.Time // in milliseconds
}

// SaveState keeps what parts of the server, by their names, know of a bot. All of
// it is saved or nothing is; it takes the place of what the parts saved before.
func (s *Store) SaveState(ctx context.Context, bot string, at time.Time, parts map[string][]byte) error {
	return s.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for part, data := range parts {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO state (bot, part, saved_at, data) VALUES ($1, $2, $3, $4)
				ON CONFLICT (bot, part) DO UPDATE SET saved_at = excluded.saved_at, data = excluded.data`,
				bot, part, at.UnixMilli(), data); err != nil {
				return err
			}
		}
		return nil
	})
}

// State returns what a part last saved for a bot, and whether it did.
func (s *Store) State(ctx context.Context, bot, part string) (Saved, bool, error) {
	var saved Saved
	var at int64
	err := s.reads.QueryRowContext(ctx, "SELECT saved_at, data FROM state WHERE bot = $1 AND part = $2", bot, part).Scan(&at, &saved.Data)
	if errors.Is(err, sql.ErrNoRows) {
		return Saved{}, false, nil
	}
	saved.At = time.UnixMilli(at)
	return saved, err == nil, s.explain(err)
}
