package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// GatewayLimits are the numbers that the gateway goes by. They can be changed
// while it runs; what is connected keeps its heartbeat interval.
type GatewayLimits struct {
	HeartbeatInterval time.Duration `json:"-"` // sent in HELLO; after half as much again without a heartbeat: 4009

	// IDENTIFY. With Starts used up, Discord ends all sessions and resets the
	// token. More than one IDENTIFY for each shard modulo MaxConcurrency within
	// IdentifyWindow is an INVALID_SESSION.
	Starts         int           `json:"starts"` // in a day
	MaxConcurrency int           `json:"max_concurrency"`
	IdentifyWindow time.Duration `json:"-"` // 0 does not limit

	Shards     int     `json:"shards"`     // what GET /gateway/bot recommends
	MinShards  int     `json:"min_shards"` // with fewer an IDENTIFY is closed with 4011
	Disallowed Intents `json:"disallowed"` // privileged intents that lead to 4014

	Sends      int           `json:"sends"` // commands of a connection in SendWindow, one more is 4008; 0 means any number
	SendWindow time.Duration `json:"-"`
	MaxPayload int           `json:"max_payload"` // bytes of a command, more is 4002

	// What is kept of a session to be replayed, and for how long after its
	// connection was lost.
	ReplayEvents int           `json:"replay_events"`
	ReplayBytes  int           `json:"replay_bytes"`
	ResumeWindow time.Duration `json:"-"`

	// MaxQueue is the number of unread bytes after which a slow client is closed with 4000.
	MaxQueue int `json:"max_queue"`
}

// DefaultGatewayLimits returns Discord's limits, as far as Discord documents them.
// How long it keeps events for replay is not documented.
func DefaultGatewayLimits() GatewayLimits {
	return GatewayLimits{
		HeartbeatInterval: 41250 * time.Millisecond,
		Starts:            1000, MaxConcurrency: 1, IdentifyWindow: 5 * time.Second, Shards: 1,
		Sends: 120, SendWindow: time.Minute, MaxPayload: 4096,
		ReplayEvents: 10_000, ReplayBytes: 64 << 20, ResumeWindow: 3 * time.Minute,
		MaxQueue: 64 << 20,
	}
}

func (l GatewayLimits) starts() *Limit {
	return &Limit{Kind: Fixed, Limit: l.Starts, Window: 24 * time.Hour}
}

// Ways to refuse a connection to the gateway.
const (
	RefuseStatus = "status" // answer the upgrade with 503
	RefuseReset  = "reset"  // reset the connection
	RefuseHang   = "hang"   // answer nothing until the client leaves
)

// GatewayFaults are the faults of new connections to the gateway.
type GatewayFaults struct {
	Count       int           `json:"count"`        // connections that are hit; 0 means all, and those that are open
	Refuse      string        `json:"refuse"`       // RefuseStatus, RefuseReset, RefuseHang, or empty
	HelloDelay  time.Duration `json:"-"`            // before HELLO
	NoHello     bool          `json:"no_hello"`     // there is none
	First       []int         `json:"first"`        // opcodes of payloads sent before HELLO, such as 7
	BeforeReady []int         `json:"before_ready"` // opcodes of payloads sent after IDENTIFY and before READY
	NoReady     bool          `json:"no_ready"`     // IDENTIFY stays without an answer
	NoAcks      bool          `json:"no_acks"`      // heartbeats stay without an answer: a zombie
	ReadyDelay  time.Duration `json:"-"`            // between IDENTIFY and READY
	Life        time.Duration `json:"-"`            // a session is lost that long after READY; 0 means never
	Resume      string        `json:"resume"`       // what RESUME leads to: one of Resumes, or empty
	// BytesPerSecond is the speed of the line, 0 means any. Nothing else is
	// answered while a payload is on its way.
	BytesPerSecond int `json:"bytes_per_second"`
	// Backwards makes each event be followed by one of the type SANDBOX_BACKWARDS with
	// the number 1.
	Backwards bool `json:"backwards"`

	// What the answers of the API and READY say, Count or not. Empty fields
	// leave the truth.
	URL          string `json:"url"`            // of GET /gateway/bot
	ResumeURL    string `json:"resume_url"`     // of READY
	Remaining    *int   `json:"remaining"`      // of session_start_limit
	NoStartLimit bool   `json:"no_start_limit"` // there is no session_start_limit
}

// What RESUME can lead to.
const (
	ResumeDrop      = "drop"       // the connection is cut
	ResumeClose     = "close"      // the connection is closed with 4000
	ResumeDefer     = "defer"      // INVALID_SESSION, resumable
	ResumeRefuse    = "refuse"     // INVALID_SESSION, not resumable
	ResumeMalformed = "malformed"  // a payload that is not JSON
	ResumeSilence   = "silence"    // nothing
	ResumeNoResumed = "no_resumed" // the events, without RESUMED
)

