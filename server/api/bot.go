package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/rest"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// BotName is the name of the bot of a server that has one and no name for it.
const BotName = "default"

// botHeader names the bot that a request is for. It is the proxy's, and does not reach
// Discord.
const botHeader = "Discord-Bot"

// PathBot passes requests to /bots/NAME/rest to next as requests to /rest for the bot. It
// must come after what takes keys out of the path.
func PathBot(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/bots/") {
			next.ServeHTTP(w, r)
		} else if in := withoutPathBot(w, r); in != nil {
			next.ServeHTTP(w, in)
		}
	})
}

// withoutPathBot returns the request that PathBot passes on, or nil if it has answered r.
func withoutPathBot(w http.ResponseWriter, r *http.Request) *http.Request {
	after := strings.TrimPrefix(r.URL.EscapedPath(), "/bots/")
	name, rest, below := strings.Cut(after, "/")
	bare, err := url.PathUnescape("/" + rest)
	switch name, notName := url.PathUnescape(name); {
	case !strings.HasPrefix(r.URL.EscapedPath(), "/bots/"):
	case below && err == nil && notName == nil && name != "":
		out := r.Clone(r.Context())
		out.URL.Path, out.URL.RawPath = bare, "/"+rest
		out.RequestURI, out.Pattern = out.URL.RequestURI(), ""
		out.Header.Add(botHeader, name)
		return out
	case !below && access.CheckBot(after, nil) == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		location := after + "/"
		if r.URL.RawQuery != "" {
			location += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusMovedPermanently)
		return nil
	}
	http.Error(w, "a path with the name of a bot must be of the form /bots/NAME/...", http.StatusNotFound)
	return nil
}

// BotOf returns the name of the bot that a request is for, or "" if it names none.
func BotOf(r *http.Request) (string, *connect.Error) {
	names := r.Header[botHeader]
	if len(names) == 0 {
		return "", nil
	}
	for _, name := range names {
		if name != names[0] {
			return "", connect.NewError(connect.CodeInvalidArgument,
				fmt.Errorf("%s: the request names two bots, %.40q and %.40q", botHeader, names[0], name))
		}
	}
	if names[0] == "" {
		return "", connect.NewError(connect.CodeInvalidArgument, errors.New(botHeader+": the name of the bot is empty"))
	}
	return names[0], nil
}

// WithoutBot returns a request that names no bot.
func WithoutBot(r *http.Request) *http.Request {
	if _, named := r.Header[botHeader]; !named {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del(botHeader)
	return r
}

var refusals = connect.NewErrorWriter()

// Refuse answers a request with an error, in its own protocol.
func Refuse(w http.ResponseWriter, r *http.Request, err *connect.Error) { refuse(refusals, w, r, err) }

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
