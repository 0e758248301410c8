package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?: "[^"]*")?\)|^\[[^\]]+\]: (\S+)$`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+?)\s*$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are the places of a document that a link can name.
func (d document) anchors() map[string]bool {
	places := make(map[string]bool)
	// Comments of a shell are no headings.
	text := regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(d.text, "")
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		title := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(found[1], "$1")
		slug := strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		name := slug
		for i := 1; places[name]; i++ {
			name = slug + "-" + strconv.Itoa(i)
		}
		places[name] = true
	}
	return places
}

// TestLinks: files and headings that documents link to exist, and addresses
// are addresses. Nothing is asked of the network.
func TestLinks(t *testing.T) {
	all := documents(t)
	anchors := make(map[string]map[string]bool)
	for _, d := range all {
		anchors[d.path] = d.anchors()
	}
	links := 0
	for _, d := range all {
		for _, found := range link.FindAllStringSubmatch(d.prose(), -1) {
			links++
			target := found[1] + found[2]
			u, err := url.Parse(target)
			switch {
			case err != nil || target == "":
				t.Errorf("%s: %q is no link: %v", d.path, target, err)
				continue
			case u.Scheme != "":
				if u.Scheme != "https" || !strings.Contains(u.Hostname(), ".") || u.User != nil {
					t.Errorf("%s: %s is not the address of a page", d.path, target)
				}
				continue
			case u.Host != "" || strings.HasPrefix(u.Path, "/"):
				t.Errorf("%s: %s depends on where the document is read", d.path, target)
				continue
			}
			file := d.path
			if u.Path != "" {
				file = path.Join(path.Dir(d.path), u.Path)
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); err != nil {
					t.Errorf("%s: %s leads nowhere", d.path, target)
					continue
				}
			}
			if u.Fragment != "" && !anchors[file][u.Fragment] {
				t.Errorf("%s: there is no heading for %s", d.path, target)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}
