package access

import (
	"context"

	"discordproxy/discord"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Act returns a context in which the server does for a client what that has asked for
// earlier, until end. keyed is whether the name is one that a Guard has given; others
// are hosts of clients that needed no key. The error says that the client is no
// longer known.
func (g *Guard) Act(ctx context.Context, name string, keyed bool) (_ context.Context, end func(), err error) {
	ctx = discord.WithCaller(ctx, name)
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
		id.client = &Client{name: name}
	default:
		id.client = rules.proven(id.proof)
	}
	if id.client == nil {
		return nil, nil, refuse(connect.CodeUnauthenticated, "client %s was removed", name)
	}
	ctx, end = g.begin(ctx, id, rules)
	return ctx, end, nil
}

// MayMake refuses a call of a method that the client of ctx may not make, by what it
// may call and by what the request is about. Of several calls only the last one ends
// the request when the client loses the right to it.
func MayMake(ctx context.Context, method string, request proto.Message) error {
	if err := MayCall(ctx, method); err != nil {
		return err
	}
	return MayTouch(ctx, Read(request))
}
