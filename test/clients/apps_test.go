package clients

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/test/require"
)

// outcomes is what test/apps/site_runner.py writes.
type outcomes struct {
	Folder   string   // of the package discordproxy
	Version  string   // of the package discordproxy
	Refusing []string // apps that want another version
	Outcomes map[string]string
}

// TestAppsOfAllianceAuth runs the tests of apps that use discordproxy, once with
// the package of PyPI and once with the one in python/. Each test has to end
// the same way.
func TestAppsOfAllianceAuth(t *testing.T) {
	site := require.Apps(t)
	require.Command(t, "redis-server", "apt-get install redis-server")
	builder := require.Python(t, "build", "hatchling")

	dist, ours := t.TempDir(), t.TempDir()
	run(t, builder, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, filepath.Join("..", "..", "python"))
	wheels, err := filepath.Glob(filepath.Join(dist, "*.whl"))
	if err != nil || len(wheels) != 1 {
		t.Fatalf("built %v: %v", wheels, err)
	}
	run(t, site.Python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", ours, wheels[0])

	var before, after outcomes
	t.Run("runs", func(t *testing.T) {
		t.Run("PyPI", func(t *testing.T) {
			t.Parallel()
			before = testApps(t, site.Python, site.Discordproxy)
		})
		t.Run("ours", func(t *testing.T) {
			t.Parallel()
			after = testApps(t, site.Python, ours)
		})
	})
	if t.Failed() {
		return
	}

	if !strings.HasPrefix(before.Version, "1.5.") || strings.HasPrefix(after.Version, "1.") || len(after.Refusing) > 0 {
		t.Errorf("tested %s and %s, which %v refuse", before.Version, after.Version, after.Refusing)
	}
	apps := map[string]int{"discordnotify": 0, "freight": 0, "mailrelay": 0, "aasrp": 0}
	for name, outcome := range before.Outcomes {
		app, _, _ := strings.Cut(name, ".")
		apps[app]++
		if got := after.Outcomes[name]; got != outcome {
			t.Errorf("%s: %s with the package of PyPI, %q with ours", name, outcome, got)
		}
		if outcome != "passed" {
			t.Logf("%s: %s with the package of PyPI already", name, outcome)
		}
	}
	if len(before.Outcomes) != len(after.Outcomes) {
		t.Errorf("%d tests with the package of PyPI, %d with ours", len(before.Outcomes), len(after.Outcomes))
	}
	for _, app := range slices.Sorted(maps.Keys(apps)) {
		t.Logf("%s: %d tests", app, apps[app])
		if apps[app] == 0 {
			t.Errorf("no tests of %s were found", app)
		}
	}
	// It uses discordproxy.tests, and is not there when that cannot be imported.
	grpcError := "freight.tests.models.test_contracts_discord.TestContract_SendCustomerNotification_DiscordProxy.test_can_handle_grpc_error"
	if got := after.Outcomes[grpcError]; got != "passed" {
		t.Errorf("%s: %q", grpcError, got)
	}
}

// testApps runs the tests of the apps with the package discordproxy of a folder.
func testApps(t *testing.T, python, folder string) outcomes {
	t.Helper()
	redis := startRedis(t)
	file := filepath.Join(t.TempDir(), "results.json")
	here, err := filepath.Abs(filepath.Join("..", "apps"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-W", "ignore", "-m", "django", "test", "discordnotify", "freight", "mailrelay", "aasrp")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PYTHONPATH="+folder+string(os.PathListSeparator)+here, "PYTHONDONTWRITEBYTECODE=1",
		"DJANGO_SETTINGS_MODULE=site_settings", "REDIS_SOCKET="+redis, "RESULTS="+file)
	// Failed tests make it fail, too; what counts is in the file.
	out, runErr := cmd.CombinedOutput()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the tests did not run: %v\n%s", runErr, out)
	}
	var got outcomes
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if got.Folder != folder {
		t.Errorf("tested the package in %s, not in %s", got.Folder, folder)
	}
	if runErr != nil {
		t.Logf("%s\n%s", folder, out)
	}
	return got
}

// startRedis starts a Redis server for the test and returns its Unix socket.
func startRedis(t *testing.T) string {
	t.Helper()
	// The path of t.TempDir can be longer than that of a socket may be.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sock")
	cmd := exec.CommandContext(t.Context(), "redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 1000 {
		if _, err := os.Stat(socket); err == nil {
			return socket
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("redis-server opened no socket")
	return ""
}

// run runs a command that has to succeed.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
