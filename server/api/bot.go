package api

import (
	"fmt"
	"net/http"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// BotName is the name of the server's only bot.
const BotName = "default"

// botHeader names the bot that a request is for.
const botHeader = "Discord-Bot"

// ForBot refuses requests for a bot that the server does not have, so that no other bot
// makes the call. The header is the proxy's, and next does not pass it on to Discord.
func ForBot(next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := forBot(r)
		if err != nil {
			refuse(writer, w, r, err)
			return
		}
		next.ServeHTTP(w, in)
	})
}

// forBot returns the request that ForBot passes on.
func forBot(r *http.Request) (*http.Request, *connect.Error) {
	names, given := r.Header[botHeader]
	if !given {
		return r, nil
	}
	for _, name := range names {
		if name != BotName {
			return nil, connect.NewError(connect.CodeNotFound,
				fmt.Errorf("%s: there is no bot named %q; the name of the proxy's bot is %q", botHeader, name, BotName))
		}
	}
	r = r.Clone(r.Context())
	r.Header.Del(botHeader)
	return r, nil
}

// refuse answers a request with an error, in its own protocol.
func refuse(writer *connect.ErrorWriter, w http.ResponseWriter, r *http.Request, err *connect.Error) {
	r = rpc.Plain(r)
	switch {
	case rest.Serves(r):
		rest.Refuse(w, r, err)
	case r.Method == http.MethodPost && writer.IsSupported(r):
		// It fails only when the client is gone.
		_ = writer.Write(w, r, err)
	default:
		status, _ := access.Describe(err)
		http.Error(w, rpc.Text(err), status)
	}
}
