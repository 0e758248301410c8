package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/store"
)

// places are where the data of a server's bots is: one folder or database. A nil *places
// is nowhere.
type places struct {
	store  *store.Store
	logger *slog.Logger
	bots   []string
	shared bool // other servers can use the store
	// process is what other servers call this one, keys are what it proves with that it is
	// one of them, and balancer shares the bots with them. They are zero if no other server can reach it.
	process  string
	keys     *forward.Keys
	balancer *balancer
	// waiting is called with each new reason why the server cannot start yet.
	waiting  func(error)
	reported error
}

// openPlaces opens the data folder or database of bots. A folder that cannot be used is
// no reason not to pass on calls: the result is then nil, and warnings say so. But two
// servers must not share a folder, and a server that ignored what a newer version wrote
// would do what was done already.
func openPlaces(ctx context.Context, c Config, bots []string) (p *places, warnings []string, err error) {
	if c.Database != "" {
		p, err := openDatabase(ctx, c, bots)
		return p, nil, err
	}
	if c.DataFolder == "" {
		return nil, nil, nil
	}
	s, err := store.Open(ctx, store.Config{Folder: c.DataFolder})
	switch {
	case err == nil:
		return &places{store: s, logger: c.Logger, bots: bots}, nil, nil
	case errors.Is(err, store.ErrInUse), errors.Is(err, store.ErrNewer):
		return nil, nil, withRemedy(err)
	}
	c.Logger.Warn("data folder cannot be used; nothing survives a restart", "folder", c.DataFolder, "error", withRemedy(err))
	reason := errors.New("the data folder cannot be opened")
	for _, r := range []error{store.ErrUnwritable, store.ErrFull, store.ErrCorrupt} {
		if errors.Is(err, r) {
			reason = r
		}
	}
	// Anyone may read the warnings, which must not name the folder.
	return nil, []string{"nothing survives a restart: " + withRemedy(reason).Error()}, nil
}

// openDatabase opens the database as soon as that is possible. A database that cannot be
// reached is waited for: what is in it, such as Discord's limits, binds this server, and
// another one may be using the bots.
func openDatabase(ctx context.Context, c Config, bots []string) (*places, error) {
	p := &places{logger: c.Logger, bots: bots, shared: true, waiting: c.Waiting}
	if c.Advertise != "" {
		p.process, p.keys = rand.Text(), forward.NewKeys(bots...)
		p.balancer = newBalancer(p.process, bots)
	}
	for {
		s, err := store.Open(ctx, store.Config{PostgreSQL: c.Database})
		if err == nil {
			p.store = s
			return p, nil
		}
		if !p.wait(ctx, p.logger, err) {
			return nil, databaseError(ctx, err)
		}
	}
}

// Times between two attempts to use the database at the start: while it is away, and
// while another server has the lease.
const (
	awayWait  = time.Second
	inUseWait = 250 * time.Millisecond
)

// wait waits at the start before another attempt, after one that failed with an error. It
// reports false if another attempt is of no use.
func (p *places) wait(ctx context.Context, logger *slog.Logger, err error) bool {
	var reason error
	for _, r := range []error{store.ErrAway, errBotInUse} {
		if errors.Is(err, r) {
			reason = r
		}
	}
	if reason == nil {
		return false
	}
	if !errors.Is(p.reported, reason) {
		p.reported = reason
		logger.WarnContext(ctx, "waiting to start", "reason", reason, "error", err)
		if p.waiting != nil {
			p.waiting(reason)
		}
	}
	pause := awayWait
	if errors.Is(reason, errBotInUse) {
		pause = inUseWait
	}
	return discord.Sleep(ctx, pause) == nil
}

// close closes the store when nothing uses it.
func (p *places) close() {
	if p == nil {
		return
	}
	if err := p.store.Close(); err != nil {
		p.logger.Warn("failed to close the data", "error", err)
	}
}

// of returns the place of a bot.
func (p *places) of(c Config) *place {
	if p == nil {
		return nil
	}
	own := &place{store: p.store, logger: c.Logger, bot: botOf(c), bots: p.bots}
	if p.shared {
		own.holder = rand.Text()
	}
	return own
}

