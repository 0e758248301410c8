// Package hooks implements incoming hooks: POST /hooks/NAME accepts payloads of scripts
// and tools (text, forms, JSON of webhooks, alerts, events of code forges) and posts them
// as messages to the channel, user or webhook that the configuration names.
//
// A request is processed in three steps. First, its payload is decoded and the format of
// the payload is recognized. Then a template turns the payload into a message; formats
// that already are messages are converted without a template. Finally, the message is cut
// to Discord's limits, and mentions that the hook does not allow are disabled.
package hooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/plainhttp"
	"discordproxy/server/internal/refusals"
	"discordproxy/server/internal/rpc"
)

// Discord is the client of Discord that hooks need; *discord.Client implements it.
type Discord interface {
	CreateMessage(ctx context.Context, by *discord.Caller, channelID uint64, m discord.Message) (json.RawMessage, error)
	SendDirectMessage(ctx context.Context, by *discord.Caller, userID uint64, m discord.Message) (json.RawMessage, error)
	Call(ctx context.Context, by *discord.Caller, op discord.Operation, args discord.Args, files ...discord.File) (json.RawMessage, error)
}

// Limits of Config.
const (
	DefaultMaxBodyBytes = 4 << 20
	DefaultMaxCalls     = 5_000
)

// Protocol is the protocol of hooks in the log, in metrics and on the dashboard.
const Protocol = "hook"

// Config configures a handler. Only Discord is required.
type Config struct {
	// Discord sends the messages.
	Discord Discord
	// Hooks are the hooks at the start. Nil means none; see Handler.Use.
	Hooks *Hooks
	// PassOn serves the admitted requests, unchanged, instead of posting them to Discord.
	// Nil means none.
	PassOn http.Handler
	// Queue receives the messages of hooks that do not wait for Discord. If it is nil,
	// they are refused.
	Queue Queue
	// Access decides who may use hooks without their secret. Nil lets everyone use hooks
	// without a secret. The right to its bot is checked after the right to hooks: clients
	// without the latter do not learn which hooks there are.
	Access *access.Guard
	// Guesses limits wrong secrets. Handlers of several bots share it, or the limit would
	// show whose hook a name is. Nil means one of the handler's own.
	Guesses *access.Attempts
	// MaxBodyBytes limits a payload. 0 means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// MaxCalls limits the calls in progress of one hook, waiting ones included. 0
	// means DefaultMaxCalls.
	MaxCalls int
	// Ready decides whether messages can be sent.
	Ready plainhttp.Ready
	// Observers are notified of every call.
	Observers calls.Observers
	// Trace traces the requests.
	Trace plainhttp.Trace
	// Logger receives panics and the number of refusals that were not logged. Nil
	// means slog.Default().
	Logger *slog.Logger
}

// Handler serves POST /hooks/NAME. It is safe for concurrent use.
type Handler struct {
	Config
	hooks    atomic.Pointer[Hooks]
	refused  *refusals.Log
	byClient http.Handler

	mu      sync.Mutex
	running map[string]int // calls in progress by hook
}

// New returns a Handler.
func New(c Config) (*Handler, error) {
	switch {
	case c.Discord == nil && c.PassOn == nil:
		return nil, errors.New("hooks: no Discord to talk to")
	case c.MaxBodyBytes < 0:
		return nil, errors.New("hooks: MaxBodyBytes is negative")
	case c.MaxCalls < 0:
		return nil, errors.New("hooks: MaxCalls is negative")
	}
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes)
	c.MaxCalls = cmp.Or(c.MaxCalls, DefaultMaxCalls)
	if c.Guesses == nil {
		c.Guesses = access.NewAttempts()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	h := &Handler{Config: c, refused: refusals.NewLog(), running: make(map[string]int)}
	h.Use(c.Hooks)
	serve := http.Handler(http.HandlerFunc(h.serveClient))
	if c.PassOn != nil {
		serve = c.PassOn
	}
	h.byClient = c.Access.ForAnyBot().Handler(listener.Known(serve), func(w http.ResponseWriter, r *http.Request, err error) {
		if access.IsQuiet(err) {
			write(w, r, refuse(r.Context(), err))
			return
		}
		h.answer(w, r, "", func(context.Context, *calls.Call) (*result, error) { return nil, err })
	})
	return h, nil
}

// Use replaces the hooks. Nil means none. Calls in progress are not affected.
func (h *Handler) Use(hooks *Hooks) {
	if hooks == nil {
		hooks = new(Hooks)
	}
	h.hooks.Store(hooks)
}

