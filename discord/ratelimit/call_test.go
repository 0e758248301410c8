package ratelimit

import (
	"testing"
	"time"
)

// TestLeavingWithThePermit: a caller that cancels at the moment when its call is sent
// also frees its line.
func TestLeavingWithThePermit(t *testing.T) {
	c := newCore(Config{GlobalLimit: -1})
	now := instant(time.Hour)
	ask := func() *call {
		x := &call{deadline: never}
		c.admit(x, &Request{
			Route: RouteOf("POST", "/channels/1/messages", "", time.Unix(0, int64(now))), Token: "bot",
			Caller: "shop", Line: "channel 1",
		}, now)
		return x
	}
	first, second, third := ask(), ask(), ask()
	if first.state != callSent || second.state != callWaits {
		t.Fatalf("the first is %v, the second %v", first.state, second.state)
	}
	c.complete(first, &Response{Status: 200}, now)
	c.done(first, now)
	if second.state != callSent { // but its caller has not taken the permit
		t.Fatalf("the second is %v", second.state)
	}
	c.leave(second, now)
	if third.state != callSent {
		t.Fatalf("the third is %v", third.state)
	}
	c.complete(third, &Response{Status: 200}, now)
	c.done(third, now)
	if a := third.account; len(a.lines) != 0 {
		t.Errorf("%d lines are left", len(a.lines))
	}
}
