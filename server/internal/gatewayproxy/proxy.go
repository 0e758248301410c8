// Package gatewayproxy provides Discord's gateway to bots, fed from the one session
// that the server keeps at Discord.
//
// A bot connects, identifies and resumes as it would at Discord. What it receives has
// three sources. READY and GUILD_CREATE are built from the guilds in gateway.Guilds.
// Events are read from the ring of events.Hub, in which a session is a position: a
// session that reads too slowly falls behind the ring and is closed, and RESUME continues
// from an older position. Responses to the bot's own requests, for example for members,
// are kept with its session within a size limit.
//
// A session numbers its own events. As at Discord, it ends when the bot closes it, when
// its position has left the ring, and when the server's own session at Discord could not
// be resumed.
//
// Sessions survive a restart of the server. A bot that identifies after the restart
// instead of resuming also continues where the server stopped.
// https://discord.com/developers/docs/events/gateway
package gatewayproxy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"
	"discordproxy/discord/rawjson"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/events"
)

// Defaults of Config, and limits.
const (
	DefaultStateBytes        = 150 << 20
	DefaultHeartbeatInterval = 41250 * time.Millisecond
	DefaultConnectWait       = 15 * time.Second
	// settleWait is how long guilds may take to come after READY.
	settleWait = 3 * time.Second
	// maxConnections limits connections, and maxUnidentified those of them that
	// have not identified themselves, which they must within identifyTimeout.
	// maxStrangers is how many of these one network may have. It does not hold for
	// the machine itself, on which a reverse proxy may be.
	maxConnections  = 5000
	maxUnidentified = 500
	maxStrangers    = 100
	identifyTimeout = 30 * time.Second
	// maxSessions is how many sessions are kept, connected or not.
	maxSessions = 5000
	// resumeWindow is how long a session without a connection is kept.
	resumeWindow = 5 * time.Minute
)

// Path is the path of the websocket.
const Path = "/gateway"

// Upstream is the server's own session. *gateway.Gateway is one.
type Upstream interface {
	Send(op wire.Opcode, data json.RawMessage) error
	// Renew begins another session, in which Discord sends all guilds again.
	Renew()
}

// Config configures a Proxy. Hub, Guilds and IsOwn are required.
type Config struct {
	Hub    *events.Hub
	Guilds *gateway.Guilds
	// Intents are those of the server's own session.
	Intents gateway.Intents
	// IsOwn reports whether an Authorization is the bot's own token.
	IsOwn func(authorization string) bool
	// OtherBot returns the name of another bot of the server whose own token an
	// Authorization is, or "". Nil means that there is no other bot.
	OtherBot func(authorization string) string
	// URL is the address of the websocket as clients reach it. Empty means that of
	// the request that asks.
	URL string
	// Prefix comes before Path in addresses of the websocket, such as /bots/NAME.
	Prefix string
	// StateBytes limits what is kept of guilds. 0 means DefaultStateBytes.
	StateBytes int64
	// HeartbeatInterval is the interval in which clients must send heartbeats. 0 means
	// DefaultHeartbeatInterval.
	HeartbeatInterval time.Duration
	// ConnectWait is how long a client waits after IDENTIFY for the server's own
	// session. 0 means DefaultConnectWait.
	ConnectWait time.Duration
	// Flush stores what Export returns, and waits for that for a short time. It
	// reports false when the server has ended. Nil means that nothing is stored.
	Flush func() bool
	// Logger receives what happens to the state. Nil means slog.Default().
	Logger *slog.Logger
}

// Stats are the proxy's counters.
type Stats struct {
	// Connected and Resumable are the sessions with and without a connection.
	Connected, Resumable int
	// Identified and Resumed count sessions that began and continued, Slow the
	// connections that were closed because their client read too slowly.
	Identified, Resumed, Slow uint64
}

