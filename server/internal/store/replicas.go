package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Replica is a server that shares the database with others, as far as one bot is
// concerned: a server has one for each of its bots.
type Replica struct {
	// ID is the name under which it holds the bot's lease. Each bot of a server has
	// another one, and names are never used again.
	ID, Bot string
	// Process is the same for all bots of a server. It is empty for a server of an
	// earlier version, which has one bot.
	Process string
	// Address is where the others reach it, as HOST:PORT.
	Address, Version string
	// Since and Seen are by the database's clock.
	Since, Seen time.Time
	// Load is nil if the replica did not report it.
	Load *Load
	// Epoch is that of the bot's lease, 0 if this replica does not have it.
	Epoch int64
}

// Load is how much a replica has to do for a bot.
type Load struct {
	// InProgress are the requests that it serves or forwards, and Waiting the calls
	// among them that wait for Discord's limits.
	InProgress int64 `json:"in_progress"`
	Waiting    int64 `json:"waiting"`
	// CallsPerSecond is how many requests ended, on average of the last seconds.
	CallsPerSecond float64 `json:"calls_per_second"`
	// Leads is how many bots its process leads, and Unfit whether that process cannot use
	// Discord.
	Leads int  `json:"leads,omitempty"`
	Unfit bool `json:"unfit,omitempty"`
	// Refused is whether Discord has refused the replica's token of the bot, so that the
	// replica cannot lead the bot.
	Refused bool `json:"refused,omitempty"`
}

// Fleet is what the replicas of a bot know of each other.
type Fleet struct {
	// Now is the database's clock.
	Now      time.Time
	Replicas []Replica // the oldest first
	// Lease is the bot's, the zero value if nobody had it.
	Lease Lease
	// Secrets are what replicas prove with that they are some, the newest first.
	Secrets []Secret
}

// Secret is a secret that all replicas share.
type Secret struct {
	ID      int64
	Secret  []byte
	Created time.Time
}

const (
	// replicaGone is how long a replica may be silent before it is forgotten.
	replicaGone = 15 * time.Second
	// secretFresh is the period with one secret, and secretKept how long it is accepted:
	// for longer, since not all learn of a new one at the same time.
	secretFresh = 24 * time.Hour
	secretKept  = secretFresh + time.Hour
)

// MeetReplicas notes that a replica is alive, forgets those that are not, and returns
// all replicas of its bot. The first of a day makes the secret that all share.
func (s *Store) MeetReplicas(ctx context.Context, me Replica) (fleet Fleet, err error) {
	tx, err := s.leases.BeginTx(ctx, nil)
	if err != nil {
		return Fleet{}, s.explain(err)
	}
	defer func() {
		if err != nil {
			err = s.explain(errors.Join(err, tx.Rollback()))
		}
	}()
	if s.dialect == postgres { // a server that hangs here must not keep the others from meeting
		if err := tx.QueryRowContext(ctx, limitIdle, fmt.Sprint(abandoned.Milliseconds())).Scan(new(string)); err != nil {
			return Fleet{}, err
		}
	}
	if err := s.meet(ctx, tx, me); err != nil {
		return Fleet{}, err
	}
	if fleet.Now, err = clock(ctx, tx, s.now()); err != nil {
		return Fleet{}, err
	}
	if fleet.Replicas, err = replicas(ctx, tx, s.now(), me.Bot); err != nil {
		return Fleet{}, err
	}
	if fleet.Lease, err = lease(ctx, tx, me.Bot); err != nil {
		return Fleet{}, err
	}
	if fleet.Secrets, err = s.currentSecrets(ctx, tx, fleet.Now); err != nil {
		return Fleet{}, err
	}
	return fleet, tx.Commit()
}

