package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/files"
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
	b.reloading.Lock()
	defer b.reloading.Unlock()
	err := c.readToken(ctx)
	if err == nil && b.isOfAnother(c, all) {
		err = discord.ErrOtherBot
	}
	if err == nil && c.Token == *b.token.Load() {
		return nil
	}
	for found := false; err == nil && !found; {
		t := b.current()
		if err = b.useToken(ctx, t, c); err == nil {
			found = b.replaceToken(t, c.Token)
		}
	}
	if err != nil {
		b.config.Logger.ErrorContext(ctx, "failed to reload the bot token; keeping the previous one", "error", err)
		return errors.New("the bot token cannot be used: " + err.Error())
	}
	b.config.Logger.InfoContext(ctx, "reloaded the bot token")
	return nil
}

// current returns the tenure of a bot that this server leads, or is about to lead.
func (b *bot) current() *tenure {
	b.assembling.Lock()
	defer b.assembling.Unlock()
	return b.tenure
}

// useToken asks Discord about another token, and has a tenure make its calls with it unless
// t is nil. Discord may take long to answer, and the tenure may end meanwhile.
func (b *bot) useToken(ctx context.Context, t *tenure, c Config) error {
	if t != nil {
		err := t.up.client.SetToken(ctx, c.Token)
		if err == nil || t.data.leads() == nil {
			return err
		}
		// It may have failed because the tenure may not ask any more.
	}
	if botOf(c) != b.place.bot {
		return discord.ErrOtherBot
	}
	return b.tryToken(ctx, c.Token)
}

// replaceToken notes another token, which Discord has accepted and t uses. It reports false if
// another tenure has begun with the previous token.
func (b *bot) replaceToken(t *tenure, token string) bool {
	b.assembling.Lock()
	defer b.assembling.Unlock()
	if b.tenure != nil && b.tenure != t {
		return false
	}
	b.token.Store(&token)
	if b.tenure != nil {
		t.login.replace()
		t.savedToken.replace(token)
		t.live.setToken(token)
		t.data.notify(false)
	}
	return true
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
