package docs

import (
	"bytes"
	"crypto/x509"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	pathpkg "path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

// verb is where a text of the code varies.
var verb = regexp.MustCompile(`%[-+#. 0-9]*[a-zA-Z]`)

// texts are what the code can say.
type texts struct {
	// all are the strings of the code, with … where they vary.
	all []string
	// met are those that an admin meets: the errors of the commands and of what
	// they read, the warnings and errors of the log.
	met []string
}

// says are the functions that make errors and lines of the log.
var says = map[string]bool{
	"New": true, "Errorf": true, "refuse": true, "NewError": true,
	"Warn": true, "WarnContext": true, "Error": true, "ErrorContext": true,
}

// logs are those of them whose text is a line of the log.
var logs = map[string]bool{"Warn": true, "WarnContext": true, "Error": true, "ErrorContext": true}

// forAdmins are the folders all of whose errors admins meet. Others have errors
// for the authors of clients, which docs/api.md and docs/clients.md describe.
var forAdmins = []string{"cli", "cli/configfile", "cli/message", "cli/serve", "server/internal/files", "server/internal/access", "server/internal/health", "server/internal/tracing"}

// unmet are texts there that nobody meets, with the reason.
var unmet = map[string]string{
	"… is no message":                   "a mistake of the program",
	"… is no message of the API":        "a mistake of the program",
	"not let through":                   "is part of another text",
	"the manual page of …: …":           "when packages are built",
	"the completion of …: …":            "when packages are built",
	"describe the service in traces: …": "a mistake of the program",
	"the sandbox ended by itself":       "a mistake of the program",
	"the command line runs no server":   "a mistake of the program",
}

func collectTexts(t *testing.T) texts {
	t.Helper()
	var found texts
	err := walk(func(path string) error {
		folder, _, _ := strings.Cut(path, "/")
		switch {
		case slices.Contains([]string{"gen", "test", "tools", "deploy"}, folder):
			return nil
		case strings.HasSuffix(path, ".py") && strings.HasPrefix(path, "python/src/"):
			text, err := os.ReadFile(filepath.Join(root, path))
			found.all = append(found.all, string(text))
			return err
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
		if err != nil {
			return err
		}
		isSandbox := strings.HasPrefix(path, "discord/sandbox/")
		everything := slices.Contains(forAdmins, pathpkg.Dir(path))
		ast.Inspect(tree, func(n ast.Node) bool {
			if text, ok := literal(n); ok {
				found.all = append(found.all, text)
			}
			call, ok := n.(*ast.CallExpr)
			if !ok || isSandbox || !says[nameOf(call.Fun)] {
				return true
			}
			for _, argument := range call.Args {
				if text, ok := literal(argument); ok {
					if (everything || logs[nameOf(call.Fun)]) && unmet[text] == "" {
						found.met = append(found.met, text)
					}
					break // what follows are names and values
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// literal returns the text of a string, or of one that others are added to,
// with … where it varies.
func literal(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(n.Value)
		if err != nil {
			return "", false
		}
		return verb.ReplaceAllString(text, "…"), true
	case *ast.BinaryExpr:
		left, ok := literal(n.X)
		right, also := literal(n.Y)
		if !ok {
			left = "…"
		}
		if !also {
			right = "…"
		}
		return left + right, ok || also
	}
	return "", false
}

func nameOf(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.SelectorExpr:
		return fun.Sel.Name
	case *ast.Ident:
		return fun.Name
	}
	return ""
}

// pieces are what does not vary in a text.
func pieces(text string) []string {
	var all []string
	for piece := range strings.SplitSeq(text, "…") {
		if piece = strings.TrimSpace(piece); piece != "" {
			all = append(all, piece)
		}
	}
	return all
}

// ofOthers returns texts that come from the system and from libraries.
func ofOthers(t *testing.T) []string {
	t.Helper()
	said := func(args ...string) string {
		var out bytes.Buffer
		if cli.Run(t.Context(), serve.Command, cli.Env{Args: args, Out: &out, Err: &out}) == 0 {
			t.Errorf("%q succeeded", args)
		}
		return out.String()
	}
	all := []string{
		syscall.EADDRINUSE.Error(), syscall.EADDRNOTAVAIL.Error(), syscall.ECONNREFUSED.Error(), syscall.EACCES.Error(),
		os.ErrDeadlineExceeded.Error(), x509.UnknownAuthorityError{}.Error(),
		"no such host", // of package net
		"server gave HTTP response to HTTPS client", "Client sent an HTTP request to an HTTPS server.", // of net/http
		"failed to connect to all addresses", // of grpc in C and Python
		"larger than max",                    // of grpc in every language
		said("--nonsense"), said("--port", "nonsense"),
		// Their texts name a flag instead of a field of a package.
		said("--log-file-path", t.TempDir(), "--token", "x", "--discord-api-url", "nonsense"),
		said("--log-file-path", t.TempDir(), "--sandbox", "--no-data", "--gateway-proxy-url", "nonsense"),
	}
	t.Setenv("DISCORDPROXY_SANDBOX", "nonsense")
	return append(all, said())
}

// TestTroubleshooting: the errors that docs/troubleshooting.md explains exist,
// and those that an admin meets are explained.
func TestTroubleshooting(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	code, others := collectTexts(t), ofOthers(t)
	var explained []string
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(page, -1) {
		for _, span := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			explained = append(explained, strings.ReplaceAll(span[1], `\|`, "|"))
		}
	}
	if len(explained) < 50 || len(code.met) < 50 {
		t.Fatalf("only %d texts are explained, and %d were found", len(explained), len(code.met))
	}
	for _, text := range explained {
		for _, piece := range pieces(text) {
			exists := func(other string) bool { return strings.Contains(other, piece) }
			if !slices.ContainsFunc(code.all, exists) && !slices.ContainsFunc(others, exists) {
				t.Errorf("the page explains %q, of which nothing says %q", text, piece)
			}
		}
	}
	for _, text := range code.met {
		// The longest piece identifies it.
		longest := slices.MaxFunc(append(pieces(text), ""), func(a, b string) int { return len(a) - len(b) })
		if longest != "" && !slices.ContainsFunc(explained, func(other string) bool { return strings.Contains(other, longest) }) {
			t.Errorf("the page does not explain %q", text)
		}
	}
}

// TestDashboardCauses: the reasons that the dashboard recognizes to explain them are
// texts of the server.
func TestDashboardCauses(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "dashboard", "src", "cause.ts"))
	if err != nil {
		t.Fatal(err)
	}
	code := collectTexts(t)
	recognized := regexp.MustCompile(`\{ of: /([^/]+)/`).FindAllStringSubmatch(string(source), -1)
	if len(recognized) < 3 {
		t.Fatalf("only %d reasons were found", len(recognized))
	}
	for _, pattern := range recognized {
		for text := range strings.SplitSeq(pattern[1], "|") {
			if !slices.ContainsFunc(code.all, func(other string) bool { return strings.Contains(other, text) }) {
				t.Errorf("the dashboard recognizes %q, which the server does not say", text)
			}
		}
	}
}