// Resumes are all of them.
var Resumes = []string{ResumeDrop, ResumeClose, ResumeDefer, ResumeRefuse, ResumeMalformed, ResumeSilence, ResumeNoResumed}

// GatewayCounts counts the clients' requests to the gateway.
type GatewayCounts struct {
	Identifies int `json:"identifies"`
	Resumes    int `json:"resumes"`
}

// GatewayCounts returns what clients have asked the gateway for since the
// beginning, or the last Reset.
func (s *Sandbox) GatewayCounts() GatewayCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gateway.counts
}

// DispatchGateway gives all sessions an event that nothing caused, with any JSON
// as its data. padding is the number of bytes by which the data is made larger,
// when it is an object.
func (s *Sandbox) DispatchGateway(kind string, data json.RawMessage, padding int) error {
	if padding < 0 || padding > 64<<20 {
		return fmt.Errorf("sandbox: padding %d out of range (0-%d)", padding, 64<<20)
	}
	if kind == "" || !json.Valid(data) {
		return errors.New("sandbox: an event needs a type, and data that is JSON")
	}
	if padding > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(data, &object); err != nil || object == nil {
			return errors.New("sandbox: only an object can have padding")
		}
		object["padding"] = mustJSON(strings.Repeat("x", padding))
		data = mustJSON(object)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ss := range s.gateway.order {
		s.push(ss, kind, data)
	}
	return nil
}

// faultsOfNext are the faults that the next connection meets.
func (g *gateway) faultsOfNext() GatewayFaults {
	if g.faults.Count > 0 && g.struck >= g.faults.Count {
		return GatewayFaults{}
	}
	g.struck++
	return g.faults
}

// GatewayConnection is a client's connection to the gateway.
type GatewayConnection struct {
	ID         int       `json:"id"`
	Address    string    `json:"address"`
	At         time.Time `json:"at"`
	Version    int       `json:"version"`
	Compressed bool      `json:"compressed"`
	Session    string    `json:"session,omitempty"` // empty before IDENTIFY
	Heartbeats int       `json:"heartbeats"`
	Waiting    int       `json:"waiting"` // bytes that the client has not taken
}

// GatewaySession is a session of a client, connected or not.
type GatewaySession struct {
	ID         string         `json:"id"`
	User       ID             `json:"user"`
	Connection int            `json:"connection,omitzero"` // 0 when the connection was lost
	Intents    Intents        `json:"intents"`
	Shard      [2]int         `json:"shard"`
	Properties map[string]any `json:"properties"`
	Presence   Presence       `json:"presence"`
	Seq        int64          `json:"seq"`      // of the last event
	Buffered   int            `json:"buffered"` // events that can be replayed
}

var errNoConnection = errors.New("sandbox: no such connection")

// SetGatewayLimits changes the numbers that the gateway goes by. Those that
// are not positive, but must be, become the default.
func (s *Sandbox) SetGatewayLimits(l GatewayLimits) {
	def := DefaultGatewayLimits()
	l.HeartbeatInterval = positive(l.HeartbeatInterval, def.HeartbeatInterval)
	l.MaxConcurrency = positive(l.MaxConcurrency, def.MaxConcurrency)
	l.Shards = positive(l.Shards, def.Shards)
	l.SendWindow = positive(l.SendWindow, def.SendWindow)
	l.ResumeWindow = positive(l.ResumeWindow, def.ResumeWindow)
	l.Starts = positive(l.Starts, def.Starts)
	l.MaxPayload = positive(l.MaxPayload, def.MaxPayload)
	l.ReplayEvents = positive(l.ReplayEvents, def.ReplayEvents)
	l.ReplayBytes = positive(l.ReplayBytes, def.ReplayBytes)
	l.MaxQueue = positive(l.MaxQueue, def.MaxQueue)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateway.limits = l
}

func positive[N int | time.Duration](n, def N) N {
	if n <= 0 {
		return def
	}
	return n
}

// GatewayLimits returns the numbers that the gateway goes by.
func (s *Sandbox) GatewayLimits() GatewayLimits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gateway.limits
}

// GatewayFaults returns what goes wrong with connections to the gateway.
func (s *Sandbox) GatewayFaults() GatewayFaults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gateway.faults
}

