package test

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// part is a folder of the project: a row of the table in ARCHITECTURE.md.
type part struct {
	// folder is the path of a package. One that ends with /... means the
	// packages in it and below it that have no row of their own.
	folder string
	about  string
	// imports are the parts whose packages it may import outside of tests. Each
	// of them is below it in the table. Packages of one part may import each
	// other.
	imports []string
	// libraries are the beginnings of import paths of other modules. No part may
	// import them but those that name them.
	libraries []string
	// standardLibrary keeps other modules out.
	standardLibrary bool
}

var parts = []part{
	{folder: "test", about: "tests of the whole server through its public interface, and of the rules in this table"},
	{folder: "test/clients", about: "tests with clients in other languages, browsers and tools of other projects"},
	{folder: "test/deploy", about: "tests of the files in `deploy/`"},
	{folder: "test/docs", about: "tests that run the documents"},
	{folder: "test/dropin", about: "compares this server with the one on PyPI and makes the tables of `docs/migration.md`"},
	{folder: "test/libraries", about: "bots of other projects' Discord libraries, against the sandbox and through the proxy"},
	{folder: "test/gateway", about: "tests with bots that use the gateway through the server"},
	{
		folder: "test/libraries/go/...", about: "the bots of libraries for Go, in a module of their own",
		libraries: []string{"github.com/bwmarrin/discordgo", "github.com/disgoorg/"},
	},
	{
		folder: "client/clienttest", about: "a running proxy for tests of programs that use the client",
		imports: []string{"cli", "cli/serve", "client", "discord/sandbox", "gen/..."},
	},
	{folder: "test/proxytest", about: "runs the whole server for tests", imports: []string{"cli", "cli/serve", "discord/sandbox", "gen/...", "test/require"}},
	{
		folder: "server/internal/store/storetest", about: "runs tests on each database that the store supports",
		imports:   []string{"server/internal/store", "test/require"},
		libraries: []string{"github.com/jackc/pgx/"},
	},
	{folder: "test/description", about: "compares answers with Discord's description of its API"},
	{folder: "test/require", about: "skips tests whose tools are missing on the machine"},
	{
		folder: "tools/limits", about: "measures how close the rate limiter comes to what Discord's limits allow, in a module of its own",
		imports: []string{"discord", "discord/ratelimit", "discord/sandbox"},
	},
	{
		folder: "tools/...", about: "commands for developers, in modules of their own",
		imports: []string{"client", "discord/sandbox", "gen/..."},
	},
	{folder: "deploy/release", about: "builds the archives and packages of a release", imports: []string{"cli", "cli/message", "cli/serve"}},
	{folder: "deploy", about: "files to install, run and monitor the server"},
	{folder: "cli/discordproxyserver", about: "the main package of the server's command", imports: []string{"cli", "cli/serve"}},
	{folder: "cli/discordproxymessage", about: "the main package of the command-line client", imports: []string{"cli", "cli/message"}},
	{
		folder: "cli/message", about: "the command-line client",
		imports:   []string{"cli", "client", "gen/..."},
		libraries: []string{"github.com/urfave/cli/"},
	},
	{
		folder: "cli/serve", about: "the server's command: turns flags into a Config of the server",
		imports:   []string{"cli", "cli/configfile", "server", "discord", "discord/gateway", "discord/sandbox", "gen/..."},
		libraries: []string{"github.com/urfave/cli/"},
	},
	{
		folder: "cli/configfile", about: "reads a command's settings from a YAML file",
		imports:   []string{"cli"},
		libraries: []string{"github.com/urfave/cli/"},
	},
	{
		folder: "cli", about: "what both commands share: start and exit, version, help, completion, flags for connecting",
		libraries: []string{"github.com/urfave/cli/"},
	},
	{folder: "client", about: "the Go client: calls, retries and errors", imports: []string{"gen/..."}},
	{
		folder: "server", about: "the whole server: assembles, runs and shuts it down",
		imports: []string{
			"dashboard", "server/api", "server/internal/access", "server/internal/apidocs", "server/internal/balance",
			"server/internal/caller", "server/internal/calls",
			"server/internal/discordjson", "server/internal/events", "server/internal/files", "server/internal/forward", "server/internal/gatewayproxy",
			"server/internal/health", "server/internal/history", "server/internal/hooks", "server/internal/lease", "server/internal/listener", "server/internal/metrics",
			"server/internal/names", "server/internal/outbox", "server/internal/rest", "server/internal/rpc", "server/internal/status", "server/internal/store",
			"server/internal/tracing",
			"discord", "discord/gateway", "discord/ratelimit", "gen/...",
		},
	},
	{
		folder: "server/api", about: "the methods of the API, statuses, one log line for each call",
		imports: []string{
			"server/internal/access", "server/internal/caller", "server/internal/calls", "server/internal/discordjson", "server/internal/events", "server/internal/health",
			"server/internal/hooks", "server/internal/listener", "server/internal/outbox", "server/internal/rest", "server/internal/rpc", "server/internal/store",
			"discord", "discord/gateway", "gen/...",
		},
	},
	{
		folder: "server/internal/conformance/...", about: "tests the protocols by Connect's own suite, in a module of its own",
		imports: []string{"server/internal/listener", "server/internal/rpc"},
	},
	{folder: "dashboard", about: "the web page that shows the state of the proxy; a client like any other, built on `typescript/`"},
	{folder: "server/internal/apidocs", about: "the API's documentation that the server serves, generated by `tools/apidoc`"},
	{
		folder: "server/internal/tracing", about: "OpenTelemetry traces",
		imports:   []string{"server/internal/calls", "discord"},
		libraries: []string{"go.opentelemetry.io/"},
	},
	{
		folder: "server/internal/metrics", about: "Prometheus metrics",
		imports:   []string{"server/internal/access", "server/internal/calls", "server/internal/events", "server/internal/gatewayproxy", "server/internal/outbox", "server/internal/store", "discord", "discord/gateway"},
		libraries: []string{"github.com/prometheus/"},
	},
	{
		folder: "server/internal/forward", about: "passes requests on to the server that leads a bot",
		imports: []string{"server/internal/access", "server/internal/refusals", "server/internal/rpc", "gen/..."},
	},
	{
		folder: "server/internal/gatewayproxy", about: "Discord's gateway for bots, fed from the server's own session",
		imports: []string{
			"server/internal/access", "server/internal/calls", "server/internal/events", "server/internal/listener", "server/internal/refusals", "server/internal/rpc",
			"discord", "discord/gateway", "discord/gateway/wire", "discord/rawjson", "gen/...",
		},
		libraries: []string{"github.com/coder/websocket"},
	},
	{
		folder: "server/internal/status", about: "the stream of finished calls, limits and states for the dashboard",
		imports: []string{
			"discord", "gen/...", "server/internal/access", "server/internal/caller", "server/internal/calls", "server/internal/history",
			"server/internal/names", "server/internal/rpc",
		},
	},
	{
		folder: "server/internal/history", about: "what the server did in the last 24 hours, in fixed memory",
		imports: []string{"server/internal/calls", "discord"},
	},
	{
		folder: "server/internal/names", about: "names of guilds, channels and users without a call to Discord",
		imports: []string{"discord", "discord/gateway", "discord/rawjson"},
	},
	{
		folder: "server/internal/events", about: "the newest events, and the position of each subscriber",
		imports: []string{"server/internal/discordjson", "server/internal/rpc", "discord/gateway", "discord/rawjson", "gen/..."},
	},
	{
		folder: "server/internal/hooks", about: "incoming hooks: payloads of scripts and tools, rendered as messages",
		imports: []string{"server/internal/access", "server/internal/caller", "server/internal/calls", "server/internal/listener", "server/internal/plainhttp", "server/internal/refusals", "server/internal/rpc", "server/internal/strictyaml", "discord"},
	},
	{
		folder: "server/internal/rest", about: "plain REST: forwards requests to Discord's API",
		imports: []string{"server/internal/access", "server/internal/caller", "server/internal/calls", "server/internal/listener", "server/internal/plainhttp", "server/internal/rpc", "discord"},
	},
	{
		folder: "server/internal/plainhttp", about: "what plain REST and incoming hooks have in common",
		imports: []string{"server/internal/access", "server/internal/calls"},
	},
	{
		folder: "server/internal/health", about: "whether the server can serve calls, and if not, why",
		imports: []string{"server/internal/refusals", "server/internal/rpc", "discord"},
	},
	{
		folder: "server/internal/access", about: "access control: authenticates clients and enforces their rules",
		imports: []string{"server/internal/caller", "server/internal/refusals", "server/internal/rpc", "server/internal/strictyaml", "discord", "gen/..."},
	},
	{
		folder: "server/internal/calls", about: "reports of finished calls, to the log and other observers; the codes of errors",
		imports: []string{"server/internal/caller", "server/internal/refusals", "server/internal/rpc", "server/internal/store", "discord", "gen/..."},
	},
	{
		folder: "server/internal/listener", about: "one port for every protocol, with limits and graceful shutdown",
		imports:   []string{"server/internal/refusals", "server/internal/rpc"},
		libraries: []string{"golang.org/x/net/http2"},
	},
	{
		folder: "server/internal/outbox", about: "the outbox: stored calls, when they are made, and their outcome",
		imports: []string{"server/internal/caller", "server/internal/store", "discord"},
	},
	{folder: "server/internal/balance", about: "which bots each of several servers leads", standardLibrary: true},
	{folder: "server/internal/lease", about: "which of several servers may send to Discord for a bot", standardLibrary: true},
	{
		folder: "server/internal/store", about: "what survives a restart, in SQLite or PostgreSQL: the schema and all SQL",
		libraries: []string{"modernc.org/sqlite", "github.com/jackc/pgx/", "github.com/pressly/goose/", "github.com/gofrs/flock"},
	},
	{folder: "server/internal/discordjson", about: "Discord's objects as messages of the API", imports: []string{"discord/rawjson"}},
	{folder: "server/internal/files", about: "reads small files of rules, keys and certificates, and reloads them", standardLibrary: true},
	{folder: "server/internal/strictyaml", about: "reads YAML files that grant permissions, and refuses ambiguous ones"},
	{folder: "server/internal/caller", about: "carries on whose behalf a request calls Discord to its handler", imports: []string{"discord"}},
	{folder: "server/internal/refusals", about: "limits what refused requests write to the log"},
	{folder: "server/internal/rpc", about: "what every Connect service needs: codecs, limits, request IDs"},
	{
		folder: "discord/gateway", about: "the bot's session at Discord's gateway",
		imports:   []string{"discord", "discord/gateway/wire", "discord/rawjson"},
		libraries: []string{"github.com/coder/websocket"},
	},
	{
		folder: "discord", about: "Discord's REST API and its errors",
		imports:   []string{"discord/ratelimit", "discord/rawjson"},
		libraries: []string{"github.com/bwmarrin/discordgo"},
	},
	{folder: "discord/rawjson", about: "finds values in JSON without decoding the rest", standardLibrary: true},
	{folder: "discord/ratelimit", about: "the rate limiter: buckets, limits that only 429s show, the global limit, bans", standardLibrary: true},
	{
		folder: "discord/sandbox", about: "the sandbox, a built-in fake Discord",
		imports:   []string{"discord/gateway/wire"},
		libraries: []string{"github.com/coder/websocket"},
	},
	{
		folder: "discord/gateway/wire", about: "the payloads of the gateway's protocol, and their compression",
		libraries: []string{"github.com/coder/websocket"},
	},
	{folder: "gen/...", about: "code generated from the protobuf definitions, committed, never edited"},
	{folder: "proto", about: "the protobuf definitions of the API"},
	{folder: "python", about: "the Python client: generated code, calls, retries and errors"},
	{
		folder: "typescript",
		about:  "the client for Node and browsers: generated code, calls, retries and errors",
	},
	{
		folder: "docs",
		about: "the documentation for admins and authors of clients; `tools/apidoc` generates `api.md` from the comments of " +
			"the protobuf definitions, a test of `cli` generates `flags.md`, and `docs/site.py` builds the site",
	},
	{folder: "examples", about: "programs that use the proxy"},
}