// ServeHTTP implements http.Handler. Anyone with the secret of a hook may use
// it; all others need what the rest of the server needs.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hook := h.hooks.Load().find(nameOf(r))
	given := secretsOf(r)
	if hook != nil && hook.opensFor(given) {
		if h.PassOn != nil {
			listener.MarkKnown(r)
			h.PassOn.ServeHTTP(w, r)
			return
		}
		// The secret gives access to the hook, whatever the rules say.
		clean := r.Clone(access.WithEveryone(caller.Named(r.Context(), Caller(hook.Name))))
		clean.Header.Del("Authorization")
		listener.Known(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serveHook(w, r, hook) })).ServeHTTP(w, clean)
		return
	}
	if _, inPath := pathSecret(r.Context()); inPath || h.Access == nil && hook != nil && hook.secret != "" {
		h.serveStranger(w, r, hook, len(given) > 0)
		return
	}
	h.byClient.ServeHTTP(w, r)
}

// serveStranger refuses a request without the secret of its hook. Each guess
// counts for its address.
func (h *Handler) serveStranger(w http.ResponseWriter, r *http.Request, hook *Hook, guessed bool) {
	listener.Anyone(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch {
		case guessed && !h.Guesses.Take(r.RemoteAddr):
			err = &plainhttp.Refusal{
				Status: http.StatusTooManyRequests,
				Text:   "too many wrong secrets came from this address: try again later",
				After:  access.AttemptInterval,
			}
		case h.Access != nil: // strangers do not learn which hooks there are
			err = &plainhttp.Refusal{Status: http.StatusUnauthorized, Text: "there is no hook of this name with this secret"}
		case hook == nil:
			err = errUnknown
		case guessed:
			err = &plainhttp.Refusal{Status: http.StatusUnauthorized, Text: "the secret is not the one of this hook"}
		default:
			err = &plainhttp.Refusal{
				Status: http.StatusUnauthorized,
				Text:   "this hook needs its secret: POST /hooks/NAME/SECRET, or a header Authorization: Bearer SECRET",
			}
		}
		allowed, omitted := h.refused.Allow(r.RemoteAddr)
		if !allowed {
			write(w, r, refuse(r.Context(), err))
			return
		}
		if omitted > 0 {
			h.Logger.WarnContext(r.Context(), "omitted refusals of hooks from the log", "omitted", omitted)
		}
		name := ""
		if hook != nil {
			name = hook.Name
		}
		h.answer(w, r, name, func(context.Context, *calls.Call) (*result, error) { return nil, err })
	})).ServeHTTP(w, r)
}

// serveClient serves a client that the access rules know, or anybody if there
// are none.
func (h *Handler) serveClient(w http.ResponseWriter, r *http.Request) {
	hook := h.hooks.Load().find(nameOf(r))
	if hook == nil {
		h.answer(w, r, "", func(ctx context.Context, _ *calls.Call) (*result, error) {
			if err := access.MayCall(ctx, access.Hooks); err != nil {
				return nil, err
			}
			return nil, errUnknown
		})
		return
	}
	if caller.Name(r.Context()) == "" {
		r = r.WithContext(caller.Named(r.Context(), Caller(hook.Name)))
	}
	h.serveHook(w, r, hook)
}

func (h *Handler) serveHook(w http.ResponseWriter, r *http.Request, hook *Hook) {
	h.answer(w, r, hook.Name, func(ctx context.Context, call *calls.Call) (*result, error) { return h.serve(ctx, call, r, hook) })
}

// answer answers a request with what serve returns, and notifies the observers.
// An empty name is that of an unknown hook.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, name string, serve func(context.Context, *calls.Call) (*result, error)) {
	call := &calls.Call{Method: "POST /hooks/" + cmp.Or(name, "{other}"), Protocol: Protocol}
	ctx, traced := h.Trace.Begin(r.Context(), r.Header)
	ctx, end := h.Observers.Begin(ctx, call)
	result, err := serve(ctx, call)
	var out answer
	if err != nil {
		out = refuse(ctx, err)
		call.Code = out.code
	} else {
		out = answer{status: http.StatusOK, body: result}
	}
	end(err)
	write(w, r, out)
	traced(call, out.status)
}

