package sandbox

import (
	"maps"
	"net/http"
	"slices"
)

// Stickers are listed; uploading one is AddSticker's matter.
var stickerRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/stickers", handle: (*Sandbox).listStickers},
	{method: "GET", template: "/guilds/{guild_id}/stickers/{sticker_id}", handle: (*Sandbox).getGuildSticker},
	{method: "GET", template: "/stickers/{sticker_id}", handle: (*Sandbox).getSticker},
	{method: "POST", template: "/guilds/{guild_id}/stickers", handle: (*Sandbox).createSticker, status: http.StatusCreated},
	{method: "PATCH", template: "/guilds/{guild_id}/stickers/{sticker_id}", handle: (*Sandbox).modifySticker},
	{method: "DELETE", template: "/guilds/{guild_id}/stickers/{sticker_id}", handle: (*Sandbox).deleteSticker},
}

// maxStickers is the maximum number of stickers in a guild without boosts.
const maxStickers = 5

var errUnknownSticker = refuse(http.StatusNotFound, 10060, "Unknown Sticker")

// wire is a sticker as Discord shows it by itself.
func (st *Sticker) wire() map[string]any {
	out := map[string]any{
		"id": st.ID, "name": st.Name, "format_type": st.Format, "tags": st.Tags, "description": nullString(st.Description),
		"type": 2, "available": true, "guild_id": st.GuildID, "asset": "",
	}
	if st.GuildID == 0 { // of Discord's own
		delete(out, "guild_id")
		delete(out, "available")
		out["type"], out["pack_id"], out["sort_value"] = 1, st.ID, 0
	}
	return out
}

// item is a sticker as messages show it.
func (st *Sticker) item() Sticker { return Sticker{ID: st.ID, Name: st.Name, Format: st.Format} }

// stickersOf returns the stickers of a guild, or Discord's own of guild 0, in
// order of their ids.
func (s *Sandbox) stickersOf(guild ID) (out []Sticker) {
	for _, id := range slices.Sorted(maps.Keys(s.stickers)) {
		if st := s.stickers[id]; st.GuildID == guild {
			out = append(out, st)
		}
	}
	return out
}

func (s *Sandbox) stickerList(guild ID) []map[string]any {
	out := []map[string]any{}
	for _, st := range s.stickersOf(guild) {
		out = append(out, st.wire())
	}
	return out
}

func (s *Sandbox) listStickers(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	return s.stickerList(g.ID), nil
}

func (s *Sandbox) getSticker(c *call) (any, error) {
	st, ok := s.stickers[c.id("sticker_id")]
	if !ok {
		return nil, errUnknownSticker
	}
	return st.wire(), nil
}

// oneSticker finds a sticker of the guild that a call is about.
func (s *Sandbox) oneSticker(c *call, need Permissions) (*guild, Sticker, error) {
	g, p, err := s.inGuild(c)
	st, ok := s.stickers[c.id("sticker_id")]
	switch {
	case err != nil:
		return nil, st, err
	case need != 0 && p&need == 0:
		return nil, st, errMissingPerms
	case !ok || st.GuildID != g.ID:
		return nil, st, errUnknownSticker
	}
	return g, st, nil
}

func (s *Sandbox) getGuildSticker(c *call) (any, error) {
	_, st, err := s.oneSticker(c, 0)
	if err != nil {
		return nil, err
	}
	return st.wire(), nil
}

type stickerBody struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Tags        *string `json:"tags"`
}

func (b *stickerBody) apply(st *Sticker) error {
	var f formError
	setIf(&st.Name, b.Name)
	setIf(&st.Description, b.Description)
	setIf(&st.Tags, b.Tags)
	f.length("name", st.Name, 2, 30)
	f.length("tags", st.Tags, 1, 200)
	if st.Description != "" {
		f.length("description", st.Description, 2, 100)
	}
	return f.err()
}

func (s *Sandbox) createSticker(c *call) (any, error) {
	g, p, err := s.inGuild(c)
	switch {
	case err != nil:
		return nil, err
	case p&(PermManageExpressions|PermCreateExpressions) == 0:
		return nil, errMissingPerms
	case len(s.stickerList(g.ID)) >= maxStickers:
		return nil, refuse(http.StatusBadRequest, 30039, "Maximum number of stickers reached (5)")
	}
	var body stickerBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if len(c.files) == 0 {
		return nil, invalid("file", "BASE_TYPE_REQUIRED", "This field is required")
	}
	st := Sticker{GuildID: g.ID, Format: 1}
	if err := body.apply(&st); err != nil {
		return nil, err
	}
	st.ID = s.newID()
	s.stickers[st.ID] = st
	s.stickersChanged(c, g, auditCreated, st.ID, nil, st.wire())
	return st.wire(), nil
}

func (s *Sandbox) modifySticker(c *call) (any, error) {
	g, st, err := s.oneSticker(c, PermManageExpressions)
	if err != nil {
		return nil, err
	}
	var body stickerBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	before := st.wire()
	if err := body.apply(&st); err != nil {
		return nil, err
	}
	s.stickers[st.ID] = st
	s.stickersChanged(c, g, auditUpdated, st.ID, before, st.wire())
	return st.wire(), nil
}

func (s *Sandbox) deleteSticker(c *call) (any, error) {
	g, st, err := s.oneSticker(c, PermManageExpressions)
	if err != nil {
		return nil, err
	}
	delete(s.stickers, st.ID)
	s.stickersChanged(c, g, auditDeleted, st.ID, st.wire(), nil)
	return nil, nil
}

func (s *Sandbox) stickersChanged(c *call, g *guild, what int, id ID, before, after any) {
	s.audit(c, g.ID, auditSticker+what, id, before, after)
	s.publish("GUILD_STICKERS_UPDATE", g.ID, 0, func() any {
		return map[string]any{"guild_id": g.ID, "stickers": s.stickerList(g.ID)}
	})
}