var update = flag.Bool("update", false, "write the table of ARCHITECTURE.md")

// TestImports checks every package of the project, whatever system and module it
// is for, and the table in ARCHITECTURE.md.
func TestImports(t *testing.T) {
	packages := importsOfPackages(t, "..")
	for _, breach := range breaches(parts, packages) {
		t.Error(breach)
	}
	for _, p := range parts {
		if _, err := os.Stat(filepath.Join("..", strings.TrimSuffix(p.folder, "/..."))); err != nil {
			t.Errorf("the table has a row for a folder that is not there: %v", err)
		}
	}

	const begin, end = "<!-- begin: imports, by go test ./test -run TestImports -update -->\n\n", "\n<!-- end: imports -->"
	page := filepath.Join("..", "ARCHITECTURE.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, end)
	want := tableOf(parts)
	switch {
	case !begun || !ended:
		t.Errorf("ARCHITECTURE.md has no table between %q and %q", begin, end)
	case table == want:
	case *update:
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil { //nolint:gosec // a document
			t.Error(err)
		}
	default:
		t.Error("ARCHITECTURE.md has another table: go test ./test -run TestImports -update")
	}
}

// tableOf returns the table as Markdown.
func tableOf(parts []part) string {
	var text strings.Builder
	text.WriteString("| folder | about | imports of ours | reserved libraries |\n|---|---|---|---|\n")
	code := func(names []string, suffix string) string {
		var all []string
		for _, name := range names {
			all = append(all, "`"+strings.TrimSuffix(name, "/...")+suffix+"`")
		}
		return strings.Join(all, ", ")
	}
	for _, p := range parts {
		libraries := code(p.libraries, "")
		if p.standardLibrary {
			libraries = "the standard library alone"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code([]string{p.folder}, "/"), p.about, code(p.imports, ""), libraries)
	}
	return text.String()
}

// importsOfPackages reads what the packages below a folder import outside of
// tests. Paths of the module's packages are relative to it.
func importsOfPackages(t *testing.T, root string) map[string][]string {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module := strings.Fields(string(mod))[1]
	packages := make(map[string][]string)
	err = fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		folder := path.Dir(file)
		imports := packages[folder]
		if !strings.HasSuffix(name, "_test.go") {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(file)), nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range tree.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				if ours, found := strings.CutPrefix(imported, module+"/"); found {
					imported = "./" + ours
				}
				imports = append(imports, imported)
			}
		}
		packages[folder] = imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 30 {
		t.Fatalf("only %d packages were found", len(packages))
	}
	return packages
}

