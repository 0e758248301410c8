package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// DeliveryState says how far a delivery is. The numbers are those in the database
// and of the API.
type DeliveryState int

const (
	Scheduled DeliveryState = iota + 1
	Waiting
	Sending // a try has begun whose outcome is not known
	Delivered
	Failed
	Expired
	Cancelled
	Unknown
)

// Ended reports whether nothing more happens to a delivery by itself.
func (s DeliveryState) Ended() bool { return s >= Delivered }

// Delivery is a call in the outbox. Times are in milliseconds, zero means none.
type Delivery struct {
	Seq        int64 // place in the order
	Caller     string
	Keyed      bool // Caller is the name of a key
	ID         string
	Digest     []byte // of the request
	Method     string
	Target     string // such as "channel 1"; deliveries of one caller to one target keep their order
	State      DeliveryState
	Priority   int // a larger one goes first
	Resend     bool
	ReplaceKey string
	EnqueuedAt time.Time
	NotBefore  time.Time
	ExpiresAt  time.Time
	TriedAt    time.Time // when the first try of unknown outcome began
	Tries      int
	Position   int64 // among the results, or 0 before
	FinishedAt time.Time
	Channel    int64
	Message    int64
	Reason     string
	Status     string
	Failure    []byte
	Bytes      int64 // size of the request
	// Request is the call. It is set only when it is enqueued; see Store.Request.
	Request []byte

	replaced bool // it ends because it was replaced
}

// Enqueued is what became of a delivery that was to be enqueued.
type Enqueued struct {
	Delivery  Delivery
	Duplicate bool    // it was there before
	Replaced  []int64 // places of the others that it has cancelled
	Err       error   // ErrOtherCall, ErrTooLate or ErrOutboxFull
}

// Errors of deliveries.
var (
	ErrOtherCall  = errors.New("the delivery ID belongs to another call")
	ErrTooLate    = errors.New("expires_at must be in the future and after not_before")
	ErrOutboxFull = errors.New("the outbox is full")
	ErrNoDelivery = errors.New("there is no such delivery")
	ErrInProgress = errors.New("the delivery is being sent")
	ErrEnded      = errors.New("the delivery has ended")
	ErrDelivered  = errors.New("the call is delivered already")
	ErrNotEnded   = errors.New("the delivery is in progress")
	ErrReplaced   = errors.New("the delivery was replaced by a newer one")
)

// OutboxLimits bound the outbox of a bot: the deliveries that have not ended, and
// the bytes of all requests that are kept.
type OutboxLimits struct{ Deliveries, Bytes int64 }

// Outbox is the outbox of one bot. It is safe for concurrent use.
type Outbox struct {
	store *Store
	bot   string
}

// Outbox opens the outbox of a bot.
func (s *Store) Outbox(ctx context.Context, bot string) (*Outbox, error) {
	return &Outbox{s, bot}, s.write(ctx, func(ctx context.Context, tx *transaction) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO outbox (bot) VALUES ($1) ON CONFLICT DO NOTHING", bot)
		return err
	})
}

const deliveryColumns = `seq, caller, keyed, id, digest, method, target, state, priority, resend, replace_key,
	enqueued_at, not_before, expires_at, tried_at, tries, position, finished_at, channel, message, reason, status, failure, bytes`

type scanner interface{ Scan(...any) error }

func scanDelivery(row scanner) (Delivery, error) {
	var d Delivery
	var keyed, resend int
	times := map[*time.Time]*int64{}
	at := func(t *time.Time) *int64 { n := new(int64); times[t] = n; return n }
	err := row.Scan(&d.Seq, &d.Caller, &keyed, &d.ID, &d.Digest, &d.Method, &d.Target, &d.State, &d.Priority, &resend, &d.ReplaceKey,
		at(&d.EnqueuedAt), at(&d.NotBefore), at(&d.ExpiresAt), at(&d.TriedAt), &d.Tries, &d.Position, at(&d.FinishedAt),
		&d.Channel, &d.Message, &d.Reason, &d.Status, &d.Failure, &d.Bytes)
	for t, n := range times {
		if *n != 0 {
			*t = time.UnixMilli(*n)
		}
	}
	d.Keyed, d.Resend = keyed != 0, resend != 0
	return d, err
}

