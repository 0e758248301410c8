package sandbox

import "strings"

// RouteKeys are all routes that the sandbox answers.
func RouteKeys() []string {
	table := routes()
	newTree(table)
	var out []string
	for _, r := range table {
		if unsupported[r.template] == "" || !strings.Contains(unsupported[r.template], r.method) {
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
