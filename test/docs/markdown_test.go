// Package docs checks the documents: every block of code in them is run, every
// link leads somewhere, and they explain every error that an admin can see.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of the module.
var root = filepath.Join("..", "..")

// document is a Markdown file of the project.
type document struct {
	path string // from the root of the project, with slashes
	text string
}

// partsOfDocuments are Markdown files that are no documents but parts of one.
var partsOfDocuments = map[string]bool{"tools/apidoc/intro.md": true}

// walk calls f for each file of the project, by its path from the root, but for
// what others made or a build.
func walk(f func(path string) error) error {
	return fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case !entry.IsDir():
			return f(path)
		case path != "." && strings.HasPrefix(name, "."), name == "node_modules", name == "dist":
			return fs.SkipDir
		}
		return nil
	})
}

// documents reads all of them.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	err := walk(func(path string) error {
		if filepath.Ext(path) != ".md" || partsOfDocuments[path] {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		all = append(all, document{path, string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents were found", len(all))
	}
	return all
}

// block is a fenced block of a document.
type block struct {
	line           int // of its first fence
	language, text string
	// notRun is why it is not run, from a comment before it:
	//
	//	<!-- not run: the reason -->
	notRun string
	// runBy is the test that runs it, from a comment before it:
	//
	//	<!-- run by TestX -->
	runBy string
	// endless is a command that runs until it is stopped, as a comment before
	// it says:
	//
	//	<!-- runs until it is stopped -->
	endless bool
	// follows is whether nothing is between it and the block before it.
	follows bool
}

var (
	fence       = regexp.MustCompile("^( *)(```+|~~~+)(.*)$")
	notRun      = regexp.MustCompile(`^<!-- not run: (.+) -->$`)
	runBy       = regexp.MustCompile(`^<!-- run by (Test\w+) -->$`)
	listItem    = regexp.MustCompile(`^ *([-*]|\d+\.) `)
	indentation = regexp.MustCompile(`^(    |\t)`)
)

const endlessMark = "<!-- runs until it is stopped -->"

// blocks finds the blocks of a document. Code by indentation is an error,
// because it would be overlooked.
func (d document) blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	var open *block
	var indent, ticks, before string // before is the last line with something in it
	inList, blank, follows := false, true, false
	for i, line := range strings.Split(d.text, "\n") {
		if open != nil {
			if strings.TrimSpace(line) == ticks {
				all = append(all, *open)
				open, before, follows, blank = nil, "", true, false
				continue
			}
			open.text += strings.TrimPrefix(line, indent) + "\n"
			continue
		}
		text := strings.TrimSpace(line)
		switch found := fence.FindStringSubmatch(line); {
		case found != nil:
			indent, ticks = found[1], found[2]
			open = &block{line: i + 1, language: found[3], follows: follows, endless: before == endlessMark}
			if reason := notRun.FindStringSubmatch(before); reason != nil {
				open.notRun = reason[1]
			}
			if test := runBy.FindStringSubmatch(before); test != nil {
				open.runBy = test[1]
			}
			continue
		case text == "":
			blank = true
			continue
		case listItem.MatchString(line):
			inList = true
		case inList && blank && !strings.HasPrefix(line, " "):
			inList = false
		case blank && !inList && indentation.MatchString(line):
			t.Errorf("%s:%d: code by indentation: put it between fences", d.path, i+1)
		}
		before, follows, blank = text, false, false
	}
	if open != nil {
		t.Errorf("%s:%d: the block has no end", d.path, open.line)
	}
	return all
}

// prose is the document with blocks, spans of code and comments blanked out.
func (d document) prose() string {
	var lines []string
	ticks := ""
	for line := range strings.SplitSeq(d.text, "\n") {
		found := fence.FindStringSubmatch(line)
		switch {
		case ticks == "" && found != nil:
			ticks, line = found[2], ""
		case ticks != "":
			if strings.TrimSpace(line) == ticks {
				ticks = ""
			}
			line = ""
		}
		lines = append(lines, line)
	}
	return codeSpan.ReplaceAllString(strings.Join(lines, "\n"), "x")
}

var codeSpan = regexp.MustCompile("``[^`\n]+``|`[^`]+`|(?s:<!--.*?-->)")
