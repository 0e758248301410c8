package sandbox

import (
	"slices"
	"strings"
)

// RouteKeys are all routes that the sandbox imitates.
func RouteKeys() []string {
	table := routes()
	newTree(table)
	gaps := UnsupportedKeys()
	var out []string
	for _, r := range table {
		if !slices.Contains(gaps, r.key) {
			out = append(out, r.key)
		}
	}
	return out
}

// UnsupportedKeys are all routes that the sandbox answers 501.
func UnsupportedKeys() []string {
	var out []string
	for _, r := range unsupportedRoutes() {
		out = append(out, r.method+" "+r.template)
	}
	return out
}

// Undescribed reports whether a route that the sandbox answers 501 is one that
// Discord's description leaves out.
func Undescribed(key string) bool {
	method, template, _ := strings.Cut(key, " ")
	return slices.Contains(strings.Fields(undescribed[template]), method)
}
