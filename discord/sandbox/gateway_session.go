package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"discordproxy/discord/gateway/wire"
)

// session is the session of a client of the gateway. It survives its connection, so that
// it can be resumed.
type session struct {
	id         string
	user       ID
	token      string
	conn       *gatewayConn // nil while nobody is connected
	left       time.Time    // when the connection was lost
	intents    Intents
	shard      [2]int // its number and of how many
	properties map[string]any
	large      int
	presence   Presence

	seq    int64
	buffer []frame // the latest dispatches, oldest first
	bytes  int
	gone   int64 // the last that the buffer has lost
}

// gateway is the state of the gateway that Reset throws away.
type gateway struct {
	limits    GatewayLimits
	faults    GatewayFaults
	struck    int // connections that the faults have hit
	counts    GatewayCounts
	sessions  map[string]*session
	order     []*session // oldest first
	starts    map[ID]*bucket
	slots     map[slot]*bucket
	requested map[memberSlot]*bucket
	presences map[ID]Presence // of those that are set by hand
}

// slot is what the concurrency of IDENTIFY is counted by.
type slot struct {
	user ID
	key  int // the shard's number modulo max_concurrency
}

type memberSlot struct{ user, guild ID }

// maxSessions is the maximum number of sessions, connected or not.
const maxSessions = 1000

func newGateway() gateway {
	return gateway{
		limits: DefaultGatewayLimits(), sessions: map[string]*session{}, starts: map[ID]*bucket{},
		slots: map[slot]*bucket{}, requested: map[memberSlot]*bucket{}, presences: map[ID]Presence{},
	}
}

// forget ends a session for good. Its connection, if any, is not identified
// any more.
func (g *gateway) forget(ss *session) {
	if ss.conn != nil {
		ss.conn.session = nil
		ss.conn = nil
	}
	delete(g.sessions, ss.id)
	g.order = slices.DeleteFunc(g.order, func(o *session) bool { return o == ss })
}

// sweep forgets the sessions that nobody has resumed in time.
func (s *Sandbox) sweep() {
	now := s.clock()
	for _, ss := range slices.Clone(s.gateway.order) {
		if ss.conn == nil && now.Sub(ss.left) > s.gateway.limits.ResumeWindow {
			s.gateway.forget(ss)
		}
	}
}

// command carries out what a client wants. An error of type closing ends the
// connection.
func (s *Sandbox) command(c *gatewayConn, in command) error {
	switch op := *in.Op; op {
	case opHeartbeat:
		return s.heartbeat(c, in)
	case opIdentify, opResume:
		if c.session != nil {
			return closeAgain
		}
		if op == opIdentify {
			return s.identify(c, in)
		}
		return s.resume(c, in)
	case opPresence, opVoiceState, opRequestMembers, opSoundboard, opChannelInfo:
		if c.session == nil {
			return closeNoIdentify
		}
		switch op {
		case opPresence:
			return s.updatePresence(c, in)
		case opRequestMembers:
			return s.requestMembers(c, in)
		case opVoiceState:
			return s.updateVoiceState(c, in)
		}
		return nil
	}
	return closeUnknownOp
}

func (s *Sandbox) heartbeat(c *gatewayConn, in command) error {
	var seq *int64
	if err := in.decode(&seq); err != nil {
		return err
	}
	c.heartbeats++
	c.timeout.Reset(c.patience)
	if !c.faults.NoAcks {
		c.send(frame{op: opHeartbeatACK})
	}
	return nil
}

type identifyBody struct {
	Token      string         `json:"token"`
	Properties map[string]any `json:"properties"`
	Compress   bool           `json:"compress"`
	Large      *int           `json:"large_threshold"`
	Shard      []int          `json:"shard"`
	Presence   *presenceBody  `json:"presence"`
	Intents    *int64         `json:"intents"`
}

