package proxytest

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"discordproxy/test/require"
)

// Browse runs the scenarios of the dashboard, whose folder is given, each as a test.
// The environment says what they find. The test is skipped on a machine without a browser.
func Browse(t *testing.T, folder string, environment ...string) {
	t.Helper()
	chromium, node := require.Browser(t, folder), require.Node(t, folder)
	cmd := exec.CommandContext(t.Context(), node, "scenarios.mjs")
	cmd.Dir = folder
	cmd.Env = slices.Concat(os.Environ(), environment, []string{"CHROMIUM=" + chromium, "SCREENSHOTS=" + screenshots(t)})
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for lines := bufio.NewScanner(out); lines.Scan(); ran++ {
		var result struct {
			Name, Error string
			MS          int
		}
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		t.Run(result.Name, func(t *testing.T) {
			t.Logf("%d ms", result.MS)
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if ran == 0 {
		t.Error("no scenario ran")
	}
}

// screenshots is the folder that keeps what the page looks like.
func screenshots(t *testing.T) string {
	folder := os.Getenv("DISCORDPROXY_TEST_SCREENSHOTS")
	if folder == "" {
		return t.TempDir()
	}
	folder, err := filepath.Abs(folder)
	if err == nil {
		err = os.MkdirAll(folder, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
