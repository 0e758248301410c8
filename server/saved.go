package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/gatewayproxy"
	"discordproxy/server/internal/store"

	"github.com/klauspost/compress/zstd"
)

// The names of what is saved, or their beginnings.
const (
	tokenPart   = "token"
	limitsPart  = "limits "
	dmPart      = "dm "
	pausesPart  = "pauses"
	gatewayPart = "gateway"
	countedPart = "identifies" // of gatewayPart, once more: what bounds it must not get lost with the rest
	guildPart   = "guild "
	eventPart   = "event "
	botPart     = "bot " // the sessions of bots at the gateway proxy
)

// savedState is what an earlier run saved.
type savedState struct {
	parts map[string]store.Saved
	clean bool          // the run ended by itself
	ahead time.Duration // of this machine's clock, before that of the data
}

// local returns the state with the times of its parts by this machine's clock.
func (s savedState) local() savedState {
	for name, part := range s.parts {
		part.At = part.At.Add(s.ahead)
		s.parts[name] = part
	}
	return s
}

// below returns the parts whose names begin with one, by the rest of their names.
func (s savedState) below(prefix string) map[string][]byte {
	found := make(map[string][]byte)
	for name, part := range s.parts {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			found[rest] = part.Data
		}
	}
	return found
}

// savedToken is whether Discord has found the token good, as a source.
type savedToken struct {
	login  *login
	digest atomic.Pointer[[]byte] // of the token
	saved  []byte
}

func newSavedToken(l *login, token string) *savedToken {
	s := &savedToken{login: l}
	s.replace(token)
	return s
}

// replace is for another token that Discord has found good.
func (s *savedToken) replace(token string) {
	digest := digestOf(token)
	s.digest.Store(&digest)
}

// restore takes over what an earlier run saved.
func (s *savedToken) restore(state savedState) {
	if s.saved = state.parts[tokenPart].Data; bytes.Equal(s.saved, *s.digest.Load()) {
		s.login.trust()
	}
}

func (s *savedToken) save() (parts map[string][]byte, done func()) {
	found := s.saved
	switch {
	case errors.Is(s.login.ready(), errTokenRefused):
		found = nil
	case s.login.botName() != "":
		found = *s.digest.Load()
	}
	if !bytes.Equal(found, s.saved) {
		parts = map[string][]byte{tokenPart: found}
	}
	return parts, func() { s.saved = found }
}

// savedLimits is the rate limiter as a source.
type savedLimits struct {
	limiter *ratelimit.Limiter
	data    *data
	mark    ratelimit.Mark
}

func (s *savedLimits) save() (parts map[string][]byte, done func()) {
	records, mark := s.limiter.Export(s.mark)
	parts = make(map[string][]byte, len(records))
	ahead := s.data.skew()
	for _, r := range records {
		var value []byte
		r.At = r.At.Round(0).Add(-ahead)
		if r.Address != nil || r.Token != nil || r.Shape != nil || r.Route != nil || r.Webhook != nil {
			value, _ = json.Marshal(r) // plain values can be written
		}
		parts[limitsPart+r.Key] = value
	}
	return parts, func() { s.mark = mark }
}

// limits returns the records of the rate limiter. What cannot be read is left out.
func (s savedState) limits() (records []ratelimit.Saved) {
	for key, data := range s.below(limitsPart) {
		r := ratelimit.Saved{Key: key}
		if json.Unmarshal(data, &r) == nil {
			r.At = r.At.Add(s.ahead)
			records = append(records, r)
		}
	}
	return records
}

// savedDMs are the direct message channels as a source.
type savedDMs struct {
	client  *discord.Client
	pending map[uint64]uint64
}

func (s *savedDMs) save() (parts map[string][]byte, done func()) {
	if changed := s.client.ExportDMs(); s.pending == nil {
		s.pending = changed
	} else {
		maps.Copy(s.pending, changed)
	}
	parts = make(map[string][]byte, len(s.pending))
	for user, channel := range s.pending {
		var value []byte
		if channel != 0 {
			value = strconv.AppendUint(nil, channel, 10)
		}
		parts[dmPart+strconv.FormatUint(user, 10)] = value
	}
	return parts, func() { s.pending = nil }
}

