package access

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// session is a request in progress of a known client. When the rules change, it
// continues under the new ones, or ends.
type session struct {
	proof proof
	bot   string // of the Guard; empty for none, or for all
	// revoked ends, with a *connect.Error as its cause, when the client is
	// removed or may no longer do what the request does.
	revoked context.Context
	revoke  context.CancelCauseFunc

	mu     sync.Mutex
	client *Client
	// checks are what the rules had to allow so far, by what they are about.
	checks map[string]func(*Client) error
}

type sessionKey struct{}

func sessionOf(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{}).(*session)
	return s
}

// begin registers a request until end. rules are those that identified its
// client.
func (g *Guard) begin(ctx context.Context, id identity, rules *Rules) (_ context.Context, end func()) {
	s := &session{proof: id.proof, bot: g.scope.bot, client: id.client, checks: make(map[string]func(*Client) error)}
	s.revoked, s.revoke = context.WithCancelCause(context.Background())
	g.mu.Lock()
	g.sessions[s] = struct{}{}
	g.mu.Unlock()
	if g.rules.Load() != rules {
		s.revise(&g.rules)
	}
	ctx = caller.Until(context.WithValue(ctx, sessionKey{}, s), s.revoked)
	return ctx, func() {
		g.mu.Lock()
		delete(g.sessions, s)
		g.mu.Unlock()
		s.revoke(nil)
	}
}

// revise applies the newest rules to all requests in progress.
func (g *Guard) revise() {
	g.mu.Lock()
	all := make([]*session, 0, len(g.sessions))
	for s := range g.sessions {
		all = append(all, s)
	}
	g.mu.Unlock()
	for _, s := range all {
		s.revise(&g.rules)
	}
}

// revise applies the newest rules. It loads them while s.mu is held, so that no older ones
// are applied after them.
func (s *session) revise(newest *atomic.Pointer[Rules]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := newest.Load().proven(s.proof)
	if client == nil {
		s.revoke(refuse(connect.CodeUnauthenticated, "client %s was removed, or its credentials were", s.client.name))
		return
	}
	s.client = client
	for _, check := range s.checks {
		if err := check(client); err != nil {
			s.revoke(err)
			return
		}
	}
}

// require asks check of the client of ctx. If the client passes, require asks again
// whenever the rules change, for as long as the request lasts or until the client
// passes another check of the same name.
func require(ctx context.Context, name string, check func(*Client) error) error {
	s := sessionOf(ctx)
	if s == nil {
		return check(From(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := check(s.client)
	if err == nil { // a right that the client never had is none that it can lose
		s.checks[name] = check
	}
	return err
}

// MayCall refuses a method that the client of ctx may not call. The request
// ends when the client loses the right to it.
func MayCall(ctx context.Context, method string) error {
	return require(ctx, "method", func(c *Client) error { return c.MayCall(method) })
}

// MayTouch refuses a call whose target the client of ctx may not use.
// The request ends when the client loses the right to it.
func MayTouch(ctx context.Context, r Reading) error {
	return require(ctx, "targets", func(c *Client) error { return c.MayTouch(r) })
}

// MaySeeDeliveries refuses the client of ctx if it may not see the deliveries that other
// clients have in the outbox, and cancel and retry them. The request ends when the client
// loses the right to it.
func MaySeeDeliveries(ctx context.Context) error {
	return require(ctx, "deliveries", (*Client).maySeeDeliveries)
}

// Revoked returns a context that ends, with a *connect.Error as its cause, when the
// client of ctx may no longer do what the request does. It never ends where no rules
// can change.
func Revoked(ctx context.Context) context.Context {
	if s := sessionOf(ctx); s != nil {
		return s.revoked
	}
	return context.Background()
}

// Guarded returns the interceptor that refuses calls that no Guard has admitted, and ends
// streams that their clients may no longer have. It must be outside everything that reads
// a stream's context. A call that waits for the rate limits ends there
// (see discord.Caller); one that was sent continues.
func Guarded() connect.Interceptor {
	return rpc.Interceptor{Unary: guardUnary, Stream: guardStream}
}

func guardUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if From(ctx) == nil {
			return nil, errUnguarded()
		}
		return next(ctx, req)
	}
}

func guardStream(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		s := sessionOf(ctx)
		if s == nil {
			if From(ctx) == nil {
				return errUnguarded()
			}
			return next(ctx, conn)
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		unblock, _ := ctx.Value(unblockKey{}).(func())
		unblocked := make(chan struct{})
		//nolint:contextcheck // the session's context is another one on purpose
		stop := context.AfterFunc(s.revoked, func() {
			defer close(unblocked)
			if unblock != nil {
				unblock()
			}
			cancel(context.Cause(s.revoked))
		})
		defer func() {
			if !stop() { // the connection may carry another request as soon as this one has ended
				<-unblocked
			}
		}()
		err := next(ctx, conn)
		if err == nil || s.revoked.Err() == nil {
			return err
		}
		return revocation(s.revoked) //nolint:contextcheck // as above
	}
}

// revocation returns why a session's context has ended. The error is a fresh one, since
// headers are added to an error on its way out.
func revocation(revoked context.Context) error {
	cause := context.Cause(revoked)
	if status, ok := errors.AsType[*connect.Error](cause); ok {
		return connect.NewError(status.Code(), errors.Unwrap(status))
	}
	return cause
}

// unblockKey finds what ends a blocked read of a request, and soon a blocked
// write.
type unblockKey struct{}
