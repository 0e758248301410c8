package store

import (
	"context"
	"database/sql"
)

// Write is write.
func (s *Store) Write(ctx context.Context, change func(context.Context, *sql.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, tx *transaction) error { return change(ctx, tx.Tx) })
}
