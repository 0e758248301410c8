// Package rest forwards plain HTTP requests to Discord's REST API, so that any Discord
// library shares the bot's limits with all other clients.
package rest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/plainhttp"
	"discordproxy/server/internal/rpc"
)

// DefaultMaxBodyBytes is the size of a request that Discord takes at most.
// https://discord.com/developers/docs/reference#uploading-files
const DefaultMaxBodyBytes = 25 << 20

// Discord sends requests. *discord.Client is one. Every error is a
// *discord.Error, or is a defect.
type Discord interface {
	Forward(ctx context.Context, by *discord.Caller, r *discord.Request) (*discord.Response, error)
	// IsOwn reports whether an Authorization is the token that requests without
	// one are sent with.
	IsOwn(authorization string) bool
}

// Config configures a handler. The zero value refuses all requests.
type Config struct {
	// Discord does the work. Nil means that requests are refused with 403.
	Discord Discord
	// Access decides whose requests are taken. Nil means everybody's.
	Access *access.Guard
	// PassOn serves the requests that Access has let in, in place of Discord. IsOwn is
	// then that of Discord. Nil means none.
	PassOn http.Handler
	IsOwn  func(authorization string) bool
	// MaxBodyBytes bounds the body of a request. 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// Timeout is how long a request may take whose caller neither names a
	// timeout nor has one by Access. 0 means any time.
	Timeout time.Duration
	// HideLimits leaves the X-RateLimit headers out of Discord's answers.
	HideLimits bool
	// Gateway is where bots find the gateway. Nil means Discord's own, as Discord's
	// answer says.
	Gateway interface {
		// URL returns the address for the sender of a request, or "" for Discord's own.
		URL(*http.Request) string
	}
	// Ready decides whether requests can be accepted.
	Ready plainhttp.Ready
	// Observers are notified of every request.
	Observers calls.Observers
	// Trace traces the requests.
	Trace plainhttp.Trace
	// Logger takes panics. Nil means slog.Default().
	Logger *slog.Logger
}

// Serves reports whether a request is one for Discord's API: its path begins with
// /api. An http.ServeMux cannot decide that, since it would redirect a path with dots
// in it instead of refusing it.
func Serves(r *http.Request) bool {
	return r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
}

// IsRepeatable reports whether a request may be made again where rpc.RepeatOf says so, when
// it is not known whether it was made.
func IsRepeatable(r *http.Request) bool {
	path, err := discord.ParseAPIPath(r.URL.EscapedPath())
	return err == nil && discord.IsRepeatable(r.Method, path)
}

type handler struct{ Config }

// New returns a handler for requests to Discord's API; see Serves.
func New(c Config) (http.Handler, error) {
	if c.MaxBodyBytes < 0 || c.Timeout < 0 {
		return nil, errors.New("rest: MaxBodyBytes or Timeout is negative")
	}
	h := newHandler(c)
	taken, isOwn := http.Handler(h), c.IsOwn
	if c.PassOn != nil {
		taken = c.PassOn
	} else if c.Discord != nil {
		isOwn = c.Discord.IsOwn
	}
	guarded := c.Access.Handler(listener.Known(taken), func(w http.ResponseWriter, r *http.Request, err error) {
		if access.IsQuiet(err) {
			resp, _ := refuse(r.Context(), err, versionOf(r))
			write(w, resp)
			return
		}
		h.answer(w, r, func(context.Context, *calls.Call) (*discord.Response, error) { return nil, err })
	})
	if c.Access == nil || isOwn == nil {
		return guarded, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if given := r.Header["Authorization"]; len(given) == 1 && isOwn(given[0]) {
			r = r.WithContext(access.WithBotToken(r.Context()))
		}
		guarded.ServeHTTP(w, r)
	}), nil
}

// newHandler returns the handler of requests that a guard has let in.
func newHandler(c Config) *handler {
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &handler{c}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.answer(w, r, func(ctx context.Context, call *calls.Call) (*discord.Response, error) { return h.serve(ctx, call, r) })
}

