package cli

import "testing"

// TestMessenger: who has a release need not have Go.
func TestMessenger(t *testing.T) {
	before := version
	t.Cleanup(func() { version = before })
	for v, want := range map[string]string{"": "go run ./cli/discordproxymessage", "1.2.3": "discordproxymessage"} {
		if version = v; messenger() != want {
			t.Errorf("version %q: it is run as %s", v, messenger())
		}
	}
}
