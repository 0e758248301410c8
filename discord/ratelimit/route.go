package ratelimit

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Route names what Discord limits together. It holds no secret.
type Route struct {
	// Method is the HTTP method; several, joined by commas, where Discord
	// counts them together.
	Method string
	// Template is the path with placeholders, such as
	// /channels/{channel_id}/messages. A class that Discord counts apart is
	// appended, such as the age of deleted messages.
	Template string
	// Major is the top-level resource: "channel 1", "guild 1", or
	// "webhook 1/" and a digest of its token. Empty if there is none.
	Major string
	// Kind is the class of a limit within the bucket, such as KindRename.
	// Empty for ordinary requests.
	Kind string
	// Tokenless is whether the path carries its own credentials, so that no
	// bot's limits apply.
	Tokenless bool
	// Exempt is whether the call does not count against any global limit.
	Exempt bool
}

// Kinds of requests that Discord limits within a bucket. RouteOf finds
// KindEditOld itself; the other only the sender of the body can know.
const (
	KindEditOld = "edit-old" // editing a message older than an hour
	KindRename  = "rename"   // changing a channel's name or topic
)

// String returns the route as shown in logs and status pages.
func (r Route) String() string { return r.Method + " " + r.Template }

// interactionToken begins the token of an interaction: "interaction:" in
// base 64. Ordinary webhooks have random tokens. The follow-ups of an
// interaction use a webhook's path and are recognized by this alone.
const interactionToken = "aW50ZXJhY3Rpb246"

// webhookMajor begins the major parameter of a webhook's routes.
const webhookMajor = "webhook "

// maxSegments is more than any of Discord's paths has. usualSegments and usualTemplate, in
// bytes, are enough for most paths. They are on the stack, and a call that waits keeps as much
// stack as it ever needed.
const (
	maxSegments   = 16
	usualSegments = 8
	usualTemplate = 96
)

// RouteOf names the route of a request. The path is the one below /api/vN,
// with or without a query; kind is a class of sub-limit that only the caller
// can know, or empty; now decides the age of the message in the path.
//
// Any path gets a route. What looks neither like an id nor like a word of the
// API becomes a placeholder, so that neither secrets nor an unlimited number
// of names come in.
func RouteOf(method, path, kind string, now time.Time) Route {
	r := Route{Method: method, Kind: kind}
	var array [usualSegments]string
	seg := segments(path, array[:0])
	at := func(i int) string {
		if i < len(seg) {
			return seg[i]
		}
		return ""
	}

	switch top := at(0); {
	case top == "channels" && at(1) != "":
		r.Major = "channel " + name(at(1))
	case top == "guilds" && isID(at(1)):
		r.Major = "guild " + at(1)
	case top == "webhooks" && at(2) != "":
		r.Major = webhookMajor + name(at(1)) + "/" + digest(at(2))
		r.Tokenless = true
		r.Exempt = strings.HasPrefix(at(2), interactionToken)
	case top == "webhooks" && at(1) != "":
		r.Major = webhookMajor + name(at(1))
	case top == "interactions" && at(2) != "":
		r.Major = "interaction " + name(at(1))
		r.Tokenless, r.Exempt = true, true
	}

	writes := method == "PUT" || method == "DELETE"
	var text [usualTemplate]byte
	b := text[:0]
	for i, s := range seg {
		b = append(b, '/')
		b = append(b, placeholder(seg, i, s)...)
		if writes && i == 4 && s == "reactions" && at(0) == "channels" {
			// One bucket for adding and removing, whatever the emoji and
			// the user who reacted.
			r.Method = "PUT,DELETE"
			break
		}
	}
	if len(seg) == 0 {
		b = append(b, '/')
	}
	if writes && at(0) == "guilds" && at(2) == "members" && at(4) == "roles" && len(seg) == 6 {
		r.Method = "PUT,DELETE"
	}
	if at(0) == "channels" && at(2) == "messages" && len(seg) == 4 && isID(at(3)) {
		age := now.Sub(created(at(3)))
		switch {
		case method == "PATCH" && kind == "" && age > time.Hour:
			r.Kind = KindEditOld
		case method == "DELETE" && age < 10*time.Second:
			b = append(b, " (under 10 s old)"...)
		case method == "DELETE" && age > 14*24*time.Hour:
			b = append(b, " (over 14 d old)"...)
		}
	}
	r.Template = string(b)
	return r
}

