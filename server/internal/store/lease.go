package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// fence is what a transaction has to find in the database.
type fence struct {
	bot, holder string
	epoch       int64
}

// Fenced returns the store for the holder of a bot's lease. Its changes fail, with an
// error that wraps ErrFenced, once the lease has got another epoch. Only PostgreSQL needs
// it: a folder has one user.
func (s *Store) Fenced(bot, holder string, epoch int64) *Store {
	fenced := *s
	fenced.fence = &fence{bot, holder, epoch}
	return &fenced
}

// abandoned is how long PostgreSQL waits for the next statement of a transaction: one
// whose server hangs must not keep another server from taking over.
const abandoned = 3 * time.Second

// check locks the epoch until the transaction ends, so that no other server gets the
// lease before what was changed can be seen.
func (f *fence) check(ctx context.Context, tx *sql.Tx) error {
	err := tx.QueryRowContext(ctx, `SELECT set_config('idle_in_transaction_session_timeout', $4, true)
		FROM leases WHERE bot = $1 AND holder = $2 AND epoch = $3 FOR KEY SHARE`,
		f.bot, f.holder, f.epoch, fmt.Sprint(abandoned.Milliseconds())).Scan(new(string))
	if errors.Is(err, sql.ErrNoRows) {
		return ErrFenced
	}
	return err
}

// now is the database's clock in milliseconds.
func (s *Store) now() string {
	if s.dialect == postgres {
		return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}

// AcquireLease gives the lease of a bot to a holder, unless another one has it, and
// returns the new epoch, or 0 if it was refused. Names of holders are never used again.
func (s *Store) AcquireLease(ctx context.Context, bot, holder string, length time.Duration) (epoch int64, err error) {
	err = s.leases.QueryRowContext(ctx, `
		INSERT INTO leases (bot, holder, epoch, until_at) VALUES ($1, $2, 1, `+s.now()+` + $3)
		ON CONFLICT (bot) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_at = excluded.until_at
		WHERE leases.until_at <= `+s.now()+` RETURNING epoch`, bot, holder, length.Milliseconds()).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return epoch, s.explain(err)
}

// RenewLease prolongs a lease, and reports whether the holder still has it.
func (s *Store) RenewLease(ctx context.Context, bot, holder string, epoch int64, length time.Duration) (bool, error) {
	return s.changeLease(ctx, "UPDATE leases SET until_at = "+s.now()+" + $4 WHERE bot = $1 AND holder = $2 AND epoch = $3",
		bot, holder, epoch, length.Milliseconds())
}

// ReleaseLease lets another server have a lease immediately.
func (s *Store) ReleaseLease(ctx context.Context, bot, holder string, epoch int64) error {
	_, err := s.changeLease(ctx, "UPDATE leases SET until_at = 0 WHERE bot = $1 AND holder = $2 AND epoch = $3", bot, holder, epoch)
	return err
}

func (s *Store) changeLease(ctx context.Context, query string, args ...any) (bool, error) {
	result, err := s.leases.ExecContext(ctx, query, args...)
	if err != nil {
		return false, s.explain(err)
	}
	n, err := result.RowsAffected()
	return n > 0, s.explain(err)
}
