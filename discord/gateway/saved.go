package gateway

import "time"

// SavedSession is a session at the gateway that a later run can resume. It holds no
// secret, but with the bot's token it gives the session's events.
type SavedSession struct {
	ID string `json:"id"`
	// URL is the address at which the session must be resumed. Empty means the general address.
	URL string `json:"url,omitempty"`
	// Sequence is the number of the last event that was handled.
	Sequence int64 `json:"sequence"`
	// Intents are those of the session. It is not resumed with others.
	Intents Intents   `json:"intents"`
	User    string    `json:"user,omitempty"` // the bot's name
	Began   time.Time `json:"began"`
}

// Session returns the session that can be resumed as far as is known, and whether
// there is one. Its Sequence is that of the newest event, which may be about to be
// handled; within a call of the Handler it is that of the handled one.
func (g *Gateway) Session() (SavedSession, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.resumable
	if s == nil {
		return SavedSession{}, false
	}
	return SavedSession{
		ID: s.id, URL: s.url, Sequence: s.sequence.Load(), Intents: g.config.Intents, User: g.status.User, Began: s.began,
	}, true
}

// keep makes a session the one that can be resumed, or nil for none.
func (g *Gateway) keep(s *session) {
	g.session = s
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resumable = s
}

// Renew ends the session of the current connection and begins another one, which
// costs one of those that may begin in a day. Discord then sends all guilds. It does
// nothing while there is no connection.
func (g *Gateway) Renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.connection != nil {
		g.connection.end(errRenewed)
	}
}

// carry makes a connection the current one, or nil for none.
func (g *Gateway) carry(c *connection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.connection = c
}

// restore takes over the session of an earlier run, unless it cannot be one.
func (g *Gateway) restore(saved *SavedSession) {
	if saved == nil || saved.ID == "" || saved.Sequence <= 0 || saved.Intents != g.config.Intents {
		return
	}
	s := &session{id: saved.ID, url: saved.URL, began: saved.Began}
	if _, err := g.addresses.dialable(s.url); err != nil {
		s.url = ""
	}
	s.sequence.Store(saved.Sequence)
	g.status.User = saved.User
	g.keep(s)
}