// savedPauses are the paused channels as a source.
type savedPauses struct {
	client *discord.Client
	saved  []byte
}

// savedPause is a discord.Pause on disk.
type savedPause struct {
	Channel uint64    `json:"channel"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
}

func (s *savedPauses) save() (parts map[string][]byte, done func()) {
	var found []byte
	if pauses := s.client.Pauses(); len(pauses) > 0 {
		all := make([]savedPause, len(pauses))
		for i, p := range pauses {
			all[i] = savedPause{p.Channel, p.By, p.Since}
		}
		found, _ = json.Marshal(all) // plain values can be written
	}
	if !bytes.Equal(found, s.saved) {
		parts = map[string][]byte{pausesPart: found}
	}
	return parts, func() { s.saved = found }
}

// restore takes over what an earlier run saved.
func (s *savedPauses) restore(state savedState) {
	s.saved = state.parts[pausesPart].Data
	s.client.ImportPauses(state.pauses())
}

// pauses returns the paused channels. What cannot be read is left out.
func (s savedState) pauses() (pauses []discord.Pause) {
	var all []savedPause
	if json.Unmarshal(s.parts[pausesPart].Data, &all) != nil {
		return nil
	}
	for _, p := range all {
		if p.Channel != 0 {
			pauses = append(pauses, discord.Pause{Channel: p.Channel, By: p.By, Since: p.Since})
		}
	}
	return pauses
}

// pausing is Discord with pauses that are saved when they begin or end.
type pausing struct {
	*discord.Client
	data *data
}

// PauseChannel implements status.Waiting.
func (p pausing) PauseChannel(channel uint64, by string) (discord.Pause, error) {
	defer p.data.notify(true)
	return p.Client.PauseChannel(channel, by)
}

// ResumeChannel implements status.Waiting.
func (p pausing) ResumeChannel(channel uint64) (discord.Pause, bool) {
	defer p.data.notify(true)
	return p.Client.ResumeChannel(channel)
}

// dms returns the direct message channels by their users.
func (s savedState) dms() map[uint64]uint64 {
	channels := make(map[uint64]uint64)
	for key, data := range s.below(dmPart) {
		user, err := strconv.ParseUint(key, 10, 64)
		channel, err2 := strconv.ParseUint(string(data), 10, 64)
		if err == nil && err2 == nil {
			channels[user] = channel
		}
	}
	return channels
}

// maxSessionAge is how old a session at the gateway may be that is resumed. Discord
// ends it some minutes after the connection.
const maxSessionAge = time.Hour

// gatewayState is where the bot is at the gateway, and how many events it has got.
// Both are saved together: what Discord sends again after a crash gets the numbers
// that it had.
type gatewayState struct {
	Session *gateway.SavedSession `json:"session,omitempty"`
	Counted gateway.BudgetCount   `json:"counted"`
	Hub     events.State          `json:"hub"`
}

// gateway returns where the bot was at the gateway. The session is left out if it is
// too old, or from the future of a clock that jumped.
func (s savedState) gateway() (state gatewayState, at time.Time) {
	part := s.parts[gatewayPart]
	if json.Unmarshal(part.Data, &state) != nil {
		state, part = gatewayState{}, s.parts[countedPart]
		_ = json.Unmarshal(part.Data, &state.Counted) // what remains
		return state, part.At
	}
	if age := time.Since(part.At); age > maxSessionAge || age < -time.Second {
		state.Session = nil
	}
	return state, part.At
}

// savedGateway is the gateway, its guilds and its events as a source. It passes what
// happens at the gateway on to the proxy, and from there to guilds and hub, so that
// what it saves of them belongs together.
type savedGateway struct {
	gateway *gateway.Gateway
	proxy   *gatewayproxy.Proxy
	guilds  *gateway.Guilds
	hub     *events.Hub
	data    *data

	mu       sync.Mutex
	sequence int64 // of the last event that was handled

	// Only save and the functions that it returns use these.
	pending     map[string][]byte // guilds
	state       []byte            // as it was saved last
	counted     []byte            // so are the counts in it
	first, last uint64            // numbers of the events that are saved
	stale       map[string][]byte // parts that an earlier run has left, to be deleted
}

// Dispatch implements gateway.Handler.
func (s *savedGateway) Dispatch(d gateway.Dispatch) {
	s.mu.Lock()
	s.proxy.Dispatch(d)
	s.sequence = max(s.sequence, d.Sequence)
	s.mu.Unlock()
	s.data.notify(false)
}

// Changed implements gateway.Handler.
func (s *savedGateway) Changed(status gateway.Status) {
	s.mu.Lock()
	s.proxy.Changed(status)
	if session, ok := s.gateway.Session(); ok && status.State == gateway.Connected {
		s.sequence = session.Sequence
	}
	s.mu.Unlock()
	// An event about the state is not among those that Discord sends again after a
	// crash: they would get other numbers than they had.
	s.data.flush()
}

func (s *savedGateway) save() (parts map[string][]byte, done func()) {
	s.mu.Lock()
	state := gatewayState{Counted: s.gateway.Counted()}
	if session, ok := s.gateway.Session(); ok {
		session.Sequence = s.sequence
		state.Session = &session
	}
	bots, botsDone := s.proxy.Export() // before the events that the sessions point to
	exported := s.hub.Export(s.last)
	guilds := s.guilds.Export()
	s.mu.Unlock()

	parts = maps.Clone(s.stale)
	if parts == nil {
		parts = make(map[string][]byte)
	}
	state.Hub = exported.State
	encoded, _ := json.Marshal(state) // plain values can be written
	if !bytes.Equal(encoded, s.state) {
		parts[gatewayPart] = encoded
	}
	counted, _ := json.Marshal(state.Counted)
	if !bytes.Equal(counted, s.counted) {
		parts[countedPart] = counted
	}
	if s.pending == nil {
		s.pending = make(map[string][]byte)
	}
	for name, guild := range guilds {
		if guild != nil {
			guild = compressed(guild)
		}
		s.pending[name] = guild
	}
	for name, guild := range s.pending {
		parts[guildPart+name] = guild
	}
	for id, bot := range bots {
		parts[botPart+id] = bot
	}
	for n, event := range exported.Events() {
		parts[eventName(n)] = event
	}
	for n := s.first; n < exported.First && n <= s.last; n++ {
		parts[eventName(n)] = nil
	}
	return parts, func() {
		botsDone()
		s.stale, s.state, s.counted, s.pending, s.first, s.last = nil, encoded, counted, nil, exported.First, exported.State.Next-1
	}
}

// compression is for guilds, whose JSON repeats itself. It is safe for concurrent use.
var compression = sync.OnceValue(func() *zstd.Encoder {
	// A window of a part's size takes the least memory that compresses it well.
	e, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	return e // these options are valid
})

func compressed(data []byte) []byte { return compression().EncodeAll(data, nil) }

// guilds returns the stored parts of guilds. Those that cannot be read are nil.
func (s savedState) guilds() map[string][]byte {
	d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxGuildPart)) // valid options
	defer d.Close()
	guilds := s.below(guildPart)
	for name, data := range guilds {
		guilds[name], _ = d.DecodeAll(data, nil)
	}
	return guilds
}

// maxGuildPart limits a part of a guild, in bytes.
const maxGuildPart = 256 << 20

func eventName(n uint64) string { return fmt.Sprintf("%s%d", eventPart, n) }

// events returns the stored events by their numbers.
func (s savedState) events() map[uint64][]byte {
	stored := make(map[uint64][]byte)
	for key, data := range s.below(eventPart) {
		if n, err := strconv.ParseUint(key, 10, 64); err == nil {
			stored[n] = data
		}
	}
	return stored
}
