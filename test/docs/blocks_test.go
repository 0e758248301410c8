package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	"go.yaml.in/yaml/v4"
)

// reader is somebody who tries what the documents say: a folder of their own
// for each document, the commands of the project, a running proxy.
type reader struct {
	commands string // folder of the commands
	sb       *sandbox.Sandbox
	discord  string // address of the sandbox
	proxy    *proxytest.Proxy
}

func newReader(t *testing.T) *reader {
	t.Helper()
	commands := proxytest.Commands(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	p := proxytest.Start(t, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api", "--global-rate-limit", "0")
	p.WaitReady(t)
	return &reader{commands: commands, sb: sb, discord: strings.TrimPrefix(discord.URL, "http://"), proxy: p}
}

// here puts the addresses of this reader into an example, and its commands.
func (r *reader) here(text string) string {
	return strings.NewReplacer(
		"127.0.0.1:50051", r.proxy.Address, "localhost:50051", r.proxy.Address,
		"127.0.0.1:50052", r.discord, "localhost:50052", r.discord,
		"go run ./cli/", "", "bin/discordproxy", "discordproxy",
	).Replace(text)
}

// folder makes the one in which the commands of a document are run. It holds
// the bot's token.
func (r *reader) folder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "token"), []byte(r.sb.World().Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// shell prepares a command of a shell. What does not say which proxy it means
// means that of the reader.
func (r *reader) shell(t *testing.T, folder, text string, more ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(r.proxy.Address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", r.here(text))
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "PATH="+r.commands+string(os.PathListSeparator)+os.Getenv("PATH"), "DISCORDPROXY_HOST="+host, "DISCORDPROXY_PORT="+port)
	cmd.Env = append(cmd.Env, more...)
	return cmd
}

// TestDocuments runs the blocks of all documents, unless a comment says why one
// is not run. Blocks of a shell are run in one folder, in their order; what
// is text right below one is its output, with … for what varies.
// Those of Python see what came before them, those of Go are functions of one
// program, and other languages are read.
func TestDocuments(t *testing.T) {
	require.Command(t, "bash", "apt-get install bash")
	r := newReader(t)
	elsewhere := make(map[string]bool) // run by TestDocumentedCurl and TestDocumentedPython
	for _, method := range documentation(t) {
		for _, text := range method.blocks {
			elsewhere[text] = true
		}
	}
	tests := testNames(t)
	code := newGoExamples(t)
	for _, d := range documents(t) {
		t.Run(d.path, func(t *testing.T) {
			r.sb.Reset()
			folder := r.folder(t)
			var python, node []string
			var output string
			for _, b := range d.blocks(t) {
				fail := func(format string, args ...any) {
					t.Helper()
					t.Errorf("%s:%d: %s\n%s", d.path, b.line, fmt.Sprintf(format, args...), b.text)
				}
				written := output
				output = ""
				for _, name := range testName.FindAllString(b.notRun+" "+b.runBy, -1) {
					if !tests[name] {
						fail("there is no %s", name)
					}
				}
				switch {
				case b.notRun != "", b.runBy != "", d.path == "docs/api.md" && elsewhere[b.text]:
				case b.language == "sh" && b.endless:
					if err := r.runEndless(t, folder, b.text); err != nil {
						fail("%v", err)
					}
				case b.language == "sh":
					out, err := r.shell(t, folder, b.text).CombinedOutput()
					if err != nil {
						fail("%v: %s", err, out)
					}
					output = string(out)
				case b.language == "text" && b.follows && written != "":
					for line := range strings.Lines(b.text) {
						pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(line, "\n")), "…", ".*")
						if !regexp.MustCompile("(?m)^" + pattern + "$").MatchString(written) {
							fail("there is no line %q in\n%s", line, written)
						}
					}
				case b.language == "python":
					python = append(python, r.here(b.text))
				case b.language == "js":
					node = append(node, r.here(b.text))
				case b.language == "go":
					if err := code.add(d.path, b.line, r.here(b.text)); err != nil {
						fail("%v", err)
					}
				default:
					if err := read(b.language, b.text); err != nil {
						fail("%v", err)
					}
				}
			}
			if len(python) > 0 {
				t.Run("python", func(t *testing.T) { runPython(t, folder, python) })
			}
			if len(node) > 0 {
				t.Run("node", func(t *testing.T) { runNode(t, node) })
			}
		})
	}
	r.sb.Reset()
	t.Run("go", code.run)
}

