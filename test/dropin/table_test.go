package dropin

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// table is a table of docs/migration.md that a test makes. It is between two
// comments with its name.
type table struct {
	name string
	rows [][]string
	all  bool // every case ran
}

func newTable(t *testing.T, name string, columns ...string) *table {
	t.Helper()
	filter := false
	for _, arg := range os.Args {
		filter = filter || strings.HasPrefix(arg, "-test.run=") && strings.Contains(arg, "/")
	}
	tb := &table{name: name, all: !filter}
	tb.rows = append(tb.rows, columns, slices.Repeat([]string{"---"}, len(columns)))
	return tb
}

func (tb *table) String() string {
	var text strings.Builder
	for _, row := range tb.rows {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
	}
	return text.String()
}

// row adds a difference, to a row that differs in the name alone, if there is one. A difference without a reason, and a reason without a
// difference, are errors.
func (tb *table) row(t *testing.T, why, what, old, new string) {
	t.Helper()
	switch {
	case old == "" && new == "" && why == "":
	case old == "" && new == "":
		t.Errorf("both servers do the same, although %q", why)
	case why == "":
		t.Errorf("a difference without a reason:\n- %s\n+ %s", old, new)
	default:
		row := []string{what, old, new, why}
		if i := slices.IndexFunc(tb.rows, func(r []string) bool { return slices.Equal(r[1:], row[1:]) }); i >= 0 {
			tb.rows[i][0] += "; " + what
			return
		}
		tb.rows = append(tb.rows, row)
	}
}

// compare holds the table in the page to the one that was made.
func (tb *table) compare(t *testing.T) {
	t.Helper()
	if t.Failed() || !tb.all {
		return
	}
	path := filepath.Join("..", "..", "docs", "migration.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin := fmt.Sprintf("<!-- begin: %s, by go test ./test/dropin -update -->\n\n", tb.name)
	end := fmt.Sprintf("\n<!-- end: %s -->", tb.name)
	before, rest, found := strings.Cut(string(text), begin)
	inPage, after, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		t.Fatalf("docs/migration.md has no table between %q and %q", begin, end)
	case inPage == tb.String():
	case *update:
		if err := os.WriteFile(path, []byte(before+begin+tb.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("docs/migration.md has other %s than these: go test ./test/dropin -update\n%s", tb.name, tb)
	}
}
