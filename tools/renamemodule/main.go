// Command renamemodule sets the path of the project's Go modules wherever a file
// names it: in go.mod files, imports, settings of tools, linker flags and documents.
// It leaves *.pb.go to the next run of buf generate, because they hold the path in
// an encoded form.
package main

import (
	"flag"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", ".", "folder of the checkout")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: renamemodule [-root FOLDER] MODULE")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := rename(*root, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// modulePath is what go get can fetch: a host with a dot, and at least one folder.
var modulePath = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

// foreign are the endings of files in which the name of the project is that of its
// package on npm or PyPI.
var foreign = []string{".css", ".html", ".js", ".json", ".mjs", ".py", ".toml", ".ts", ".tsx"}

// rename gives the project in a folder another module path.
func rename(root, to string) error {
	if !modulePath.MatchString(to) {
		return fmt.Errorf("%q is no module path that go get can fetch, such as github.com/acme/discordproxy", to)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`(?m)^module (\S+)$`).FindSubmatch(mod)
	if found == nil {
		return fmt.Errorf("%s names no module", filepath.Join(root, "go.mod"))
	}
	from := string(found[1])
	var folders []string
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			folders = append(folders, regexp.QuoteMeta(entry.Name()))
		}
	}
	// The name of the project is often the module's, too: only a package's path,
	// which continues with a folder, and what a tool reads as the module's are replaced.
	module := regexp.QuoteMeta(from)
	packages := regexp.MustCompile(`(^|[^\w./-])` + module + `(/(?:` + strings.Join(folders, "|") + `)(?:[^\w-]|$))`)
	statements := regexp.MustCompile(`(?m)^([ \t]*(?:module|require|replace|module-path:)?[ \t]*)` + module + `( v\S+| =>.*|)$`)
	return fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		skipped := name == ".git" || name == ".venv" || name == ".site" || name == "node_modules" || name == "dist" || name == "bin"
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped:
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasSuffix(name, ".pb.go") || slices.Contains(foreign, filepath.Ext(name)):
			return nil
		}
		file := filepath.Join(root, filepath.FromSlash(path))
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := packages.ReplaceAll(old, []byte("${1}"+to+"${2}"))
		if name == "go.mod" || name == ".golangci.yml" {
			text = statements.ReplaceAll(text, []byte("${1}"+to+"${2}"))
		}
		if string(text) == string(old) {
			return nil
		}
		if filepath.Ext(name) == ".go" { // imports are sorted
			if text, err = format.Source(text); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(file, text, info.Mode().Perm())
	})
}
