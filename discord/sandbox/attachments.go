package sandbox

import (
	"fmt"
	"mime"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Attachment is a file of a message. Its contents are not kept.
type Attachment struct {
	ID          ID       `json:"id"`
	Filename    string   `json:"filename"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	ContentType string   `json:"content_type,omitempty"`
	Size        int      `json:"size"`
	URL         string   `json:"url"`
	ProxyURL    string   `json:"proxy_url"`
	Duration    *float64 `json:"duration_secs,omitempty"`
	Waveform    string   `json:"waveform,omitempty"`
	Flags       int      `json:"flags,omitempty"`
}

const attachmentSpoiler = 1 << 3

type attachmentBody struct {
	ID          reqID    `json:"id"`
	Filename    string   `json:"filename"`
	Title       string   `json:"title"`
	Description *string  `json:"description"`
	Duration    *float64 `json:"duration_secs"`
	Waveform    string   `json:"waveform"`
	Spoiler     *bool    `json:"is_spoiler"`
}

func (b *attachmentBody) apply(f *formError, at string, a *Attachment) {
	if b.Filename != "" {
		a.Filename = b.Filename
	}
	if b.Title != "" {
		a.Title = b.Title
	}
	if b.Description != nil {
		f.length(at+".description", *b.Description, 0, 1024)
		a.Description = *b.Description
	}
	if b.Duration != nil {
		a.Duration = b.Duration
	}
	if b.Waveform != "" {
		f.length(at+".waveform", b.Waveform, 0, 400)
		a.Waveform = b.Waveform
	}
	if b.Spoiler != nil {
		a.Flags &^= attachmentSpoiler
		if *b.Spoiler {
			a.Flags |= attachmentSpoiler
		}
	}
}

// attach makes attachments of the uploaded files and of those of kept that
// the list names. Without a list all of kept stay.
func (s *Sandbox) attach(c *call, f *formError, ch *channel, list []attachmentBody, kept []Attachment) []Attachment {
	if len(list) == 0 && len(c.files) == 0 && len(kept) == 0 {
		return nil
	}
	var out []Attachment
	if !c.has("attachments") {
		out = slices.Clone(kept)
	}
	described := map[string]bool{}
	for i := range list {
		at, entry := join("attachments", i), &list[i]
		name := "files[" + strconv.FormatUint(uint64(entry.ID.ID), 10) + "]"
		old := slices.IndexFunc(kept, func(a Attachment) bool { return a.ID == entry.ID.ID })
		switch {
		case entry.ID.bad != "":
			f.add(at+".id", "NUMBER_TYPE_COERCE", `Value "`+entry.ID.bad+`" is not snowflake.`)
		case old >= 0:
			a := kept[old]
			entry.apply(f, at, &a)
			out = append(out, a)
		case c.files[name] != nil:
			described[name] = true
			out = append(out, s.uploaded(f, ch, c.files[name], at, entry))
		default:
			f.add(at, "ATTACHMENT_NOT_FOUND", "Attachment data for this entry was not found.")
		}
	}
	names := make([]string, 0, len(c.files))
	for name := range c.files {
		if !described[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, s.uploaded(f, ch, c.files[name], "attachments", &attachmentBody{}))
	}
	if len(out) > 10 {
		f.add("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
	}
	return out
}

func (s *Sandbox) uploaded(f *formError, ch *channel, file *upload, at string, entry *attachmentBody) Attachment {
	a := Attachment{ID: s.newID(), Filename: file.filename, Size: file.size, ContentType: file.contentType}
	entry.apply(f, at, &a)
	a.Filename = safeName(a.Filename)
	if a.ContentType == "" || a.ContentType == "application/octet-stream" {
		a.ContentType = mime.TypeByExtension(path.Ext(a.Filename))
	}
	if strings.HasPrefix(a.Filename, "SPOILER_") {
		a.Flags |= attachmentSpoiler
	}
	issued := s.now().Unix()
	where := fmt.Sprintf(
		"attachments/%d/%d/%s?ex=%x&is=%x&hm=%064x&",
		ch.ID,
		a.ID,
		url.PathEscape(a.Filename),
		issued+86400,
		issued,
		uint64(a.ID),
	)
	a.URL = "https://cdn.discordapp.com/" + where
	a.ProxyURL = "https://media.discordapp.net/" + where
	return a
}

// safeName keeps what Discord keeps of a file's name.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r < 0x20 || strings.ContainsRune(`/\"'<>|:*?`, r):
			return -1
		}
		return r
	}, name)
	if name == "" {
		return "unknown"
	}
	return name
}
