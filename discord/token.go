package discord

import (
	"context"
	"crypto/subtle"
	"errors"
	"strings"
	"sync"

	"github.com/bwmarrin/discordgo"
)

// ErrOtherBot is the error of SetToken for the token of another bot.
var ErrOtherBot = errors.New("the token is that of another bot: restart the server to use it")

// botToken is the bot's token, which can be replaced while calls are made.
type botToken struct {
	mu      sync.RWMutex
	session *discordgo.Session
	bot     uint64 // the bot's ID, or 0 until Discord has said it
}

// parseToken returns a token without surrounding space and the prefix "Bot ".
func parseToken(text string) (string, error) {
	token := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "Bot "))
	if token == "" {
		return "", errors.New("discord: no bot token")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("discord: the bot token contains an invalid character")
	}
	return token, nil
}

func (t *botToken) current() *discordgo.Session {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.session
}

// is reports whether authorization is that of the bot.
func (t *botToken) is(authorization string) bool {
	return subtle.ConstantTimeCompare([]byte(authorization), []byte(t.current().Token)) == 1
}

// identify notes which bot the token is of.
func (t *botToken) identify(bot uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bot = bot
}

// SetToken asks Discord whether another token of the same bot is valid, and then uses it
// for all further attempts, including those of waiting calls. It makes one call, outside
// of the rate limits. After an error, the previous token stays in use.
func (c *Client) SetToken(ctx context.Context, text string) error {
	token, err := parseToken(text)
	if err != nil {
		return err
	}
	own := &c.transport.token
	old := own.current()
	if own.is("Bot " + token) {
		return nil
	}
	trial, err := New(Config{
		Token: token, BaseURL: c.base.String(), UserAgent: old.UserAgent, Upstream: c.transport.upstream,
		TryTimeout: c.transport.tryTimeout, RetryFor: -1, Logger: c.transport.logger,
	})
	if err != nil {
		return err
	}
	defer trial.limiter.Close()
	if _, err := trial.CheckToken(ctx); err != nil {
		return err
	}
	own.mu.Lock()
	defer own.mu.Unlock()
	bot := trial.transport.token.bot
	if own.bot != 0 && own.bot != bot {
		return ErrOtherBot
	}
	own.session, own.bot = trial.transport.token.session, bot
	c.limiter.AllowToken(BotToken)
	return nil
}
