package sandbox

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// oneOrMore is a list of snowflakes that may also be written as one.
type oneOrMore []ID

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' || string(b) == "null" {
		return json.Unmarshal(b, (*[]ID)(o))
	}
	var id ID
	err := json.Unmarshal(b, &id)
	*o = oneOrMore{id}
	return err
}

// membersInChunk is the maximum number of members in a GUILD_MEMBERS_CHUNK.
const membersInChunk = 1000

// allMembersEvery is the shortest time between two requests for all members of a guild.
const allMembersEvery = 30 * time.Second

// requestMembers answers with the members of a guild. What a session may not
// ask for stays without an answer, as at Discord.
//
// See https://discord.com/developers/docs/events/gateway-events#request-guild-members.
func (s *Sandbox) requestMembers(c *gatewayConn, in command) error {
	var body struct {
		GuildID   oneOrMore `json:"guild_id"`
		Query     *string   `json:"query"`
		Limit     int       `json:"limit"`
		Presences bool      `json:"presences"`
		UserIDs   oneOrMore `json:"user_ids"`
		Nonce     *string   `json:"nonce"`
	}
	if err := in.decode(&body); err != nil {
		return err
	}
	if len(body.GuildID) != 1 || body.Query == nil && body.UserIDs == nil || body.Limit < 0 {
		return closeDecode
	}
	ss := c.session
	g := s.guilds[body.GuildID[0]]
	if g == nil || g.members[ss.user] == nil || !ss.owns(g.ID) {
		return nil
	}
	nonce := body.Nonce
	if nonce != nil && len(*nonce) > 32 {
		nonce = nil // Discord ignores it
	}
	var members []*Member
	missing := []ID{}
	switch {
	case body.UserIDs != nil:
		for _, id := range body.UserIDs[:min(len(body.UserIDs), 100)] {
			if m := g.members[id]; m != nil {
				members = append(members, m)
			} else {
				missing = append(missing, id)
			}
		}
	case *body.Query == "" && body.Limit == 0:
		if !ss.intents.Has(IntentGuildMembers) {
			return nil
		}
		if s.askedTooOften(ss, g, nonce) {
			return nil
		}
		for _, id := range g.order {
			members = append(members, g.members[id])
		}
	default:
		limit := body.Limit
		if limit == 0 || limit > 100 {
			limit = 100
		}
		members = g.search(strings.ToLower(*body.Query), limit)
	}
	chunks := max(1, (len(members)+membersInChunk-1)/membersInChunk)
	for i := range chunks {
		part := members[min(len(members), i*membersInChunk):min(len(members), (i+1)*membersInChunk)]
		chunk := struct {
			GuildID   ID              `json:"guild_id"`
			Members   []*Member       `json:"members"`
			Index     int             `json:"chunk_index"`
			Count     int             `json:"chunk_count"`
			NotFound  []ID            `json:"not_found,omitempty"`
			Presences []presenceEvent `json:"presences,omitempty"`
			Nonce     *string         `json:"nonce,omitempty"`
		}{GuildID: g.ID, Members: orEmpty(part), Index: i, Count: chunks, Nonce: nonce}
		if i == 0 {
			chunk.NotFound = missing
		}
		if body.Presences && ss.intents.Has(IntentGuildPresences) {
			for _, m := range part {
				if p := s.presenceEvent(m.User.ID, 0); p.Status != StatusOffline {
					chunk.Presences = append(chunk.Presences, p)
				}
			}
		}
		s.push(ss, "GUILD_MEMBERS_CHUNK", mustJSON(chunk))
	}
	return nil
}

// askedTooOften counts requests for all members, and reports one too many.
func (s *Sandbox) askedTooOften(ss *session, g *guild, nonce *string) bool {
	key := memberSlot{ss.user, g.ID}
	if s.gateway.requested[key] == nil {
		s.gateway.requested[key] = &bucket{}
	}
	v := s.gateway.requested[key].take(&Limit{Kind: Fixed, Limit: 1, Window: allMembersEvery}, s.clock())
	if v.retryAfter == 0 {
		return false
	}
	type meta struct {
		GuildID ID      `json:"guild_id"`
		Nonce   *string `json:"nonce,omitempty"`
	}
	s.push(ss, "RATE_LIMITED", mustJSON(map[string]any{
		"opcode": opRequestMembers, "retry_after": v.retryAfter.Seconds(), "meta": meta{g.ID, nonce},
	}))
	return true
}
