package hooks

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/strictyaml"
)

// Hooks are the hooks of a configuration. The zero value has none.
type Hooks struct {
	byName  map[string]*Hook
	several bool // whether the server has more than one bot, or they are not known
}

func (h *Hooks) find(name string) *Hook { return h.byName[name] }

// Count returns the number of hooks.
func (h *Hooks) Count() int { return len(h.byName) }

// BotOf returns the name of the bot of the hook that a path, /hooks/NAME, means: "" if
// there is no such hook.
func (h *Hooks) BotOf(path string) string {
	if h == nil {
		return ""
	}
	if hook := h.find(nameIn(path)); hook != nil {
		return hook.bot
	}
	return ""
}

// Of returns the hooks of a bot.
func (h *Hooks) Of(bot string) *Hooks {
	of := &Hooks{byName: make(map[string]*Hook)}
	if h != nil {
		for name, hook := range h.byName {
			if hook.bot == bot {
				of.byName[name] = hook
			}
		}
	}
	return of
}

// Hook is one incoming hook.
type Hook struct {
	Name     string
	bot      string // empty for the default bot of a server whose bots are not known
	target   target
	secret   string   // empty means none
	mentions []string // kinds of Discord's allowed_mentions
	format   string   // empty means that the payload decides
	template *rendering
	queue    bool // messages go to the outbox
	// username and avatar are for messages of webhooks that name none.
	username, avatar string
	templates        *Templates
}

type file struct {
	Hooks []entry `yaml:"hooks"`
}

type entry struct {
	Name     string   `yaml:"name"`
	Bot      string   `yaml:"bot"`
	Channel  string   `yaml:"channel"`
	User     string   `yaml:"user"`
	Webhook  string   `yaml:"webhook"`
	Thread   string   `yaml:"thread"`
	Secret   string   `yaml:"secret"`
	Mentions []string `yaml:"mentions"`
	Format   string   `yaml:"format"`
	Template string   `yaml:"template"`
	Queue    bool     `yaml:"queue"`
	Username string   `yaml:"username"`
	Avatar   string   `yaml:"avatar_url"`
}

// properName matches valid names of hooks: a name is a part of a path, and a label in
// logs and metrics.
var properName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Limits of a secret, in characters. Secrets are compared as they are, so that
// one that a person made up could be found by trying.
const (
	minSecret      = 20
	minSecretKinds = 8
	maxSecret      = 200
)

// maxHooks limits the hooks of a file: each has series of metrics of its own.
const maxHooks = 1000

// Parse reads a configuration in YAML. An unknown field, an empty value and
// anything that it does not understand is an error that names the hook and the
// field. Nil templates are the built-in ones. bots are the names of the server's bots, the
// default bot first; if there are none, hooks may name any bot.
func Parse(data []byte, templates *Templates, bots ...string) (*Hooks, error) {
	if templates == nil {
		templates = BuiltIn()
	}
	errNone := errors.New("hooks: the list is missing")
	if strings.TrimSpace(string(data)) == "" {
		return nil, errNone
	}
	var f file
	if err := strictyaml.Load(data, &f); err != nil {
		return nil, err
	}
	switch n := len(f.Hooks); {
	case n == 0:
		return nil, errNone
	case n > maxHooks:
		return nil, fmt.Errorf("hooks: there are %d, at most %d are supported", n, maxHooks)
	}
	hooks := &Hooks{byName: make(map[string]*Hook, len(f.Hooks)), several: len(bots) != 1}
	for i, e := range f.Hooks {
		hook, err := e.hook(templates, bots)
		if err == nil && hooks.byName[e.Name] != nil {
			err = errors.New("name: another hook has the same")
		}
		if err != nil {
			return nil, fmt.Errorf("hook %d, %q: %w", i+1, e.Name, err)
		}
		hooks.byName[e.Name] = hook
	}
	return hooks, nil
}

