// Package test holds the checks that look at the whole project from outside:
// which room may import which, and the clients of other languages.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "discordproxy"

// room is a folder of the project. A package belongs to the room with the
// longest folder that holds it.
type room struct {
	folder string
	// imports are the other rooms it may import outside tests.
	imports []string
	// standardLibraryOnly keeps other modules out.
	standardLibraryOnly bool
	// discordgo allows the library that talks to Discord.
	discordgo bool
}

// rooms is the project's order: imports run downwards only, and the pretend
// Discord meets the code that calls Discord in tests and in cli/serve alone.
var rooms = []room{
	{folder: "gen"},
	{folder: "discord", imports: []string{"discord/ratelimit"}, discordgo: true},
	{folder: "discord/ratelimit", standardLibraryOnly: true},
	{folder: "discord/gateway", imports: []string{"discord"}},
	{folder: "discord/sandbox"},
	{folder: "server", imports: []string{"gen", "discord", "discord/gateway"}},
	{folder: "dashboard", imports: []string{"gen"}},
	{folder: "client", imports: []string{"gen"}},
	{folder: "deploy", imports: []string{"cli", "cli/message", "cli/serve"}},
	{folder: "client/clienttest", imports: []string{"gen", "client", "discord/sandbox", "test"}},
	{folder: "cli"},
	{folder: "cli/message", imports: []string{"gen", "client", "cli"}},
	{folder: "cli/serve", imports: []string{"gen", "discord", "discord/gateway", "discord/ratelimit", "discord/sandbox", "server", "dashboard", "cli"}},
	{folder: "cli/discordproxymessage", imports: []string{"cli", "cli/message"}},
	{folder: "cli/discordproxyserver", imports: []string{"cli", "cli/serve"}},
	{folder: "test", imports: []string{"gen", "discord", "discord/gateway", "discord/ratelimit", "discord/sandbox", "server", "dashboard", "client", "cli", "cli/message", "cli/serve"}},
}

// roomOf finds the room of a package, given by its path within the module.
func roomOf(pkg string) (room, bool) {
	var found room
	for _, r := range rooms {
		within := pkg == r.folder || strings.HasPrefix(pkg, r.folder+"/")
		if within && len(r.folder) > len(found.folder) {
			found = r
		}
	}
	return found, found.folder != ""
}

// breach says which rule an import breaks, or "" for none.
func breach(from room, path string) string {
	if pkg, ours := strings.CutPrefix(path, module+"/"); ours {
		to, known := roomOf(pkg)
		if !known {
			return "it belongs to no room"
		}
		if to.folder != from.folder && !slices.Contains(from.imports, to.folder) {
			return from.folder + " may not import " + to.folder
		}
		return ""
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return ""
	}
	if from.standardLibraryOnly {
		return from.folder + " uses the standard library alone"
	}
	if path == "github.com/bwmarrin/discordgo" && !from.discordgo {
		return "discordgo is for discord alone"
	}
	return ""
}

func TestRooms(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	packages := 0
	for list := json.NewDecoder(out); ; packages++ {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := list.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		from, known := roomOf(strings.TrimPrefix(pkg.ImportPath, module+"/"))
		if !known {
			t.Errorf("%s belongs to no room", pkg.ImportPath)
			continue
		}
		for _, path := range pkg.Imports {
			if why := breach(from, path); why != "" {
				t.Errorf("%s imports %s: %s", pkg.ImportPath, path, why)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	if packages == 0 {
		t.Fatal("go list found no package")
	}
}

func TestRoomBreaches(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{"server/rpc", "discordproxy/gen/discord_api", true},
		{"server/rpc", "discordproxy/server/listener", true},
		{"server/rpc", "discordproxy/discord", true},
		{"server/rpc", "discordproxy/discord/sandbox", false},
		{"server/rpc", "discordproxy/discord/ratelimit", false},
		{"server", "github.com/bwmarrin/discordgo", false},
		{"discord", "github.com/bwmarrin/discordgo", true},
		{"discord", "discordproxy/discord/ratelimit", true},
		{"discord", "discordproxy/discord/sandbox", false},
		{"discord", "discordproxy/discord/gateway", false},
		{"discord/gateway", "discordproxy/discord", true},
		{"discord/gateway", "github.com/bwmarrin/discordgo", false},
		{"discord", "discordproxy/gen/discord_api", false},
		{"discord/ratelimit", "golang.org/x/time/rate", false},
		{"discord/ratelimit", "container/heap", true},
		{"discord/sandbox", "discordproxy/discord", false},
		{"client", "discordproxy/server", false},
		{"client", "discordproxy/client/clienttest", false},
		{"client/clienttest", "discordproxy/client", true},
		{"cli/discordproxyserver", "discordproxy/cli", true},
		{"cli", "discordproxy/client", false},
		{"cli", "discordproxy/internal", false},
		{"cli/message", "discordproxy/client", true},
		{"cli/message", "discordproxy/server", false},
		{"cli/message", "discordproxy/cli/serve", false},
		{"cli/serve", "discordproxy/discord/sandbox", true},
		{"cli/serve", "discordproxy/client", false},
	} {
		from, _ := roomOf(c.pkg)
		if why := breach(from, c.imported); (why == "") != c.allowed {
			t.Errorf("%s importing %s: allowed %t, breach %q", c.pkg, c.imported, c.allowed, why)
		}
	}
}
