package test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContextsCarryNoArguments checks that the packages of discord/ and client/ put nothing
// into a context: who calls them is an argument. The packages of server/ may, because
// net/http and Connect are between some of them.
func TestContextsCarryNoArguments(t *testing.T) {
	files := 0
	for _, folder := range []string{"discord", "client"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			source, err := os.ReadFile(path)
			if bytes.Contains(source, []byte("context.WithValue(")) {
				t.Errorf("%s puts a value into a context", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Errorf("found only %d files", files)
	}
}
