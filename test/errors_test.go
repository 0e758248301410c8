package test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestErrorPrefixes checks that no error begins with the name of another package than
// its own, and that the errors of New in the packages of the server begin with that.
func TestErrorPrefixes(t *testing.T) {
	errs := errorTexts(t, "..")
	packages := make(map[string]bool)
	for _, e := range errs {
		packages[e.pkg] = true
	}
	if len(errs) < 300 {
		t.Fatalf("found only %d errors", len(errs))
	}
	named := regexp.MustCompile(`^(\w+): `)
	for _, e := range errs {
		prefix := named.FindStringSubmatch(e.text)
		own := prefix != nil && prefix[1] == e.pkg
		switch {
		case prefix != nil && packages[prefix[1]] && !own:
			t.Errorf("%s: the error %q begins with the name of another package than %s", e.at, e.text, e.pkg)
		case e.in == "New" && !own && (strings.HasPrefix(e.at, "server") || strings.HasPrefix(e.at, "discord")):
			t.Errorf("%s: the error %q of New does not begin with %q", e.at, e.text, e.pkg+": ")
		}
	}
}

// errorText is the text of an error that a function of a package makes.
type errorText struct{ at, pkg, in, text string }

// errorTexts returns the errors that the packages in a folder make, without tests and
// generated code.
func errorTexts(t *testing.T, root string) (all []errorText) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "gen" || entry.Name() == "node_modules"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			in := ""
			if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil {
				in = function.Name.Name
			}
			ast.Inspect(declared, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !makesError(call) {
					return true
				}
				if literal, ok := call.Args[0].(*ast.BasicLit); ok {
					text, bad := strconv.Unquote(literal.Value)
					err = errors.Join(err, bad)
					at, _ := strings.CutPrefix(files.Position(call.Pos()).String(), root+string(filepath.Separator))
					all = append(all, errorText{filepath.ToSlash(at), file.Name.Name, in, text})
				}
				return true
			})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// makesError reports whether a call is one of errors.New or fmt.Errorf.
func makesError(call *ast.CallExpr) bool {
	function, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := function.X.(*ast.Ident)
	return ok && (pkg.Name == "errors" && function.Sel.Name == "New" || pkg.Name == "fmt" && function.Sel.Name == "Errorf")
}
