package clients

import (
	"os"
	"testing"
)

// browserProfile returns a folder for a browser. It is not t.TempDir: helpers
// of the browser may write for a moment after its end.
func browserProfile(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "discordproxy-browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}