// join makes this server one of those that share the bot of a place, if others can reach
// it, and gets the lease of the bot. If others can reach it and another server has the
// lease, there is no data, else join waits.
func (p *places) join(ctx context.Context, own *place, c Config) (r *replica, d *data, err error) {
	p.reported = nil
	for c.Advertise != "" {
		if r, err = newReplica(ctx, p, own, c); err == nil {
			break
		}
		if !p.wait(ctx, c.Logger, err) {
			return nil, nil, databaseError(ctx, err)
		}
	}
	for {
		if r != nil {
			d, err = r.attempt(ctx, own)
		} else {
			d, err = own.lead(ctx)
		}
		if err == nil || r != nil && errors.Is(err, errBotInUse) {
			return r, d, nil
		}
		if !p.wait(ctx, c.Logger, err) {
			return nil, nil, databaseError(ctx, err)
		}
	}
}

// databaseError is the error of a start that failed because of the database or the
// end of ctx.
func databaseError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, store.ErrNewer):
		return fmt.Errorf("%w: use that version, or another database", err)
	}
	return fmt.Errorf("cannot use the database: %w", err)
}

// place is where the data of a bot is, and who this server is there. A nil *place is
// nowhere.
type place struct {
	store  *store.Store
	logger *slog.Logger
	bot    string
	bots   []string // of the server, this one included
	holder string   // of leases; empty if no other server can use the place
}

// data returns what keeps the data while this server uses the bot.
func (p *place) data() *data {
	if p == nil {
		return nil
	}
	return &data{
		store: p.store, skew: p.store.Ahead, logger: p.logger, bot: p.bot, bots: p.bots, holder: p.holder,
		changed: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		flushes: make(chan chan struct{}), ended: make(chan struct{}),
	}
}

// lead gets the lease of the bot, or returns why it does not.
func (p *place) lead(ctx context.Context) (*data, error) {
	term, err := p.acquire(ctx)
	if err != nil {
		return nil, err
	}
	renew := func(ctx context.Context, epoch int64) (bool, error) {
		return p.store.RenewLease(ctx, p.bot, p.holder, epoch, lease.Length)
	}
	d := p.data()
	d.store = p.store.Fenced(p.bot, p.holder, term.Epoch())
	d.lease = lease.Keep(term, renew, p.logger) //nolint:contextcheck // it lives on after ctx
	p.logger.InfoContext(ctx, "acquired the lease of the bot", "epoch", term.Epoch())
	return d, nil
}

// errBotInUse is the error of a server that does not get the lease.
var errBotInUse = errors.New("another server uses this bot with the database")

// acquire asks once for the lease.
func (p *place) acquire(ctx context.Context) (term lease.Term, err error) {
	ctx, cancel := context.WithTimeout(ctx, lease.Length)
	defer cancel()
	sent := time.Now()
	epoch, err := p.store.AcquireLease(ctx, p.bot, p.holder, lease.Length)
	switch {
	case err != nil:
		return term, unanswered(ctx, err)
	case epoch == 0:
		return term, errBotInUse
	}
	term.Granted(sent, epoch)
	return term, nil
}

// unanswered returns the error of a question, which is that of a database that is away if its
// answer did not come before ctx ended.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", store.ErrAway, err)
	}
	return err
}

// botOf names the bot of a token at an API: by its id, which tokens begin with and
// which stays when the token is replaced, or by a digest of a token of another form.
func botOf(c Config) string {
	id, found := idIn(c.Token)
	if !found {
		sum := sha256.Sum256([]byte(c.Token))
		id = hex.EncodeToString(sum[:8])
	}
	return id + " at " + c.APIURL
}

// idIn returns the id of the bot that a token begins with, if it has the form of those of
// Discord.
func idIn(token string) (id string, found bool) {
	first, _, _ := strings.Cut(strings.TrimPrefix(token, "Bot "), ".")
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(first, "="))
	if err != nil {
		return "", false
	}
	_, err = strconv.ParseUint(string(decoded), 10, 64)
	return string(decoded), err == nil
}
