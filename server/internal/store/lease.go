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

// Fence has all later changes fail, with an error that wraps ErrFenced, once the lease
// of a bot has got another epoch. Only PostgreSQL needs it: a folder has one user.
func (s *Store) Fence(bot, holder string, epoch int64) {
	s.writer.fence.Store(&fence{bot, holder, epoch})
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
	sent, clock := time.Now(), int64(0)
	err = s.leases.QueryRowContext(ctx, `
		INSERT INTO leases (bot, holder, epoch, until_at) VALUES ($1, $2, 1, `+s.now()+` + $3)
		ON CONFLICT (bot) DO UPDATE SET holder = excluded.holder, epoch = leases.epoch + 1, until_at = excluded.until_at
		WHERE leases.until_at <= `+s.now()+` RETURNING epoch, `+s.now(), bot, holder, length.Milliseconds()).Scan(&epoch, &clock)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err == nil {
		s.readClock(clock, sent)
	}
	return epoch, s.explain(err)
}

// RenewLease prolongs a lease, and reports whether the holder still has it.
func (s *Store) RenewLease(ctx context.Context, bot, holder string, epoch int64, length time.Duration) (bool, error) {
	sent, clock := time.Now(), int64(0)
	err := s.leases.QueryRowContext(ctx, "UPDATE leases SET until_at = "+s.now()+
		" + $4 WHERE bot = $1 AND holder = $2 AND epoch = $3 RETURNING "+s.now(),
		bot, holder, epoch, length.Milliseconds()).Scan(&clock)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil {
		s.readClock(clock, sent)
	}
	return err == nil, s.explain(err)
}

// readClock notes the database's clock, unless it is that of this machine.
func (s *Store) readClock(ms int64, sent time.Time) {
	if s.dialect == postgres {
		s.clock.read(ms, sent)
	}
}

// ReleaseLease lets another server have a lease immediately.
func (s *Store) ReleaseLease(ctx context.Context, bot, holder string, epoch int64) error {
	_, err := s.leases.ExecContext(ctx, "UPDATE leases SET until_at = 0 WHERE bot = $1 AND holder = $2 AND epoch = $3", bot, holder, epoch)
	return s.explain(err)
}
