// Command apidoc writes the documentation of the API, and the methods of the Go
// client with theirs, from the comments of the API. It reads a set of file
// descriptors with source information, as `buf build` writes it, from its standard
// input. Its argument is the folder of the repository, where it writes docs/api.md,
// what server/internal/apidocs serves, and client/methods.go.
//
//	buf build --config buf.yaml -o - | go run -C tools/apidoc . ../..
//
// It fails if a method does not state its cost in calls to Discord, or has no example in
// examples.json.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Stdin, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

// outputs are the files that are made of the API.
var outputs = []struct {
	path  string
	write func(*definitions) ([]byte, error)
}{
	{"docs/api.md", writeMarkdown},
	{"server/internal/apidocs/openapi.yaml", writeOpenAPIYAML},
	{"server/internal/apidocs/page/index.html", writePage},
	{"client/methods.go", writeGoClient},
}

func run(in io.Reader, args []string) error {
	if len(args) != 1 {
		return errors.New("the folder of the repository is needed, and nothing else")
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	c, err := readDefinitions(data)
	if err != nil {
		return err
	}
	for _, output := range outputs {
		data, err := output.write(c)
		if err != nil {
			return fmt.Errorf("%s: %w", output.path, err)
		}
		if err := os.WriteFile(filepath.Join(args[0], output.path), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
