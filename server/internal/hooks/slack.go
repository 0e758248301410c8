package hooks

import (
	"fmt"
	"iter"
	"regexp"
	"strings"
)

// Limits of what is read of a payload for Slack, so that the conversion of any payload ends
// soon. Discord shows far less.
const (
	maxSlackText     = 128 << 10 // bytes
	maxSlackElements = 2_000     // of all lists
	maxSlackLevels   = 5         // of rich text; Slack has 3
)

// slackReader reads a payload for Slack within the limits.
type slackReader struct {
	bytes, elements int // that are left
	// shortened is whether something was not read.
	shortened bool
}

// fromSlack makes a message of a payload for Slack's incoming webhooks: text,
// attachments, and the blocks that hold text, pictures or links.
// https://api.slack.com/reference/messaging/payload
func fromSlack(object map[string]any) (*message, error) {
	for _, name := range []string{"attachments", "blocks"} {
		if value := object[name]; value != nil {
			if _, ok := value.([]any); !ok {
				return nil, badField(name, "a list of objects")
			}
		}
	}
	attachments, _ := object["attachments"].([]any)
	if len(attachments) != len(asObjects(attachments)) {
		return nil, badField("attachments", "a list of objects")
	}
	if _, ok := object["text"].(map[string]any); ok {
		return nil, badField("text", "a text")
	}
	out := make(map[string]any)
	for slack, ours := range map[string]string{"username": "username", "icon_url": "avatar_url"} {
		if value := text(object[slack]); value != "" {
			out[ours] = value
		}
	}
	r := &slackReader{bytes: maxSlackText, elements: maxSlackElements}
	content, embeds := r.blocks(object["blocks"])
	if content == "" {
		content = fromMrkdwn(r.text(object["text"])) // with blocks it is the text of notifications
	}
	lines := []string{content}
	for a := range r.objects(object["attachments"]) {
		if pretext := fromMrkdwn(r.text(a["pretext"])); pretext != "" {
			lines = append(lines, pretext)
		}
		embeds = append(embeds, r.attachment(a))
	}
	out["content"], out["embeds"] = strings.Trim(strings.Join(lines, "\n"), "\n"), embeds
	m, err := newMessage(out)
	if err == nil {
		m.shortened = r.shortened
	}
	return m, err
}

// text returns a scalar as a text, as far as the limit allows.
func (r *slackReader) text(v any) string {
	s := text(v)
	if len(s) > r.bytes {
		s, r.shortened = strings.ToValidUTF8(s[:r.bytes], ""), true
	}
	r.bytes -= len(s)
	return s
}

// objects yields the objects of a list, as far as the limit allows.
func (r *slackReader) objects(v any) iter.Seq[map[string]any] {
	list, _ := v.([]any)
	return func(yield func(map[string]any) bool) {
		for _, element := range list {
			if r.elements == 0 {
				r.shortened = true
				return
			}
			r.elements--
			if object, ok := element.(map[string]any); ok && !yield(object) {
				return
			}
		}
	}
}

// slackColors are Slack's names of colors.
var slackColors = map[string]int{"good": colorGood, "warning": colorWarning, "danger": colorBad}

func (r *slackReader) attachment(a map[string]any) map[string]any {
	description := fromMrkdwn(r.text(a["text"]))
	inner, _ := r.blocks(a["blocks"])
	description = strings.Trim(description+"\n"+inner, "\n")
	if description == "" && text(a["title"]) == "" && a["fields"] == nil {
		description = r.text(a["fallback"])
	}
	embed := map[string]any{
		"title": unescape(r.text(a["title"])), "url": a["title_link"], "description": description, "timestamp": a["ts"],
		"author":    map[string]any{"name": r.text(a["author_name"]), "url": a["author_link"], "icon_url": a["author_icon"]},
		"footer":    map[string]any{"text": unescape(r.text(a["footer"])), "icon_url": a["footer_icon"]},
		"image":     map[string]any{"url": a["image_url"]},
		"thumbnail": map[string]any{"url": a["thumb_url"]},
	}
	color := text(a["color"])
	if named, ok := slackColors[color]; ok {
		embed["color"] = named
	} else {
		embed["color"] = "#" + strings.TrimPrefix(color, "#")
	}
	var fields []any
	for f := range r.objects(a["fields"]) {
		fields = append(fields, map[string]any{
			"name": unescape(r.text(f["title"])), "value": fromMrkdwn(r.text(f["value"])), "inline": f["short"],
		})
	}
	embed["fields"] = fields
	return embed
}

