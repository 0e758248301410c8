package sandbox

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Embed is an embed as Discord shows it.
// See https://discord.com/developers/docs/resources/message#embed-object.
type Embed struct {
	Type        string       `json:"type"`
	URL         string       `json:"url,omitempty"`
	Title       string       `json:"title,omitempty"`
	Description string       `json:"description,omitempty"`
	Color       *int         `json:"color,omitempty"`
	Timestamp   string       `json:"timestamp,omitempty"`
	Fields      []EmbedField `json:"fields,omitempty"`
	Author      *EmbedAuthor `json:"author,omitempty"`
	Image       *EmbedMedia  `json:"image,omitempty"`
	Thumbnail   *EmbedMedia  `json:"thumbnail,omitempty"`
	Footer      *EmbedFooter `json:"footer,omitempty"`
}

// EmbedField is a titled paragraph of an embed.
type EmbedField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

// EmbedAuthor is the line above an embed's title.
type EmbedAuthor struct {
	Name         string `json:"name"`
	URL          string `json:"url,omitempty"`
	IconURL      string `json:"icon_url,omitempty"`
	ProxyIconURL string `json:"proxy_icon_url,omitempty"`
}

// EmbedFooter is the line below an embed.
type EmbedFooter struct {
	Text         string `json:"text"`
	IconURL      string `json:"icon_url,omitempty"`
	ProxyIconURL string `json:"proxy_icon_url,omitempty"`
}

// EmbedMedia is a picture in an embed.
type EmbedMedia struct {
	URL         string `json:"url"`
	ProxyURL    string `json:"proxy_url,omitempty"`
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Flags       int    `json:"flags"`
}

type mediaBody struct {
	URL string `json:"url"`
}

// embedBody is an embed in a request. Null and absent are the same.
type embedBody struct {
	URL         string     `json:"url"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Color       *int       `json:"color"`
	Timestamp   string     `json:"timestamp"`
	Image       *mediaBody `json:"image"`
	Thumbnail   *mediaBody `json:"thumbnail"`
	Fields      []struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Inline bool   `json:"inline"`
	} `json:"fields"`
	Author *struct {
		Name    string `json:"name"`
		URL     string `json:"url"`
		IconURL string `json:"icon_url"`
	} `json:"author"`
	Footer *struct {
		Text    string `json:"text"`
		IconURL string `json:"icon_url"`
	} `json:"footer"`
}

// composeEmbeds checks embeds and completes them as Discord does. An embed
// with nothing to show is left out.
func composeEmbeds(f *formError, in []embedBody, files []Attachment) []Embed {
	if len(in) == 0 {
		return nil
	}
	if len(in) > 10 {
		f.add("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
		return nil
	}
	out := make([]Embed, 0, len(in))
	total := 0
	for i := range in {
		e := composer{formError: f, path: join("embeds", i), files: files, total: &total}.embed(&in[i])
		if e.shows() {
			out = append(out, e)
		}
	}
	if total > 6000 {
		f.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")
	}
	return out
}

func (e *Embed) shows() bool {
	return e.Title != "" || e.Description != "" || len(e.Fields) > 0 || e.Author != nil || e.Footer != nil ||
		e.Image != nil || e.Thumbnail != nil
}

type composer struct {
	*formError
	path  string
	files []Attachment
	total *int
}

func (c composer) text(name, text string, most int) string {
	text = clean(text)
	*c.total += utf8.RuneCountInString(text)
	c.length(c.path+"."+name, text, 0, most)
	return text
}

func (c composer) need(name, text string, most int) string {
	text = c.text(name, text, most)
	if text == "" {
		c.required(c.path + "." + name)
	}
	return text
}

func (c composer) embed(in *embedBody) Embed {
	out := Embed{
		Type:        "rich",
		URL:         c.url("url", in.URL, false),
		Title:       c.text("title", in.Title, 256),
		Description: c.text("description", in.Description, 4096),
		Color:       in.Color,
		Image:       c.media("image", in.Image),
		Thumbnail:   c.media("thumbnail", in.Thumbnail),
	}
	if in.Color != nil {
		c.between(c.path+".color", *in.Color, 0, 0xFFFFFF)
	}
	if in.Timestamp != "" {
		t, err := parseTime(in.Timestamp)
		if err != nil {
			c.add(c.path+".timestamp", "DATE_TIME_TYPE_PARSE", fmt.Sprintf("Could not parse %s. Should be ISO8601.", in.Timestamp))
		}
		out.Timestamp = timestamp(t)
	}
	if len(in.Fields) > 25 {
		c.add(c.path+".fields", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
	} else {
		for i, field := range in.Fields {
			at := join("fields", i)
			out.Fields = append(out.Fields, EmbedField{
				c.need(at+".name", field.Name, 256), c.need(at+".value", field.Value, 1024), field.Inline,
			})
		}
	}
	if a := in.Author; a != nil {
		icon := c.url("author.icon_url", a.IconURL, true)
		out.Author = &EmbedAuthor{c.need("author.name", a.Name, 256), c.url("author.url", a.URL, false), icon, proxied(icon)}
	}
	if foot := in.Footer; foot != nil {
		icon := c.url("footer.icon_url", foot.IconURL, true)
		out.Footer = &EmbedFooter{c.need("footer.text", foot.Text, 2048), icon, proxied(icon)}
	}
	return out
}

func (c composer) media(name string, in *mediaBody) *EmbedMedia {
	if in == nil || in.URL == "" {
		return nil
	}
	link := c.url(name+".url", in.URL, true)
	return &EmbedMedia{URL: link, ProxyURL: proxied(link)}
}

// url checks an address; pictures may name a file of the same message.
func (c composer) url(name, raw string, picture bool) string {
	if raw == "" {
		return ""
	}
	path := c.path + "." + name
	if file, ok := strings.CutPrefix(raw, "attachment://"); ok && picture {
		for _, a := range c.files {
			if a.Filename == safeName(file) {
				return a.URL
			}
		}
		return raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		c.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
	case u.Scheme != "http" && u.Scheme != "https":
		schemes := "('http', 'https')"
		if picture {
			schemes = "('http', 'https', 'attachment')"
		}
		c.add(path, "URL_TYPE_INVALID_SCHEME", fmt.Sprintf(`Scheme "%s" is not supported. Scheme must be one of %s.`, u.Scheme, schemes))
	case !strings.Contains(strings.Trim(u.Hostname(), "."), "."):
		c.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
	case len(raw) > 2048:
		c.length(path, raw, 0, 2048)
	}
	return raw
}

// proxied is the address under which Discord serves a foreign picture.
func proxied(link string) string {
	scheme, rest, ok := strings.Cut(link, "://")
	if !ok || scheme == "attachment" {
		return ""
	}
	if path, own := strings.CutPrefix(rest, "cdn.discordapp.com/"); own {
		return "https://media.discordapp.net/" + path
	}
	return "https://images-ext-1.discordapp.net/external/sandbox/" + scheme + "/" + rest
}

// parseTime reads the forms of ISO 8601 that clients send.
func parseTime(text string) (time.Time, error) {
	var err error
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05-0700", "2006-01-02"} {
		var t time.Time
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("parse time: %w", err)
}
