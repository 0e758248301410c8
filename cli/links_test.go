package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMessageLinksLittle: discordproxymessage is a client. Its packages stay within
// bounds, and include neither the server nor the sandbox. About 1.7 MB are the jq
// language and YAML, for --jq and --output yaml. The command line library uses
// text/template, for which the linker keeps exported methods that nothing calls. What adds
// to the size is therefore code that is generic, or generated for each method of the API.
func TestMessageLinksLittle(t *testing.T) {
	const maxPackages, maxBytes = 259, 15_500_000
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./discordproxymessage").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) > maxPackages {
		t.Errorf("%d packages, more than %d", len(packages), maxPackages)
	}
	for _, p := range packages {
		for _, barred := range []string{"discordproxy/server", "discordproxy/discord", "discordproxy/cli/serve", "discordproxy/dashboard"} {
			if p == barred || strings.HasPrefix(p, barred+"/") {
				t.Errorf("it links %s", p)
			}
		}
	}
	if testing.Short() {
		t.Skip("building takes a while")
	}
	binary := filepath.Join(t.TempDir(), "discordproxymessage")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./discordproxymessage")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	if size := info.Size(); size > maxBytes {
		t.Errorf("%d bytes on %s/%s, more than %d", size, runtime.GOOS, runtime.GOARCH, maxBytes)
	}
}
