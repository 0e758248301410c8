package rest

import (
	"context"
	"fmt"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/plainhttp"
	"discordproxy/server/internal/rpc"
)

// The headers by which a caller says how long it will wait: in milliseconds as
// in Connect's protocol, and in seconds or as a Go duration such as 1m30s. The
// smaller one counts.
const (
	timeoutMsHeader = "Connect-Timeout-Ms"
	timeoutHeader   = "X-Proxy-Timeout"
)

// withDeadline returns a context with the deadline that the caller asked for, or
// one after the standard time if the caller named none. 0 means none.
func withDeadline(ctx context.Context, h http.Header, standard time.Duration) (context.Context, context.CancelFunc, error) {
	timeout := time.Duration(math.MaxInt64)
	if text := h.Get(timeoutMsHeader); text != "" {
		ms, err := strconv.ParseUint(text, 10, 64)
		if err != nil || len(text) > 10 {
			return nil, nil, &plainhttp.Refusal{
				Status: http.StatusBadRequest,
				Text:   timeoutMsHeader + " must be a number of milliseconds, from 0 to 9999999999",
			}
		}
		timeout = time.Duration(ms) * time.Millisecond
	}
	if text := h.Get(timeoutHeader); text != "" {
		within, err := parseTimeout(text)
		if err != nil || within < 0 {
			return nil, nil, &plainhttp.Refusal{
				Status: http.StatusBadRequest,
				Text:   timeoutHeader + " must be a number of seconds or a duration such as 1m30s, from 0 to 9999999 seconds",
			}
		}
		timeout = min(timeout, within)
	}
	if timeout == math.MaxInt64 {
		timeout = standard
		if timeout == 0 {
			return ctx, func() {}, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	return ctx, cancel, nil
}

func parseTimeout(text string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		duration, err := time.ParseDuration(text)
		if err != nil {
			return 0, err
		}
		seconds = duration.Seconds()
	}
	if !(seconds <= 9_999_999) { // not with NaN
		return 0, strconv.ErrRange
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// checkType refuses a body of a type that Discord's API does not accept. Pages of any
// site can send a form without a preflight request: the listener refuses those by
// their origin.
func checkType(r *discord.Request) error {
	contentType := r.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil { // such as two parameters of one name, which matter to forms alone
		mediaType, _, _ = strings.Cut(strings.ToLower(contentType), ";")
		mediaType = strings.TrimSpace(mediaType)
	}
	switch {
	case len(r.Body) == 0, mediaType == "application/json", mediaType == "multipart/form-data",
		mediaType == "application/x-www-form-urlencoded":
		return nil
	}
	return &plainhttp.Refusal{
		Status: http.StatusUnsupportedMediaType,
		Text: fmt.Sprintf(
			"Content-Type %.100q is not supported: send application/json, application/x-www-form-urlencoded or multipart/form-data",
			contentType,
		),
	}
}

// tooLarge is Discord's answer to a body that is too large.
func tooLarge(limit int64) error {
	return &discord.Error{
		Reason: discord.Invalid, Status: http.StatusRequestEntityTooLarge, Code: 40005,
		Text: "Request entity too large: at most " + strconv.FormatInt(limit, 10) + " bytes, which --max-upload sets",
	}
}

// header returns the part of a request's header that is for Discord.
func header(given http.Header) http.Header {
	h := endToEnd(given)
	for name := range h {
		if notForDiscord[name] || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "Sec-") {
			delete(h, name)
		}
	}
	if authorization := h["Authorization"]; len(authorization) == 1 {
		if token, err := access.KeyIn(authorization[0]); err == nil && isOwn(token) {
			delete(h, "Authorization")
		}
	}
	return h
}

// isOwn reports whether a token is a credential of the proxy's own, which is
// not for Discord: it may be there although nobody asks for it.
func isOwn(token string) bool { return access.IsPlaceholder(token) || access.IsKey(token) }

// notForDiscord are headers of a request that are meant for this server, or
// tell of the way to it.
var notForDiscord = map[string]bool{
	timeoutMsHeader: true, timeoutHeader: true, rpc.RequestIDHeader: true,
	"Cookie": true, "Content-Length": true, "Expect": true, "Forwarded": true, "Via": true, "X-Real-Ip": true,
	"Traceparent": true, "Tracestate": true, "Baggage": true,
	// What a browser adds for the page that calls.
	"Origin": true, "Referer": true,
	// Answers have to be understood here. The way to Discord is compressed
	// by itself.
	"Accept-Encoding": true,
}

// endToEnd returns a copy of a header without what concerns one connection.
// https://www.rfc-editor.org/rfc/rfc9110#name-connection
func endToEnd(h http.Header) http.Header {
	out := h.Clone()
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			out.Del(strings.TrimSpace(name))
		}
	}
	for name := range out {
		if hopByHop[name] || strings.HasPrefix(name, "Proxy-") {
			delete(out, name)
		}
	}
	return out
}

var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Http2-Settings": true,
}
