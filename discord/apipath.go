package discord

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// APIPath is the path of another program's request, validated to lead only to Discord's API.
type APIPath struct {
	version  string   // with its v; empty if the path names none
	below    string   // escaped, begins with a slash
	segments []string // of below, decoded as Discord decodes them
}

// String returns the path, with its version if it has one.
func (p APIPath) String() string {
	if p.version == "" {
		return "/api" + p.below
	}
	return "/api/" + p.version + p.below
}

// canonical returns below in the one spelling that the segments have.
func (p APIPath) canonical() string {
	var b strings.Builder
	for _, s := range p.segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// refusePath returns the error of a path that is not sent.
func refusePath(status, code int, text string) *Error {
	return &Error{Reason: Invalid, Status: status, Code: code, Text: text}
}

const (
	notAPI = "404: Not Found: the path is none of Discord's API"
	// The path itself may contain the token of a webhook.
	extraSlash     = "404: Not Found: the path has a double or trailing slash"
	unsafePath     = "400: Bad Request: the path has a dot segment, or a character within a segment that no path of Discord has"
	badVersion     = "Invalid API version: the proxy passes on v6 to v10"
	codeAPIVersion = 50041
)

// ParseAPIPath reads an escaped path of the form /api/v10/users/@me, or
// /api/users/@me, which Discord takes for version 6. The error is an *Error.
func ParseAPIPath(escaped string) (APIPath, error) {
	given, ok := strings.CutPrefix(escaped, "/api/")
	below := strings.Trim(emptySegments.ReplaceAllString(given, "/"), "/")
	if !ok || below == "" {
		return APIPath{}, refusePath(http.StatusNotFound, 0, notAPI)
	}
	extra := below != given
	var p APIPath
	first, rest, more := strings.Cut(below, "/")
	if isVersion(first) {
		switch first {
		case "v6", "v7", "v8", "v9", "v10":
		default:
			return APIPath{}, refusePath(http.StatusBadRequest, codeAPIVersion, badVersion)
		}
		if !more {
			return APIPath{}, refusePath(http.StatusNotFound, 0, notAPI)
		}
		p.version, below = first, rest
	}
	if extra {
		text := extraSlash
		if route := RoutePath("/" + below); route != "" {
			text += ", use " + APIPath{version: p.version, below: route}.String()
		}
		return APIPath{}, refusePath(http.StatusNotFound, 0, text)
	}
	for segment := range strings.SplitSeq(below, "/") {
		if strings.ContainsAny(segment, "?#") || !isSafeSegment(segment) {
			return APIPath{}, refusePath(http.StatusBadRequest, 0, unsafePath)
		}
		decoded, _ := url.PathUnescape(segment) // it is safe to decode
		p.segments = append(p.segments, decoded)
	}
	if p.version == "" && isVersion(p.segments[0]) {
		// Discord could interpret an escaped version as a version.
		return APIPath{}, refusePath(http.StatusBadRequest, 0, unsafePath)
	}
	p.below = "/" + below
	return p, nil
}

var emptySegments = regexp.MustCompile(`//+`)

// isVersion reports whether a segment of a path names a version of the API.
func isVersion(segment string) bool {
	return len(segment) > 1 && segment[0] == 'v' && strings.Trim(segment[1:], "0123456789") == ""
}

// CountsMilliseconds reports whether the API version of an escaped path gives
// the waits of rate limits in milliseconds, as version 6, which is that of paths
// without a version, and version 7 do. Later versions give them in seconds.
func CountsMilliseconds(escaped string) bool {
	below, ok := strings.CutPrefix(escaped, "/api/")
	version, _, _ := strings.Cut(below, "/")
	return ok && (!isVersion(version) || countsMilliseconds(version))
}

func countsMilliseconds(version string) bool {
	return version == "" || version == "v6" || version == "v7"
}

// maxDecodings is how often a segment is decoded to find its possible meanings, because
// other programs may decode more than once.
const maxDecodings = 4

// isSafeSegment reports whether a part of a path stays one part of it,
// however often it is decoded.
func isSafeSegment(s string) bool {
	for range maxDecodings {
		if s == "" || s == "." || s == ".." ||
			strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }) {
			return false
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return false
		}
		if decoded == s {
			return true
		}
		s = decoded
	}
	return false
}
