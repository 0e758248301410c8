package gatewayproxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"
	"discordproxy/discord/rawjson"
)

// Limits of requests for members.
const (
	// membersInChunk is how many members one GUILD_MEMBERS_CHUNK has at most.
	membersInChunk = 1000
	maxAskedIDs    = 100
	maxNonce       = 32
	// listed is about how many bytes an entry of a list takes without its contents.
	listed = 24
	// chunkWait is how long Discord may take for the next chunk.
	chunkWait = time.Minute
	// maxPending is how many different requests may be at Discord.
	maxPending = 1000
)

// noncePrefix begins the nonces of requests.
const noncePrefix = "dp."

// oneOrMore is a list of snowflakes that may also be written as one.
type oneOrMore []rawjson.Snowflake

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '[' || string(data) == "null" {
		return json.Unmarshal(data, (*[]rawjson.Snowflake)(o))
	}
	var id rawjson.Snowflake
	err := json.Unmarshal(data, &id)
	*o = oneOrMore{id}
	return err
}

// memberRequest is what a bot asks for.
// https://discord.com/developers/docs/events/gateway-events#request-guild-members
type memberRequest struct {
	GuildID   oneOrMore `json:"guild_id"`
	Query     *string   `json:"query"`
	Limit     int       `json:"limit"`
	Presences bool      `json:"presences"`
	UserIDs   oneOrMore `json:"user_ids"`
	Nonce     *string   `json:"nonce"`
}

// all is whether every member is asked for.
func (r *memberRequest) all() bool { return r.UserIDs == nil && *r.Query == "" && r.Limit == 0 }

// upstream is the request as it is passed on, without the nonce.
func (r *memberRequest) upstream(nonce string) json.RawMessage {
	out := map[string]any{"guild_id": strconv.FormatUint(uint64(r.GuildID[0]), 10), "limit": r.Limit}
	if r.Presences {
		out["presences"] = true
	}
	if r.UserIDs != nil {
		ids := make([]string, len(r.UserIDs))
		for i, id := range r.UserIDs {
			ids[i] = strconv.FormatUint(uint64(id), 10)
		}
		out["user_ids"] = ids
	} else {
		out["query"] = *r.Query
	}
	if nonce != "" {
		out["nonce"] = nonce
	}
	return encoded(out)
}

// requestMembers answers with the members of a guild, from what is kept if that is
// enough. What a session may not ask for at Discord stays without an answer here, too.
func (c *connection) requestMembers(ctx context.Context, in command) error {
	var asked memberRequest
	if err := in.decode(&asked); err != nil {
		return err
	}
	if len(asked.GuildID) != 1 || asked.GuildID[0] == 0 || asked.Query == nil && asked.UserIDs == nil || asked.Limit < 0 ||
		asked.Query != nil && len(*asked.Query) > 100 {
		return &closeDecode
	}
	s := c.current()
	if s == nil {
		return nil // READY has not been sent
	}
	if asked.Nonce != nil && len(*asked.Nonce) > maxNonce {
		asked.Nonce = nil // Discord ignores it
	}
	asked.UserIDs = asked.UserIDs[:min(len(asked.UserIDs), maxAskedIDs)]
	intents := s.hello.intents()
	asked.Presences = asked.Presences && intents&gateway.IntentGuildPresences != 0
	guild := uint64(asked.GuildID[0])
	if !c.may(ctx, membersMethod, guild, 0) {
		// An answer without members, so that the bot does not wait for one.
		return c.answerMembers(&asked, nil, asked.UserIDs)
	}
	g := c.proxy.config.Guilds.GuildSnapshot(guild)
	// After a restart guilds are not known, but the sessions continue.
	if !g.Available() && c.proxy.isKnown() || asked.all() && intents&gateway.IntentGuildMembers == 0 {
		return nil
	}
	if g.Available() && c.proxy.mayHaveMembers() && !asked.Presences {
		switch {
		case asked.UserIDs != nil:
			if found, missing := g.MembersOf(asUint64(asked.UserIDs)); len(missing) == 0 {
				return c.answerMembers(&asked, found, nil)
			}
		case asked.all() && g.Complete:
			return c.answerMembers(&asked, g.AllMembers(), nil)
		}
	}
	return c.proxy.members.ask(c, s, asked, func() {
		c.queue.put(0, func() error { return c.requestMembers(ctx, in) })
	})
}

func asUint64(ids []rawjson.Snowflake) []uint64 {
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = uint64(id)
	}
	return out
}

const membersChunk = "GUILD_MEMBERS_CHUNK"

// chunk is the data of a membersChunk.
type chunk struct {
	GuildID  string            `json:"guild_id"`
	Members  []json.RawMessage `json:"members"`
	Index    int               `json:"chunk_index"`
	Count    int               `json:"chunk_count"`
	NotFound []string          `json:"not_found,omitempty"`
	Nonce    *string           `json:"nonce,omitempty"`
}

// withoutMembers returns a chunk that has the same place in its answer, and nobody in it.
func withoutMembers(data json.RawMessage) json.RawMessage {
	var out chunk
	_ = json.Unmarshal(data, &out) // Discord's chunks have this form
	if len(out.Members) == 0 {
		return data
	}
	out.Members, out.NotFound = []json.RawMessage{}, nil
	return encoded(out)
}

