package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/forward"
	"discordproxy/server/internal/health"
	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rest"

	"connectrpc.com/connect"
)

// choice serves each request by the bot that it is for.
type choice struct {
	all      bots
	handlers []http.Handler // of the bots
	// common serves requests about the health of the server that name no bot. It is nil if
	// the bot is the server's only one.
	common http.Handler
	// hooks belong to bots.
	hooks *incoming
	// unknown refuses requests for bots that the server does not have.
	unknown http.Handler
}

// ServeHTTP implements http.Handler. What decides has returned before a request waits,
// which keeps all functions around it on its stack.
func (c *choice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, in := c.choose(w, r)
	if handler != nil {
		handler.ServeHTTP(w, in)
	}
}

// choose returns what serves a request, without the name of the bot. It returns nil if it
// has refused the request.
func (c *choice) choose(w http.ResponseWriter, r *http.Request) (http.Handler, *http.Request) {
	if forwarded := forward.BotOf(r); forwarded != "" {
		i := slices.IndexFunc(c.all, func(b *bot) bool { return b.place.bot == forwarded })
		return c.handlers[i], api.WithoutBot(r) // the keys accept no other bots
	}
	name, err := api.BotOf(r)
	i := 0
	switch {
	case err != nil:
		api.Refuse(w, r, err)
		return nil, nil
	case name == "" && c.common == nil:
	case name == "" && isAboutHealth(r):
		return c.common, r
	case name == "":
		i = c.ofUnnamed(r)
	default:
		if i = slices.IndexFunc(c.all, func(b *bot) bool { return b.name == name }); i < 0 {
			return c.unknown, r
		}
		if own := c.byToken(r); own >= 0 && own != i { // whose limits are kept where its other calls are made
			api.Refuse(w, r, connect.NewError(connect.CodeInvalidArgument,
				fmt.Errorf("the request is for bot %s, but has the token of another bot", name)))
			return nil, nil
		}
	}
	return c.handlers[i], api.WithoutBot(r)
}

// ofUnnamed returns the bot that serves a request that does not name one of several.
func (c *choice) ofUnnamed(r *http.Request) int {
	i := c.byToken(r)
	if hook := c.hooks.botOf(r.URL.Path); hook != "" {
		i = slices.IndexFunc(c.all, func(b *bot) bool { return b.name == hook })
	}
	return max(i, 0)
}

// byToken returns the bot whose own token a plain request has, or -1.
func (c *choice) byToken(r *http.Request) int {
	given := r.Header["Authorization"]
	if len(given) != 1 || !rest.Serves(r) {
		return -1
	}
	return c.all.byToken(given[0])
}

// unknownBot refuses requests for bots that the server does not have, and names those that
// it has to clients that it would serve.
func (s *Server) unknownBot() (http.Handler, error) {
	names := BotNames(s.config)
	refuse := func(w http.ResponseWriter, r *http.Request, hint string) {
		name, _ := api.BotOf(r)
		api.Refuse(w, r, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no bot named %.40q%s", name, hint)))
	}
	toClients := func(w http.ResponseWriter, r *http.Request) {
		var hint string
		if own := access.Bots(r.Context(), names); len(own) > 0 { // questions about health come from no client
			hint = ": this client may use " + strings.Join(own, ", ")
		}
		refuse(w, r, hint)
	}
	clients, err := api.NewEntry(api.Config{Logger: s.config.Logger, Access: s.gate.guard}, http.HandlerFunc(toClients))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest.Serves(r) || api.IsMethod(r.URL.Path) {
			clients.ServeHTTP(w, r)
		} else {
			refuse(w, r, "")
		}
	}), err
}

// isAboutHealth reports whether a request asks whether the server can serve calls.
func isAboutHealth(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.Method == http.MethodOptions && r.URL.Path == "/" ||
		strings.HasPrefix(r.URL.Path, "/"+health.Name+"/")
}

// commonHandler answers questions about the health of a server with several bots. ending is
// closed when the server begins to shut down.
func commonHandler(checks health.Checks, warnings func() []string, ending <-chan struct{}, logger *slog.Logger) (http.Handler, error) {
	service, err := api.NewHealth(api.Config{Health: checks, Ending: ending, Logger: logger})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", service)
	pages := listener.Anyone(health.Handler(checks, warnings))
	for _, pattern := range health.Patterns {
		mux.Handle(pattern, pages)
	}
	return mux, nil
}
