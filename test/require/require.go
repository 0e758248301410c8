// Package require finds the components that some tests need in addition to Go. A
// test whose component is missing is skipped with a line that says how to get it,
// or fails when DISCORDPROXY_TEST_REQUIRE, a list with commas, names it. A package
// whose tests use these functions has a TestMain that calls Main.
package require

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Variable lists the components that must not be missing.
const Variable = "DISCORDPROXY_TEST_REQUIRE"

func missing(t testing.TB, component, how string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv(Variable), ","), component) {
		t.Fatalf("%s is required by %s and missing: %s", component, Variable, how)
	} else {
		Skip(t, component+" is missing", how)
	}
}

// skipped counts the skipped tests by reason.
var skipped = struct {
	mu    sync.Mutex
	tests map[string]int
}{tests: make(map[string]int)}

// Skip skips a test or subtest. Main counts it with others of the same reason;
// detail is shown with this one alone.
func Skip(t testing.TB, reason, detail string) {
	t.Helper()
	skipped.mu.Lock()
	skipped.tests[reason]++
	skipped.mu.Unlock()
	t.Skipf("%s: %s", reason, detail)
}

// Main is the TestMain of packages with tests that may be skipped. With go test
// -v, their last line says how many were, and why.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for packages that have something to do before they exit with its
// result.
func Run(m *testing.M) int {
	// Servers of tests stay out of the user's own data folder.
	state, err := os.MkdirTemp("", "discordproxy-state-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(state) //nolint:errcheck // of a temporary folder
	for name, value := range map[string]string{"XDG_STATE_HOME": state, "STATE_DIRECTORY": ""} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if testing.Verbose() {
		summarize(os.Stdout)
	}
	return code
}

func summarize(w io.Writer) {
	skipped.mu.Lock()
	defer skipped.mu.Unlock()
	sum := 0
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(skipped.tests)) {
		sum += skipped.tests[reason]
		reasons = append(reasons, fmt.Sprintf("%s (%d)", reason, skipped.tests[reason]))
	}
	line := fmt.Sprintf("tests skipped: %d", sum)
	if sum > 0 {
		line += "; " + strings.Join(reasons, ", ")
	}
	_, _ = fmt.Fprintln(w, line)
}

// root returns the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = parent
	}
}

// Python returns an interpreter with the packages grpcio, protobuf,
// discordproxy and further ones by their modules: the one of
// DISCORDPROXY_TEST_PYTHON, of the folder .venv of the module, or python3.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	imports := strings.Join(append([]string{"import grpc, google.protobuf, discordproxy.client"}, modules...), ", ")
	for _, python := range []string{os.Getenv("DISCORDPROXY_TEST_PYTHON"), filepath.Join(root(t), ".venv/bin/python"), "python3"} {
		if python != "" && exec.CommandContext(t.Context(), python, "-c", imports).Run() == nil {
			return python
		}
	}
	missing(
		t,
		"python",
		"python3 -m venv .venv && .venv/bin/pip install -r test/python/requirements.txt && .venv/bin/pip install --no-deps discordproxy==1.5.1",
	)
	return ""
}

// Command makes sure that a command can be run.
func Command(t testing.TB, name, how string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, how)
	}
}

// File makes sure that a component is there, whose file is at path.
func File(t testing.TB, component, path, how string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, component, how)
	}
}

// PostgreSQL returns the folder with the programs of a PostgreSQL server: that of
// initdb on the path, or the newest of Debian's.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	if len(found) == 0 {
		missing(t, "postgresql", "apt-get install postgresql")
		return ""
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }))
}

// install says how to get the packages of a folder.
func install(t testing.TB, folder string) string {
	t.Helper()
	if path, err := filepath.Abs(folder); err == nil {
		if within, err := filepath.Rel(root(t), path); err == nil {
			folder = within
		}
	}
	return "npm ci --prefix " + folder
}

// Browser returns a Chromium: the one of CHROME_BIN, or the first found. The
// folder's node packages are there too.
func Browser(t testing.TB, folder string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		missing(t, "browser", install(t, folder))
	}
	for _, name := range []string{os.Getenv("CHROME_BIN"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	missing(t, "browser", "apt-get install chromium, or set CHROME_BIN")
	return ""
}

// Node returns node, which has the packages of a folder.
func Node(t testing.TB, folder string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		missing(t, "node", install(t, folder))
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node", "install Node 20 or newer")
	}
	return node
}

// Site is an Alliance Auth site with the apps that use discordproxy.
type Site struct {
	Python       string // interpreter with Alliance Auth and the apps, and without discordproxy
	Discordproxy string // folder with the package discordproxy of PyPI
}

// Apps returns the site in the folder test/apps.
func Apps(t testing.TB) Site {
	t.Helper()
	return site(t, "apps", "allianceauth", "discordnotify", "freight", "mailrelay", "aasrp")
}

// PythonServer returns the site in the folder test/apps, whose package
// discordproxy has what its server needs.
func PythonServer(t testing.TB) Site {
	t.Helper()
	return site(t, "apps", "grpc", "discord.http")
}

func site(t testing.TB, component string, modules ...string) Site {
	t.Helper()
	folder := filepath.Join(root(t), "test", "apps")
	site := Site{filepath.Join(folder, ".venv", "bin", "python"), filepath.Join(folder, ".discordproxy")}
	_, err := os.Stat(filepath.Join(site.Discordproxy, "discordproxy", "client.py"))
	if err != nil || exec.CommandContext(t.Context(), site.Python, "-c", "import "+strings.Join(modules, ", ")).Run() != nil {
		missing(t, component, "task apps")
	}
	return site
}