func (s *Sandbox) identify(c *gatewayConn, in command) error {
	body := identifyBody{Shard: []int{0, 1}}
	if err := in.decode(&body); err != nil {
		return err
	}
	token := s.gatewayToken(body.Token)
	user := s.users[s.tokens[token]]
	l := s.gateway.limits
	large := 50
	if body.Large != nil {
		large = *body.Large
	}
	switch {
	case user == nil:
		return closeToken
	case body.Properties == nil || large < 50 || large > 250:
		return closeDecode
	case len(body.Shard) != 2 || body.Shard[1] < 1 || body.Shard[0] < 0 || body.Shard[0] >= body.Shard[1]:
		return closeShard
	case body.Intents == nil || *body.Intents < 0 || Intents(*body.Intents)&^IntentsAll != 0:
		return closeIntents
	case Intents(*body.Intents)&l.Disallowed != 0:
		return closeDisallowed
	case body.Shard[1] < l.MinShards:
		return closeSharding
	}
	ss := &session{
		user: user.ID, token: token, intents: Intents(*body.Intents), shard: [2]int(body.Shard), properties: body.Properties,
		large: large, presence: Presence{Status: StatusOnline, Activities: []Activity{}},
	}
	if body.Presence != nil {
		var err error
		if ss.presence, err = body.Presence.presence(); err != nil {
			return err
		}
	}
	if !s.mayStart(c, ss) {
		return nil
	}
	for _, op := range c.faults.BeforeReady {
		c.sendOp(op)
	}
	if c.faults.NoReady {
		return nil
	}
	if body.Compress && c.compress == nil {
		c.compress = wire.NewPayloadCompressor()
	}
	sharded := len(body.Shard) == 2 && bytes.Contains(in.Data, []byte(`"shard"`))
	if c.faults.ReadyDelay > 0 {
		s.later(c, c.faults.ReadyDelay, func() { s.start(c, ss, sharded) })
		return nil
	}
	s.start(c, ss, sharded)
	return nil
}

// later does something with a connection, unless it ends before.
func (s *Sandbox) later(c *gatewayConn, d time.Duration, do func()) {
	timer := time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.ending == nil && slices.Contains(s.conns, c) {
			do()
		}
	})
	go func() {
		<-c.done
		timer.Stop()
	}()
}

// mayStart counts an IDENTIFY against the limits of sessions.
func (s *Sandbox) mayStart(c *gatewayConn, ss *session) bool {
	s.gateway.counts.Identifies++
	l, now := s.gateway.limits, s.clock()
	key := slot{ss.user, ss.shard[0] % max(1, l.MaxConcurrency)}
	if s.gateway.slots[key] == nil {
		s.gateway.slots[key] = &bucket{}
	}
	if l.IdentifyWindow > 0 && s.gateway.slots[key].take(&Limit{Kind: Fixed, Limit: 1, Window: l.IdentifyWindow}, now).retryAfter > 0 {
		c.sendOp(opInvalidSession)
		return false
	}
	if s.gateway.starts[ss.user] == nil {
		s.gateway.starts[ss.user] = &bucket{}
	}
	if s.gateway.starts[ss.user].take(l.starts(), now).retryAfter > 0 {
		// Discord ends all sessions, resets the token and writes a letter.
		s.revoke(ss.token, closeTooManyStarts)
		c.end(closeTooManyStarts)
		return false
	}
	return true
}

// revoke invalidates a token, also for sessions that have used it.
func (s *Sandbox) revoke(token string, why closing) {
	delete(s.tokens, token)
	for _, ss := range slices.Clone(s.gateway.order) {
		if ss.token != token {
			continue
		}
		if ss.conn != nil {
			ss.conn.end(why)
		}
		s.gateway.forget(ss)
	}
}

// start makes a session and sends it READY and its guilds.
func (s *Sandbox) start(c *gatewayConn, ss *session, sharded bool) {
	s.sweep()
	if len(s.gateway.order) >= maxSessions {
		old := s.gateway.order[0]
		if old.conn != nil {
			old.conn.end(closeTooManySession)
		}
		s.gateway.forget(old)
	}
	ss.id = fmt.Sprintf("%016x%016x", s.rng.Uint64(), s.rng.Uint64())
	s.gateway.sessions[ss.id] = ss
	s.gateway.order = append(s.gateway.order, ss)
	ss.conn, c.session = c, ss

	type unavailable struct {
		ID          ID   `json:"id"`
		Unavailable bool `json:"unavailable"`
	}
	guilds := []unavailable{}
	var mine []*guild
	for _, id := range slices.Sorted(maps.Keys(s.guilds)) {
		if g := s.guilds[id]; g.members[ss.user] != nil && ss.owns(id) {
			guilds = append(guilds, unavailable{id, true})
			mine = append(mine, g)
		}
	}
	ready := map[string]any{
		"v": c.version, "user": selfUser{User: s.users[ss.user].User, Locale: "en-US", Verified: true},
		"guilds": guilds, "session_id": ss.id, "session_type": "normal", "resume_gateway_url": cmp.Or(s.gateway.faults.ResumeURL, c.url),
		"application":   map[string]any{"id": ss.user, "flags": s.applicationFlags()},
		"user_settings": map[string]any{}, "relationships": []any{}, "private_channels": []any{}, "presences": []any{},
		"guild_join_requests": []any{}, "geo_ordered_rtc_regions": []string{}, "_trace": trace(),
	}
	if sharded {
		ready["shard"] = ss.shard
	}
	s.push(ss, "READY", mustJSON(ready))
	if ss.intents.Has(IntentGuilds) {
		for _, g := range mine {
			if !g.unavailable {
				s.push(ss, "GUILD_CREATE", mustJSON(s.guildCreate(ss, g)))
			}
		}
	}
	s.presenceChanged(ss.user)
	if c.faults.Life > 0 {
		s.later(c, c.faults.Life, func() {
			s.gateway.forget(ss)
			c.drop()
		})
	}
}

