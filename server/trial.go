package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"discordproxy/discord"
)

const (
	// trialInterval is how often a server that follows compares its token with the one that
	// Discord has accepted for the leader.
	trialInterval = 10 * time.Second
	// unknownInterval is how often it looks whether Discord has accepted that one.
	unknownInterval = time.Second
	// retrialInterval is how long Discord is not asked about the same token again.
	retrialInterval = time.Minute
)

// trial is what Discord has last said of a token of the bot. A server that follows uses the
// same token as the leader, so it asks Discord only if its own is another one. It is safe for
// concurrent use.
type trial struct {
	mu      sync.Mutex
	token   string // empty if Discord has said nothing
	refused bool
	at      time.Time
}

// note notes what Discord says of a token, and reports whether it has not said so before.
func (t *trial) note(token string, refused bool) (news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news = t.token != token || t.refused != refused
	t.token, t.refused, t.at = token, refused, time.Now()
	return news
}

// refuses reports whether Discord has refused a token.
func (t *trial) refuses(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused && t.token == token
}

// due reports whether Discord is to be asked about a token.
func (t *trial) due(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token != token || time.Since(t.at) >= retrialInterval
}

// tryToken asks Discord about a token of the bot, which no tenure uses.
func (b *bot) tryToken(ctx context.Context, token string) error {
	c := b.config
	c.Token, c.RetryFor = token, -1
	up, err := newUpstream(c, b.address, nil, nil)
	if err != nil {
		return err
	}
	defer up.end()
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	_, err = up.client.CheckToken(ctx)
	return err
}

// keepTrying finds out whether this server could lead the bot, until ctx ends.
func (b *bot) keepTrying(ctx context.Context) {
	for {
		interval := trialInterval
		if t := b.leads.Load(); t != nil {
			b.tryLeader(ctx, t)
		} else if !b.tryFollower(ctx) {
			interval = unknownInterval
		}
		if discord.Sleep(ctx, interval) != nil {
			return
		}
	}
}

// tryFollower compares the token of a server that follows with that of the leader. It
// reports whether that one is known.
func (b *bot) tryFollower(ctx context.Context) (known bool) {
	token := *b.token.Load()
	accepted, err := b.place.store.StatePart(ctx, b.place.bot, tokenPart)
	switch {
	case err != nil, len(accepted) == 0: // the leader does not know yet, either
		return false
	case bytes.Equal(accepted, digestOf(token)):
		b.trial.note(token, false)
		return true
	case !b.trial.due(token):
		return true
	}
	switch err := b.tryToken(ctx, token); {
	case err == nil:
		b.trial.note(token, false)
	case refusal(err) != nil:
		if b.trial.note(token, true) {
			b.config.Logger.ErrorContext(ctx, "Discord refused the bot token; this server cannot lead the bot", "error", err)
		}
	}
	return true
}

// tryLeader has another server lead if Discord has refused the token of this one.
func (b *bot) tryLeader(ctx context.Context, t *tenure) {
	refused := errors.Is(t.login.ready(), errTokenRefused)
	if b.trial.note(*b.token.Load(), refused); !refused {
		return
	}
	if others, err := b.replica.others(ctx); err != nil || others == 0 {
		return
	}
	select {
	case b.surplus <- struct{}{}:
	default:
	}
}

// couldLead reports whether nothing speaks against this server as the leader.
func (b *bot) couldLead() bool { return !b.trial.refuses(*b.token.Load()) }

// digestOf returns what the state shows of a token that Discord has accepted.
func digestOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return hex.AppendEncode(nil, sum[:])
}
