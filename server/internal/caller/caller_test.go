package caller_test

import (
	"context"
	"slices"
	"testing"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
)

// TestCaller: what is added to the caller of a context is there in addition to what was
// there, and contexts around it keep theirs.
func TestCaller(t *testing.T) {
	if c := caller.Of(t.Context()); c.Name != "" || len(c.Revoked) > 0 || c.Stats != nil || c.Unmade != nil || c.Memory != nil {
		t.Errorf("a context without a caller has %+v", c)
	}
	first, end := context.WithCancel(t.Context())
	defer end()
	outer := caller.Until(caller.Named(t.Context(), "shop"), first)
	stats := new(discord.Stats)
	held, release := caller.Hold(caller.With(outer, func(c *discord.Caller) { c.Stats = stats }))
	defer release()
	inner := caller.Until(held, t.Context())
	other := caller.Until(held, context.Background())
	if c := caller.Of(inner); c.Name != "shop" || !slices.Equal(c.Revoked, []context.Context{first, t.Context()}) || c.Stats != stats || c.Memory == nil {
		t.Errorf("the inner caller is %+v", c)
	}
	if c := caller.Of(other); !slices.Equal(c.Revoked, []context.Context{first, context.Background()}) {
		t.Errorf("another caller is %+v", c)
	}
	if c := caller.Of(outer); caller.Name(outer) != "shop" || len(c.Revoked) != 1 || c.Stats != nil || c.Memory != nil {
		t.Errorf("the outer caller is %+v", c)
	}
}