var testName = regexp.MustCompile(`\bTest[A-Z]\w*`)

// testNames returns the names of the tests in Go.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	err := walk(func(path string) error {
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// read reads a block that is no program.
func read(language, text string) error {
	switch language {
	case "json":
		if !json.Valid([]byte(text)) {
			return errors.New("it is no JSON")
		}
	case "yaml":
		var document map[string]any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			return err
		}
		if document["clients"] != nil {
			_, err := server.DescribeClients([]byte(text))
			return err
		}
	case "ini":
		section := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name, _, assigned := strings.Cut(line, "=")
			switch {
			case line == "", line[0] == '#', line[0] == ';':
			case line[0] == '[' && strings.HasSuffix(line, "]"):
				section = true
			case !section || !assigned || strings.TrimSpace(name) == "":
				return fmt.Errorf("%q is neither a section nor a setting in one", line)
			}
		}
	default:
		return fmt.Errorf("a block in the language %q is not run: run it, or say why not in a comment before it", language)
	}
	return nil
}

var portFlag = regexp.MustCompile(`--port \d+`)

// runEndless starts a server on a port of its own, waits until it listens, and
// stops it.
func (r *reader) runEndless(t *testing.T, folder, text string) error {
	t.Helper()
	text = portFlag.ReplaceAllString(text, "--port 0")
	cmd := r.shell(t, folder, text, "DISCORDPROXY_HOST=127.0.0.1", "DISCORDPROXY_PORT=0", "DISCORDPROXY_SANDBOX_PORT=0", "DISCORD_API_URL=http://"+r.discord+"/api")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	var said strings.Builder
	stopped := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if !stopped && listens.MatchString(lines.Text()) {
			stopped = true
			// The shell has become its last command.
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return err
			}
		}
	}
	if err := cmd.Wait(); err != nil || !stopped {
		return fmt.Errorf("it was stopped: %t, and ended with %v: %s", stopped, err, said.String()) //nolint:errorlint // err may be nil
	}
	return nil
}

// listens is what a server says that listens, and the sandbox alone.
var listens = regexp.MustCompile(`listens on |^The sandbox, a fake Discord, is at `)

// runPython runs blocks of Python with the package in python/.
func runPython(t *testing.T, folder string, blocks []string) {
	var modules []string
	if strings.Contains(strings.Join(blocks, ""), "import discord\n") {
		modules = []string{"discord"}
	}
	cmd := exec.CommandContext(t.Context(), require.Python(t, modules...), "-c", `
import json, sys
names = {"__name__": "__main__"}
for number, block in enumerate(json.load(sys.stdin), 1):
    exec(compile(block, f"block {number}", "exec"), names)
`)
	source, err := filepath.Abs(filepath.Join(root, "python", "src"))
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir, cmd.Stdin = folder, bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+source, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, strings.Join(blocks, "\n"))
	}
}

// runNode runs blocks of JavaScript with the packages of test/node.
func runNode(t *testing.T, blocks []string) {
	installed := filepath.Join("..", "node")
	node := require.Node(t, installed)
	for _, text := range blocks {
		// Packages are searched next to the file.
		file, err := os.CreateTemp(installed, "block-*.mjs")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file.Name()) })
		_, err = io.WriteString(file, text)
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), node, file.Name()).CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, text)
		}
	}
}