// result is the body of a successful answer.
type result struct {
	Hook   string `json:"hook"`
	Format string `json:"format"`
	// Sent is false for a preview, for an event that sends nothing, and for a queued message.
	Sent bool `json:"sent"`
	// Queued reports whether the message is in the outbox, as the delivery
	// DeliveryID. Duplicate is whether it was there before.
	Queued     bool   `json:"queued,omitempty"`
	DeliveryID string `json:"delivery_id,omitempty"`
	Duplicate  bool   `json:"duplicate,omitempty"`
	// ID and ChannelID are those of the message.
	ID        string `json:"id,omitempty"`
	ChannelID string `json:"channel_id,omitempty"`
	// Shortened reports whether a part of the message was cut or left out.
	Shortened bool `json:"shortened,omitempty"`
	// Message is the message of a preview.
	Message discord.Args `json:"message,omitempty"`
}

// serve sends the message of a request, or only shows it. A panic becomes an
// error.
func (h *Handler) serve(ctx context.Context, call *calls.Call, r *http.Request, hook *Hook) (res *result, err error) {
	defer func() {
		if value := recover(); value != nil {
			res, err = nil, rpc.Panicked(ctx, h.Logger, call.Method, value)
		}
	}()
	call.Target, call.ID = hook.target.name()
	if err := access.MayCall(ctx, access.Hooks); err != nil {
		return nil, err
	}
	if err := h.Access.MayUse(ctx); err != nil {
		return nil, err
	}
	if err := access.MayTouch(ctx, access.ReadingOf(hook.target.reading())); err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return nil, &plainhttp.Refusal{
			Status: http.StatusMethodNotAllowed,
			Text:   "use POST: method " + refusals.Shorten(r.Method) + " is not supported",
		}
	}
	preview, err := isPreview(r)
	if err != nil {
		return nil, err
	}
	if err := h.Ready.Refusal(); err != nil && !preview && !hook.queue {
		return nil, err
	}
	leave, err := h.enter(hook)
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := read(r, h.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	p.choose(hook)
	m, err := hook.render(p)
	if err != nil {
		return nil, err
	}
	res = &result{Hook: hook.Name, Format: p.format, Shortened: m.fit()}
	if m.empty() {
		if p.isEvent() {
			return res, nil
		}
		return nil, &plainhttp.Refusal{Status: http.StatusBadRequest, Text: "the payload holds no text to send"}
	}
	m.restrict(hook)
	if preview {
		res.Message = m.fields
		return res, nil
	}
	if err := access.From(ctx).Hold(ctx); err != nil {
		return nil, err
	}
	if hook.queue {
		return res, h.enqueue(ctx, hook, m.fields, r.Header, res)
	}
	data, err := hook.target.send(ctx, h.Discord, m.fields, nonceOf(hook, r.Header))
	if err != nil {
		return nil, err
	}
	var sent struct {
		ID        string `json:"id"`
		ChannelID string `json:"channel_id"`
	}
	// The message is stored, even if the response cannot be read.
	_ = json.Unmarshal(data, &sent)
	res.Sent, res.ID, res.ChannelID = true, sent.ID, sent.ChannelID
	return res, nil
}

// enter counts a call in progress until leave.
func (h *Handler) enter(hook *Hook) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[hook.Name] >= h.MaxCalls {
		return nil, &plainhttp.Refusal{
			Status: http.StatusTooManyRequests,
			After:  1e9,
			Text:   fmt.Sprintf("hook %s has %d calls in progress already, which is its limit", hook.Name, h.MaxCalls),
		}
	}
	h.running[hook.Name]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.running[hook.Name]--; h.running[hook.Name] == 0 {
			delete(h.running, hook.Name)
		}
	}, nil
}

// isPreview reports whether the query asks for the message without sending it.
// Programs for webhooks of Discord add wait, which has no meaning here: a hook
// always waits. Any other query is refused: a misspelled preview must not send.
func isPreview(r *http.Request) (preview bool, err error) {
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		switch strings.ToLower(part) {
		case "", "wait=true", "wait=false", "wait=1", "wait=0":
		case "preview", "preview=", "preview=1", "preview=true":
			preview = true
		default:
			return false, &plainhttp.Refusal{
				Status: http.StatusBadRequest,
				Text:   "the query can only be ?preview, which answers the message without sending it, and wait",
			}
		}
	}
	return preview, nil
}

func nameOf(r *http.Request) string { return nameIn(r.URL.Path) }

func nameIn(path string) string { return strings.TrimPrefix(path, "/hooks/") }
