package access_test

import (
	"slices"
	"testing"
)

// TestDescribe: each client is described by what it may do.
func TestDescribe(t *testing.T) {
	got := parse(t, `
clients:
  - {name: all, certificates: [a]}
  - {name: some, certificates: [b], methods: [Send*, metrics], guilds: [1], channels: [8, 7], users: ['*']}
  - {name: more, certificates: [c], users: [3], untargeted: true}
`).Describe()
	want := []string{
		"all: may call every method, for all guilds, channels and users",
		"some: may call Send*, metrics, for guild 1; channel 7 8; every user; sees only these channels in lists and events of its guilds; no calls without a target",
		"more: may call every method, for user 3; and calls without a target",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
