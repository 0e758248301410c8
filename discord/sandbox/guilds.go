package sandbox

import (
	"maps"
	"net/http"
	"slices"
)

var guildRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}", handle: (*Sandbox).getGuild},
	{method: "GET", template: "/guilds/{guild_id}/channels", handle: (*Sandbox).listGuildChannels},
	{method: "POST", template: "/guilds/{guild_id}/channels", handle: (*Sandbox).createChannel, status: http.StatusCreated},
	{method: "PATCH", template: "/guilds/{guild_id}", handle: (*Sandbox).modifyGuild},
	{method: "PATCH", template: "/guilds/{guild_id}/channels", handle: (*Sandbox).moveChannels},
	{method: "GET", template: "/guilds/{guild_id}/preview", handle: (*Sandbox).previewGuild},
	{method: "DELETE", template: "/users/@me/guilds/{guild_id}", handle: (*Sandbox).leaveGuild},
	{method: "GET", template: "/soundboard-default-sounds", handle: (*Sandbox).listDefaultSounds},
	{method: "GET", template: "/users/@me/guilds", handle: (*Sandbox).listMyGuilds, scopes: []string{"guilds"}},
}

// insert keeps a list of ids ascending and without doubles.
func insert(list []ID, id ID) []ID {
	i, found := slices.BinarySearch(list, id)
	if found {
		return list
	}
	return slices.Insert(list, i, id)
}

func without(list []ID, id ID) []ID {
	return slices.DeleteFunc(list, func(o ID) bool { return o == id })
}

// inGuild finds the guild that a call is about. Of guilds that the caller is
// not in, Discord says Missing Access below the guild itself.
func (s *Sandbox) inGuild(c *call) (*guild, Permissions, error) {
	g := s.guilds[c.id("guild_id")]
	switch {
	case g == nil:
		return nil, 0, errUnknownGuild
	case g.members[c.user.ID] == nil:
		return nil, 0, errMissingAccess
	}
	return g, g.permissions(c.user.ID, c.at), nil
}

// sortedRoles are a guild's roles by id.
func (g *guild) sortedRoles() []*Role {
	out := make([]*Role, 0, len(g.roles))
	for _, id := range slices.Sorted(maps.Keys(g.roles)) {
		out = append(out, g.roles[id])
	}
	return out
}

func (g *guild) wire() map[string]any {
	out := map[string]any{
		"id": g.ID, "name": g.Name, "owner_id": g.OwnerID, "roles": g.sortedRoles(), "emojis": orEmpty(g.Emojis),
		"features": []string{}, "stickers": []any{}, "region": "us-east", "preferred_locale": "en-US",
		"afk_timeout": 300, "system_channel_flags": 0, "verification_level": 0, "default_message_notifications": 0,
		"mfa_level": 0, "explicit_content_filter": 0, "max_members": 500000, "max_stage_video_channel_users": 50,
		"max_video_channel_users": 25, "premium_tier": 0, "premium_subscription_count": 0, "nsfw_level": 0,
		"widget_enabled": false, "premium_progress_bar_enabled": false, "nsfw": false, "description": nullString(g.Description),
	}
	for _, key := range []string{
		"icon", "home_header", "splash", "discovery_splash", "banner", "application_id", "afk_channel_id", "system_channel_id",
		"widget_channel_id", "max_presences", "vanity_url_code", "rules_channel_id", "safety_alerts_channel_id",
		"public_updates_channel_id", "incidents_data",
	} {
		out[key] = nil
	}
	maps.Copy(out, g.settings)
	return out
}

func (s *Sandbox) getGuild(c *call) (any, error) {
	g := s.guilds[c.id("guild_id")]
	if g == nil || g.members[c.user.ID] == nil {
		return nil, errUnknownGuild
	}
	q := c.query()
	counts := q.bool("with_counts")
	if err := q.err(); err != nil {
		return nil, err
	}
	out := s.guildView(g)
	if counts {
		out["approximate_member_count"], out["approximate_presence_count"] = len(g.members), 1
	}
	return out, nil
}

func (s *Sandbox) listGuildChannels(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(g.channels))
	for i, id := range g.channels {
		out[i] = s.channels[id].wire()
	}
	return out, nil
}

func (s *Sandbox) listMyGuilds(c *call) (any, error) {
	q := c.query()
	limit, before, after := q.int("limit", 200, 1, 200), q.snowflake("before"), q.snowflake("after")
	counts := q.bool("with_counts")
	if err := q.err(); err != nil {
		return nil, err
	}
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(s.guilds)), func(id ID) bool {
		return s.guilds[id].members[c.user.ID] == nil || id <= after || before != 0 && id >= before
	})
	if len(ids) > limit {
		if before != 0 {
			ids = ids[len(ids)-limit:]
		} else {
			ids = ids[:limit]
		}
	}
	type entry struct {
		ID          ID          `json:"id"`
		Name        string      `json:"name"`
		Icon        *string     `json:"icon"`
		Banner      *string     `json:"banner"`
		Owner       bool        `json:"owner"`
		Permissions Permissions `json:"permissions"`
		Features    []string    `json:"features"`
		Members     int         `json:"approximate_member_count,omitempty"`
		Presences   int         `json:"approximate_presence_count,omitempty"`
	}
	out := make([]entry, len(ids))
	for i, id := range ids {
		g := s.guilds[id]
		out[i] = entry{
			ID: id, Name: g.Name, Owner: g.OwnerID == c.user.ID, Features: []string{},
			Permissions: g.permissions(c.user.ID, c.at),
		}
		if counts {
			out[i].Members, out[i].Presences = len(g.members), 1
		}
	}
	return out, nil
}

// defaultSounds are the names and emojis of the sounds that every guild has.
var defaultSounds = [...][2]string{
	{"quack", "🦆"},
	{"airhorn", "🔊"},
	{"cricket", "🦗"},
	{"golf clap", "👏"},
	{"sad horn", "🎺"},
	{"ba dum tss", "🥁"},
}

func (s *Sandbox) listDefaultSounds(*call) (any, error) {
	type sound struct {
		Name      string  `json:"name"`
		ID        ID      `json:"sound_id"`
		Volume    float64 `json:"volume"`
		EmojiID   *ID     `json:"emoji_id"`
		EmojiName string  `json:"emoji_name"`
		Available bool    `json:"available"`
	}
	out := make([]sound, len(defaultSounds))
	for i, d := range defaultSounds {
		out[i] = sound{Name: d[0], ID: ID(i + 1), Volume: 1, EmojiName: d[1], Available: true}
	}
	return out, nil
}
