// Package caller carries the discord.Caller of a request to its handler. Between the two
// are net/http and Connect, which pass nothing on but a context.
package caller

import (
	"context"
	"slices"

	"discordproxy/discord"
)

type key struct{}

var nobody = new(discord.Caller)

// Of returns the caller of ctx, which is not to be changed. It is never nil.
func Of(ctx context.Context) *discord.Caller {
	if c, ok := ctx.Value(key{}).(*discord.Caller); ok {
		return c
	}
	return nobody
}

// Name returns the name of the caller of ctx, or "".
func Name(ctx context.Context) string { return Of(ctx).Name }

// With returns a context of the caller of ctx with the changes that change makes.
func With(ctx context.Context, change func(*discord.Caller)) context.Context {
	c := *Of(ctx)
	change(&c)
	return context.WithValue(ctx, key{}, &c)
}

// Named returns a context whose caller has a name.
func Named(ctx context.Context, name string) context.Context {
	return With(ctx, func(c *discord.Caller) { c.Name = name })
}

// Until returns a context whose calls may be sent until revoked ends, too.
func Until(ctx, revoked context.Context) context.Context {
	return With(ctx, func(c *discord.Caller) { c.Revoked = append(slices.Clip(c.Revoked), revoked) })
}

// Hold returns a context in which the newest answer counts against the limit for all
// answers until release.
func Hold(ctx context.Context) (_ context.Context, release func()) {
	held := new(discord.AnswerMemory)
	return With(ctx, func(c *discord.Caller) { c.Memory = held }), held.Release
}
