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

// limitIdle limits how long a transaction may be idle.
const limitIdle = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)"

// check locks the epoch until the transaction ends, so that no other server gets the
// lease before what was changed can be seen.
func (f *fence) check(ctx context.Context, tx *sql.Tx) error {
	err := tx.QueryRowContext(ctx, limitIdle+" FROM leases WHERE bot = $2 AND holder = $3 AND epoch = $4 FOR KEY SHARE",
		fmt.Sprint(abandoned.Milliseconds()), f.bot, f.holder, f.epoch).Scan(new(string))
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

// Reason is why a holder got the lease of a bot.
type Reason string

// Reasons why a lease changes hands.
const (
	LeaseFirst      Reason = "first"       // nobody had it before
	LeaseHandedOver Reason = "handed over" // the previous holder shut down, or could not take the bot over
	LeaseBalanced   Reason = "balanced"    // the previous holder had more bots than another server, or a token that Discord refused
	LeaseExpired    Reason = "expired"     // the previous holder did not renew it
)

// Lease is who has the lease of a bot, and how that holder got it. Times are by the
// database's clock.
type Lease struct {
	Holder string
	// Address is where others reach the holder, empty if they do not.
	Address string
	Epoch   int64
	Until   time.Time // the zero time once the lease was released
	// Since is when the holder got the lease, and Previous the address of the previous
	// holder. Both and the Reason are zero after a takeover by a server of an earlier
	// version.
	Since    time.Time
	Previous string
	Reason   Reason
}

// AcquireLease gives the lease of a bot to a holder, unless another one has it, and
// returns the new epoch, or 0 if it was refused. Names of holders are never used again.
func (s *Store) AcquireLease(ctx context.Context, bot, holder string, length time.Duration) (epoch int64, err error) {
	now, sent, clock := s.now(), time.Now(), int64(0)
	err = s.leases.QueryRowContext(ctx, `
		INSERT INTO leases (bot, holder, epoch, until_at, noted, since_at, holder_address, reason)
		VALUES ($1, $2, 1, `+now+` + $3, 1, `+now+`, COALESCE((SELECT address FROM replicas WHERE id = $2), ''), '`+string(LeaseFirst)+`')
		ON CONFLICT (bot) DO UPDATE SET
			holder = excluded.holder, epoch = leases.epoch + 1, until_at = excluded.until_at,
			noted = leases.epoch + 1, since_at = excluded.since_at, holder_address = excluded.holder_address, released = '',
			previous = CASE WHEN leases.noted = leases.epoch THEN leases.holder_address
				ELSE COALESCE((SELECT address FROM replicas WHERE id = leases.holder), '') END,
			reason = CASE WHEN leases.until_at > 0 THEN '`+string(LeaseExpired)+`'
				WHEN leases.noted = leases.epoch AND leases.released <> '' THEN leases.released
				ELSE '`+string(LeaseHandedOver)+`' END
		WHERE leases.until_at <= `+now+` RETURNING epoch, `+now, bot, holder, length.Milliseconds()).Scan(&epoch, &clock)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err == nil {
		s.readClock(clock, sent)
	}
	return epoch, s.explain(err)
}

// RenewLease prolongs a lease, and reports whether the holder still has it. A renewal that
// arrives after the release of the lease does not bring it back.
func (s *Store) RenewLease(ctx context.Context, bot, holder string, epoch int64, length time.Duration) (bool, error) {
	sent, clock := time.Now(), int64(0)
	err := s.leases.QueryRowContext(ctx, "UPDATE leases SET until_at = "+s.now()+
		" + $4 WHERE bot = $1 AND holder = $2 AND epoch = $3 AND until_at > 0 RETURNING "+s.now(),
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

// ReleaseLease lets another server have a lease immediately. The next holder's Reason
// is then why.
func (s *Store) ReleaseLease(ctx context.Context, bot, holder string, epoch int64, why Reason) error {
	_, err := s.leases.ExecContext(ctx, "UPDATE leases SET until_at = 0, released = $4 WHERE bot = $1 AND holder = $2 AND epoch = $3",
		bot, holder, epoch, string(why))
	return s.explain(err)
}

// holderAddress is the address at which others reach the holder of lease l, whose row among
// the replicas is r. Without that row, because the holder's meetings fail, it is the address
// that the holder had when it got the lease.
const holderAddress = "COALESCE(r.address, CASE WHEN l.noted = l.epoch THEN l.holder_address END, '')"

// lease returns the lease of a bot, the zero value if nobody had it.
func lease(ctx context.Context, tx *sql.Tx, bot string) (l Lease, err error) {
	var until, since, noted int64
	var previous, reason string
	err = tx.QueryRowContext(ctx, `
		SELECT l.holder, `+holderAddress+`, l.epoch, l.until_at, l.noted, l.since_at, l.previous, l.reason
		FROM leases l LEFT JOIN replicas r ON r.id = l.holder WHERE l.bot = $1`, bot).
		Scan(&l.Holder, &l.Address, &l.Epoch, &until, &noted, &since, &previous, &reason)
	if errors.Is(err, sql.ErrNoRows) {
		return Lease{}, nil
	}
	if until > 0 {
		l.Until = time.UnixMilli(until)
	}
	if noted == l.Epoch {
		l.Since, l.Previous, l.Reason = time.UnixMilli(since), previous, Reason(reason)
	}
	return l, err
}