// Proxy serves Discord's gateway. It is a gateway.Handler in the place of its Hub
// and Guilds, and an http.Handler. It is safe for concurrent use. Until Open it
// refuses connections and only passes events on.
type Proxy struct {
	config  Config
	members *members
	// life ends when the server begins to shut down.
	life    context.Context
	endLife context.CancelFunc
	// guard and observers are those of Open.
	guard     *access.Guard
	observers calls.Observers

	// mu is held while an event reaches both Guilds and Hub, so that a snapshot
	// of one fits a place in the other.
	mu       sync.Mutex
	open     bool
	upstream Upstream
	status   gateway.Status
	changed  chan struct{} // closed at the next change of status
	settled  bool          // all guilds have come
	known    bool          // what a session begins with is known: a READY came, or was saved
	renewed  bool          // another session was asked for
	self     uint64        // the bot's id
	sessions map[string]*session
	// earlier contains the guilds of an earlier run when it ended, for bots that continue
	// from there, or nil if there are none.
	earlier *gateway.Snapshot
	stored  map[string]bool              // sessions that Export has returned
	voice   map[uint64]map[*session]bool // who asked for voice in a guild
	stats   Stats
	// connections are all, unidentified those that may not stay, and strangers these
	// by their networks.
	connections, unidentified int
	strangers                 map[string]int
}

// New returns a Proxy that is not open.
func New(c Config) (*Proxy, error) {
	if c.Hub == nil || c.Guilds == nil || c.IsOwn == nil {
		return nil, errors.New("gatewayproxy: Hub, Guilds and IsOwn are required")
	}
	if c.StateBytes < 0 || c.HeartbeatInterval < 0 || c.ConnectWait < 0 {
		return nil, errors.New("gatewayproxy: StateBytes, HeartbeatInterval or ConnectWait is negative")
	}
	c.setDefaults()
	life, endLife := context.WithCancel(context.Background())
	return &Proxy{
		config: c, life: life, endLife: endLife, changed: make(chan struct{}), sessions: make(map[string]*session),
		stored: make(map[string]bool), strangers: make(map[string]int),
		voice: make(map[uint64]map[*session]bool), members: newMembers(),
	}, nil
}

func (c *Config) setDefaults() {
	c.StateBytes = cmp.Or(c.StateBytes, DefaultStateBytes)
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, DefaultHeartbeatInterval)
	c.ConnectWait = cmp.Or(c.ConnectWait, DefaultConnectWait)
	if c.Flush == nil {
		c.Flush = func() bool { return true }
	}
	if c.OtherBot == nil {
		c.OtherBot = func(string) string { return "" }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// Open makes the proxy accept connections and keep the state that they need. It must be
// called before the first event. Commands of bots go to upstream. guard decides who may
// connect; nil means everyone. observers are notified of each connection as a call of
// SubscribeEvents, and of refused commands.
func (p *Proxy) Open(upstream Upstream, guard *access.Guard, observers calls.Observers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open, p.upstream = true, upstream
	p.guard, p.observers = guard, observers
	limit := p.config.StateBytes
	p.config.Guilds.KeepAll(limit, func() {
		p.config.Logger.Warn("gateway state is full; bots miss members or whole guilds", "limit", limit)
	})
	if p.known = p.config.Guilds.HasReady(); p.known {
		snapshot := p.config.Guilds.Snapshot()
		p.earlier, p.self, p.settled = &snapshot, botOf(snapshot.Ready), p.config.Guilds.Settled()
		p.sweep()
	}
}

// End has all clients reconnect, and ends what they use.
func (p *Proxy) End() { p.endLife() }

// botOf returns the bot's id from READY, or 0 if there is none: then no member is the
// bot's own.
func botOf(ready json.RawMessage) uint64 {
	var r struct {
		User struct {
			ID rawjson.Snowflake `json:"id"`
		} `json:"user"`
	}
	_ = json.Unmarshal(ready, &r)
	return uint64(r.User.ID)
}

// isKnown reports whether the guilds are those of a READY.
func (p *Proxy) isKnown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known
}

