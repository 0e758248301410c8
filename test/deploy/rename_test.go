package deploy

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"discordproxy/test/require"
)

// copyCheckout copies the project without what is installed or built in it.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	from := filepath.Join("..", "..")
	left := map[string]bool{"node_modules": true, "__pycache__": true, "dist": true}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && within != "."
		switch target := filepath.Join(to, within); {
		case entry.IsDir() && within != filepath.Join("dashboard", "dist") && (hidden || left[entry.Name()]):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, data, 0o644)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRenameModule gives a copy of the project another module path, as its owner
// does before the first release, and builds, vets and tests it.
func TestRenameModule(t *testing.T) {
	t.Parallel()
	const module = "example.org/x/discordproxy"
	copied := t.TempDir()
	copyCheckout(t, copied)
	read := func(path ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(append([]string{copied}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = copied
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	statement := regexp.MustCompile(`(?m)^module (.+)$`)
	old := statement.FindStringSubmatch(read("go.mod"))[1]

	tool := exec.CommandContext(t.Context(), "go", "run", ".", "-root", "../..", "discordproxy")
	tool.Dir = filepath.Join(copied, "tools", "renamemodule")
	if out, err := tool.CombinedOutput(); err == nil || !strings.Contains(string(out), `"discordproxy" is no module path that go get can fetch`) {
		t.Errorf("a path without a host: %v\n%s", err, out)
	}
	run("go", "run", "-C", "tools/renamemodule", ".", "-root", "../..", module)

	named := 0
	err := filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case entry.Name() == "go.mod":
			text, err := os.ReadFile(path)
			if name := statement.FindSubmatch(text); name == nil || !strings.HasPrefix(string(name[1])+"/", module+"/") {
				t.Errorf("%s is not renamed:\n%s", path, text)
			}
			return err
		case filepath.Ext(path) != ".go":
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range tree.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil || imported == old || strings.HasPrefix(imported, old+"/") {
				t.Errorf("%s imports %s: %v", path, imported, err)
			}
			if strings.HasPrefix(imported, module+"/") {
				named++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named < 100 {
		t.Errorf("only %d imports have the path", named)
	}
	for _, file := range []string{"buf.gen.yaml", "deploy/container/Dockerfile", "deploy/release/main.go"} {
		if !strings.Contains(read(file), module+"/") {
			t.Errorf("%s has the old path", file)
		}
	}

	t.Run("generated", func(t *testing.T) {
		require.Command(t, "buf", "npm ci --prefix test/browser, and add its node_modules/.bin to PATH")
		run("buf", "generate", "--config", "buf.yaml")
		if !strings.Contains(read("gen", "discord_api", "discord_api.pb.go"), module+"/gen/discord_api;discordapi") {
			t.Error("the generated code has the old path")
		}
	})
	run("go", "build", "./...")
	run("go", "vet", "./...")
	run("go", "test", "./test", "-run", "TestImports")
	flags := regexp.MustCompile(`-ldflags "([^"]*)"`).FindStringSubmatch(read("deploy", "container", "Dockerfile"))
	if flags == nil {
		t.Fatal("the Dockerfile has no flags for the linker")
	}
	command := filepath.Join(t.TempDir(), "discordproxymessage")
	run("go", "build", "-o", command, "-ldflags", strings.NewReplacer("$VERSION", "9.8.7", "$COMMIT", "abc").Replace(flags[1]), "./cli/discordproxymessage")
	if version := run(command, "--version"); !strings.Contains(version, "9.8.7") {
		t.Errorf("a release says it is %s", version)
	}
}
