package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"discordproxy/server/api"
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
}

// ServeHTTP implements http.Handler.
func (c *choice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if forwarded := forward.BotOf(r); forwarded != "" {
		i := slices.IndexFunc(c.all, func(b *bot) bool { return b.place.bot == forwarded })
		c.handlers[i].ServeHTTP(w, api.WithoutBot(r)) // the keys accept no other bots
		return
	}
	name, err := api.BotOf(r)
	switch {
	case err != nil:
		api.Refuse(w, r, err)
		return
	case name == "" && c.common != nil:
		c.unnamed(w, r)
		return
	case name == "":
		c.handlers[0].ServeHTTP(w, r)
		return
	}
	i := slices.IndexFunc(c.all, func(b *bot) bool { return b.name == name })
	if i < 0 {
		api.Refuse(w, r, connect.NewError(connect.CodeNotFound, c.unknown(name)))
		return
	}
	c.handlers[i].ServeHTTP(w, api.WithoutBot(r))
}

// unnamed serves a request that does not name one of several bots.
func (c *choice) unnamed(w http.ResponseWriter, r *http.Request) {
	if isAboutHealth(r) {
		c.common.ServeHTTP(w, r)
		return
	}
	if given := r.Header["Authorization"]; len(given) == 1 && rest.Serves(r) {
		for i, b := range c.all {
			if b.isOwn(given[0]) {
				c.handlers[i].ServeHTTP(w, r)
				return
			}
		}
	}
	c.handlers[0].ServeHTTP(w, r)
}

// unknown is the error for a bot that the server does not have. It names none to strangers.
func (c *choice) unknown(name string) error {
	if !c.all.several() {
		return fmt.Errorf("there is no bot named %.40q; the name of the proxy's bot is %q", name, c.all[0].name)
	}
	return fmt.Errorf("there is no bot named %.40q", name)
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
		return nil, errors.New("server: " + err.Error())
	}
	mux := http.NewServeMux()
	mux.Handle("/", service)
	pages := listener.Anyone(health.Handler(checks, warnings))
	for _, pattern := range health.Patterns {
		mux.Handle(pattern, pages)
	}
	return mux, nil
}
