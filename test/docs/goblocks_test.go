package docs

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goExamples are blocks of Go, which become tests of one program: statements
// in a function of their own, declarations next to them.
type goExamples struct {
	folder string
	n      int
}

func newGoExamples(t *testing.T) *goExamples { return &goExamples{folder: t.TempDir()} }

// packages are those that blocks may use, by the name under which they do.
var packages = map[string]string{
	"client":     "discordproxy/client",
	"clienttest": "discordproxy/client/clienttest",
	"connect":    "connectrpc.com/connect",
	"context":    "context",
	"discordgo":  "github.com/bwmarrin/discordgo",
	"errors":     "errors",
	"fmt":        "fmt",
	"http":       "net/http",
	"httptest":   "net/http/httptest",
	"os":         "os",
	"pb":         "discordproxy/gen/discord_api",
	"sandbox":    "discordproxy/discord/sandbox",
	"testing":    "testing",
	"time":       "time",
}

// add writes the file of a block.
func (g *goExamples) add(path string, line int, text string) error {
	g.n++
	var file bytes.Buffer
	file.WriteString("package docs\n\n")
	name := fmt.Sprintf("TestBlock%d", g.n)
	if tree := declarations(text); tree != nil {
		imports(&file, tree)
		fmt.Fprintf(&file, "//line %s:%d\n%s", path, line+1, text)
	} else {
		tree, err := parser.ParseFile(token.NewFileSet(), "", "package docs\nfunc f(ctx context.Context, t *testing.T) {\n"+text+"\n}", 0)
		if err != nil {
			return err
		}
		imports(&file, tree)
		fmt.Fprintf(&file, "func %s(t *testing.T) {\n\tif err := block%d(t.Context()); err != nil {\n\t\tt.Error(err)\n\t}\n}\n\n", name, g.n)
		fmt.Fprintf(&file, "func block%d(ctx context.Context) error {\n//line %s:%d\n%s", g.n, path, line+1, text)
		for _, name := range defined(tree) {
			fmt.Fprintf(&file, "\t_ = %s\n", name)
		}
		file.WriteString("\treturn nil\n}\n")
	}
	return os.WriteFile(filepath.Join(g.folder, fmt.Sprintf("block%d_test.go", g.n)), file.Bytes(), 0o600)
}

// imports writes what a file needs.
func imports(file *bytes.Buffer, tree *ast.File) {
	used := make(map[string]bool)
	ast.Inspect(tree, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for name, path := range packages {
		if used[name] {
			fmt.Fprintf(file, "import %s %q\n", name, path)
		}
	}
}

// declarations returns the tree of a block that holds declarations alone, nil
// for any other.
func declarations(text string) *ast.File {
	tree, err := parser.ParseFile(token.NewFileSet(), "", "package docs\n"+text, 0)
	if err != nil {
		return nil
	}
	return tree
}

// defined returns the variables of statements in the only function of a file.
// A block need not use them.
func defined(tree *ast.File) []string {
	var names []string
	seen := map[string]bool{"_": true}
	for _, statement := range tree.Decls[0].(*ast.FuncDecl).Body.List {
		assignment, ok := statement.(*ast.AssignStmt)
		if !ok || assignment.Tok != token.DEFINE {
			continue
		}
		for _, left := range assignment.Lhs {
			if name := left.(*ast.Ident).Name; !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

func (g *goExamples) run(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(g.folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1"}, files...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
	}
}