// breaches says what packages break of the rules of parts, and which rules
// nothing uses. Paths of packages of ours begin with ./ among the imports.
func breaches(parts []part, packages map[string][]string) (all []string) {
	add := func(format string, args ...any) {
		if breach := fmt.Sprintf(format, args...); !slices.Contains(all, breach) {
			all = append(all, breach)
		}
	}
	// partOf returns the index of a package's part, or -1.
	partOf := func(pkg string) int {
		found := -1
		for i, p := range parts {
			below, wide := strings.CutSuffix(p.folder, "/...")
			if pkg == p.folder || found < 0 && wide && (pkg == below || strings.HasPrefix(pkg, below+"/")) {
				found = i
			}
		}
		return found
	}
	reserved := make(map[string][]string) // the parts that may import a library
	for i, p := range parts {
		for _, library := range p.libraries {
			reserved[library] = append(reserved[library], p.folder)
		}
		for _, imported := range p.imports {
			if below := slices.IndexFunc(parts, func(p part) bool { return p.folder == imported }); below <= i {
				add("%s imports %s, which is not below it in the table", p.folder, imported)
			}
		}
	}
	type rule struct{ part, imported string }
	used := make(map[rule]bool)
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		i := partOf(pkg)
		if i < 0 {
			add("package %s is missing in the table", pkg)
			continue
		}
		from := parts[i]
		for _, imported := range packages[pkg] {
			if ours, found := strings.CutPrefix(imported, "./"); found {
				j := partOf(ours)
				switch {
				case j < 0:
					add("package %s is missing in the table", ours)
				case i != j && !slices.Contains(from.imports, parts[j].folder):
					add("%s imports %s: %s may not import %s", pkg, ours, from.folder, parts[j].folder)
				default:
					used[rule{from.folder, parts[j].folder}] = true
				}
				continue
			}
			if host, _, _ := strings.Cut(imported, "/"); from.standardLibrary && strings.Contains(host, ".") {
				add("%s imports %s: %s may import the standard library alone", pkg, imported, from.folder)
			}
			for library, allowed := range reserved {
				if strings.HasPrefix(imported, library) {
					if !slices.Contains(allowed, from.folder) {
						add("%s imports %s, which is for %s alone", pkg, imported, strings.Join(allowed, " and "))
					}
					used[rule{from.folder, library}] = true
				}
			}
		}
	}
	for _, p := range parts {
		for _, allowed := range slices.Concat(p.imports, p.libraries) {
			if !used[rule{p.folder, allowed}] {
				add("%s may import %s, and does not", p.folder, allowed)
			}
		}
	}
	return all
}

