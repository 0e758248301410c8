package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"discordproxy/discord"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
)

// Entry is the service of a server that forwards its calls to another one. It admits
// requests as New does: by the client and the methods that it may call.
type Entry struct {
	http.Handler
	errors *connect.ErrorWriter
}

// NewEntry returns an Entry that passes the requests that it admits to next. Of the
// configuration it uses Access, Observers, Logger, Hooks, UseHooks and REST.IsOwn.
func NewEntry(c Config, next http.Handler) (*Entry, error) {
	observers := append(calls.Observers{calls.Log(c.Logger)}, c.Observers...)
	options, err := c.guardedOptions(observers)
	if err != nil {
		return nil, err
	}
	guarding := &authorizer{c.Access, observers, connect.NewErrorWriter(options...)}
	known := listener.Known(next)
	always := func(name string) func(*http.Request) string { return func(*http.Request) string { return name } }
	mux := make(byFirst)
	mux.Handle("/"+discordapiconnect.DiscordApiName+"/", guarding.guard(methodOf, known))
	mux.Handle("/"+discordapiconnect.DashboardName+"/", guarding.guard(always(access.Dashboard), known))
	mux.Handle("/"+discordapiconnect.OutboxName+"/", guarding.guard(always(""), known))
	mux.Handle("/"+health.Name+"/", listener.Anyone(next))
	for _, name := range []string{grpcreflect.ReflectV1ServiceName, grpcreflect.ReflectV1AlphaServiceName} {
		mux.Handle("/"+name+"/", guarding.guard(always(access.Reflection), listener.Anyone(next)))
	}
	c.REST.Access, c.REST.Observers, c.REST.Logger, c.REST.PassOn = c.Access, observers, c.Logger, next
	plain, err := rest.New(c.REST)
	if err != nil {
		return nil, err
	}
	c.Hooks.Access, c.Hooks.Observers, c.Hooks.Logger, c.Hooks.PassOn = c.Access, observers, c.Logger, next
	incoming, err := hooks.New(c.Hooks)
	if err != nil {
		return nil, err
	}
	if c.UseHooks != nil {
		c.UseHooks(incoming.Use)
	}
	mux.Handle("/hooks/", incoming)
	methods := rpc.GRPCWebText(mux)
	return &Entry{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(rpc.Named(r.Context(), w, r))
		if rest.Serves(r) {
			plain.ServeHTTP(w, r)
			return
		}
		methods.ServeHTTP(w, rpc.Plain(r))
	}), guarding.errors}, nil
}

// Refuse answers a request with an error, in its own protocol.
func (e *Entry) Refuse(w http.ResponseWriter, r *http.Request, err *connect.Error) {
	refuse(e.errors, w, r, err)
}

// IsEndless reports whether a request is a stream that lasts until one side ends it.
func IsEndless(r *http.Request) bool {
	switch r.URL.Path {
	case discordapiconnect.DiscordApiSubscribeEventsProcedure, discordapiconnect.DashboardWatchStatusProcedure,
		"/" + health.Name + "/Watch":
		return true
	}
	return false
}

// IsPassable reports whether a request does all that it does at Discord, so that another
// server can serve it as long as nothing was sent there.
func IsPassable(r *http.Request) bool {
	return rest.Serves(r) || strings.HasPrefix(r.URL.Path, "/"+discordapiconnect.DiscordApiName+"/") ||
		strings.HasPrefix(r.URL.Path, "/hooks/")
}

// Settles reports whether a request that cannot be passed on does something that has to
// end where it was begun.
func Settles(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/"+discordapiconnect.OutboxName+"/") ||
		strings.HasPrefix(r.URL.Path, "/"+discordapiconnect.DashboardName+"/")
}

// IsRepeatable reports whether a request may be made again where rpc.RepeatOf says so, when
// it is not known whether it was made: it changes nothing, has the same effect
// twice as once, or makes one message or delivery that has a name.
func IsRepeatable(r *http.Request) bool {
	switch r.URL.Path {
	case discordapiconnect.DiscordApiSendChannelMessageProcedure, discordapiconnect.DiscordApiSendDirectMessageProcedure,
		discordapiconnect.OutboxEnqueueProcedure, discordapiconnect.OutboxEnqueueManyProcedure:
		return true
	}
	if rest.Serves(r) {
		return rest.IsRepeatable(r)
	}
	return rpc.MayGet(r.URL.Path)
}

// keepOne gives a message that may be sent again at another server the nonce that it has
// there, so that Discord stores it once. It refuses to send a message again that Discord
// would store twice.
func keepOne(ctx context.Context, m *discord.Message) error {
	repeat := rpc.RepeatOf(ctx)
	if repeat.Nonce == "" {
		return nil
	}
	nonce, _ := m.Fields["nonce"].(string)
	enforced, said := m.Fields["enforce_nonce"].(bool)
	switch {
	case nonce == "":
		m.Fields["nonce"] = repeat.Nonce
		delete(m.Fields, "enforce_nonce") // which is about the caller's own nonce
	case said && !enforced && repeat.Again:
		err := connect.NewError(connect.CodeUnavailable, errors.New(rpc.MaybeMade))
		if detail, failed := connect.NewErrorDetail(&pb.DiscordError{Text: rpc.MaybeMade, OutcomeUnknown: true}); failed == nil {
			err.AddDetail(detail)
		}
		return err
	}
	if repeat.Again {
		m.Journal = &discord.Journal{Opened: repeat.Opened()}
	}
	return nil
}
