package gateway

// Stats counts what has happened to the bot's sessions since New.
type Stats struct {
	// Begun is the number of sessions that began.
	Begun int
	// Resumed is the number of connections that continued with a session.
	Resumed int
	// Lost is the number of connections that ended, or could not be made,
	// while they were wanted.
	Lost int
	// Total is how many sessions may begin in a day, or 0 until Discord was asked.
	// Left is how many of them still may, by Discord's count or by the
	// Gateway's own, whichever is smaller. A tenth of Total is never used.
	Total, Left int
}

// Stats returns what has happened. It may be called at any time.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats
}

// count changes the stats.
func (g *Gateway) count(change func(*Stats)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.stats)
}
