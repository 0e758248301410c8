package discord_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"discordproxy/discord"
)

// beyondDescription are routes that Discord has and its OpenAPI description
// leaves out.
var beyondDescription = []string{
	"DELETE /guilds/{}", "GET /applications/{}/skus", "PATCH /guilds/{}/members/@me/nick", "POST /guilds/templates/{}",
	"POST /guilds/{}/mfa", "POST /oauth2/token", "POST /oauth2/token/revoke", "PUT /applications/{}/guilds/{}/commands/permissions",
}

// TestRoutesAreDiscords compares the table of routes with Discord's OpenAPI
// description, if there is one: DISCORD_OPENAPI names the file, which is
// specs/openapi.json of github.com/discord/discord-api-spec.
func TestRoutesAreDiscords(t *testing.T) {
	file := os.Getenv("DISCORD_OPENAPI")
	if file == "" {
		file = filepath.Join("..", "..", "shared", "discord-openapi.json")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skip("no description of Discord's API: set DISCORD_OPENAPI to a copy of specs/openapi.json from github.com/discord/discord-api-spec")
	}
	var description struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(data, &description); err != nil {
		t.Fatal(err)
	}
	placeholder := regexp.MustCompile(`\{[^}]*\}`)
	described := make(map[string]bool)
	for path, item := range description.Paths {
		for method := range item {
			if method = strings.ToUpper(method); slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE"}, method) {
				described[method+" "+placeholder.ReplaceAllString(path, "{}")] = true
			}
		}
	}
	for _, name := range beyondDescription {
		if described[name] {
			t.Errorf("%s is described by now", name)
		}
		described[name] = true
	}
	for _, route := range discord.Routes() {
		name := placeholder.ReplaceAllString(route.Documented, "{}")
		if !described[name] {
			t.Errorf("Discord has no %s", route.Documented)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is missing in the table", name)
	}
}

// TestRoutesAreNamed: every route has a name of its own path, and no route hides
// another one.
func TestRoutesAreNamed(t *testing.T) {
	for _, route := range discord.Routes() {
		_, path, _ := strings.Cut(route.Documented, " ")
		if found := discord.RoutePath(path); found != path {
			t.Errorf("%s leads to %s", path, found)
		}
		if _, name, _ := strings.Cut(route.Name, " "); strings.Count(name, "/") != strings.Count(path, "/") || strings.Contains(name, "{other}") && !strings.Contains(name, "activity-instances") {
			t.Errorf("%s is called %s", route.Documented, route.Name)
		}
	}
}
