package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"discordproxy/discord"
)

// errTokenRefused ends the process.
var errTokenRefused = errors.New("Discord refused the bot token")

// login checks the bot's token at the start, for as long as it takes to get an
// answer from Discord.
type login struct {
	client interface {
		CheckToken(ctx context.Context) (string, error)
	}
	// reach returns why Discord cannot be reached, nil when it can.
	reach  func() error
	logger *slog.Logger
	// reason is why calls cannot be taken; nil when they can.
	reason atomic.Pointer[error]
	// good is closed when the token was found good.
	good chan struct{}
	// found is called then.
	found func()
	// replaced has a value when there is another token.
	replaced chan struct{}
	// bot is the bot's name; nil until Discord has returned it.
	bot atomic.Pointer[string]
}

func newLogin(client *discord.Client, reach func() error, logger *slog.Logger) *login {
	l := &login{
		client: client, reach: reach, logger: logger, good: make(chan struct{}), found: func() {}, replaced: make(chan struct{}, 1),
	}
	l.refuse(errors.New("the bot's token is being checked with Discord"))
	return l
}

// trust has calls taken while the token is checked, because an earlier run found it
// good: after a crash the check waits for the limits that the run may have used up.
func (l *login) trust() { l.reason.Store(nil) }

// settle waits until calls can be taken, for at most a limit.
func (l *login) settle(ctx context.Context, limit time.Duration) {
	if l.ready() == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.good:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// awaitToken waits for another token that Discord has found good, and reports whether
// there is one before ctx ends.
func (l *login) awaitToken(ctx context.Context) bool {
	select {
	case <-l.replaced:
		return true
	case <-ctx.Done():
		return false
	}
}

// replace is for another token that Discord has found good.
func (l *login) replace() {
	select {
	case l.replaced <- struct{}{}:
	default:
	}
}

func (l *login) refuse(reason error) { l.reason.Store(&reason) }

// ready returns why calls cannot be taken, nil when they can.
func (l *login) ready() error {
	if reason := l.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

// botName returns the name of the bot, "" until Discord has returned it.
func (l *login) botName() string {
	if name := l.bot.Load(); name != nil {
		return *name
	}
	return ""
}

// Waits between checks while Discord does not answer.
const (
	firstLoginWait = time.Second
	maxLoginWait   = 30 * time.Second
	loginTimeout   = 30 * time.Second
)

// watchInterval is how soon Discord's return is noticed without any calls.
const watchInterval = 15 * time.Second

// run checks the token until it is found good, and then asks for Discord's
// return whenever that has become unreachable. It returns when ctx ends, or
// with errTokenRefused.
func (l *login) run(ctx context.Context) error {
	if err := l.start(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if l.reach() == nil {
			continue
		}
		// The answer comes to those who observe the client. Calls are taken
		// meanwhile: one that can wait may be held until Discord is back.
		if err := l.ask(ctx); err != nil {
			l.logger.WarnContext(ctx, "Discord does not answer", "error", err)
		}
	}
}

// start returns when the token was found good, when ctx ended, or with
// errTokenRefused.
func (l *login) start(ctx context.Context) error {
	for wait := firstLoginWait; ; wait = min(2*wait, maxLoginWait) {
		err := l.check(ctx)
		if err == nil || errors.Is(err, errTokenRefused) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		l.logger.WarnContext(ctx, "failed to check the bot's token with Discord; retrying", "wait", wait, "error", err)
		if discord.Sleep(ctx, wait/2+rand.N(wait/2)) != nil {
			return nil
		}
	}
}

func (l *login) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	_, err := l.client.CheckToken(ctx)
	return err
}

func (l *login) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	name, err := l.client.CheckToken(ctx)
	if err == nil {
		l.logger.InfoContext(ctx, "logged in", "username", name)
		l.bot.Store(&name)
		l.reason.Store(nil)
		close(l.good)
		l.found()
		return nil
	}
	if e := refusal(err); e != nil {
		l.logger.ErrorContext(ctx, "Discord refused the bot token", "error", err)
		l.refuse(errTokenRefused)
		return fmt.Errorf("%w: %s", errTokenRefused, e.Text)
	}
	if errors.Is(err, discord.ErrNoUser) {
		l.refuse(err)
		return err
	}
	l.refuse(errors.New("Discord cannot be reached"))
	return err
}

// refusal returns the error of a check that says that the token is bad, or nil.
func refusal(err error) *discord.Error {
	e, ok := errors.AsType[*discord.Error](err)
	if ok && (e.Reason == discord.TokenRefused || e.Reason == discord.Answered && e.Status == http.StatusUnauthorized) {
		return e
	}
	return nil
}
