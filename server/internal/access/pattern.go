package access

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"discordproxy/discord"
)

// pattern says which methods a client may call.
type pattern struct {
	text string
	// name matches the name of a method.
	name *regexp.Regexp
	// routes are names of plain REST routes whose name in Discord's
	// documentation matches.
	routes map[string]bool
}

func (p pattern) means(method string) bool { return p.name.MatchString(method) || p.routes[method] }

// parsePattern reads the name of a method, in which * stands for any
// characters. Names that no method has are refused: they would allow less than
// was meant.
func parsePattern(text string, methods []string) (pattern, error) {
	name, err := regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$")
	if err != nil {
		return pattern{}, err
	}
	p := pattern{text: text, name: name, routes: make(map[string]bool)}
	found := slices.ContainsFunc(methods, name.MatchString)
	for _, route := range discord.Routes() {
		if name.MatchString(route.Documented) {
			p.routes[route.Name] = true
		}
		found = found || p.means(route.Name)
	}
	if found {
		return p, nil
	}
	return pattern{}, fmt.Errorf("methods: %q matches no method: %w", text, hint(text, methods))
}

// restName matches the name of a method of plain REST.
var restName = regexp.MustCompile(`^([A-Za-z]+|\*) +(/\S*)$`)

// hint says what is wrong with a pattern that matches nothing.
func hint(text string, methods []string) error {
	parts := restName.FindStringSubmatch(text)
	if parts == nil {
		if near := nearest(text, methods); near != "" {
			return fmt.Errorf("did you mean %s?", near)
		}
		return fmt.Errorf(
			"use a name from docs/api.md, a method of plain REST such as GET /channels/{channel_id}, or %s",
			strings.Join(Pages, ", "),
		)
	}
	verb, path := strings.ToUpper(parts[1]), parts[2]
	written, _, _ := strings.Cut(path, "?")
	if below, found := strings.CutPrefix(written, "/api"); found {
		if written = below; versionPrefix.MatchString(below) {
			written = versionPrefix.ReplaceAllString(below, "")
		}
	}
	example := cmp.Or(discord.RoutePath(written), written)
	var verbs []string
	for _, route := range discord.Routes() {
		method, documented, _ := strings.Cut(route.Documented, " ")
		if documented == example {
			verbs = append(verbs, method)
		}
	}
	switch {
	case len(verbs) == 0:
		return errors.New(
			"no route of Discord has this path: write the path below /api/v10, " +
				"with placeholders instead of IDs, such as GET /channels/{channel_id}, or use * as in GET /guilds/*",
		)
	case verb != "*" && !slices.Contains(verbs, verb):
		return fmt.Errorf("for %s there are only %s", example, strings.Join(verbs, ", "))
	}
	return fmt.Errorf("did you mean %q? A path begins below /api/v10 and has placeholders instead of IDs", verb+" "+example)
}

var versionPrefix = regexp.MustCompile(`^/v[0-9]+`)

// nearest returns the name that differs from text in letter case only, or that
// one of them begins with the other. Empty if there is none.
func nearest(text string, names []string) string {
	text = strings.ToLower(text)
	for _, name := range names {
		if lower := strings.ToLower(name); text != "" && (lower == text || strings.HasPrefix(lower, text) || strings.HasPrefix(text, lower)) {
			return name
		}
	}
	return ""
}
