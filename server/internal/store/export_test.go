package store

import (
	"context"
	"database/sql"
	"testing"
	"time"
)

// Write is write.
func (s *Store) Write(ctx context.Context, change func(context.Context, *sql.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, tx *transaction) error { return change(ctx, tx.Tx) })
}

// Exec runs a statement as no server does.
func (s *Store) Exec(t testing.TB, statement string) {
	t.Helper()
	err := s.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ListQuery is the query of List for the first page of the bot "bot".
func ListQuery(f DeliveryFilter, limit int) (string, []any) {
	return f.query([]any{"bot", int64(1<<63 - 1), limit})
}

// SetReadTime sets how long a read may take.
func (s *Store) SetReadTime(limit time.Duration) { s.readTime = limit }
