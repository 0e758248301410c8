package gatewayproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/discord/gateway/wire"
	"discordproxy/discord/rawjson"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"
)

// The names by which rules allow commands.
const (
	membersMethod    = "ListGuildMembers"
	voiceMethod      = "PATCH /guilds/{guild_id}/voice-states/@me"
	soundboardMethod = "GET /guilds/{guild_id}/soundboard-sounds"
)

// methodOf are the names by which rules allow the commands that events answer.
var methodOf = map[string]string{
	membersChunk:          membersMethod,
	"VOICE_SERVER_UPDATE": voiceMethod,
	"SOUNDBOARD_SOUNDS":   soundboardMethod,
}

// obey carries out a command of a client that is known.
func (c *connection) obey(ctx context.Context, in command) error {
	switch *in.Op {
	case wire.OpHeartbeat:
		return c.heartbeat(in)
	case wire.OpIdentify, wire.OpResume:
		return &closeAgain
	case wire.OpPresenceUpdate:
		presence, err := readPresence(in.Data)
		if err != nil {
			return err
		}
		return c.updatePresence(ctx, presence)
	case wire.OpVoiceStateUpdate:
		return c.updateVoiceState(ctx, in)
	case wire.OpRequestMembers:
		return c.requestMembers(ctx, in)
	case wire.OpRequestSoundboard:
		return c.requestSoundboard(ctx, in)
	case wire.OpRequestChannelInfo:
		return nil // Discord answers only some applications
	}
	return &closeUnknownOp
}

// may reports whether the client may give a command about a guild and a channel, each
// 0 for none. A refusal is reported as that of a call.
func (c *connection) may(ctx context.Context, method string, guild, channel uint64) bool {
	err := mayCommand(access.From(ctx), method, guild, channel)
	if err != nil {
		c.report(ctx, method, err)
	}
	return err == nil
}

func mayCommand(client *access.Client, method string, guild, channel uint64) error {
	err := client.MayCall(method)
	if err == nil {
		var named discord.Reading
		if guild != 0 {
			named.About = append(named.About, discord.Target{Kind: discord.GuildTarget, ID: guild})
		}
		if channel != 0 {
			named.About = append(named.About, discord.Target{Kind: discord.ChannelTarget, ID: channel})
		}
		err = client.MayTouch(access.ReadingOf(named))
	}
	return err
}

// answer sends an event that answers a command, unless the client has no right to the
// command any more. A request for members has an answer without any then, as one
// that was refused from the start.
func (c *connection) answer(client *access.Client, kind string, data json.RawMessage) error {
	if method, ok := methodOf[kind]; ok {
		guild := events.Of(gateway.Dispatch{Type: kind, Data: data}).GuildID
		if mayCommand(client, method, guild, 0) != nil {
			if kind != membersChunk {
				return nil
			}
			data = withoutMembers(data)
		}
	}
	return c.dispatch(event{kind: kind, data: data, origin: ofSession})
}

// pass hands a command on to Discord.
func (c *connection) pass(op wire.Opcode, data any) error {
	if err := c.proxy.upstream.Send(op, encoded(data)); err != nil {
		return &closing{code: wire.CloseRateLimited, reason: "Rate limited: " + err.Error()}
	}
	return nil
}

// presence is a presence as Discord documents it. What a bot sends is read and
// written again: a form that Discord refuses would end the session of everybody.
// https://discord.com/developers/docs/events/gateway-events#update-presence
type presence struct {
	Since      *int64     `json:"since"`
	Activities []activity `json:"activities"`
	Status     string     `json:"status"`
	AFK        bool       `json:"afk"`
}

type activity struct {
	Name  string  `json:"name"`
	Type  int     `json:"type"`
	State *string `json:"state,omitempty"`
	URL   *string `json:"url,omitempty"`
}

// Limits in bytes: of a text of an activity, and of a presence as it is encoded. The
// bot's next IDENTIFY at Discord has the presence in it, and must fit a payload.
const (
	maxActivityText = 512
	maxPresence     = wire.MaxPayload - 512
)

