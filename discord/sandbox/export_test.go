package sandbox

// RouteKeys are all routes that the sandbox answers.
func RouteKeys() []string {
	table := routes()
	newTree(table)
	var out []string
	for _, r := range table {
		out = append(out, r.key)
	}
	return out
}
