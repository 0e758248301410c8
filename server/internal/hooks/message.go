package hooks

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"discordproxy/discord"
	"discordproxy/server/internal/plainhttp"
)

// Discord's limits, in UTF-16 code units where they are of a text. Discord's
// documentation speaks of characters; a text within these limits is within them
// however characters are counted.
// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
const (
	maxContent     = 2000
	maxEmbeds      = 10
	maxTitle       = 256
	maxDescription = 4096
	maxFields      = 25
	maxFieldName   = 256
	maxFieldValue  = 1024
	maxFooter      = 2048
	maxAuthor      = 256
	maxEmbedText   = 6000 // of all embeds of a message
	maxUsername    = 80
	maxThreadName  = 100
	maxURL         = 2048
	maxColor       = 0xFFFFFF
	maxMentioned   = 100
)

// mentionKinds are what a hook may be allowed to mention.
var mentionKinds = []string{"users", "roles", "everyone"}

// message is a message of Discord as a JSON object.
type message struct {
	fields discord.Args
	// shortened is whether something was cut or left out.
	shortened bool
}

// discordFields are the fields of a message that payloads and templates can set. All
// others are ignored, as Discord does.
var discordFields = []string{
	"content", "tts", "embeds", "components", "flags", "poll", "allowed_mentions",
	"username", "avatar_url", "thread_name", "applied_tags",
}

// newMessage checks the types of what it cuts later.
func newMessage(object map[string]any) (*message, error) {
	m := &message{fields: make(discord.Args)}
	for _, name := range discordFields {
		if value := object[name]; value != nil {
			m.fields[name] = value
		}
	}
	for _, name := range []string{"content", "username", "avatar_url", "thread_name"} {
		switch value := m.fields[name].(type) {
		case nil, string:
		case map[string]any, []any:
			return nil, badField(name, "a text")
		default:
			m.fields[name] = fmt.Sprint(value)
		}
	}
	if embeds, given := m.fields["embeds"]; given {
		list, ok := embeds.([]any)
		if !ok {
			return nil, badField("embeds", "a list of objects")
		}
		for i, embed := range list {
			if _, ok := embed.(map[string]any); !ok {
				return nil, badField(fmt.Sprintf("embeds.%d", i), "an object")
			}
		}
	}
	return m, nil
}

func badField(name, what string) error {
	return &plainhttp.Refusal{Status: http.StatusBadRequest, Text: name + " must be " + what}
}

// empty reports whether nothing is left after fit that Discord would show.
func (m *message) empty() bool {
	components, _ := m.fields["components"].([]any)
	return m.fields["content"] == nil && m.fields["embeds"] == nil && m.fields["poll"] == nil && len(components) == 0
}

// fit cuts the message to Discord's limits, leaves out what Discord would refuse
// the whole message for, and reports whether anything is missing.
func (m *message) fit() (shortened bool) {
	m.text(m.fields, "content", maxContent)
	m.text(m.fields, "username", maxUsername)
	m.text(m.fields, "thread_name", maxThreadName)
	m.address(m.fields, "avatar_url")
	list, _ := m.fields["embeds"].([]any)
	left := maxEmbedText
	var fitting []any
	for _, element := range list {
		embed := m.embed(element.(map[string]any), &left)
		if len(embed) == 0 {
			continue
		}
		if len(fitting) == maxEmbeds {
			m.shortened = true
			break
		}
		fitting = append(fitting, embed)
	}
	delete(m.fields, "embeds")
	if len(fitting) > 0 {
		m.fields["embeds"] = fitting
	}
	return m.shortened
}

// embed returns an embed within the limits, and takes its characters from left.
func (m *message) embed(from map[string]any, left *int) map[string]any {
	embed := make(map[string]any)
	take := func(in map[string]any, name, value string, limit int) bool {
		text := m.cut(strings.TrimSpace(value), min(limit, *left))
		if text == "" {
			return false
		}
		*left -= units(text)
		in[name] = text
		return true
	}
	part := func(name string) map[string]any {
		object, _ := from[name].(map[string]any)
		return object
	}
	// What names the embed comes first, so that a long description leaves it.
	author := make(map[string]any)
	if take(author, "name", text(part("author")["name"]), maxAuthor) {
		m.copyAddress(author, part("author"), "url", "icon_url")
		embed["author"] = author
	}
	take(embed, "title", text(from["title"]), maxTitle)
	take(embed, "description", text(from["description"]), maxDescription)
	var fields []any
	list, _ := from["fields"].([]any)
	for _, element := range list {
		given, ok := element.(map[string]any)
		if !ok {
			continue
		}
		name, value := strings.TrimSpace(text(given["name"])), strings.TrimSpace(text(given["value"]))
		if name == "" && value == "" {
			continue
		}
		if len(fields) == maxFields {
			m.shortened = true
			break
		}
		// Discord refuses an empty part of a field.
		const blank = "\u200b"
		if name == "" {
			name = blank
		}
		if value == "" {
			value = blank
		}
		if *left < 2 {
			m.shortened = true
			break
		}
		field, before := make(map[string]any), *left
		*left-- // for the value
		ok = take(field, "name", name, maxFieldName)
		*left++
		if !ok || !take(field, "value", value, maxFieldValue) {
			*left = before
			continue
		}
		if inline, ok := given["inline"].(bool); ok {
			field["inline"] = inline
		} else if given["inline"] == "true" {
			field["inline"] = true
		}
		fields = append(fields, field)
	}
	if len(fields) > 0 {
		embed["fields"] = fields
	}
	footer := make(map[string]any)
	if take(footer, "text", text(part("footer")["text"]), maxFooter) {
		m.copyAddress(footer, part("footer"), "icon_url")
		embed["footer"] = footer
	}
	for _, name := range []string{"image", "thumbnail"} {
		picture := make(map[string]any)
		if m.copyAddress(picture, part(name), "url"); len(picture) > 0 {
			embed[name] = picture
		}
	}
	if len(embed) == 0 {
		return nil
	}
	m.copyAddress(embed, from, "url")
	if color, ok := colorOf(from["color"]); ok {
		embed["color"] = color
	}
	if at, ok := timeOf(from["timestamp"]); ok {
		embed["timestamp"] = at.UTC().Format(time.RFC3339)
	}
	return embed
}

