package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// words are the expressions that documents avoid, with what to write instead. They
// are correct English, but quaint, vague, or names that readers do not know.
var words = map[string]string{
	`whoever|whomever`:              "anyone who",
	`thereof|of which`:              "the thing's name",
	`anew`:                          "again",
	`in vain`:                       "without success",
	`unless (given|set)`:            "by default",
	`(is|are|was|be) told`:          "receives, is notified",
	`tells`:                         "reports, returns, shows",
	`pretend(s|ed)? Discord`:        "the sandbox",
	`lets? go of`:                   "releases",
	`ends? in peace`:                "shuts down gracefully",
	`goes before|go before`:         "takes precedence over",
	`the like of`:                   "similar to",
	`and the like|or the like`:      "and others, or name them",
	`such as (that|those) of`:       "for example",
	`beside`:                        "next to, in addition to",
	`besides`:                       "also",
	`the contract`:                  "the API, the protobuf definitions",
	`at once`:                       "immediately, at the same time",
	`is held|are held|holds a call`: "waits, is queued",
	`may hold|room for`:             "limit, capacity",
	`nobody knows`:                  "it is unknown whether",
	`stands? (in|behind|above|below|beside|there)`: "is in, is next to",
}

// fineInComments are those of words that comments may use: of locks and of functions.
var fineInComments = map[string]bool{`is held|are held|holds a call`: true, `thereof|of which`: true}

// allowed are uses that stay, by document, with the reason.
var allowed = map[string]map[string]string{
	"CONTRIBUTING.md": {"of which": "the rule names it", "thereof": "the rule names it"},
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
)

// TestWords: documents avoid some expressions. Code, addresses and quoted errors are
// not looked at.
func TestWords(t *testing.T) {
	patterns := patternsOfWords()
	used := make(map[string]bool)
	for _, d := range documents(t) {
		code := false
		number := 0
		for line := range strings.Lines(d.text) {
			number++
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				code = !code
			}
			if code {
				continue
			}
			prose := linkTarget.ReplaceAllString(inlineCode.ReplaceAllString(line, "``"), "]")
			for _, word := range slices.Sorted(maps.Keys(patterns)) {
				for _, found := range patterns[word].FindAllString(prose, -1) {
					if found = strings.ToLower(found); allowed[d.path][found] != "" {
						used[d.path+": "+found] = true
						continue
					}
					t.Errorf("%s:%d: %q: write %s", d.path, number, found, words[word])
				}
			}
		}
	}
	for path, uses := range allowed {
		for use := range uses {
			if !used[path+": "+use] {
				t.Errorf("%s does not use %q any more", path, use)
			}
		}
	}
}

func patternsOfWords() map[string]*regexp.Regexp {
	patterns := make(map[string]*regexp.Regexp, len(words))
	for word := range words {
		patterns[word] = regexp.MustCompile(`(?i)\b(` + word + `)\b`)
	}
	return patterns
}

// TestWordsOfComments: comments of Go code avoid them, too.
func TestWordsOfComments(t *testing.T) {
	patterns := patternsOfWords()
	comments := 0
	err := walk(func(path string) error {
		if filepath.Ext(path) != ".go" || strings.HasPrefix(path, "gen/") {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(root, path), nil, parser.ParseComments)
		if err != nil || ast.IsGenerated(file) {
			return err
		}
		for _, group := range file.Comments {
			comments++
			text := strings.ReplaceAll(group.Text(), "\n", " ")
			for word, pattern := range patterns {
				if found := pattern.FindString(text); found != "" && !fineInComments[word] {
					t.Errorf("%v: %q: write %s", files.Position(group.Pos()), found, words[word])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if comments < 1000 {
		t.Errorf("only %d comments were found", comments)
	}
}

// TestWordsOfTexts: errors, lines of the log, help, the OpenAPI document, the pages and
// the clients in other languages avoid them, too.
func TestWordsOfTexts(t *testing.T) {
	sources := map[string]string{"strings of Go code": strings.Join(collectTexts(t).all, "\n")}
	err := walk(func(path string) error {
		folder, _, _ := strings.Cut(path, "/")
		switch filepath.Ext(path) {
		case ".proto", ".py", ".ts", ".tsx", ".yaml", ".yml", ".sh", ".service", ".conf":
		default:
			return nil
		}
		if folder == "gen" || strings.Contains(path, "/gen/") || strings.Contains(path, "_pb2") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		sources[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 100 {
		t.Fatalf("only %d sources were found", len(sources))
	}
	for word, pattern := range patternsOfWords() {
		if fineInComments[word] {
			continue
		}
		for name, text := range sources {
			number := 0
			for line := range strings.Lines(text) {
				number++
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: write %s", name, number, found, words[word])
				}
			}
		}
	}
}
