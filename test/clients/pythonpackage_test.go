package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"discordproxy/test/require"
)

// TestPythonPackage runs the checks of the package in python/: its types, and
// its tests against a server of their own.
func TestPythonPackage(t *testing.T) {
	t.Parallel()
	python := require.Python(t, "pytest", "mypy", "pyright", "build", "hatchling")
	server := filepath.Join(t.TempDir(), "discordproxyserver")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", server, "discordproxy/cli/discordproxyserver").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for name, args := range map[string][]string{
		"mypy":    {"-m", "mypy"},
		"pyright": {"-m", "pyright", "--pythonpath", python},
		"pytest":  {"-m", "pytest", "-q", "-p", "no:cacheprovider"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), python, args...)
			cmd.Dir = filepath.Join("..", "..", "python")
			cmd.Env = append(os.Environ(), "PYTHONPATH=src", "PYTHONDONTWRITEBYTECODE=1", "DISCORDPROXY_TEST_SERVER="+server)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
