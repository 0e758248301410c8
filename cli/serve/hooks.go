package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	command "discordproxy/cli"
	"discordproxy/server/hooks"

	"github.com/urfave/cli/v2"
)

// hooksConfig holds the flags of incoming hooks.
type hooksConfig struct {
	file, templates string
}

func (c *hooksConfig) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "hooks-file", EnvVars: command.Variables("hooks-file"), TakesFile: true, Destination: &c.file, Usage: "`FILE` with incoming hooks, POST /hooks/NAME, see docs/hooks.md"},
		&cli.StringFlag{Name: "hooks-templates", EnvVars: command.Variables("hooks-templates"), TakesFile: true, Destination: &c.templates, Usage: "`FOLDER` of templates, NAME.yaml and NAME.txt, for the messages of hooks"},
	}
}

func (c *hooksConfig) check() error {
	if c.templates != "" && c.file == "" {
		return errors.New("--hooks-templates needs --hooks-file")
	}
	return nil
}

// files are what the configuration is read from.
func (c *hooksConfig) files() []string {
	if c.templates == "" {
		return []string{c.file}
	}
	return []string{c.file, c.templates}
}

// read reads one of the files. A folder becomes a JSON object of its templates by
// their names.
func (c *hooksConfig) read(path string) ([]byte, error) {
	if path != c.templates {
		return readRegular(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string)
	size := 0
	for _, entry := range entries {
		// Editors and mounted volumes have hidden files of their own.
		if strings.HasPrefix(entry.Name(), ".") || strings.HasSuffix(entry.Name(), "~") || entry.IsDir() {
			continue
		}
		data, err := readRegular(filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}
		if size += len(data); size > maxSecretBytes {
			return nil, fmt.Errorf("the files in %s are larger than %d bytes together", path, maxSecretBytes)
		}
		texts[entry.Name()] = string(data)
	}
	return json.Marshal(texts)
}

func parseHooks(contents [][]byte) (*hooks.Hooks, error) {
	templates := hooks.BuiltIn()
	if len(contents) > 1 {
		var texts map[string]string
		err := json.Unmarshal(contents[1], &texts)
		if err == nil {
			templates, err = hooks.NewTemplates(texts)
		}
		if err != nil {
			return nil, err
		}
	}
	return hooks.Parse(contents[0], templates)
}

// incomingHooks are the hooks of the file, which change with it.
type incomingHooks struct {
	config hooks.Config
	use    func(*hooks.Hooks) // nil before the handler exists
}

// follow has changes of the file reach a handler.
func (h *incomingHooks) follow(use func(*hooks.Hooks)) { h.use = use }

// open reads the files, which the gate then watches. maxQueue is how many calls
// may wait in all.
func (c *hooksConfig) open(ctx context.Context, g *gate, logger *slog.Logger, maxQueue int) (*incomingHooks, error) {
	h := &incomingHooks{config: hooks.Config{MaxCalls: (maxQueue + 1) / 2}}
	if c.file == "" {
		return h, nil
	}
	err := g.watch(ctx, &watchedFiles{what: "hooks file", files: c.files(), readFile: c.read, use: func(contents [][]byte) error {
		parsed, err := parseHooks(contents)
		if err != nil {
			return err
		}
		h.config.Hooks = parsed
		if h.use != nil {
			h.use(parsed)
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	warnReadable(logger, "hooks file", c.file)
	logger.Info("serving incoming hooks", "file", c.file, "hooks", h.config.Hooks.Count())
	return h, nil
}

// describe returns a line for each hook. guarded is whether there is an auth file.
func (c *hooksConfig) describe(ctx context.Context, guarded bool) ([]string, error) {
	var contents [][]byte
	for _, path := range c.files() {
		data, err := within(ctx, func() ([]byte, error) { return c.read(path) })
		if err != nil {
			return nil, fmt.Errorf("cannot read the hooks file: %w", err)
		}
		contents = append(contents, data)
	}
	parsed, err := parseHooks(contents)
	if err != nil {
		return nil, fmt.Errorf("hooks file %s: %w", c.file, err)
	}
	return parsed.Describe(guarded), nil
}