func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Enqueue adds deliveries in one transaction. What is wrong with one of them does
// not affect the others. The state of each is Scheduled or Waiting.
func (o *Outbox) Enqueue(ctx context.Context, limits OutboxLimits, deliveries []Delivery) ([]Enqueued, error) {
	var results []Enqueued
	err := o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		results = make([]Enqueued, len(deliveries))
		for i, d := range deliveries {
			var err error
			if results[i], err = o.enqueue(ctx, tx, limits, d); err != nil {
				return err
			}
		}
		return nil
	})
	return results, err
}

func (o *Outbox) enqueue(ctx context.Context, tx *transaction, limits OutboxLimits, d Delivery) (Enqueued, error) {
	var digest []byte
	var method string
	err := tx.QueryRowContext(ctx, "SELECT digest, method FROM deliveries WHERE bot = $1 AND caller = $2 AND id = $3", o.bot, d.Caller, d.ID).
		Scan(&digest, &method)
	switch {
	case err == nil && bytes.Equal(digest, d.Digest) && method == d.Method:
		first, err := o.one(ctx, tx, d.Caller, d.ID)
		return Enqueued{Delivery: first, Duplicate: true}, err
	case err == nil:
		return Enqueued{Err: ErrOtherCall}, nil
	case !errors.Is(err, sql.ErrNoRows):
		return Enqueued{}, err
	}
	if !d.ExpiresAt.After(d.EnqueuedAt) || !d.ExpiresAt.After(d.NotBefore) {
		return Enqueued{Err: ErrTooLate}, nil
	}
	var replaced []Delivery
	if d.ReplaceKey != "" {
		const condition = "bot = $1 AND caller = $2 AND replace_key = $3 AND replace_key <> '' AND state IN (1, 2)"
		replaced, err = queryDeliveries(ctx, tx, deliveriesThat(condition), o.bot, d.Caller, d.ReplaceKey)
		if err != nil {
			return Enqueued{}, err
		}
	}
	d.Bytes = int64(len(d.Request))
	freed := int64(0)
	for _, old := range replaced {
		freed += old.Bytes
	}
	for _, t := range []*time.Time{&d.EnqueuedAt, &d.NotBefore, &d.ExpiresAt} {
		*t = t.Truncate(time.Millisecond) // as it is kept
	}
	err = tx.QueryRowContext(ctx, `UPDATE outbox SET seq = seq + 1, unfinished = unfinished + 1, bytes = bytes + $2
		WHERE bot = $1 AND unfinished - $3 < $4 AND bytes - $6 + $2 <= $5 RETURNING seq`,
		o.bot, d.Bytes, len(replaced), limits.Deliveries, limits.Bytes, freed).Scan(&d.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return Enqueued{Err: ErrOutboxFull}, o.exists(ctx, tx)
	}
	if err != nil {
		return Enqueued{}, err
	}
	var places []int64
	for _, old := range replaced {
		places = append(places, old.Seq)
		old.replaced = true
		old.State, old.Reason, old.FinishedAt = Cancelled, "replaced by delivery "+d.ID, d.EnqueuedAt
		if _, err := o.finish(ctx, tx, old); err != nil {
			return Enqueued{}, err
		}
	}
	head := false
	if d.State == Waiting {
		if head, err = o.takesHead(ctx, tx, d); err != nil {
			return Enqueued{}, err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deliveries (seq, bot, caller, keyed, id, digest, method, target, state, priority, head,
		resend, replace_key, enqueued_at, not_before, expires_at, bytes, request)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		d.Seq, o.bot, d.Caller, flag(d.Keyed), d.ID, d.Digest, d.Method, d.Target, d.State, d.Priority, flag(head),
		flag(d.Resend), d.ReplaceKey, milliseconds(d.EnqueuedAt), milliseconds(d.NotBefore), milliseconds(d.ExpiresAt), d.Bytes, d.Request)
	d.Request = nil
	return Enqueued{Delivery: d, Replaced: places}, err
}

// exists returns an error if the outbox was deleted, which does not count as being full.
func (o *Outbox) exists(ctx context.Context, tx *transaction) error {
	err := tx.QueryRowContext(ctx, "SELECT seq FROM outbox WHERE bot = $1", o.bot).Scan(new(int64))
	if errors.Is(err, sql.ErrNoRows) {
		return errors.New("the outbox of the bot was deleted")
	}
	return err
}

// takesHead reports whether a delivery is to be the first of its line, and makes the
// previous first one an ordinary one.
func (o *Outbox) takesHead(ctx context.Context, tx *transaction, d Delivery) (bool, error) {
	var seq int64
	var priority, head int
	var state DeliveryState
	err := tx.QueryRowContext(ctx, `SELECT seq, priority, head, state FROM deliveries
		WHERE bot = $1 AND caller = $2 AND target = $3 AND state IN (2, 3) ORDER BY head DESC, priority DESC, seq LIMIT 1`,
		o.bot, d.Caller, d.Target).Scan(&seq, &priority, &head, &state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, nil
	case err != nil || priority >= d.Priority || state == Sending || head == 0:
		return false, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE deliveries SET head = 0 WHERE bot = $1 AND seq = $2", o.bot, seq)
	return true, err
}

// promote makes the first of a line its head, if it has none.
func (o *Outbox) promote(ctx context.Context, tx *transaction, caller, target string) error {
	var seq int64
	var head int
	err := tx.QueryRowContext(ctx, `SELECT seq, head FROM deliveries
		WHERE bot = $1 AND caller = $2 AND target = $3 AND state IN (2, 3) ORDER BY head DESC, priority DESC, seq LIMIT 1`,
		o.bot, caller, target).Scan(&seq, &head)
	if errors.Is(err, sql.ErrNoRows) || err == nil && head == 1 {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE deliveries SET head = 1 WHERE bot = $1 AND seq = $2", o.bot, seq)
	return err
}

// finish ends a delivery that has not ended, and returns it with its position. The
// request of one that was delivered or replaced is not kept.
func (o *Outbox) finish(ctx context.Context, tx *transaction, d Delivery) (Delivery, error) {
	freed, emptied := int64(0), ""
	if d.State == Delivered || d.replaced {
		freed, emptied = d.Bytes, ", bytes = 0, request = NULL"
		d.Bytes = 0
	}
	if err := tx.QueryRowContext(ctx, `UPDATE outbox
		SET position = position + 1, unfinished = unfinished - 1, finished = finished + 1, bytes = bytes - $2
		WHERE bot = $1 RETURNING position`, o.bot, freed).Scan(&d.Position); err != nil {
		return d, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = $3, head = 0, position = $4, finished_at = $5, channel = $6, message = $7,
		reason = $8, status = $9, failure = $10, tried_at = 0, next_try_at = 0`+emptied+`
		WHERE bot = $1 AND seq = $2`,
		o.bot, d.Seq, int(d.State), d.Position, milliseconds(d.FinishedAt), d.Channel, d.Message, d.Reason, d.Status, d.Failure); err != nil {
		return d, err
	}
	return d, o.promote(ctx, tx, d.Caller, d.Target)
}

// Finish ends a delivery in the state in which it is given. It returns false, and
// does nothing, if the delivery has ended already.
func (o *Outbox) Finish(ctx context.Context, d Delivery) (bool, error) {
	var done bool
	err := o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		done = false
		var state DeliveryState
		if err := tx.QueryRowContext(ctx, "SELECT state FROM deliveries WHERE bot = $1 AND seq = $2", o.bot, d.Seq).Scan(&state); err != nil ||
			state.Ended() {
			return ignoreNone(err)
		}
		done = true
		_, err := o.finish(ctx, tx, d)
		return err
	})
	return done && err == nil, err
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// update changes deliveries by one statement and reports whether there was one.
func (o *Outbox) update(ctx context.Context, statement string, args ...any) (changed bool, err error) {
	err = o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		done, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		changed = n > 0
		return err
	})
	return changed, err
}

// BeginTry notes that a try begins. It returns false if the delivery has ended or
// expired, so that nothing may be sent.
func (o *Outbox) BeginTry(ctx context.Context, seq int64, at time.Time) (bool, error) {
	return o.update(ctx, `UPDATE deliveries SET state = 3, tries = tries + 1, reason = '',
		tried_at = CASE WHEN tried_at = 0 THEN $3 ELSE tried_at END
		WHERE bot = $1 AND seq = $2 AND (state = 3 OR state = 2 AND expires_at > $3)`, o.bot, seq, milliseconds(at))
}

// Reopen queues a delivery again whose tries certainly had no effect.
func (o *Outbox) Reopen(ctx context.Context, seq int64, next time.Time, reason string) error {
	_, err := o.update(ctx, `UPDATE deliveries SET state = 2, tried_at = 0, next_try_at = $3, reason = $4
		WHERE bot = $1 AND seq = $2 AND state IN (2, 3)`, o.bot, seq, milliseconds(next), reason)
	return err
}

// MaxRest is the longest rest of a delivery. One that is to last longer is that of a
// clock which has jumped back since, and counts as over.
const MaxRest = 2 * time.Minute

// Suspend lets a delivery rest until next, in the state that it has.
func (o *Outbox) Suspend(ctx context.Context, seq int64, next time.Time, reason string) error {
	_, err := o.update(ctx, `UPDATE deliveries SET next_try_at = $3, reason = $4 WHERE bot = $1 AND seq = $2 AND state IN (2, 3)`,
		o.bot, seq, milliseconds(next), reason)
	return err
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// deliveriesThat is a query for the deliveries that meet a condition, which may order and
// limit them.
func deliveriesThat(condition string) string {
	return "SELECT " + deliveryColumns + " FROM deliveries WHERE " + condition
}

// list reads the deliveries that meet a condition.
func (o *Outbox) list(ctx context.Context, condition string, args ...any) ([]Delivery, error) {
	return o.query(ctx, deliveriesThat(condition), args...)
}

// query reads the deliveries of a query for deliveryColumns.
func (o *Outbox) query(ctx context.Context, query string, args ...any) (all []Delivery, err error) {
	err = o.store.read(ctx, func(ctx context.Context, db *sql.DB) error {
		all, err = queryDeliveries(ctx, db, query, args...)
		return err
	})
	return all, err
}

func queryDeliveries(ctx context.Context, q querier, query string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, rows.Err()
}

// sweepAtOnce limits the deliveries that one transaction changes, apart from groupTime.
const sweepAtOnce = 500

// Due changes scheduled deliveries to waiting when their time has come, and ends those
// that have expired. It returns the callers who may have new ones to be made, how many
// expired, and whether there is more to do.
func (o *Outbox) Due(ctx context.Context, now time.Time) (callers []string, gone int, more bool, err error) {
	var due, expired []Delivery
	due, err = o.list(ctx, "bot = $1 AND state = 1 AND not_before <= $2 ORDER BY not_before, seq LIMIT $3",
		o.bot, now.UnixMilli(), sweepAtOnce)
	if err != nil {
		return nil, 0, false, err
	}
	expired, err = o.list(ctx, "bot = $1 AND state IN (1, 2) AND expires_at <= $2 ORDER BY expires_at LIMIT $3",
		o.bot, now.UnixMilli(), sweepAtOnce)
	if err != nil {
		return nil, 0, false, err
	}
	if len(due)+len(expired) == 0 {
		return nil, 0, false, nil
	}
	err = o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		callers, gone, more = nil, 0, len(due) == sweepAtOnce || len(expired) == sweepAtOnce
		begun := time.Now()
		for i, d := range slices.Concat(expired, due) {
			if i > 0 && time.Since(begun) > groupTime {
				more = true
				break
			}
			callers = append(callers, d.Caller)
			if i >= len(expired) {
				if err := o.makeDue(ctx, tx, d); err != nil {
					return err
				}
				continue
			}
			ended, err := o.expire(ctx, tx, d, now)
			if err != nil {
				return err
			}
			gone += flag(ended)
		}
		return nil
	})
	if err != nil {
		return nil, 0, false, err
	}
	return callers, gone, more, nil
}

// expire ends a delivery, unless it has begun or ended.
func (o *Outbox) expire(ctx context.Context, tx *transaction, d Delivery, now time.Time) (bool, error) {
	if still, err := o.is(ctx, tx, d.Seq, "state IN (1, 2)"); !still {
		return false, err
	}
	d.State, d.FinishedAt = Expired, now
	_, err := o.finish(ctx, tx, d)
	return true, err
}

// makeDue changes a delivery from scheduled to waiting.
func (o *Outbox) makeDue(ctx context.Context, tx *transaction, d Delivery) error {
	if still, err := o.is(ctx, tx, d.Seq, "state = 1"); !still {
		return err
	}
	head, err := o.takesHead(ctx, tx, d)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE deliveries SET state = 2, head = $3 WHERE bot = $1 AND seq = $2", o.bot, d.Seq, flag(head))
	return err
}

// is reports whether a delivery meets a condition.
func (o *Outbox) is(ctx context.Context, tx *transaction, seq int64, condition string) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM deliveries WHERE bot = $1 AND seq = $2 AND "+condition, o.bot, seq).Scan(&n)
	return n > 0, err
}

// NextDue returns when Due has something to do, or the zero time if never.
func (o *Outbox) NextDue(ctx context.Context) (time.Time, error) {
	var scheduled, expiring sql.NullInt64
	if err := o.store.readRow(ctx, `SELECT (SELECT min(not_before) FROM deliveries WHERE bot = $1 AND state = 1),
		(SELECT min(expires_at) FROM deliveries WHERE bot = $1 AND state IN (1, 2))`, []any{o.bot}, &scheduled, &expiring); err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, at := range []sql.NullInt64{scheduled, expiring} {
		if t := time.UnixMilli(at.Int64); at.Valid && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next, nil
}

// Callers returns the callers with deliveries that are to be made.
func (o *Outbox) Callers(ctx context.Context) (callers []string, err error) {
	for last := ""; ; {
		err := o.store.readRow(ctx,
			"SELECT caller FROM deliveries WHERE bot = $1 AND head = 1 AND caller > $2 ORDER BY caller LIMIT 1", []any{o.bot, last}, &last)
		if errors.Is(err, sql.ErrNoRows) {
			return callers, nil
		}
		if err != nil {
			return nil, err
		}
		callers = append(callers, last)
	}
}

// Heads returns up to limit of a caller's deliveries that are the next of their
// target and may be tried, those of the highest priority and the oldest first.
func (o *Outbox) Heads(ctx context.Context, caller string, now time.Time, limit int) ([]Delivery, error) {
	return o.list(
		ctx,
		"bot = $1 AND caller = $2 AND head = 1 AND (next_try_at <= $3 OR next_try_at > $5) ORDER BY priority DESC, seq LIMIT $4",
		o.bot,
		caller,
		now.UnixMilli(),
		limit,
		now.Add(MaxRest).UnixMilli(),
	)
}

// NextTry returns when the next of a caller's deliveries may be tried that may not be
// tried now, or the zero time if there is none.
func (o *Outbox) NextTry(ctx context.Context, caller string, now time.Time) (time.Time, error) {
	var next sql.NullInt64
	if err := o.store.readRow(ctx,
		"SELECT min(next_try_at) FROM deliveries WHERE bot = $1 AND caller = $2 AND head = 1 AND next_try_at > $3",
		[]any{o.bot, caller, now.UnixMilli()}, &next); err != nil {
		return time.Time{}, err
	}
	if !next.Valid {
		return time.Time{}, nil
	}
	return time.UnixMilli(next.Int64), nil
}

// Request returns the call of a delivery.
func (o *Outbox) Request(ctx context.Context, seq int64) (request []byte, err error) {
	err = o.store.readRow(ctx, "SELECT request FROM deliveries WHERE bot = $1 AND seq = $2", []any{o.bot, seq}, &request)
	return request, err
}

// Claimed returns those of the messages that belong to a delivery.
func (o *Outbox) Claimed(ctx context.Context, messages []int64) (map[int64]bool, error) {
	claimed := make(map[int64]bool)
	for _, m := range messages {
		var n int
		err := o.store.readRow(ctx, "SELECT count(*) FROM deliveries WHERE bot = $1 AND message = $2 AND message > 0", []any{o.bot, m}, &n)
		if err != nil {
			return nil, err
		}
		claimed[m] = n > 0
	}
	return claimed, nil
}

// Delivery returns a delivery. The error is ErrNoDelivery if there is none.
func (o *Outbox) Delivery(ctx context.Context, caller, id string) (Delivery, error) {
	all, err := o.list(ctx, "bot = $1 AND caller = $2 AND id = $3", o.bot, caller, id)
	if err == nil && len(all) == 0 {
		err = ErrNoDelivery
	}
	if err != nil {
		return Delivery{}, err
	}
	return all[0], nil
}

// OutboxCounts is what an outbox counts.
type OutboxCounts struct {
	Position, Purged     int64 // of the newest result, and of the newest that was purged
	Unfinished, Finished int64
	Bytes                int64
}

// Counts returns what the outbox counts.
func (o *Outbox) Counts(ctx context.Context) (c OutboxCounts, err error) {
	err = o.store.readRow(ctx, "SELECT position, purged, unfinished, finished, bytes FROM outbox WHERE bot = $1", []any{o.bot},
		&c.Position, &c.Purged, &c.Unfinished, &c.Finished, &c.Bytes)
	return c, err
}

// Cancel ends a delivery that is scheduled or waits. It returns false if the delivery
// was cancelled before.
func (o *Outbox) Cancel(ctx context.Context, caller, id string, now time.Time) (d Delivery, done bool, err error) {
	err = o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		done = false
		if d, err = o.one(ctx, tx, caller, id); err != nil {
			return err
		}
		switch {
		case d.State == Cancelled:
			return nil
		case d.State == Sending:
			return ErrInProgress
		case d.State.Ended():
			return ErrEnded
		}
		d.State, d.FinishedAt, d.Reason = Cancelled, now, "cancelled by the client"
		d, err = o.finish(ctx, tx, d)
		done = true
		return err
	})
	return d, done, err
}

func (o *Outbox) one(ctx context.Context, tx *transaction, caller, id string) (Delivery, error) {
	d, err := scanDelivery(
		tx.QueryRowContext(ctx, "SELECT "+deliveryColumns+" FROM deliveries WHERE bot = $1 AND caller = $2 AND id = $3", o.bot, caller, id),
	)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNoDelivery
	}
	return d, err
}

// Retry queues a delivery again, behind the others, if it ended without success.
func (o *Outbox) Retry(ctx context.Context, limits OutboxLimits, caller, id string, expires time.Time) (d Delivery, err error) {
	err = o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		if d, err = o.one(ctx, tx, caller, id); err != nil {
			return err
		}
		switch {
		case !d.State.Ended():
			return ErrNotEnded
		case d.State == Delivered:
			return ErrDelivered
		case d.Bytes == 0:
			return ErrReplaced
		}
		old := d.Seq
		err := tx.QueryRowContext(ctx, `UPDATE outbox SET seq = seq + 1, unfinished = unfinished + 1, finished = finished - 1
			WHERE bot = $1 AND unfinished < $2 RETURNING seq`, o.bot, limits.Deliveries).Scan(&d.Seq)
		if errors.Is(err, sql.ErrNoRows) {
			return cmp.Or(o.exists(ctx, tx), ErrOutboxFull)
		}
		if err != nil {
			return err
		}
		head, err := o.takesHead(ctx, tx, d)
		if err != nil {
			return err
		}
		d.State, d.ExpiresAt, d.Position, d.FinishedAt, d.Reason, d.Status, d.Failure = Waiting, expires, 0, time.Time{}, "", "", nil
		_, err = tx.ExecContext(ctx, `UPDATE deliveries SET seq = $3, state = 2, head = $4, expires_at = $5, position = 0, finished_at = 0,
			reason = '', status = '', failure = NULL, next_try_at = 0 WHERE bot = $1 AND seq = $2`,
			o.bot, old, d.Seq, flag(head), expires.UnixMilli())
		return err
	})
	return d, err
}

// Purge deletes up to limit records of deliveries that have ended, the oldest first,
// and returns how many.
func (o *Outbox) Purge(ctx context.Context, f DeliveryFilter, limit int) (purged int, err error) {
	order := "position"
	if !f.EndedBefore.IsZero() {
		order = "finished_at, position" // an index has them so, and no other record is read
	}
	err = o.store.write(ctx, func(ctx context.Context, tx *transaction) error {
		condition, args := f.where([]any{o.bot, limit})
		oldest := "FROM deliveries WHERE bot = $1 AND position > 0" + condition + " ORDER BY " + order + " LIMIT $2"
		var freed, last int64
		err := tx.QueryRowContext(ctx, `SELECT count(*), CAST(COALESCE(sum(bytes), 0) AS BIGINT), COALESCE(max(position), 0)
			FROM (SELECT bytes, position `+oldest+`) AS ended`, args...).Scan(&purged, &freed, &last)
		if err != nil || purged == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM deliveries WHERE bot = $1 AND seq IN (SELECT seq "+oldest+")", args...); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox SET finished = finished - $2, bytes = bytes - $3,
			purged = CASE WHEN purged < $4 THEN $4 ELSE purged END WHERE bot = $1`, o.bot, purged, freed, last)
		return err
	})
	return purged, err
}
