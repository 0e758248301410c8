package hooks

import (
	"fmt"
	"regexp"
	"strings"
)

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
	if _, ok := object["text"].(map[string]any); ok {
		return nil, badField("text", "a text")
	}
	out := make(map[string]any)
	for slack, ours := range map[string]string{"username": "username", "icon_url": "avatar_url"} {
		if value := text(object[slack]); value != "" {
			out[ours] = value
		}
	}
	content, pictures := blocks(object["blocks"])
	if content == "" {
		content = fromMrkdwn(text(object["text"])) // with blocks it is the text of notifications
	}
	embeds := pictures
	list, _ := object["attachments"].([]any)
	for _, element := range list {
		a, ok := element.(map[string]any)
		if !ok {
			return nil, badField("attachments", "a list of objects")
		}
		pretext := fromMrkdwn(text(a["pretext"]))
		if pretext != "" {
			content = strings.Trim(content+"\n"+pretext, "\n")
		}
		embeds = append(embeds, attachment(a))
	}
	out["content"], out["embeds"] = content, embeds
	return newMessage(out)
}

// slackColors are Slack's names of colors.
var slackColors = map[string]int{"good": colorGood, "warning": colorWarning, "danger": colorBad}

func attachment(a map[string]any) map[string]any {
	description := fromMrkdwn(text(a["text"]))
	inner, _ := blocks(a["blocks"])
	description = strings.Trim(description+"\n"+inner, "\n")
	if description == "" && text(a["title"]) == "" && a["fields"] == nil {
		description = text(a["fallback"])
	}
	embed := map[string]any{
		"title": unescape(text(a["title"])), "url": a["title_link"], "description": description, "timestamp": a["ts"],
		"author":    map[string]any{"name": text(a["author_name"]), "url": a["author_link"], "icon_url": a["author_icon"]},
		"footer":    map[string]any{"text": unescape(text(a["footer"])), "icon_url": a["footer_icon"]},
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
	list, _ := a["fields"].([]any)
	for _, element := range list {
		if f, ok := element.(map[string]any); ok {
			fields = append(fields, map[string]any{
				"name": unescape(text(f["title"])), "value": fromMrkdwn(text(f["value"])), "inline": f["short"],
			})
		}
	}
	embed["fields"] = fields
	return embed
}

// blocks returns the text of blocks, and their pictures as embeds.
func blocks(v any) (content string, pictures []any) {
	var lines []string
	list, _ := v.([]any)
	for _, element := range list {
		b, ok := element.(map[string]any)
		if !ok {
			continue
		}
		switch text(b["type"]) {
		case "header":
			lines = append(lines, "## "+textObject(b["text"]))
		case "section":
			lines = append(lines, textObject(b["text"]))
			fields, _ := b["fields"].([]any)
			for _, f := range fields {
				lines = append(lines, textObject(f))
			}
		case "context":
			var parts []string
			elements, _ := b["elements"].([]any)
			for _, e := range elements {
				parts = append(parts, textObject(e))
			}
			lines = append(lines, "-# "+strings.Join(parts, " "))
		case "actions":
			elements, _ := b["elements"].([]any)
			for _, e := range elements {
				if button, ok := e.(map[string]any); ok && goodURL(text(button["url"])) {
					lines = append(lines, fmt.Sprintf("[%s](%s)", textObject(button["text"]), text(button["url"])))
				}
			}
		case "image":
			pictures = append(pictures, map[string]any{"title": textObject(b["title"]), "image": map[string]any{"url": b["image_url"]}})
		case "markdown":
			lines = append(lines, text(b["text"]))
		case "rich_text":
			lines = append(lines, richText(b))
		}
	}
	var kept []string
	for _, line := range lines {
		if strings.TrimSpace(strings.TrimLeft(line, "#- ")) != "" {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n"), pictures
}

// richText returns the text of a rich_text block or of a part of one.
// https://api.slack.com/reference/block-kit/blocks#rich_text
func richText(part map[string]any) string {
	var inline strings.Builder
	var lines []string
	elements, _ := part["elements"].([]any)
	for i, element := range elements {
		e, ok := element.(map[string]any)
		if !ok {
			continue
		}
		switch text(e["type"]) {
		case "rich_text_section":
			item := ""
			if text(part["type"]) == "rich_text_list" {
				item = "- "
				if text(part["style"]) == "ordered" {
					item = fmt.Sprintf("%d. ", i+1)
				}
			}
			lines = append(lines, item+richText(e))
		case "rich_text_list":
			lines = append(lines, richText(e))
		case "rich_text_quote":
			lines = append(lines, "> "+strings.ReplaceAll(richText(e), "\n", "\n> "))
		case "rich_text_preformatted":
			lines = append(lines, "```\n"+richText(e)+"\n```")
		case "text":
			inline.WriteString(styled(text(e["text"]), e["style"]))
		case "link":
			if label := text(e["text"]); label != "" && goodURL(text(e["url"])) {
				inline.WriteString("[" + label + "](" + text(e["url"]) + ")")
			} else {
				inline.WriteString(text(e["url"]))
			}
		case "emoji":
			inline.WriteString(":" + text(e["name"]) + ":")
		case "broadcast":
			inline.WriteString("@" + strings.Replace(text(e["range"]), "channel", "everyone", 1))
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
func textObject(v any) string {
	object, _ := v.(map[string]any)
	if text(object["type"]) == "mrkdwn" {
		return fromMrkdwn(text(object["text"]))
	}
	return unescape(text(object["text"]))
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
