package hooks_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of the templates")

// eventHeaders are in which the forges name their events.
var eventHeaders = map[string]string{"github": "X-GitHub-Event", "gitlab": "X-Gitlab-Event", "gitea": "X-Gitea-Event"}

// TestTemplates: each payload is recognized and becomes the message in its golden
// file. The payloads of Alertmanager were recorded from version 0.25.
func TestTemplates(t *testing.T) {
	h := serve(t, `hooks: [{name: ops, channel: 7}]`, nil)
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d payloads, %v", len(files), err)
	}
	texts, _ := filepath.Glob("testdata/*/*.txt")
	for _, file := range append(files, texts...) {
		extension := filepath.Ext(file)
		format, name := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), extension)
		t.Run(format+"/"+name, func(t *testing.T) {
			payload, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			header := []string{"Content-Type", map[string]string{".json": "application/json", ".txt": "text/plain"}[extension]}
			if event, ok := eventHeaders[format]; ok {
				kind, _, _ := strings.Cut(name, ".")
				header = append(header, event, kind)
			}
			if format == "gitea" { // which sends both
				header = append(header, "X-GitHub-Event", "push")
			}
			got := h.post("/hooks/ops?preview", string(payload), header...)
			if got.status != http.StatusOK || got.json["format"] != format {
				t.Fatalf("%d %s", got.status, got.body)
			}
			var shown bytes.Buffer
			if err := json.Indent(&shown, []byte(got.body), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, extension) + ".golden"
			if *update {
				if err := os.WriteFile(golden, shown.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || !bytes.Equal(want, shown.Bytes()) {
				t.Errorf("%v\ngot  %s\nwant %s", err, &shown, want)
			}
		})
	}
}