// answer responds to a request with the result of serve, and notifies the observers.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, serve func(context.Context, *calls.Call) (*discord.Response, error)) {
	call := &calls.Call{Method: otherRoute(r.Method), Protocol: "rest"}
	ctx, traced := h.Trace.Begin(r.Context(), r.Header)
	ctx, end := h.Observers.Begin(ctx, call)
	resp, err := serve(ctx, call)
	if err != nil {
		resp, call.Code = refuse(ctx, err, versionOf(r))
	} else if e := resp.Err(); e != nil {
		err, call.Code = e, calls.CodeOf(e).String()
	}
	end(err)
	write(w, resp)
	traced(call, resp.Status)
}

// Refuse answers a request with an error, in Discord's form.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	resp, _ := refuse(r.Context(), err, versionOf(r))
	write(w, resp)
}

// otherRoute names all requests unless Discord is known to have their
// route.
func otherRoute(method string) string {
	if !methods[method] {
		method = "OTHER"
	}
	return discord.OtherRoute(method)
}

// methods are those that are passed on.
var methods = map[string]bool{
	http.MethodGet: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true, http.MethodDelete: true,
}

// serve returns Discord's answer to the request. A panic becomes an error.
func (h *handler) serve(ctx context.Context, call *calls.Call, r *http.Request) (resp *discord.Response, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = errors.Unwrap(rpc.Panicked(ctx, h.Logger, call.Method, value)) // refuse chooses the status
		}
	}()
	req, ruled, err := h.readHead(ctx, call, r)
	if err != nil {
		return nil, err
	}
	if resp := h.gateway(call, r); resp != nil {
		return resp, nil
	}
	ctx, cancel, err := h.withDeadline(ctx, r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := h.readRest(ctx, r, req, ruled); err != nil {
		return nil, err
	}
	if err := access.From(ctx).Hold(ctx); err != nil {
		return nil, err
	}
	if repeat := rpc.RepeatOf(ctx); repeat.Nonce != "" {
		req.Name(repeat.Nonce)
		if req.Opened = repeat.Opened(); repeat.Again && !req.IsRepeatable() {
			return nil, &plainhttp.Refusal{Status: http.StatusServiceUnavailable, Text: rpc.MaybeMade}
		}
	}
	if resp, err = h.Discord.Forward(ctx, caller.Of(ctx), req); err != nil {
		return nil, err
	}
	if resp.Status < http.StatusMultipleChoices { // Discord has the route
		call.Method = req.Pattern()
	}
	return resp, h.restrict(ctx, call, resp)
}

// gateway returns the answer to a request for the gateway's address if that is the
// server's own, else nil. It names nothing that rules are about.
// https://discord.com/developers/docs/events/gateway#get-gateway-bot
func (h *handler) gateway(call *calls.Call, r *http.Request) *discord.Response {
	if h.Gateway == nil || call.Method != "GET /gateway" && call.Method != "GET /gateway/bot" {
		return nil
	}
	type startLimit struct {
		Total          int `json:"total"`
		Remaining      int `json:"remaining"`
		ResetAfter     int `json:"reset_after"`
		MaxConcurrency int `json:"max_concurrency"`
	}
	body := struct {
		URL    string      `json:"url"`
		Shards int         `json:"shards,omitempty"`
		Limit  *startLimit `json:"session_start_limit,omitempty"`
	}{URL: h.Gateway.URL(r)}
	if body.URL == "" {
		return nil
	}
	if call.Method == "GET /gateway/bot" {
		// Sessions with the server cost none at Discord.
		body.Shards, body.Limit = 1, &startLimit{Total: 1000, Remaining: 1000, MaxConcurrency: 1}
	}
	return answer(http.StatusOK, body)
}