// SetGatewayFaults changes what goes wrong with connections to the gateway.
// The zero value means no faults.
func (s *Sandbox) SetGatewayFaults(f GatewayFaults) error {
	switch f.Refuse {
	case "", RefuseStatus, RefuseReset, RefuseHang:
	default:
		return fmt.Errorf("sandbox: refuse %q is none of %s, %s, %s", f.Refuse, RefuseStatus, RefuseReset, RefuseHang)
	}
	if f.Resume != "" && !slices.Contains(Resumes, f.Resume) {
		return fmt.Errorf("sandbox: resume %q is none of %s", f.Resume, strings.Join(Resumes, ", "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gateway.faults, s.gateway.struck = f, 0
	if f.Count == 0 {
		for _, c := range s.conns {
			c.faults = f
		}
	}
	return nil
}

// GatewayConnections returns the open connections, oldest first.
func (s *Sandbox) GatewayConnections() []GatewayConnection {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []GatewayConnection{}
	for _, c := range s.conns {
		if !c.open || c.ending != nil {
			continue
		}
		shown := GatewayConnection{
			ID: c.id, Address: c.address, At: c.at, Version: c.version, Compressed: c.compress != nil,
			Heartbeats: c.heartbeats, Waiting: c.waiting,
		}
		if c.session != nil {
			shown.Session = c.session.id
		}
		out = append(out, shown)
	}
	return out
}

// GatewaySessions returns the sessions that live or can be resumed, oldest
// first.
func (s *Sandbox) GatewaySessions() []GatewaySession {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	out := []GatewaySession{}
	for _, ss := range s.gateway.order {
		shown := GatewaySession{
			ID: ss.id, User: ss.user, Intents: ss.intents, Shard: ss.shard, Properties: maps.Clone(ss.properties),
			Presence: ss.presence, Seq: ss.seq, Buffered: len(ss.buffer),
		}
		if ss.conn != nil {
			shown.Connection = ss.conn.id
		}
		out = append(out, shown)
	}
	return out
}

// each does something with a connection, or with all of them for id 0.
func (s *Sandbox) each(id int, do func(c *gatewayConn)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := id == 0
	for _, c := range slices.Clone(s.conns) {
		if id == 0 || c.id == id {
			found = true
			do(c)
		}
	}
	if !found {
		return errNoConnection
	}
	return nil
}

// CloseGateway closes a connection, or all for id 0, with a code such as
// [CloseUnknownError] and a reason of at most 123 bytes.
func (s *Sandbox) CloseGateway(id, code int, reason string) error {
	if code != 1000 && code != 1001 && (code < 3000 || code > 4999) || len(reason) > 123 {
		return fmt.Errorf("sandbox: cannot close with code %d and a reason of %d bytes", code, len(reason))
	}
	return s.each(id, func(c *gatewayConn) { c.end(closing{code, reason}) })
}

// DropGateway cuts a connection, or all for id 0, as a broken network does.
func (s *Sandbox) DropGateway(id int) error { return s.each(id, (*gatewayConn).drop) }

// SendGateway sends a payload that only has an opcode to a connection, or to
// all for id 0: 7 orders to reconnect, 1 asks for a heartbeat.
func (s *Sandbox) SendGateway(id, op int) error {
	return s.each(id, func(c *gatewayConn) { c.sendOp(op) })
}

// InvalidateSessions notifies a connection, or all for id 0, that its session is
// invalid. One that is not resumable is forgotten.
func (s *Sandbox) InvalidateSessions(id int, resumable bool) error {
	return s.each(id, func(c *gatewayConn) {
		if c.session != nil && !resumable {
			s.gateway.forget(c.session)
		}
		c.unbind()
		c.send(frame{op: opInvalidSession, data: mustJSON(resumable)})
	})
}

// Burst adds a message many times in a row, the times numbered from 1 in
// its content: up to 100,000.
func (s *Sandbox) Burst(m Message, times int) error {
	if times < 0 || times > 100_000 {
		return fmt.Errorf("sandbox: a burst of %d messages", times)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := m.Content
	for i := range times {
		m.ID, m.Content = 0, fmt.Sprintf("%s %d", text, i+1)
		if _, err := s.addMessage(m); err != nil {
			return err
		}
	}
	return nil
}

// SetGuildAvailable lets a guild have an outage, or ends it.
func (s *Sandbox) SetGuildAvailable(guild ID, available bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[guild]
	if g == nil {
		return errNoGuild
	}
	if g.unavailable != available {
		return nil
	}
	if available {
		g.unavailable = false
		for u := range g.members {
			s.guildJoined(g, u)
		}
		return nil
	}
	for u := range g.members {
		s.guildLeft(g, u, true)
	}
	g.unavailable = true
	return nil
}

// guildJoined sends GUILD_CREATE to the sessions of a member.
func (s *Sandbox) guildJoined(g *guild, u ID) {
	for _, ss := range s.gateway.order {
		if ss.user == u && ss.owns(g.ID) && ss.intents.Has(IntentGuilds) {
			s.push(ss, "GUILD_CREATE", mustJSON(s.guildCreate(ss, g)))
		}
	}
}

// guildLeft sends GUILD_DELETE to the sessions of a member, for
// now or for good.
func (s *Sandbox) guildLeft(g *guild, u ID, outage bool) {
	data := json.RawMessage(fmt.Sprintf(`{"id":"%d"}`, g.ID))
	if outage {
		data = json.RawMessage(fmt.Sprintf(`{"id":"%d","unavailable":true}`, g.ID))
	}
	for _, ss := range s.gateway.order {
		if ss.user == u && ss.owns(g.ID) && ss.intents.Has(IntentGuilds) {
			s.push(ss, "GUILD_DELETE", data)
		}
	}
}
