package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/lease"
)

// reloadTimeout limits how long one part of a reload may take.
const reloadTimeout = 30 * time.Second

// Reload takes over from c what can change while the server runs, and leaves out the
// rest: the token, the content and the paths of the files for clients, TLS and incoming
// hooks, and their inline content. It must be called while Run runs. Calls in progress,
// streams and the session at the gateway stay.
//
// A token is checked with Discord before the old one is dropped. A part that cannot be
// used is logged as an error and keeps what it had, and the first such error is returned.
// Clients, TLS and hooks that one of both configurations does not have stay as they are.
func (s *Server) Reload(ctx context.Context, c Config) error {
	c.setDefaults()
	c.Logger = s.config.Logger
	if (c.ClientCAFile == "") != (s.config.ClientCAFile == "") {
		c.ClientCAFile = s.config.ClientCAFile
	}
	err := s.reloadTokens(ctx, c)
	incoming := incomingFiles{c.HooksFile, c.HooksTemplates, c.Hooks}
	for _, part := range []struct {
		watched *files.Watched
		paths   []string
		read    func(string) ([]byte, error)
	}{
		{s.gate.clients, nonEmpty(c.AuthFile), given(c.Auth)},
		{s.gate.certificates, tlsPaths(c), nil},
		{s.incoming.watched, incoming.paths(), incoming.read},
	} {
		if part.watched == nil || len(part.paths) == 0 || part.paths[0] == "" {
			continue
		}
		err = cmp.Or(err, s.reloadFiles(ctx, part.watched, part.paths, part.read))
	}
	return err
}

func nonEmpty(path string) []string {
	if path == "" {
		return nil
	}
	return []string{path}
}

func (s *Server) reloadFiles(ctx context.Context, w *files.Watched, paths []string, read func(string) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	err := w.Replace(ctx, paths, read)
	if err != nil {
		s.config.Logger.ErrorContext(ctx, "failed to reload a file; keeping the previous contents",
			"what", w.What, "file", paths[0], "error", err)
	}
	return err
}

// reloadTokens uses other tokens of the bots that both configurations have.
func (s *Server) reloadTokens(ctx context.Context, c Config) (err error) {
	for _, b := range s.bots {
		of := b.config
		of.Token, of.TokenFile = c.Token, c.TokenFile
		if i := slices.IndexFunc(c.Bots, func(other BotConfig) bool { return other.Name == b.label }); i >= 0 {
			of.Token, of.TokenFile = c.Bots[i].Token, c.Bots[i].TokenFile
		} else if b.label != "" {
			continue
		}
		err = cmp.Or(err, b.reloadToken(ctx, of, s.bots))
	}
	return err
}

// reloadToken uses another token of the bot, if c has one and Discord accepts it.
func (b *bot) reloadToken(ctx context.Context, c Config, all bots) error {
	if c.Token == "" && c.TokenFile == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	err := c.readToken(ctx)
	if err == nil && b.isOfAnother(c, all) {
		err = discord.ErrOtherBot
	}
	follows := !b.assembled()
	if err == nil && follows { // another server uses the token
		err = b.tryOther(ctx, c)
	}
	b.assembling.Lock()
	defer b.assembling.Unlock()
	switch {
	case err != nil:
	case c.Token == *b.token.Load():
		return nil
	case b.tenure != nil:
		err = b.tenure.up.client.SetToken(ctx, c.Token)
	case !follows: // so that nobody has checked the token
		err = lease.ErrLost
	}
	if err != nil {
		b.config.Logger.ErrorContext(ctx, "failed to reload the bot token; keeping the previous one", "error", err)
		return errors.New("the bot token cannot be used: " + err.Error())
	}
	b.token.Store(&c.Token)
	if t := b.tenure; t != nil {
		t.login.replace()
		t.savedToken.replace(c.Token)
		t.live.setToken(c.Token)
		t.data.notify(false)
	}
	b.config.Logger.InfoContext(ctx, "reloaded the bot token")
	return nil
}

// assembled reports whether this server leads the bot, or is about to.
func (b *bot) assembled() bool {
	b.assembling.Lock()
	defer b.assembling.Unlock()
	return b.tenure != nil
}

// tryOther checks another token of a bot that this server follows.
func (b *bot) tryOther(ctx context.Context, c Config) error {
	switch {
	case botOf(c) != b.place.bot:
		return discord.ErrOtherBot
	case c.Token == *b.token.Load():
		return nil
	}
	return b.tryToken(ctx, c.Token)
}

// isOfAnother reports whether a token is known to be another bot's without asking Discord,
// which has not said whose a refused token was.
func (b *bot) isOfAnother(c Config, all bots) bool {
	own, known := idIn(b.config.Token)
	if id, found := idIn(c.Token); found && known {
		return id != own
	}
	return slices.ContainsFunc(all, func(o *bot) bool { return o != b && *o.token.Load() == c.Token })
}