// readHead reads a request without its body, and completes what is known of the
// call. It reports whether the client has rules for what the request holds.
func (h *handler) readHead(ctx context.Context, call *calls.Call, r *http.Request) (req *discord.Request, ruled bool, err error) {
	switch {
	case isForeignLink(r.Header):
		return nil, false, &plainhttp.Refusal{Status: http.StatusForbidden, Text: "the link that leads here is on another site"}
	case h.Discord == nil:
		return nil, false, &plainhttp.Refusal{
			Status: http.StatusForbidden,
			Text:   "plain REST is off: start the server with --rest-proxy, or on a loopback address",
		}
	case r.URL.IsAbs() || r.URL.Host != "" || r.URL.Opaque != "":
		return nil, false, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the request names a host in its target, which must be a path"}
	case !methods[r.Method]:
		return nil, false, &plainhttp.Refusal{Status: http.StatusMethodNotAllowed, Text: "Method Not Allowed"}
	}
	path, err := discord.ParseAPIPath(r.URL.EscapedPath())
	if err != nil {
		return nil, false, err
	}
	if strings.ContainsFunc(r.URL.RawQuery, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return nil, false, &plainhttp.Refusal{
			Status: http.StatusBadRequest,
			Text:   "the query has a space or a control character that is not escaped",
		}
	}
	req = &discord.Request{Method: r.Method, Path: path, Query: r.URL.RawQuery, Header: header(r.Header)}
	call.Method = req.Label()
	if _, call.Target, call.ID = req.Route(); call.Target != "" {
		call.Target += "_id"
		call.OddID = req.OddID()
	}
	if err := access.MayCall(ctx, req.Pattern()); err != nil {
		return nil, false, err
	}
	ruled = access.From(ctx).Ruled()
	if ruled {
		if err := req.ReadHead(); err != nil {
			return nil, false, notUnderstood(err)
		}
	}
	if err := h.Ready.Refusal(); err != nil {
		return nil, false, err
	}
	return req, ruled, nil
}

// withDeadline returns a context with the deadline of a request.
func (h *handler) withDeadline(ctx context.Context, r *http.Request) (context.Context, context.CancelFunc, error) {
	standard, ok := access.From(ctx).Timeout()
	if !ok {
		standard = h.Timeout
	}
	return withDeadline(ctx, r.Header, standard)
}

// readRest reads the body of a request, and checks what the request names.
func (h *handler) readRest(ctx context.Context, r *http.Request, req *discord.Request, ruled bool) (err error) {
	if ctx.Err() != nil {
		return calls.Status(ctx, ctx.Err())
	}
	if req.Body, err = plainhttp.ReadBody(r, h.MaxBodyBytes, tooLarge(h.MaxBodyBytes)); err != nil {
		return err
	}
	if err := checkType(req); err != nil {
		return err
	}
	// Rules that came while the body was read have to hold, too.
	if !ruled && !access.From(ctx).Ruled() {
		return nil
	}
	named, err := req.Read()
	if err != nil {
		return notUnderstood(err)
	}
	return access.MayTouch(ctx, access.ReadingOf(named))
}

// restrict takes out of an answer what the caller must not see.
func (h *handler) restrict(ctx context.Context, call *calls.Call, resp *discord.Response) (err error) {
	if resp.Status < http.StatusOK {
		return &plainhttp.Refusal{Status: http.StatusBadGateway, Text: "Discord answered with status " + strconv.Itoa(resp.Status)}
	}
	if h.HideLimits {
		for name := range resp.Header {
			if strings.HasPrefix(name, "X-Ratelimit-") {
				delete(resp.Header, name)
			}
		}
	}
	if client := access.From(ctx); resp.Status < http.StatusMultipleChoices && guildLists[call.Method] && client.FiltersChannels() {
		if resp.Body, err = client.Visible(resp.Body); err != nil {
			return &plainhttp.Refusal{Status: http.StatusBadGateway, Text: "Discord's answer cannot be filtered for this client"}
		}
		resp.Header.Del("Etag")
	}
	return nil
}

// guildLists are the routes that list something of several channels of a guild.
var guildLists = map[string]bool{
	"GET /guilds/{guild_id}/audit-logs":       true,
	"GET /guilds/{guild_id}/channels":         true,
	"GET /guilds/{guild_id}/invites":          true,
	"GET /guilds/{guild_id}/messages/search":  true,
	"GET /guilds/{guild_id}/scheduled-events": true,
	"GET /guilds/{guild_id}/threads/active":   true,
	"GET /guilds/{guild_id}/webhooks":         true,
	"GET /guilds/{guild_id}/widget.json":      true,
}

// notUnderstood refuses a request of a client with rules because of what it
// says, or how.
func notUnderstood(err error) error {
	return &plainhttp.Refusal{
		Status: http.StatusForbidden,
		Text:   "the rules for this client do not allow a request that can be read in several ways: " + err.Error(),
	}
}

// isForeignLink reports whether a browser follows a link of another site. The
// listener lets it, for the sake of pages; but here it would spend a limit.
func isForeignLink(header http.Header) bool {
	switch header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return header.Get("Sec-Fetch-Mode") == "navigate"
}