// answerMembers sends members in chunks.
func (c *connection) answerMembers(asked *memberRequest, members []json.RawMessage, missing []rawjson.Snowflake) error {
	count := max(1, (len(members)+membersInChunk-1)/membersInChunk)
	var notFound []string
	for _, id := range missing {
		notFound = append(notFound, strconv.FormatUint(uint64(id), 10))
	}
	for i := range count {
		part := members[min(i*membersInChunk, len(members)):min((i+1)*membersInChunk, len(members))]
		out := chunk{strconv.FormatUint(uint64(asked.GuildID[0]), 10), part, i, count, nil, asked.Nonce}
		if out.Members == nil {
			out.Members = []json.RawMessage{}
		}
		if i == 0 {
			out.NotFound = notFound
		}
		// Encoded when it is its turn: the members themselves are kept anyway, so that
		// only the list of them counts.
		c.queue.put(listed*len(part)+listed*len(out.NotFound), func() error {
			return c.dispatch(event{kind: membersChunk, data: encoded(out), origin: ofSession})
		})
	}
	return nil
}

// members are the requests that are at Discord. Several sessions that ask the same
// share one.
type members struct {
	// run begins the nonces of this run: what Discord sends again after a restart
	// answers nobody.
	run string

	mu      sync.Mutex
	last    uint64
	pending map[string]*pendingRequest // by nonce
	byKey   map[string]*pendingRequest
}

type pendingRequest struct {
	nonce, key string
	waiters    []waiter
	begun      bool // a chunk has come
	// late are called at the end, for those who asked after the first chunk.
	late  []func()
	timer *time.Timer
}

type waiter struct {
	session *session
	nonce   *string
}

func newMembers() *members {
	return &members{
		run:     noncePrefix + strings.ToLower(rand.Text()[:8]) + ".",
		pending: make(map[string]*pendingRequest), byKey: make(map[string]*pendingRequest),
	}
}

// ask passes a request on, unless the same one is on its way. again is called in place
// of an answer when that was too late to be shared.
func (m *members) ask(c *connection, s *session, asked memberRequest, again func()) error {
	key := string(asked.upstream(""))
	m.mu.Lock()
	defer m.mu.Unlock()
	w := waiter{s, asked.Nonce}
	if r := m.byKey[key]; r != nil {
		if r.begun {
			r.late = append(r.late, again)
		} else {
			r.waiters = append(r.waiters, w)
		}
		return nil
	}
	if len(m.pending) >= maxPending {
		return &closing{code: wire.CloseRateLimited, reason: "Rate limited: too many requests for members wait for Discord."}
	}
	m.last++
	r := &pendingRequest{nonce: m.run + strconv.FormatUint(m.last, 10), key: key, waiters: []waiter{w}}
	if err := c.pass(wire.OpRequestMembers, asked.upstream(r.nonce)); err != nil {
		return err
	}
	r.timer = time.AfterFunc(chunkWait, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.remove(r)
	})
	m.pending[r.nonce], m.byKey[key] = r, r
	return nil
}

// remove forgets a request. mu is held.
func (m *members) remove(r *pendingRequest) {
	r.timer.Stop()
	delete(m.pending, r.nonce)
	delete(m.byKey, r.key)
	for _, again := range r.late {
		again()
	}
}

// forgetAll forgets the requests of a session at Discord that is lost.
func (m *members) forgetAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.pending {
		m.remove(r)
	}
}

// answer hands a GUILD_MEMBERS_CHUNK or a RATE_LIMITED to those who have asked. It
// reports whether it was such an answer.
func (m *members) answer(d gateway.Dispatch) bool {
	var answer struct {
		Nonce string `json:"nonce"`
		Index int    `json:"chunk_index"`
		Count int    `json:"chunk_count"`
		Meta  struct {
			Nonce string `json:"nonce"`
		} `json:"meta"`
	}
	fields := make(map[string]json.RawMessage)
	if json.Unmarshal(d.Data, &answer) != nil || json.Unmarshal(d.Data, &fields) != nil {
		return d.Type == membersChunk
	}
	limited := d.Type == "RATE_LIMITED"
	nonce := answer.Nonce
	if limited {
		nonce = answer.Meta.Nonce
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.pending[nonce]
	if r == nil {
		// A late answer is for nobody. All runs must agree on what the hub gets, see
		// events.Hub.Restore.
		return !limited || strings.HasPrefix(nonce, noncePrefix)
	}
	r.begun = true
	r.timer.Reset(chunkWait)
	for _, w := range r.waiters {
		if limited {
			var meta map[string]json.RawMessage
			_ = json.Unmarshal(fields["meta"], &meta) // it has been read above
			setNonce(meta, w.nonce)
			fields["meta"] = encoded(meta)
		} else {
			setNonce(fields, w.nonce)
		}
		w.session.offer(d.Type, encoded(fields))
	}
	if limited || answer.Index >= answer.Count-1 {
		m.remove(r)
	}
	return true
}

func setNonce(fields map[string]json.RawMessage, nonce *string) {
	if nonce == nil {
		delete(fields, "nonce")
		return
	}
	fields["nonce"] = encoded(*nonce)
}
