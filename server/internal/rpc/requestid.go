package rpc

import (
	"context"
	"crypto/rand"
	"net/http"
)

// RequestIDHeader carries the request id, both ways.
const RequestIDHeader = "X-Request-Id"

// maxRequestID bounds an id that a client chose: it is copied into every log
// line about the call.
const maxRequestID = 64

type namedKey struct{}

// named is what Named keeps of a request.
type named struct{ id, peer string }

// WithRequestID names every request: by the client's X-Request-Id when that is
// 1 to 64 visible ASCII characters, else by a random one. Handlers find it with
// RequestID, the client finds it in the response's header. The peer's address
// is kept for Peer.
func WithRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(Named(r.Context(), w, r)))
	})
}

// Named returns ctx with what WithRequestID keeps of a request, whose name it puts into
// the header of the response.
func Named(ctx context.Context, w http.ResponseWriter, r *http.Request) context.Context {
	id := r.Header.Get(RequestIDHeader)
	if !saneRequestID(id) {
		id = rand.Text()
	}
	w.Header().Set(RequestIDHeader, id)
	return context.WithValue(ctx, namedKey{}, &named{id, r.RemoteAddr})
}

// RequestID returns the id that WithRequestID gave the request, else "".
func RequestID(ctx context.Context) string {
	if n, ok := ctx.Value(namedKey{}).(*named); ok {
		return n.id
	}
	return ""
}

// Peer returns the network address of the caller's end of the connection, else
// "". Forwarding headers are not looked at, since anybody can write them.
func Peer(ctx context.Context) string {
	if n, ok := ctx.Value(namedKey{}).(*named); ok {
		return n.peer
	}
	return ""
}

// WithOrigin names what the server does by itself, and from where it was asked for.
func WithOrigin(ctx context.Context, requestID, peer string) context.Context {
	return context.WithValue(ctx, namedKey{}, &named{requestID, peer})
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}