func (p *Proxy) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// Dispatch implements gateway.Handler.
func (p *Proxy) Dispatch(d gateway.Dispatch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.Guilds.Dispatch(d)
	if p.open && p.answers(d) {
		return
	}
	p.config.Hub.Dispatch(d)
	if !p.settled && p.config.Guilds.Settled() {
		p.settled = true
		p.signal()
	}
}

// signal wakes those who wait for the server's own session. mu is held.
func (p *Proxy) signal() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// answers takes events that answer a command of a bot, which are for nobody else.
// mu is held.
func (p *Proxy) answers(d gateway.Dispatch) bool {
	switch d.Type {
	case "GUILD_MEMBERS_CHUNK", "RATE_LIMITED":
		return p.members.answer(d)
	case "VOICE_SERVER_UPDATE":
		// The event contains a credential for the voice connection.
		for s := range p.voice[events.Of(d).GuildID] {
			s.offer(d.Type, d.Data)
		}
		return true
	}
	return false
}

// Changed implements gateway.Handler.
func (p *Proxy) Changed(s gateway.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.Guilds.Changed(s)
	if s.State == gateway.Connected && !s.Resumed {
		p.members.forgetAll()
		clear(p.voice)
		// Sessions with a connection learn this when they reach the event.
		for _, session := range p.sessions {
			session.stale = true
		}
		p.self, p.known = botOf(s.Ready), true
	}
	p.config.Hub.Changed(s)
	s.Ready = nil
	p.status = s
	if s.State == gateway.Off {
		p.endLife()
	}
	p.settled = p.config.Guilds.Settled()
	p.signal()
}

// awaitUpstream waits until the server's own session is connected and has its guilds.
// It reports false if it is not connected within ConnectWait. Discord does not say
// when all guilds have come; they are awaited for at most settleWait.
//
// With fresh set it waits for what a session begins with. After a restart that takes
// another session at Discord if it was not saved.
func (p *Proxy) awaitUpstream(ctx context.Context, fresh bool) bool {
	ctx, cancel := context.WithTimeout(ctx, p.config.ConnectWait)
	defer cancel()
	for {
		p.mu.Lock()
		connected, settled, changed := p.status.State == gateway.Connected, p.settled, p.changed
		if fresh && connected && !p.known && !p.renewed {
			p.renewed = true
			p.upstream.Renew()
		}
		connected = connected && (p.known || !fresh)
		left := settleWait - time.Since(p.status.Since)
		p.mu.Unlock()
		if connected && (settled || left <= 0) {
			return true
		}
		if !connected {
			left = p.config.ConnectWait
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return connected
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Stats returns what was counted so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	stats := p.stats
	for _, s := range p.sessions {
		if s.connected() {
			stats.Connected++
		} else {
			stats.Resumable++
		}
	}
	return stats
}

// URL returns the address of the websocket for the client that sent r, or "" before
// Open. It contains the key that the path of r contained.
func (p *Proxy) URL(r *http.Request) string {
	if !p.isOpen() {
		return ""
	}
	prefix := access.PathPrefix(r.Context()) + p.config.Prefix
	if given := p.config.URL; given != "" {
		if prefix != "" {
			given = strings.TrimSuffix(strings.TrimSuffix(given, "/"), Path) + prefix + Path
		}
		return given
	}
	scheme := "ws"
	if r.TLS != nil || fromSameMachine(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "wss"
	}
	host := r.Host
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" && fromSameMachine(r) && !strings.ContainsAny(forwarded, "/\\@?#, \t") {
		host = forwarded
	}
	return scheme + "://" + cmp.Or(host, "localhost") + prefix + Path
}

// fromSameMachine reports whether the peer is on this machine, as a reverse proxy
// may be, whose X-Forwarded headers are believed.
func fromSameMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return true // a Unix socket has no port
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
