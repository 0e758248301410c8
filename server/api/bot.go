package api

import (
	"fmt"
	"net/http"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

const (
	// botHeader names the bot that a request is for.
	botHeader = "Discord-Bot"
	// botName is the name of the server's only bot.
	botName = "default"
)

// ForBot refuses requests for a bot that the server does not have, so that no other bot
// makes the call. The header is the proxy's, and next does not pass it on to Discord.
func ForBot(next http.Handler) http.Handler {
	errors := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names, given := r.Header[botHeader]
		if !given {
			next.ServeHTTP(w, r)
			return
		}
		for _, name := range names {
			if name != botName {
				refuse(errors, w, r, connect.NewError(connect.CodeNotFound,
					fmt.Errorf("%s: there is no bot named %q; the name of the proxy's bot is %q", botHeader, name, botName)))
				return
			}
		}
		r = r.Clone(r.Context())
		r.Header.Del(botHeader)
		next.ServeHTTP(w, r)
	})
}

// refuse answers a request with an error, in its own protocol.
func refuse(errors *connect.ErrorWriter, w http.ResponseWriter, r *http.Request, err *connect.Error) {
	r = rpc.Plain(r)
	switch {
	case rest.Serves(r):
		rest.Refuse(w, r, err)
	case r.Method == http.MethodPost && errors.IsSupported(r):
		// It fails only when the client is gone.
		_ = errors.Write(w, r, err)
	default:
		status, _ := access.Describe(err)
		http.Error(w, rpc.Text(err), status)
	}
}
