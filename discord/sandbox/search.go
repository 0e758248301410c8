package sandbox

import (
	"net/url"
	"slices"
	"strings"
)

var searchRoutes = []route{
	{method: "GET", template: "/guilds/{guild_id}/messages/search", handle: (*Sandbox).searchMessages},
}

// hit is a message that a search has found.
type hit struct {
	*Message
	Hit bool `json:"hit"`
}

// searchMessages finds messages in the channels that the caller can read. What
// it is not asked for by parameters that it knows does not narrow the search.
// https://discord.com/developers/docs/resources/message#search-guild-messages
func (s *Sandbox) searchMessages(c *call) (any, error) {
	g, _, err := s.inGuild(c)
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, offset := q.int("limit", 25, 1, 25), q.int("offset", 0, 0, 9975)
	least, most := q.snowflake("min_id"), q.snowflake("max_id")
	q.length("content", q.values.Get("content"), 0, 1024)
	ids := map[string][]ID{}
	for _, name := range []string{"channel_id", "author_id", "mentions"} {
		for _, text := range q.values[name] {
			id, err := ParseID(text)
			if err != nil {
				q.add(name, "NUMBER_TYPE_COERCE", `Value "`+text+`" is not snowflake.`)
			}
			ids[name] = append(ids[name], id)
		}
	}
	order := q.choice("sort_order", "desc", "asc")
	q.choice("sort_by", "timestamp", "relevance")
	if err := q.err(); err != nil {
		return nil, err
	}
	words := strings.Fields(strings.ToLower(q.values.Get("content")))
	var found []*message
	for _, id := range slices.Concat(g.channels, g.threads) {
		ch := s.channels[id]
		if len(ids["channel_id"]) > 0 && !slices.Contains(ids["channel_id"], id) ||
			!s.permissions(c.user.ID, ch).Has(PermViewChannel|PermReadMessageHistory) {
			continue
		}
		for _, m := range ch.messages {
			if !m.ephemeral() && m.ID > least && (most == 0 || m.ID < most) && m.matches(q.values, words, ids) {
				found = append(found, m)
			}
		}
	}
	slices.SortFunc(found, func(a, b *message) int { return int(int64(a.ID - b.ID)) })
	if order == "desc" {
		slices.Reverse(found)
	}
	groups := [][]hit{}
	for _, m := range found[min(len(found), offset):min(len(found), offset+limit)] {
		groups = append(groups, []hit{{s.view(m, c.user.ID), true}})
	}
	return map[string]any{
		"messages":                    groups,
		"total_results":               len(found),
		"doing_deep_historical_index": false,
		"analytics_id":                "sandbox",
	}, nil
}

// choice is a parameter of a few values; the first one is the default.
func (q *query) choice(name string, values ...string) string {
	v := q.values.Get(name)
	if v == "" {
		return values[0]
	}
	if !slices.Contains(values, v) {
		q.add(name, "BASE_TYPE_CHOICES", "Value must be one of ('"+strings.Join(values, "', '")+"').")
	}
	return v
}

func (m *message) matches(q url.Values, words []string, ids map[string][]ID) bool {
	content := strings.ToLower(m.Content)
	for _, word := range words {
		if !strings.Contains(content, word) {
			return false
		}
	}
	if len(ids["author_id"]) > 0 && !slices.Contains(ids["author_id"], m.Author.ID) {
		return false
	}
	if len(ids["mentions"]) > 0 && !slices.ContainsFunc(m.Mentions, func(u *User) bool { return slices.Contains(ids["mentions"], u.ID) }) {
		return false
	}
	if q.Has("pinned") && (q.Get("pinned") == "true") != m.Pinned {
		return false
	}
	for _, what := range q["has"] {
		has, not := m.has(strings.TrimPrefix(what, "-")), strings.HasPrefix(what, "-")
		if has == not {
			return false
		}
	}
	return true
}

// has reports whether a message has a kind of thing, as searches name them.
func (m *message) has(what string) bool {
	typed := func(kind string) bool {
		return slices.ContainsFunc(m.Attachments, func(a Attachment) bool { return strings.HasPrefix(a.ContentType, kind) })
	}
	switch what {
	case "link":
		return strings.Contains(m.Content, "http://") || strings.Contains(m.Content, "https://")
	case "embed":
		return len(m.Embeds) > 0
	case "file":
		return len(m.Attachments) > 0
	case "image", "video", "sound":
		return typed(strings.Replace(what, "sound", "audio", 1) + "/")
	case "poll":
		return m.Poll != nil
	case "sticker":
		return len(m.StickerItems) > 0
	case "snapshot":
		return len(m.Snapshots) > 0
	}
	return false
}
