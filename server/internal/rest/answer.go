package rest

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/plainhttp"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// refuse returns the answer to a request that has none of Discord's, in the
// shape of the API version that the request is in, and the code of the call.
func refuse(ctx context.Context, err error, version version) (*discord.Response, string) {
	if r, ok := errors.AsType[*plainhttp.Refusal](err); ok {
		return document(r.Status, 0, strconv.Itoa(r.Status)+": "+r.Text, r.After), r.Code().String()
	}
	if refused, ok := errors.AsType[*connect.Error](err); ok {
		return denied(refused, version), refused.Code().String()
	}
	e, ok := errors.AsType[*discord.Error](err)
	if status := calls.Status(ctx, err); !ok && status.Code() != connect.CodeInternal {
		return denied(status, version), status.Code().String()
	}
	if !ok {
		return document(http.StatusInternalServerError, 0, "500: Internal Server Error", 0), connect.CodeInternal.String()
	}
	if ended := rpc.Interrupted(ctx); ended != nil && e.Reason == discord.Canceled { // it was not the caller who left
		e = &discord.Error{Reason: discord.ShuttingDown, OutcomeUnknown: e.OutcomeUnknown}
		return document(http.StatusServiceUnavailable, 0, "503: "+e.Error(), 0), ended.Code().String()
	}
	code := calls.CodeOf(e).String()
	switch status := calls.HTTPStatusOf(e); {
	case status == http.StatusTooManyRequests:
		return limited(e, version), code
	case e.Reason == discord.Invalid || e.Reason == discord.Answered:
		return document(status, e.Code, e.Text, e.RetryAfter), code
	case e.Reason == discord.TokenRefused: // which need not be the bot's
		return document(status, 0, "401: Unauthorized: Discord has refused this token", e.RetryAfter), code
	default:
		return document(status, 0, strconv.Itoa(status)+": "+e.Error(), e.RetryAfter), code
	}
}

// denied returns the answer to a request that package access does not let
// through.
func denied(err *connect.Error, version version) *discord.Response {
	status, after := access.Describe(err)
	if status == http.StatusTooManyRequests {
		return limited(&discord.Error{Reason: discord.Answered, Text: err.Message(), RetryAfter: after}, version)
	}
	text := strconv.Itoa(status) + ": "
	if status == http.StatusUnauthorized {
		text += "Unauthorized: "
	}
	return document(status, 0, text+err.Message(), after)
}

// via names this server in answers of its own. Libraries take a 429 without it
// for one of the network before Discord, and stop.
const via = "1.1 discordproxy"

// version is what answers of this package depend on the API's version for.
type version struct {
	// milliseconds is the unit of waits in a 429, else seconds.
	milliseconds bool
}

func versionOf(r *http.Request) version {
	return version{milliseconds: discord.CountsMilliseconds(r.URL.EscapedPath())}
}

// document returns an answer in the shape of Discord's errors.
func document(status, code int, text string, retryAfter time.Duration) *discord.Response {
	resp := answer(status, struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
	}{text, code})
	if retryAfter > 0 {
		resp.Header.Set("Retry-After", wholeSeconds(retryAfter))
	}
	return resp
}

// limited returns Discord's answer to a request that comes too early, for one
// whose caller would not have waited as long as the limits demand.
// https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
func limited(e *discord.Error, version version) *discord.Response {
	wait := e.RetryAfter
	if wait <= 0 { // not known: the limits let no call through in time
		wait = time.Second
	}
	text := "You are being rate limited."
	if e.Text != "" {
		text = e.Text
	}
	milliseconds := math.Ceil(wait.Seconds() * 1000)
	inBody, inHeader := milliseconds/1000, wholeSeconds(wait)
	if version.milliseconds {
		inBody, inHeader = milliseconds, strconv.FormatFloat(milliseconds, 'f', 0, 64)
	}
	resp := answer(http.StatusTooManyRequests, struct {
		Message    string  `json:"message"`
		RetryAfter float64 `json:"retry_after"`
		Global     bool    `json:"global"`
		Code       int     `json:"code,omitempty"`
	}{text, inBody, e.Limit == discord.ScopeGlobal, e.Code})
	resp.Header.Set("Retry-After", inHeader)
	if e.Limit != "" {
		resp.Header.Set("X-Ratelimit-Scope", e.Limit)
	}
	if e.Limit == discord.ScopeGlobal {
		resp.Header.Set("X-Ratelimit-Global", "true")
	}
	return resp
}

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

func answer(status int, body any) *discord.Response {
	data, err := json.Marshal(body)
	if err != nil {
		// The bodies are of this file, and their texts strings.
		panic(err)
	}
	return &discord.Response{Status: status, Body: data, Header: http.Header{
		"Content-Type": {"application/json"}, "Via": {via},
	}}
}

// write writes an answer as it came, without what was said to this server
// alone.
func write(w http.ResponseWriter, resp *discord.Response) {
	header := w.Header()
	for name, values := range endToEnd(resp.Header) {
		if !notForCallers[name] && !strings.HasPrefix(name, "Access-Control-") {
			header[name] = append(header[name], values...)
		}
	}
	if resp.Status != http.StatusNoContent && resp.Status != http.StatusNotModified {
		header.Set("Content-Length", strconv.Itoa(len(resp.Body)))
	}
	w.WriteHeader(resp.Status)
	// It fails only when the caller is gone.
	_, _ = w.Write(resp.Body)
}

// notForCallers are headers of an answer that say something of Discord's host,
// which callers would take for this server, or are set here.
var notForCallers = map[string]bool{
	"Alt-Svc": true, "Nel": true, "Report-To": true, "Reporting-Endpoints": true,
	"Set-Cookie": true, "Strict-Transport-Security": true,
	"Content-Length": true, rpc.RequestIDHeader: true,
}