// text cuts a text in place, or removes it if it is empty.
func (m *message) text(in discord.Args, name string, limit int) {
	value, ok := in[name].(string)
	if !ok {
		return
	}
	if strings.TrimSpace(value) == "" {
		delete(in, name)
		return
	}
	in[name] = m.cut(value, limit)
}

func (m *message) cut(s string, limit int) string {
	short := cut(s, limit)
	m.shortened = m.shortened || short != s
	return short
}

// address removes an address that Discord would refuse.
func (m *message) address(in discord.Args, name string) {
	if value, ok := in[name]; ok && !goodURL(text(value)) {
		m.shortened = m.shortened || text(value) != ""
		delete(in, name)
	}
}

func (m *message) copyAddress(to, from map[string]any, names ...string) {
	for _, name := range names {
		switch value := text(from[name]); {
		case value == "":
		case goodURL(value):
			to[name] = value
		default:
			m.shortened = true
		}
	}
}

// restrict removes what the hook's target does not have, and allows the mentions
// that both the hook and the payload allow.
func (m *message) restrict(hook *Hook) {
	if hook.target.webhook == 0 {
		for _, name := range webhookOnly {
			delete(m.fields, name)
		}
	} else {
		for name, standard := range map[string]string{"username": hook.username, "avatar_url": hook.avatar} {
			if m.fields[name] == nil && standard != "" {
				m.fields[name] = standard
			}
		}
	}
	allowed := discord.Args{"parse": append([]string{}, hook.mentions...)}
	if given, ok := m.fields["allowed_mentions"].(map[string]any); ok {
		parse := []string{}
		list, _ := given["parse"].([]any)
		for _, kind := range hook.mentions {
			if slices.Contains(list, any(kind)) {
				parse = append(parse, kind)
			}
		}
		allowed["parse"] = parse
		for _, kind := range []string{"users", "roles"} {
			if ids := idsIn(given[kind]); len(ids) > 0 && slices.Contains(hook.mentions, kind) && !slices.Contains(parse, kind) {
				allowed[kind] = ids
			}
		}
	}
	m.fields["allowed_mentions"] = allowed
}

func idsIn(v any) []string {
	list, _ := v.([]any)
	var ids []string
	for _, element := range list {
		if id, err := strconv.ParseUint(text(element), 10, 63); err == nil && len(ids) < maxMentioned {
			ids = append(ids, strconv.FormatUint(id, 10))
		}
	}
	return ids
}

// text returns a scalar as a text, or "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case nil, map[string]any, []any:
		return ""
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// units counts the UTF-16 code units of a text.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// cut returns the beginning of a text in at most limit UTF-16 code units, with an
// ellipsis if something is missing. It cuts between characters.
func cut(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	if limit <= 0 {
		return ""
	}
	left := limit - 1
	for i, r := range s {
		if left -= max(utf16.RuneLen(r), 1); left < 0 {
			return strings.TrimRight(s[:i], " \t\r\n") + "…"
		}
	}
	return s
}

// goodURL reports whether Discord takes an address in an embed. It refuses the
// whole message for a host without a dot, such as http://grafana:3000.
func goodURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && utf8.RuneCountInString(s) <= maxURL &&
		strings.Contains(strings.Trim(u.Hostname(), "."), ".") && !strings.ContainsAny(s, " \t\r\n<>")
}

// colorOf reads a color as a number, or as #rrggbb.
func colorOf(v any) (int, bool) {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > maxColor {
			return 0, false
		}
		n = int64(v)
	case string:
		var err error
		if digits, hex := strings.CutPrefix(v, "#"); hex {
			n, err = strconv.ParseInt(digits, 16, 32)
		} else {
			n, err = strconv.ParseInt(v, 0, 32)
		}
		if err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return int(n), n >= 0 && n <= maxColor
}

// timeOf reads a time in one of the forms that payloads have, or in seconds since
// 1970. Go's zero time means that there is no time.
func timeOf(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, v.Year() > 1
	case int:
		return time.Unix(int64(v), 0), v > 0 && v < 1<<33
	case int64:
		return time.Unix(v, 0), v > 0 && v < 1<<33
	case float64:
		return time.Unix(int64(v), 0), v > 0 && v < 1<<33
	case string:
		for _, layout := range []string{
			time.RFC3339, "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
		} {
			if t, err := time.Parse(layout, v); err == nil {
				return t, t.Year() > 1
			}
		}
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return timeOf(n)
		}
	}
	return time.Time{}, false
}
