package cli

import "testing"

// TestInvocation: a release prints commands that do not need Go.
func TestInvocation(t *testing.T) {
	before := version
	t.Cleanup(func() { version = before })
	for v, want := range map[string]string{"": "go run ./cli/discordproxymessage", "1.2.3": "discordproxymessage"} {
		if version = v; Invocation("discordproxymessage") != want {
			t.Errorf("version %q: run as %s", v, Invocation("discordproxymessage"))
		}
	}
}
