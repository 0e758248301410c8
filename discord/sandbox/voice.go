package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
)

var voiceRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/voice-states/@me", handle: (*Sandbox).getVoiceState},
	{method: "GET", template: "/guilds/{guild_id}/voice-states/{user_id}", handle: (*Sandbox).getVoiceState},
	{method: "PATCH", template: "/guilds/{guild_id}/voice-states/@me", handle: (*Sandbox).modifyVoiceState},
	{method: "PATCH", template: "/guilds/{guild_id}/voice-states/{user_id}", handle: (*Sandbox).modifyVoiceState},
	{method: "GET", template: "/voice/regions", handle: (*Sandbox).listVoiceRegions},
	{method: "GET", template: "/guilds/{guild_id}/regions", handle: (*Sandbox).listVoiceRegions},
}

// VoiceState says in which voice channel a member is, and how. Nothing is heard
// there.
// See https://discord.com/developers/docs/resources/voice#voice-state-object.
type VoiceState struct {
	GuildID   ID      `json:"guild_id"`
	ChannelID ID      `json:"channel_id"` // none leaves
	UserID    ID      `json:"user_id"`
	SessionID string  `json:"session_id"`
	Deaf      bool    `json:"deaf"`
	Mute      bool    `json:"mute"`
	SelfDeaf  bool    `json:"self_deaf"`
	SelfMute  bool    `json:"self_mute"`
	SelfVideo bool    `json:"self_video"`
	Stream    bool    `json:"self_stream"`
	Suppress  bool    `json:"suppress"`
	Request   *string `json:"request_to_speak_timestamp"`
	Member    *Member `json:"member,omitempty"`
}

var (
	errUnknownVoiceState = refuse(http.StatusNotFound, 10065, "Unknown Voice State")
	errNotInVoice        = refuse(http.StatusBadRequest, 40032, "Target user is not connected to voice.")
)

// MarshalJSON writes no channel as null.
func (v VoiceState) MarshalJSON() ([]byte, error) {
	type plain VoiceState
	return json.Marshal(struct {
		plain
		ChannelID nullID `json:"channel_id"`
	}{plain(v), nullID(v.ChannelID)})
}

// SetVoiceState puts a member into a voice channel, moves it, changes how it is
// there, or, without a channel, takes it out.
func (s *Sandbox) SetVoiceState(v VoiceState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.guilds[v.GuildID]
	switch ch := s.channels[v.ChannelID]; {
	case g == nil:
		return errNoGuild
	case g.members[v.UserID] == nil:
		return errNoUser
	case v.ChannelID != 0 && (ch == nil || ch.GuildID != g.ID):
		return errNoChannel
	case v.ChannelID != 0 && ch.Type != ChannelVoice && ch.Type != ChannelStage:
		return errors.New("sandbox: not a voice channel")
	}
	s.setVoice(g, v)
	return nil
}

func (s *Sandbox) setVoice(g *guild, v VoiceState) {
	old, there := g.voice[v.UserID]
	v.SessionID = cmp.Or(v.SessionID, old.SessionID, s.token(s.newID())[:32])
	v.Member = nil
	if g.voice == nil {
		g.voice = map[ID]VoiceState{}
	}
	if g.voice[v.UserID] = v; v.ChannelID == 0 {
		if delete(g.voice, v.UserID); !there {
			return
		}
	}
	m := g.members[v.UserID]
	if m != nil {
		m.Mute, m.Deaf = v.Mute, v.Deaf
	}
	s.publish("VOICE_STATE_UPDATE", g.ID, 0, func() any {
		v.Member = s.memberOf(g.ID, v.UserID)
		return v
	})
}

// updateVoiceState makes a bot join, move within, or leave the voice channels of a guild.
// If the bot may not join, nothing happens, as at Discord. There is no voice server to
// name in a VOICE_SERVER_UPDATE.
//
// See https://discord.com/developers/docs/events/gateway-events#update-voice-state.
func (s *Sandbox) updateVoiceState(c *gatewayConn, in command) error {
	var body struct {
		GuildID   ID   `json:"guild_id"`
		ChannelID ID   `json:"channel_id"`
		SelfMute  bool `json:"self_mute"`
		SelfDeaf  bool `json:"self_deaf"`
	}
	if err := in.decode(&body); err != nil {
		return err
	}
	user := c.session.user
	g := s.guilds[body.GuildID]
	if g == nil || g.members[user] == nil {
		return nil
	}
	if body.ChannelID != 0 {
		ch := s.channels[body.ChannelID]
		if ch == nil || ch.GuildID != g.ID || ch.Type != ChannelVoice && ch.Type != ChannelStage || !s.permissions(user, ch).Has(PermConnect) {
			return nil
		}
	}
	v := g.voice[user]
	v.GuildID, v.UserID, v.ChannelID, v.SelfMute, v.SelfDeaf = g.ID, user, body.ChannelID, body.SelfMute, body.SelfDeaf
	s.setVoice(g, v)
	return nil
}

// voiceStates are the states within a guild's own event.
func (g *guild) voiceStates() []map[string]any {
	out := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(g.voice)) {
		state := objectOf(g.voice[id])
		delete(state, "guild_id")
		out = append(out, state)
	}
	return out
}

func (s *Sandbox) getVoiceState(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	v, ok := g.voice[cmp.Or(c.id("user_id"), c.user.ID)]
	if !ok {
		return nil, errUnknownVoiceState
	}
	v.Member = s.memberOf(g.ID, v.UserID)
	return v, nil
}

// modifyVoiceState suppresses a speaker of a stage, or lets it speak.
func (s *Sandbox) modifyVoiceState(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	var body struct {
		ChannelID reqID   `json:"channel_id"`
		Suppress  *bool   `json:"suppress"`
		Request   *string `json:"request_to_speak_timestamp"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	user := cmp.Or(c.id("user_id"), c.user.ID)
	v, ok := g.voice[user]
	switch {
	case !ok:
		return nil, errUnknownVoiceState
	case s.channels[v.ChannelID].Type != ChannelStage, body.ChannelID.set && body.ChannelID.ID != v.ChannelID:
		return nil, errChannelType
	case user != c.user.ID && !p.Has(PermMuteMembers):
		return nil, errMissingPerms
	}
	setIf(&v.Suppress, body.Suppress)
	if c.has("request_to_speak_timestamp") {
		v.Request = body.Request
	}
	s.setVoice(g, v)
	return nil, nil
}

func (s *Sandbox) listVoiceRegions(c *call) (any, error) {
	type region struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Optimal    bool   `json:"optimal"`
		Deprecated bool   `json:"deprecated"`
		Custom     bool   `json:"custom"`
	}
	if c.id("guild_id") != 0 {
		if _, _, err := s.inGuild(c); err != nil {
			return nil, err
		}
	}
	return []region{{ID: "rotterdam", Name: "Rotterdam", Optimal: true}, {ID: "us-east", Name: "US East"}}, nil
}