// Replicas returns the replicas of a bot, without secrets.
func (s *Store) Replicas(ctx context.Context, bot string) (fleet Fleet, err error) {
	tx, err := s.leases.BeginTx(ctx, nil)
	if err != nil {
		return Fleet{}, s.explain(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was changed
	if fleet.Now, err = clock(ctx, tx, s.now()); err == nil {
		fleet.Replicas, err = replicas(ctx, tx, s.now(), bot)
	}
	return fleet, s.explain(err)
}

func (s *Store) meet(ctx context.Context, tx *sql.Tx, me Replica) error {
	now := s.now()
	load := ""
	if me.Load != nil {
		data, err := json.Marshal(me.Load)
		if err != nil {
			return err
		}
		load = string(data)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO replicas (id, bot, process, address, version, load, since_at, seen_at)
		VALUES ($1, $2, $3, $4, $5, $6, `+now+`, `+now+`)
		ON CONFLICT (id) DO UPDATE SET load = excluded.load, seen_at = excluded.seen_at`,
		me.ID, me.Bot, me.Process, me.Address, me.Version, load)
	if err != nil {
		return err
	}
	// One that comes back, too, has its own row locked: two of them must not wait for each other.
	gone := "SELECT id FROM replicas WHERE seen_at < " + now + " - $1"
	if s.dialect == postgres {
		gone += " FOR UPDATE SKIP LOCKED"
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM replicas WHERE id IN ("+gone+")", replicaGone.Milliseconds())
	return err
}

func clock(ctx context.Context, tx *sql.Tx, now string) (time.Time, error) {
	var ms int64
	err := tx.QueryRowContext(ctx, "SELECT "+now).Scan(&ms)
	return time.UnixMilli(ms), err
}

func replicas(ctx context.Context, tx *sql.Tx, now, bot string) (all []Replica, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT r.id, r.bot, r.process, r.address, r.version, r.load, r.since_at, r.seen_at, COALESCE(l.epoch, 0) FROM replicas r
		LEFT JOIN leases l ON l.bot = r.bot AND l.holder = r.id AND l.until_at > `+now+`
		WHERE r.bot = $1 ORDER BY r.since_at, r.id`, bot)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r Replica
		var since, seen int64
		var load string
		if err := rows.Scan(&r.ID, &r.Bot, &r.Process, &r.Address, &r.Version, &load, &since, &seen, &r.Epoch); err != nil {
			return nil, err
		}
		// What a later version writes there may have another form.
		if err := json.Unmarshal([]byte(load), &r.Load); err != nil {
			r.Load = nil
		}
		r.Since, r.Seen = time.UnixMilli(since), time.UnixMilli(seen)
		all = append(all, r)
	}
	return all, rows.Err()
}

// currentSecrets returns the secrets that are accepted, among them one of the present period.
func (s *Store) currentSecrets(ctx context.Context, tx *sql.Tx, now time.Time) ([]Secret, error) {
	all, err := secrets(ctx, tx)
	period, oldest := now.UnixMilli()/secretFresh.Milliseconds(), now.Add(-secretKept)
	if err != nil || len(all) > 0 && all[0].ID >= period && !all[len(all)-1].Created.Before(oldest) {
		return all, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM replica_secrets WHERE created_at < $1", oldest.UnixMilli()); err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	// A period has one secret, however many replicas start at the same time.
	if _, err := tx.ExecContext(ctx, "INSERT INTO replica_secrets (id, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
		period, secret, now.UnixMilli()); err != nil {
		return nil, err
	}
	return secrets(ctx, tx)
}

func secrets(ctx context.Context, tx *sql.Tx) (all []Secret, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, secret, created_at FROM replica_secrets ORDER BY id DESC")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var secret Secret
		var created int64
		if err := rows.Scan(&secret.ID, &secret.Secret, &created); err != nil {
			return nil, err
		}
		secret.Created = time.UnixMilli(created)
		all = append(all, secret)
	}
	return all, rows.Err()
}

// Leader is the holder of a bot's lease.
type Leader struct {
	ID      string
	Address string // empty if the holder is no replica that others can reach
	Epoch   int64
}

// Leader returns the holder of a bot's lease. It is the zero value while there is none.
func (s *Store) Leader(ctx context.Context, bot string) (Leader, error) {
	var l Leader
	err := s.leases.QueryRowContext(ctx, `
		SELECT l.holder, `+holderAddress+`, l.epoch FROM leases l LEFT JOIN replicas r ON r.id = l.holder
		WHERE l.bot = $1 AND l.until_at > `+s.now(), bot).Scan(&l.ID, &l.Address, &l.Epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return Leader{}, nil
	}
	return l, s.explain(err)
}

// ForgetReplica removes a replica that ends, by its ID. Other bots of its server stay.
func (s *Store) ForgetReplica(ctx context.Context, id string) error {
	_, err := s.leases.ExecContext(ctx, "DELETE FROM replicas WHERE id = $1", id)
	return s.explain(err)
}
