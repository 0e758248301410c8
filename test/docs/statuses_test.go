package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestOwnAnswers: the table in docs/rest.md has every status that the server
// itself can answer a plain request with, and no other.
func TestOwnAnswers(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "rest.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "| status | reason |\n")
	if !found {
		t.Fatal("docs/rest.md has no table of statuses")
	}
	section, _, _ = strings.Cut(section, "\n\n")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d{3}) \| \S`).FindAllStringSubmatch(section, -1) {
		documented[row[1]] = true
	}
	// What answers a plain request, or chooses the status of an answer.
	var sources []string
	for _, pattern := range []string{
		"discord/apipath.go", "discord/error.go", "discord/forward.go", "server/internal/access/path.go", "server/internal/access/refusal.go",
		"server/internal/calls/httpstatus.go", "server/internal/plainhttp/*.go", "server/internal/rest/*.go", "server/internal/listener/*.go",
	} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, files...)
	}
	numbers := statusNumbers(t)
	given := make(map[string]string) // the file that has it, by status
	for _, source := range sources {
		if strings.HasSuffix(source, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "http" {
					if number := numbers[selector.Sel.Name]; number >= "400" {
						given[number] = source
					}
				}
			}
			return true
		})
	}
	if len(given) < 10 {
		t.Fatalf("only %v were found", given)
	}
	for _, number := range slices.Sorted(maps.Keys(given)) {
		if !documented[number] {
			t.Errorf("docs/rest.md does not say when the server answers %s, as %s does", number, given[number])
		}
	}
	for _, number := range slices.Sorted(maps.Keys(documented)) {
		if given[number] == "" {
			t.Errorf("docs/rest.md has %s, which nothing answers", number)
		}
	}
}

// statusNumbers returns the numbers of net/http's constants.
func statusNumbers(t *testing.T) map[string]string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src", "net", "http", "status.go"))
	if err != nil {
		t.Fatal(err)
	}
	numbers := make(map[string]string)
	for _, match := range regexp.MustCompile(`(?m)^\t(Status\w+)\s+= (\d{3})`).FindAllStringSubmatch(string(source), -1) {
		numbers[match[1]] = match[2]
	}
	return numbers
}
