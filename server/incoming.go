package server

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/files"
	"discordproxy/server/internal/hooks"
)

// incomingFiles are what incoming hooks are read from. templates may be empty. content is
// that of the file of hooks if it is a part of another file.
type incomingFiles struct {
	hooks, templates string
	content          []byte
}

func (f incomingFiles) paths() []string {
	if f.templates == "" {
		return []string{f.hooks}
	}
	return []string{f.hooks, f.templates}
}

// read reads one of the files. A folder becomes a JSON object of its templates by
// their names.
func (f incomingFiles) read(path string) ([]byte, error) {
	if path == f.hooks && f.content != nil {
		return f.content, nil
	}
	if path != f.templates {
		return files.ReadRegular(path)
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
		data, err := files.ReadRegular(filepath.Join(path, entry.Name()))
		if err != nil {
			return nil, err
		}
		if size += len(data); size > files.MaxBytes {
			return nil, fmt.Errorf("the files in %s are larger than %d bytes together", path, files.MaxBytes)
		}
		texts[entry.Name()] = string(data)
	}
	return json.Marshal(texts)
}

func parseHooks(contents [][]byte, bots []string) (*hooks.Hooks, error) {
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
	return hooks.Parse(contents[0], templates, bots...)
}

// incoming are the hooks of a file, which change with it.
type incoming struct {
	watched *files.Watched // nil without a file

	mu     sync.Mutex
	config hooks.Config
	users  map[any]func(*hooks.Hooks)
}

// follow returns what has changes of a bot's hooks reach a handler that belongs to owner,
// until leave.
func (h *incoming) follow(owner any, bot string) func(use func(*hooks.Hooks)) {
	return func(use func(*hooks.Hooks)) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.users == nil {
			h.users = make(map[any]func(*hooks.Hooks))
		}
		h.users[owner] = func(all *hooks.Hooks) { use(all.Of(bot)) }
		h.users[owner](h.config.Hooks)
	}
}

// leave ends what follow began for owner.
func (h *incoming) leave(owner any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.users, owner)
}

// current returns the configuration with the newest hooks of a bot.
func (h *incoming) current(bot string) hooks.Config {
	h.mu.Lock()
	defer h.mu.Unlock()
	config := h.config
	config.Hooks = config.Hooks.Of(bot)
	return config
}

// botOf returns the bot of the hook that a path means, or "" if there is no such hook.
func (h *incoming) botOf(path string) string {
	if !strings.HasPrefix(path, "/hooks/") {
		return ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.config.Hooks.BotOf(path)
}

// openHooks reads the files of the hooks, which the gate then watches.
func openHooks(c Config, g *gate) (*incoming, error) {
	h := &incoming{config: hooks.Config{MaxCalls: (c.MaxQueue + 1) / 2, Guesses: access.NewAttempts()}}
	if c.HooksFile == "" {
		return h, nil
	}
	from := incomingFiles{c.HooksFile, c.HooksTemplates, c.Hooks}
	h.watched = &files.Watched{What: "hooks file", Paths: from.paths(), ReadFile: from.read, Use: func(contents [][]byte) error {
		parsed, err := parseHooks(contents, BotNames(c))
		if err != nil {
			return err
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.config.Hooks = parsed
		for _, use := range h.users {
			use(parsed)
		}
		return nil
	}}
	if err := g.watch(h.watched); err != nil {
		return nil, err
	}
	files.WarnReadable(c.Logger, "hooks file", c.HooksFile)
	c.Logger.Info("serving incoming hooks", "file", c.HooksFile, "hooks", h.config.Hooks.Count())
	return h, nil
}

// DescribeHooks returns a line for each hook of a file, and what is wrong with
// the file or the folder of templates, which may be empty. content is that of Config.Hooks.
// guarded is whether the server has an auth file. bots are as for DescribeClients.
func DescribeHooks(ctx context.Context, file, templates string, content []byte, guarded bool, bots ...string) ([]string, error) {
	from := incomingFiles{file, templates, content}
	var contents [][]byte
	for _, path := range from.paths() {
		data, err := files.Within(ctx, func() ([]byte, error) { return from.read(path) })
		if err != nil {
			return nil, fmt.Errorf("cannot read the hooks file: %w", err)
		}
		contents = append(contents, data)
	}
	parsed, err := parseHooks(contents, bots)
	if err != nil {
		return nil, fmt.Errorf("hooks file %s: %w", file, err)
	}
	return parsed.Describe(guarded), nil
}
