package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"discordproxy/discord"
)

// errTokenRefused ends the process.
var errTokenRefused = errors.New("Discord refused the bot token") //nolint:staticcheck // Discord is a name

// login checks the bot's token at the start, for as long as it takes to get an
// answer from Discord.
type login struct {
	client interface {
		CheckToken(ctx context.Context) (string, error)
	}
	logger *slog.Logger
	// reason is why calls cannot be taken; nil when they can.
	reason atomic.Pointer[error]
}

func newLogin(client *discord.Client, logger *slog.Logger) *login {
	l := &login{client: client, logger: logger}
	l.refuse(errors.New("the bot's token is being checked with Discord"))
	return l
}

func (l *login) refuse(reason error) { l.reason.Store(&reason) }

// ready returns why calls cannot be taken, nil when they can.
func (l *login) ready() error {
	if reason := l.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}

// Waits between checks while Discord does not answer.
const (
	firstLoginWait = time.Second
	maxLoginWait   = 30 * time.Second
	loginTimeout   = 30 * time.Second
)

// run returns when the token was found good, when ctx ended, or with
// errTokenRefused.
func (l *login) run(ctx context.Context) error {
	for wait := firstLoginWait; ; wait = min(2*wait, maxLoginWait) {
		err := l.check(ctx)
		if err == nil || errors.Is(err, errTokenRefused) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		l.logger.WarnContext(ctx, "Discord did not answer, the bot's token is checked again", "wait", wait, "error", err)
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (l *login) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	name, err := l.client.CheckToken(ctx)
	if err == nil {
		l.logger.InfoContext(ctx, "logged in", "bot", name)
		l.reason.Store(nil)
		return nil
	}
	e, ok := errors.AsType[*discord.Error](err)
	if ok && (e.Reason == discord.TokenRefused || e.Reason == discord.Answered && e.Status == 401) {
		l.logger.ErrorContext(ctx, "Discord refused the bot token", "error", err)
		l.refuse(errTokenRefused)
		return fmt.Errorf("%w: %s", errTokenRefused, e.Text)
	}
	l.refuse(errors.New("Discord cannot be reached")) //nolint:staticcheck // Discord is a name
	return err
}