// blocks returns the text of blocks, and their pictures as embeds.
func (r *slackReader) blocks(v any) (content string, pictures []any) {
	var lines []string
	for b := range r.objects(v) {
		switch b["type"] {
		case "header":
			lines = append(lines, "## "+r.textObject(b["text"]))
		case "section":
			lines = append(lines, r.textObject(b["text"]))
			for f := range r.objects(b["fields"]) {
				lines = append(lines, r.textObject(f))
			}
		case "context":
			var parts []string
			for e := range r.objects(b["elements"]) {
				parts = append(parts, r.textObject(e))
			}
			lines = append(lines, "-# "+strings.Join(parts, " "))
		case "actions":
			for button := range r.objects(b["elements"]) {
				if address := text(button["url"]); goodURL(address) {
					lines = append(lines, fmt.Sprintf("[%s](%s)", r.textObject(button["text"]), address))
				}
			}
		case "image":
			pictures = append(pictures, map[string]any{"title": r.textObject(b["title"]), "image": map[string]any{"url": b["image_url"]}})
		case "markdown":
			lines = append(lines, r.text(b["text"]))
		case "rich_text":
			lines = append(lines, r.richText(b, maxSlackLevels))
		}
	}
	var kept []string
	for _, line := range lines {
		if strings.TrimSpace(strings.TrimLeft(line, "#-> ")) != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n"), pictures
}

// richText returns the text of a rich_text block or of a part of one, down to some levels
// of parts: each can make every line longer.
// https://api.slack.com/reference/block-kit/blocks#rich_text
func (r *slackReader) richText(part map[string]any, levels int) string {
	if levels == 0 {
		r.shortened = true
		return ""
	}
	var inline strings.Builder
	var lines []string
	items := 0
	for e := range r.objects(part["elements"]) {
		switch e["type"] {
		case "rich_text_section":
			item := ""
			if part["type"] == "rich_text_list" {
				item = "- "
				if items++; part["style"] == "ordered" {
					item = fmt.Sprintf("%d. ", items)
				}
			}
			lines = append(lines, item+r.richText(e, levels-1))
		case "rich_text_list":
			lines = append(lines, r.richText(e, levels-1))
		case "rich_text_quote":
			lines = append(lines, "> "+strings.ReplaceAll(r.richText(e, levels-1), "\n", "\n> "))
		case "rich_text_preformatted":
			lines = append(lines, "```\n"+r.richText(e, levels-1)+"\n```")
		case "text":
			inline.WriteString(styled(r.text(e["text"]), e["style"]))
		case "link":
			address := r.text(e["url"])
			if label := r.text(e["text"]); label != "" && goodURL(address) {
				inline.WriteString("[" + label + "](" + address + ")")
			} else {
				inline.WriteString(address)
			}
		case "emoji":
			inline.WriteString(":" + r.text(e["name"]) + ":")
		case "broadcast":
			inline.WriteString("@" + strings.Replace(r.text(e["range"]), "channel", "everyone", 1))
		}
	}
	if inline.Len() > 0 {
		lines = append(lines, inline.String())
	}
	return strings.Join(lines, "\n")
}

// styled puts a text between the signs of Markdown for its style.
func styled(s string, style any) string {
	styles, _ := style.(map[string]any)
	inner := strings.TrimSpace(s)
	if inner == "" {
		return s
	}
	marked := inner
	for _, mark := range [][2]string{{"code", "`"}, {"strike", "~~"}, {"italic", "*"}, {"bold", "**"}} {
		if styles[mark[0]] == true {
			marked = mark[1] + marked + mark[1]
		}
	}
	return strings.Replace(s, inner, marked, 1)
}

// textObject returns the text of Slack's text object.
func (r *slackReader) textObject(v any) string {
	object, _ := v.(map[string]any)
	if object["type"] == "mrkdwn" {
		return fromMrkdwn(r.text(object["text"]))
	}
	return unescape(r.text(object["text"]))
}

var (
	slackLink   = regexp.MustCompile(`<([^<>|]+)(?:\|([^<>]*))?>`)
	slackBold   = regexp.MustCompile(`(^|[\s(>])\*([^*\n]+)\*`)
	slackStrike = regexp.MustCompile(`(^|[\s(>])~([^~\n]+)~`)
	slackCode   = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

// fromMrkdwn makes Discord's Markdown of Slack's. Code stays as it is.
// https://api.slack.com/reference/surfaces/formatting
func fromMrkdwn(s string) string {
	var out strings.Builder
	for s != "" {
		code := slackCode.FindStringIndex(s)
		if code == nil {
			code = []int{len(s), len(s)}
		}
		prose := slackLink.ReplaceAllStringFunc(s[:code[0]], link)
		prose = slackBold.ReplaceAllString(prose, "$1**$2**")
		prose = slackStrike.ReplaceAllString(prose, "$1~~$2~~")
		out.WriteString(unescape(prose))
		out.WriteString(unescape(s[code[0]:code[1]]))
		s = s[code[1]:]
	}
	return out.String()
}

func link(found string) string {
	parts := slackLink.FindStringSubmatch(found)
	target, label := parts[1], parts[2]
	switch {
	case target == "!here", target == "!channel", target == "!everyone":
		return "@" + strings.Replace(target[1:], "channel", "everyone", 1)
	case strings.HasPrefix(target, "@"), strings.HasPrefix(target, "#"), strings.HasPrefix(target, "!"):
		if label != "" {
			return label
		}
		return found // Discord's own mentions have this form as well
	case label == "" || label == target:
		return target
	}
	return "[" + label + "](" + target + ")"
}

var slackEntities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

func unescape(s string) string { return slackEntities.Replace(s) }