// TestBreaches breaks the rules in each direction.
func TestBreaches(t *testing.T) {
	table := []part{
		{folder: "command/...", imports: []string{"server"}},
		{folder: "server", imports: []string{"core"}, libraries: []string{"example.org/wire"}},
		{folder: "core", standardLibrary: true},
	}
	lawful := map[string][]string{
		"command/one": {"./server", "./command/two", "example.org/flags"},
		"command/two": {},
		"server":      {"./core", "example.org/wire/v2", "net/http"},
		"core":        {"time"},
	}
	if got := breaches(table, lawful); len(got) > 0 {
		t.Errorf("a lawful project: %q", got)
	}
	for name, tt := range map[string]struct {
		pkg     string
		imports []string // in place of those of pkg
		want    string
	}{
		"upwards":               {"core", []string{"./server"}, "core imports server: core may not import server"},
		"past a part":           {"command/two", []string{"./core"}, "command/two imports core: command/... may not import core"},
		"another module":        {"core", []string{"example.org/x"}, "core imports example.org/x: core may import the standard library alone"},
		"a library of another":  {"command/two", []string{"example.org/wire"}, "command/two imports example.org/wire, which is for server alone"},
		"missing in the table":  {"extra", nil, "package extra is missing in the table"},
		"import of a stranger":  {"command/two", []string{"./extra"}, "package extra is missing in the table"},
		"unused rule":           {"command/one", nil, "command/... may import server, and does not"},
		"unused library":        {"server", []string{"./core"}, "server may import example.org/wire, and does not"},
		"below a narrow folder": {"core/more", nil, "package core/more is missing in the table"},
	} {
		packages := maps.Clone(lawful)
		packages[tt.pkg] = tt.imports
		if got := breaches(table, packages); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	table[0], table[1] = table[1], table[0]
	if got, want := breaches(table, lawful), "command/... imports server, which is not below it in the table"; !slices.Contains(got, want) {
		t.Errorf("a table in another order: %q, want %q", got, want)
	}
}
