package sandbox

import (
	"strconv"
	"strings"
)

// guildSettings are the settings of a guild that can be changed, with the
// largest number of each that is one; others are text, channels or switches.
var guildSettings = map[string]int{
	"verification_level": 4, "default_message_notifications": 1, "explicit_content_filter": 2, "afk_timeout": 3600, "system_channel_flags": 63,
	"preferred_locale": 0, "afk_channel_id": 0, "system_channel_id": 0, "rules_channel_id": 0, "safety_alerts_channel_id": 0,
	"public_updates_channel_id": 0, "icon": 0, "splash": 0, "banner": 0, "discovery_splash": 0, "home_header": 0,
	"premium_progress_bar_enabled": 0, "features": 0,
}

// modifyGuild changes a guild's name and settings.
// https://discord.com/developers/docs/resources/guild#modify-guild
func (s *Sandbox) modifyGuild(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageGuild):
		return nil, errMissingPerms
	}
	var body struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	if body.Name != nil {
		f.length("name", clean(*body.Name), 2, 100)
	}
	if body.Description != nil {
		f.length("description", *body.Description, 0, 300)
	}
	var given map[string]any
	if err := c.decode(&given); err != nil {
		return nil, err
	}
	settings := map[string]any{}
	for key, most := range guildSettings {
		if value, ok := given[key]; ok {
			settings[key] = s.guildSetting(&f, g, key, value, most)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	before := snapshot(g.wire())
	if body.Name != nil {
		g.Name = clean(*body.Name)
	}
	if c.has("description") {
		g.Description = ""
		setIf(&g.Description, body.Description)
	}
	if g.settings == nil {
		g.settings = map[string]any{}
	}
	for key, value := range settings {
		g.settings[key] = value
	}
	out := s.guildView(g)
	s.audit(c, g.ID, auditGuild, g.ID, before, out)
	s.publish("GUILD_UPDATE", g.ID, 0, func() any { return s.guildView(g) })
	return out, nil
}

// guildSetting checks one setting and returns it as it is shown.
func (s *Sandbox) guildSetting(f *formError, g *guild, key string, value any, most int) any {
	text, isText := value.(string)
	switch {
	case most > 0:
		number, ok := wholeOf(value)
		if value == nil {
			return 0
		}
		if !ok {
			f.add(key, "NUMBER_TYPE_COERCE", "Value is not int.")
		}
		f.between(key, number, 0, most)
		return number
	case strings.HasSuffix(key, "_id"):
		if value == nil {
			return nil
		}
		id, err := ParseID(text)
		if ch := s.channels[id]; err != nil || ch == nil || ch.GuildID != g.ID {
			f.add(key, "CHANNEL_INVALID", "Unknown channel")
		}
		return id
	case key == "premium_progress_bar_enabled":
		return f.boolean(key, value)
	case key == "features":
		list, ok := value.([]any)
		if !ok {
			f.add(key, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
		}
		return list
	case key == "preferred_locale":
		if value == nil {
			return "en-US"
		}
		return f.locale(key, text)
	case value == nil:
		return nil
	case !isText || !strings.HasPrefix(text, "data:image/"):
		f.add(key, "IMAGE_INVALID", "Invalid image data")
		return nil
	}
	return s.token(s.newID())[:32] // the hash of a picture
}

// guildView is a guild as its members see it.
func (s *Sandbox) guildView(g *guild) map[string]any {
	out := g.wire()
	out["stickers"] = s.stickerList(g.ID)
	return out
}

// moveChannels changes positions and categories of a guild's channels.
// https://discord.com/developers/docs/resources/guild#modify-guild-channel-positions
func (s *Sandbox) moveChannels(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case !p.Has(PermManageChannels):
		return nil, errMissingPerms
	}
	var body []struct {
		ID       reqID  `json:"id"`
		Position *int   `json:"position"`
		Lock     *bool  `json:"lock_permissions"`
		ParentID *reqID `json:"parent_id"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	var f formError
	for i, move := range body {
		at := strconv.Itoa(i)
		f.id(at+".id", move.ID)
		ch := s.channels[move.ID.ID]
		switch {
		case !move.ID.set:
			f.required(at + ".id")
		case ch == nil || ch.GuildID != g.ID || ch.isThread():
			f.add(at+".id", "GUILD_CHANNEL_INVALID", "Unknown channel")
		}
		if move.ParentID != nil && move.ParentID.set {
			if parent := s.channels[move.ParentID.ID]; parent == nil || parent.Type != ChannelCategory || parent.GuildID != g.ID {
				f.add(at+".parent_id", "CHANNEL_PARENT_INVALID", "Category does not exist")
			}
		}
		if move.Position != nil && *move.Position < 0 {
			f.between(at+".position", *move.Position, 0, maxChannels)
		}
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	var wires []map[string]any
	_ = c.decode(&wires) // it could be decoded above
	for i, move := range body {
		ch := s.channels[move.ID.ID]
		before := snapshot(ch.wire())
		setIf(&ch.Position, move.Position)
		if _, given := wires[i]["parent_id"]; given {
			ch.ParentID = 0
			if move.ParentID != nil {
				ch.ParentID = move.ParentID.ID
			}
			if parent := s.channels[ch.ParentID]; parent != nil && move.Lock != nil && *move.Lock {
				ch.Overwrites = append([]Overwrite{}, parent.Overwrites...)
			}
		}
		if string(before) != string(snapshot(ch.wire())) {
			s.audit(c, g.ID, auditChannel+auditUpdated, ch.ID, before, ch.wire())
			s.publish("CHANNEL_UPDATE", g.ID, ch.ID, func() any { return ch.wire() })
		}
	}
	return nil, nil
}

func (s *Sandbox) previewGuild(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	wire := s.guildView(g)
	out := map[string]any{"approximate_member_count": len(g.members), "approximate_presence_count": 1}
	for _, key := range []string{
		"id", "name", "icon", "description", "home_header", "splash", "discovery_splash", "features", "emojis", "stickers",
	} {
		out[key] = wire[key]
	}
	return out, nil
}

func (s *Sandbox) leaveGuild(c *call) (any, error) {
	g := s.guilds[c.id("guild_id")]
	switch {
	case g == nil || g.members[c.user.ID] == nil:
		return nil, errUnknownGuild
	case g.OwnerID == c.user.ID:
		return nil, invalid("", "GUILD_OWNER", "Owners cannot leave their guild.")
	}
	s.part(g, g.members[c.user.ID])
	return nil, nil
}
