package discord

import (
	"net/http"
	"net/url"
	"strings"
)

// APIPath is the path of a request to Discord's API that another program
// wrote, once it is known to lead nowhere else.
type APIPath struct {
	version  string   // with its v
	below    string   // escaped, begins with a slash
	segments []string // of below, decoded as Discord decodes them
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
	notAPI     = "404: Not Found: the path is none of Discord's API"
	unsafePath = "400: Bad Request: the path has an empty segment, a dot segment, or a character within a segment that no path of Discord has"
	// Older versions measure the waits of rate limits in milliseconds.
	badVersion     = "Invalid API version: v9 and v10 are passed on"
	codeAPIVersion = 50041
)

// ParseAPIPath reads an escaped path of the form /api/v10/users/@me. Without
// a version it is one of v10: Discord would take it for version 6, which is
// about to go, but addresses of webhooks are often written so. The error is an
// *Error.
func ParseAPIPath(escaped string) (APIPath, error) {
	below, ok := strings.CutPrefix(escaped, "/api/")
	if !ok || below == "" {
		return APIPath{}, refusePath(http.StatusNotFound, 0, notAPI)
	}
	p := APIPath{version: apiVersion}
	first, rest, more := strings.Cut(below, "/")
	if len(first) > 1 && first[0] == 'v' && strings.Trim(first[1:], "0123456789") == "" {
		if first != "v9" && first != "v10" {
			return APIPath{}, refusePath(http.StatusBadRequest, codeAPIVersion, badVersion)
		}
		if !more || rest == "" {
			return APIPath{}, refusePath(http.StatusNotFound, 0, notAPI)
		}
		p.version, below = first, rest
	}
	for segment := range strings.SplitSeq(below, "/") {
		if strings.ContainsAny(segment, "?#") || !isSafeSegment(segment) {
			return APIPath{}, refusePath(http.StatusBadRequest, 0, unsafePath)
		}
		decoded, _ := url.PathUnescape(segment) // it is safe to decode
		p.segments = append(p.segments, decoded)
	}
	p.below = "/" + below
	return p, nil
}

// maxDecodings is how often a segment is decoded to see what others, who may
// decode more than once, could take it for.
const maxDecodings = 4

// isSafeSegment reports whether a part of a path stays one part of it,
// however often it is decoded.
func isSafeSegment(s string) bool {
	for range maxDecodings {
		if s == "" || s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }) {
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