// applicationFlags say which privileged intents the application has.
func (s *Sandbox) applicationFlags() int {
	flags := 0
	for intent, flag := range map[Intents]int{IntentGuildPresences: 1 << 13, IntentGuildMembers: 1 << 15, IntentMessageContent: 1 << 19} {
		if s.gateway.limits.Disallowed&intent == 0 {
			flags |= flag
		}
	}
	return flags
}

func (s *Sandbox) resume(c *gatewayConn, in command) error {
	var body struct {
		Token   string `json:"token"`
		Session string `json:"session_id"`
		Seq     *int64 `json:"seq"`
	}
	if err := in.decode(&body); err != nil {
		return err
	}
	token := s.gatewayToken(body.Token)
	if s.users[s.tokens[token]] == nil {
		return closeToken
	}
	s.gateway.counts.Resumes++
	s.sweep()
	ss := s.gateway.sessions[body.Session]
	switch c.faults.Resume {
	case ResumeDrop:
		c.drop()
		return nil
	case ResumeClose:
		return closing{CloseUnknownError, "Unknown error."}
	case ResumeDefer:
		c.send(frame{op: opInvalidSession, data: json.RawMessage("true")})
		return nil
	case ResumeRefuse:
		if ss != nil {
			s.gateway.forget(ss)
		}
		c.sendOp(opInvalidSession)
		return nil
	case ResumeMalformed:
		c.send(frame{op: opDispatch, kind: "SANDBOX_MALFORMED", data: json.RawMessage("{")})
		return nil
	case ResumeSilence:
		return nil
	}
	if ss == nil || ss.token != token || body.Seq == nil || *body.Seq < ss.gone {
		c.sendOp(opInvalidSession)
		return nil
	}
	if *body.Seq > ss.seq {
		s.gateway.forget(ss)
		return closeSeq
	}
	if old := ss.conn; old != nil {
		old.end(closeReplaced)
	}
	ss.conn, c.session = c, ss
	for _, f := range ss.buffer {
		if f.seq > *body.Seq {
			c.send(f)
		}
	}
	if c.faults.Resume == ResumeNoResumed {
		return nil
	}
	s.push(ss, "RESUMED", mustJSON(map[string]any{"_trace": trace()}))
	return nil
}

// push gives a session its next event, and keeps it to be replayed.
func (s *Sandbox) push(ss *session, kind string, data json.RawMessage) {
	ss.seq++
	f := frame{kind: kind, seq: ss.seq, data: data}
	ss.buffer = append(ss.buffer, f)
	ss.bytes += f.size()
	for l := s.gateway.limits; len(ss.buffer) > l.ReplayEvents || ss.bytes > l.ReplayBytes; {
		ss.gone = ss.buffer[0].seq
		ss.bytes -= ss.buffer[0].size()
		ss.buffer[0] = frame{}
		ss.buffer = ss.buffer[1:]
	}
	if ss.conn != nil {
		ss.conn.send(f)
		if ss.conn != nil && ss.conn.faults.Backwards {
			ss.conn.send(frame{kind: "SANDBOX_BACKWARDS", seq: 1, data: json.RawMessage("{}")})
		}
	}
}

// owns reports whether a guild's events go to the session's shard. Those of
// direct messages, guild 0, go to the first.
func (ss *session) owns(guild ID) bool {
	return int(uint64(guild>>22)%uint64(ss.shard[1])) == ss.shard[0]
}