func (e *entry) hook(templates *Templates, bots []string) (*Hook, error) {
	if !properName.MatchString(e.Name) {
		return nil, errors.New("name: use 1 to 64 letters, digits and . _ -, beginning with a letter or digit")
	}
	h := &Hook{
		Name:      e.Name,
		bot:       e.Bot,
		secret:    e.Secret,
		mentions:  e.Mentions,
		format:    e.Format,
		queue:     e.Queue,
		username:  e.Username,
		avatar:    e.Avatar,
		templates: templates,
	}
	switch {
	case e.Bot != "":
		if err := access.CheckBot(e.Bot, bots); err != nil {
			return nil, fmt.Errorf("bot: %w", err)
		}
	case len(bots) > 0:
		h.bot = bots[0]
	}
	var err error
	if h.target, err = e.target(); err != nil {
		return nil, err
	}
	if e.Secret != "" {
		if err := checkSecret(e.Secret); err != nil {
			return nil, err
		}
	}
	for _, kind := range e.Mentions {
		if !slices.Contains(mentionKinds, kind) {
			return nil, fmt.Errorf("mentions: %q is not one of %s", kind, strings.Join(mentionKinds, ", "))
		}
	}
	if e.Format != "" && !slices.Contains(formats, e.Format) {
		return nil, fmt.Errorf("format: %q is not one of %s", e.Format, strings.Join(formats, ", "))
	}
	if e.Template != "" {
		if h.template = templates.find(e.Template); h.template == nil {
			return nil, fmt.Errorf("template: there is no %q among %s", e.Template, strings.Join(templates.Names(), ", "))
		}
	}
	if (e.Username != "" || e.Avatar != "") && h.target.webhook == 0 {
		return nil, errors.New("username and avatar_url need webhook as the target: the bot cannot change its name for one message")
	}
	if units(e.Username) > maxUsername {
		return nil, fmt.Errorf("username: at most %d characters are allowed", maxUsername)
	}
	if e.Avatar != "" && !goodURL(e.Avatar) {
		return nil, errors.New("avatar_url: it is not an http or https URL that Discord accepts")
	}
	return h, nil
}

func (e *entry) target() (t target, err error) {
	given := 0
	for _, id := range []struct {
		field, text string
		to          *uint64
	}{{"channel", e.Channel, &t.channel}, {"user", e.User, &t.user}} {
		if id.text == "" {
			continue
		}
		given++
		if *id.to, err = parseID(id.field, id.text); err != nil {
			return t, err
		}
	}
	if e.Webhook != "" {
		given++
		id, token, ok := webhookAddress(e.Webhook)
		if !ok || !discord.FitsPath(token) {
			// The value holds a secret.
			return t, errors.New("webhook: it must be of the form https://discord.com/api/webhooks/ID/TOKEN")
		}
		t.token = token
		if t.webhook, err = parseID("webhook", id); err != nil {
			return t, err
		}
	}
	if given != 1 {
		return t, fmt.Errorf("there must be one of channel, user and webhook, not %d", given)
	}
	if e.Thread != "" {
		if t.webhook == 0 {
			return t, errors.New("thread: it needs webhook as the target; a channel can be a thread itself")
		}
		if t.thread, err = parseID("thread", e.Thread); err != nil {
			return t, err
		}
	}
	return t, nil
}

func parseID(field, text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%s: %.40q is not a Discord ID", field, text)
	}
	return id, nil
}

func checkSecret(secret string) error {
	kinds := make(map[rune]bool)
	for _, r := range secret {
		kinds[r] = true
	}
	switch {
	case access.IsKey(secret):
		return errors.New(
			"secret: it is a client key, which belongs to the auth file as a hash; use another text, for example from openssl rand -hex 20",
		)
	case len(secret) < minSecret || len(kinds) < minSecretKinds:
		return fmt.Errorf("secret: use at least %d random characters, for example from openssl rand -hex 20", minSecret)
	case len(secret) > maxSecret:
		return fmt.Errorf("secret: it has %d characters, at most %d are allowed", len(secret), maxSecret)
	case url.PathEscape(secret) != secret:
		return errors.New("secret: use letters, digits and - . _ ~ only, because it is a part of a URL")
	}
	return nil
}

// Describe returns a line for each hook that says what it does, without secrets.
// guarded is whether there is an auth file.
func (h *Hooks) Describe(guarded bool) []string {
	var lines []string
	for name, hook := range h.byName {
		line := "hook " + name + ": " + hook.target.String()
		if h.several && hook.bot != "" {
			line += " of bot " + hook.bot
		}
		switch {
		case hook.secret != "" && guarded:
			line += "; for its secret, and for clients that may call " + access.Hooks
		case hook.secret != "":
			line += "; for its secret"
		case guarded:
			line += "; for clients that may call " + access.Hooks
		default:
			line += "; open to anyone who can reach the server"
		}
		if len(hook.mentions) > 0 {
			line += "; may mention " + strings.Join(hook.mentions, ", ")
		} else {
			line += "; mentions nobody"
		}
		if hook.template != nil {
			line += "; template " + hook.template.name
		} else if hook.format != "" {
			line += "; format " + hook.format
		}
		if hook.queue {
			line += "; queued in the outbox"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}
