package test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestDocumentedCommandLine runs the examples of docs/command-line.md, all in
// one folder, and compares what they write with what is shown below them.
func TestDocumentedCommandLine(t *testing.T) {
	require.Command(t, "bash", "apt-get install bash")
	commands, err := build()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "command-line.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := proxytest.Against(t, sandbox.New(sandbox.Config{Unlimited: true}))
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	examples := regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:\n```\n(.*?)```)?").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 5 {
		t.Fatalf("there are %d examples", len(examples))
	}
	for _, example := range examples {
		cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", example[1])
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "PATH="+commands+string(os.PathListSeparator)+os.Getenv("PATH"), "DISCORDPROXY_HOST="+host, "DISCORDPROXY_PORT="+port)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s\n%s", err, out, example[1])
		}
		// Results come in any order.
		for line := range strings.Lines(example[2]) {
			if !strings.Contains("\n"+string(out), "\n"+line) {
				t.Errorf("there is no line %q in\n%s", line, out)
			}
		}
	}
}