// readPresence reads a presence, also in the form of older libraries.
func readPresence(data json.RawMessage) (p presence, err error) {
	var given struct {
		Since      json.Number `json:"since"`
		Activities []activity  `json:"activities"`
		Game       *activity   `json:"game"`
		Status     string      `json:"status"`
		AFK        bool        `json:"afk"`
	}
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) || json.Unmarshal(data, &given) != nil {
		return p, &closeDecode
	}
	p = presence{Activities: given.Activities, Status: given.Status, AFK: given.AFK}
	if since, err := strconv.ParseFloat(given.Since.String(), 64); err == nil && since > 0 && since < 1<<53 {
		ms := int64(since)
		p.Since = &ms
	}
	if given.Game != nil && given.Game.Name != "" && len(p.Activities) == 0 {
		p.Activities = []activity{*given.Game}
	}
	if p.Activities == nil {
		p.Activities = []activity{}
	}
	switch p.Status {
	case "":
		p.Status = "online"
	case "online", "idle", "dnd", "invisible", "offline":
	default:
		return p, &closeDecode
	}
	for _, a := range p.Activities {
		if a.Name == "" || len(a.Name) > maxActivityText || a.Type < 0 || a.Type > 5 || a.State != nil && len(*a.State) > maxActivityText {
			return p, &closeDecode
		}
	}
	if len(encoded(p)) > maxPresence {
		return p, &closeTooLarge // escaped characters take more bytes than they came in
	}
	return p, nil
}

// firstPresence passes on the presence of an IDENTIFY, unless it is the one of a bot
// that asks for none: the server has its own.
func (c *connection) firstPresence(ctx context.Context, data json.RawMessage) error {
	if string(data) == "null" {
		return nil
	}
	p, err := readPresence(data)
	if err != nil {
		return err
	}
	if p.Status == "online" && len(p.Activities) == 0 && !p.AFK {
		return nil
	}
	return c.updatePresence(ctx, p)
}

func (c *connection) updatePresence(ctx context.Context, p presence) error {
	if !c.may(ctx, access.Presence, 0, 0) {
		return nil
	}
	return c.pass(wire.OpPresenceUpdate, p)
}

// updateVoiceState joins, moves in, or leaves a voice channel.
func (c *connection) updateVoiceState(ctx context.Context, in command) error {
	var state struct {
		GuildID   rawjson.Snowflake  `json:"guild_id"`
		ChannelID *rawjson.Snowflake `json:"channel_id"`
		SelfMute  bool               `json:"self_mute"`
		SelfDeaf  bool               `json:"self_deaf"`
	}
	if err := in.decode(&state); err != nil {
		return err
	}
	var channel uint64
	if state.ChannelID != nil {
		channel = uint64(*state.ChannelID)
	}
	guild := uint64(state.GuildID)
	if guild == 0 || state.ChannelID != nil && channel == 0 {
		return &closeDecode
	}
	if !c.may(ctx, voiceMethod, guild, channel) || !c.proxy.config.Guilds.Has(guild) {
		return nil // Discord does not respond to commands about a guild without the bot
	}
	s := c.current()
	if s == nil {
		return nil // READY has not been sent
	}
	c.proxy.mu.Lock()
	if channel == 0 {
		c.proxy.leaveVoice(guild, s)
	} else {
		c.proxy.joinVoice(guild, s)
	}
	c.proxy.mu.Unlock()
	var to *string
	if channel != 0 {
		text := strconv.FormatUint(channel, 10)
		to = &text
	}
	return c.pass(wire.OpVoiceStateUpdate, struct {
		GuildID   string  `json:"guild_id"`
		ChannelID *string `json:"channel_id"`
		SelfMute  bool    `json:"self_mute"`
		SelfDeaf  bool    `json:"self_deaf"`
	}{strconv.FormatUint(guild, 10), to, state.SelfMute, state.SelfDeaf})
}

// requestSoundboard answers with the sounds of guilds from what is kept.
func (c *connection) requestSoundboard(ctx context.Context, in command) error {
	var asked struct {
		GuildIDs []rawjson.Snowflake `json:"guild_ids"`
	}
	if err := in.decode(&asked); err != nil {
		return err
	}
	slices.Sort(asked.GuildIDs)
	for _, id := range slices.Compact(asked.GuildIDs) {
		guild := uint64(id)
		g := c.proxy.config.Guilds.GuildSnapshot(guild)
		if !g.Available() || !c.may(ctx, soundboardMethod, guild, 0) {
			continue
		}
		sounds := encoded(map[string]any{"guild_id": strconv.FormatUint(guild, 10), "soundboard_sounds": g.List("soundboard_sounds")})
		c.queue.put(len(sounds), func() error { return c.dispatch(event{kind: "SOUNDBOARD_SOUNDS", data: sounds, origin: ofSession}) })
	}
	return nil
}

// mayHaveMembers is whether the state is kept current by member events.
func (p *Proxy) mayHaveMembers() bool { return p.config.Intents&gateway.IntentGuildMembers != 0 }