// segments appends the parts of a path, decoded as Discord decodes them: %40me
// is @me. What is beyond the longest path of Discord is dropped.
func segments(path string, seg []string) []string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || len(seg) == maxSegments {
			continue
		}
		if strings.Contains(s, "%") {
			if decoded, err := url.PathUnescape(s); err == nil {
				s = decoded
			}
		}
		seg = append(seg, s)
	}
	return seg
}

// placeholder returns the part of the template for segment i.
func placeholder(seg []string, i int, s string) string {
	before := ""
	if i > 0 {
		before = seg[i-1]
	}
	switch {
	case i == 2 && (seg[0] == "webhooks" || seg[0] == "interactions"):
		if seg[0] == "webhooks" {
			return "{webhook_token}"
		}
		return "{interaction_token}"
	case before == "reactions":
		return "{emoji}"
	case before == "invites" || before == "templates" && i == 2:
		return "{code}"
	case !isID(s) && isWord(s):
		return s
	case !isID(s):
		return "{other}"
	}
	switch before {
	case "channels", "thread-members":
		if before == "channels" {
			return "{channel_id}"
		}
		return "{user_id}"
	case "guilds":
		return "{guild_id}"
	case "messages", "pins":
		return "{message_id}"
	case "users", "members", "bans", "recipients":
		return "{user_id}"
	case "roles":
		return "{role_id}"
	case "webhooks":
		return "{webhook_id}"
	case "applications":
		return "{application_id}"
	case "interactions":
		return "{interaction_id}"
	}
	return "{id}"
}

func isID(s string) bool {
	if s == "" || len(s) > 20 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// isWord reports whether s may be a fixed part of a path.
func isWord(s string) bool {
	if len(s) > 32 {
		return false
	}
	switch s {
	case "oauth2", "widget.json", "widget.png":
		return true
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '-' && c != '_' && c != '@' {
			return false
		}
	}
	return true
}

// name returns a resource's id, or a digest of what is not one.
func name(s string) string {
	if isID(s) {
		return s
	}
	return digest(s)
}

// digest stands for a secret where only equality matters.
//
//go:noinline
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// created is Created for an id in a path, and the zero time if it is none.
func created(id string) time.Time {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return Created(n)
}

// Created returns when the thing with a snowflake id was made.
// https://discord.com/developers/docs/reference#snowflakes
func Created(id uint64) time.Time {
	const epoch = 1420070400000 // the first millisecond of 2015
	return time.UnixMilli(int64(id>>22) + epoch)
}

// LineOf names what keeps its order: the channel, webhook or interaction in
// which a request creates a message. It is empty for all other requests. The
// path is that of RouteOf, with the query, in which a webhook's thread may be.
func LineOf(method, path string) string {
	path, query, _ := strings.Cut(path, "?")
	var array [usualSegments]string
	seg := segments(path, array[:0])
	is := func(pattern string) bool { return matches(seg, pattern) }
	post := method == "POST"
	switch {
	case post && (is("channels/*/messages") || is("channels/*/threads") ||
		is("channels/*/messages/*/threads")):
		return "channel " + name(seg[1])
	case post && is("interactions/*/*/callback"):
		return "interaction " + digest(seg[2])
	case (post && is("webhooks/*/*") || method == "PATCH" && is("webhooks/*/*/messages/@original")) &&
		strings.HasPrefix(seg[2], interactionToken):
		return "interaction " + digest(seg[2])
	case post && (is("webhooks/*/*") || is("webhooks/*/*/slack") || is("webhooks/*/*/github")):
		line := "webhook " + name(seg[1]) + "/" + digest(seg[2])
		if values, _ := url.ParseQuery(query); values.Get("thread_id") != "" {
			line += " thread " + name(values.Get("thread_id"))
		}
		return line
	}
	return ""
}

// matches reports whether segments are those of a pattern, in which * is any.
func matches(seg []string, pattern string) bool {
	i := 0
	for want := range strings.SplitSeq(pattern, "/") {
		if i == len(seg) || want != "*" && want != seg[i] {
			return false
		}
		i++
	}
	return i == len(seg)
}
