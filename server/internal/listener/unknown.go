package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"discordproxy/server/internal/refusals"

	"connectrpc.com/connect"
)

// unknown counts the requests in progress that Anyone let through.
type unknown struct {
	mu         sync.Mutex
	all        int
	perNetwork map[string]int
}

// unknownRequest is one of them.
type unknownRequest struct {
	server     *Server
	connection *unknownConnection
	network    string
	counted    bool // among those of the network and of all
	once       sync.Once
}

// unknownConnection is a connection as far as clients that are not known use it.
type unknownConnection struct {
	*connection
	requests atomic.Int64
}

type (
	connectionKey struct{}
	unknownKey    struct{}
)

// withConnection counts the requests of a connection, see http.Server.ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	own, ok := conn.(*connection)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, connectionKey{}, &unknownConnection{connection: own})
}

// Known returns next for requests whose client is known: they do not count
// towards the limits of Config for clients that are not.
func Known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		MarkKnown(r)
		next.ServeHTTP(w, r)
	})
}

// MarkKnown does what Known does, for a handler that calls it.
func MarkKnown(r *http.Request) {
	if u, ok := r.Context().Value(unknownKey{}).(*unknownRequest); ok {
		u.connection.known.Store(true)
		u.leave()
	}
}

// Anyone returns next for requests of clients that need not be known. It refuses
// them when too many are in progress; see Config.MaxUnknown. A request for a
// page, GET or HEAD without a body, ends by itself. It counts only for its
// connection, so that probes of the server's health are answered whatever
// others do.
func Anyone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, ok := r.Context().Value(unknownKey{}).(*unknownRequest); ok {
			isPage := (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength == 0
			if reason := u.enter(r.RemoteAddr, isPage); reason != "" {
				u.server.refuse(w, r, connect.CodeResourceExhausted, http.StatusTooManyRequests, reason)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// countUnknown counts requests on their connection until Known or their end.
// When they come faster than they can be refused, or their client does not read
// the refusals, the connection is closed. One that a known client uses too, as
// behind a reverse proxy, has only its further streams reset.
func (s *Server) countUnknown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := &unknownRequest{server: s}
		var ok bool
		if u.connection, ok = r.Context().Value(connectionKey{}).(*unknownConnection); !ok {
			next.ServeHTTP(w, r) // a handler that is tested without its server
			return
		}
		defer u.leave()
		if int(u.connection.requests.Add(1)) > 2*s.cfg.MaxUnknownPerConnection {
			if !u.connection.known.Load() {
				_ = u.connection.Close()
			}
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), unknownKey{}, u)))
	})
}

// enter counts a request and returns why it is refused, or "" if it is not.
// address is its client's.
func (u *unknownRequest) enter(address string, isPage bool) (refused string) {
	cfg := &u.server.cfg
	if limit := cfg.MaxUnknownPerConnection; int(u.connection.requests.Load()) > limit {
		return fmt.Sprintf("more than %d requests without a known client on this connection", limit)
	}
	if isPage {
		return ""
	}
	u.network = refusals.Network(address)
	c := &u.server.unknown
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.all >= cfg.MaxUnknown:
		return fmt.Sprintf("more than %d requests without a known client", cfg.MaxUnknown)
	case c.perNetwork[u.network] >= cfg.MaxUnknownPerNetwork:
		return fmt.Sprintf("more than %d requests without a known client from this network", cfg.MaxUnknownPerNetwork)
	}
	if c.perNetwork == nil {
		c.perNetwork = make(map[string]int)
	}
	c.all++
	c.perNetwork[u.network]++
	u.counted = true
	return ""
}

// leave may be called more than once.
func (u *unknownRequest) leave() {
	u.once.Do(func() {
		u.connection.requests.Add(-1)
		if !u.counted {
			return
		}
		c := &u.server.unknown
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.perNetwork[u.network]--; c.perNetwork[u.network] == 0 {
			delete(c.perNetwork, u.network)
		}
	})
}
