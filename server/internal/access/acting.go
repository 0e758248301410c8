package access

import (
	"context"

	"discordproxy/server/internal/caller"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Act returns a context in which the server acts for a client that made its request
// earlier, until end. keyed reports whether a Guard has given the name; other names are
// hosts of clients that needed no key. The error means that the client is no longer
// known, or may not use the guard's bot.
func (g *Guard) Act(ctx context.Context, name string, keyed bool) (_ context.Context, end func(), err error) {
	ctx = caller.Named(ctx, name)
	if g == nil {
		return WithEveryone(ctx), func() {}, nil
	}
	rules := g.rules.Load()
	id := identity{proof: proof{client: name}}
	switch {
	case !keyed:
		return nil, nil, refuse(connect.CodeUnauthenticated, "the call comes from %s without a key, and the server requires one", name)
	case name == botTokenHolder.name:
		id.client, id.proof = botTokenHolder, proof{bot: true}
	case rules == nil:
		id.client = &Client{name: name, everyBot: true}
	default:
		id.client = rules.proven(id.proof)
	}
	if id.client == nil {
		return nil, nil, refuse(connect.CodeUnauthenticated, "client %s was removed", name)
	}
	ctx, end = g.begin(ctx, id, rules)
	if err := g.MayUse(ctx); err != nil {
		end()
		return nil, nil, err
	}
	return ctx, end, nil
}

// MayMake refuses a call that the client of ctx may not make, because of its method or
// its target. If it is used for several calls, the request ends only when the client
// loses the right to the last one that it may make.
func MayMake(ctx context.Context, method string, request proto.Message) error {
	if err := MayCall(ctx, method); err != nil {
		return err
	}
	return MayTouch(ctx, Read(request))
}
