package hooks_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/hooks"
)

var bots = []string{"main", "games"}

const hooksOfBots = `hooks:
  - {name: ops, channel: 7}
  - {name: same, channel: 7, bot: main}
  - {name: match, channel: 8, bot: games}
  - {name: sec, channel: 8, bot: games, secret: ` + secret + `}`

// TestBotsOfHooks: each hook belongs to the bot that it names, or to the default bot.
func TestBotsOfHooks(t *testing.T) {
	all, err := hooks.Parse([]byte(hooksOfBots), nil, bots...)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/hooks/ops": "main", "/hooks/same": "main", "/hooks/match": "games", "/hooks/sec": "games",
		"/hooks/other": "", "/hooks/": "", "/": "", "/hooks/match/x": "", "/api/match": "",
	} {
		if got := all.BotOf(path); got != want {
			t.Errorf("%s is of %q, want %q", path, got, want)
		}
	}
	for bot, want := range map[string]int{"main": 2, "games": 2, "other": 0, "": 0} {
		if got := all.Of(bot).Count(); got != want {
			t.Errorf("%q has %d hooks, want %d", bot, got, want)
		}
	}
	if none := (*hooks.Hooks)(nil); none.BotOf("/hooks/ops") != "" || none.Of("main").Count() != 0 {
		t.Error("there are hooks without a file")
	}
	lines := strings.Join(all.Describe(true), "\n")
	for _, want := range []string{"hook ops: channel 7 of bot main; for clients", "hook sec: channel 8 of bot games; for its secret"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is missing in %s", want, lines)
		}
	}
	one, err := hooks.Parse([]byte(`hooks: [{name: a, channel: 1}, {name: b, channel: 2, bot: default}]`), nil, "default")
	if err != nil || one.Of("default").Count() != 2 || strings.Contains(strings.Join(one.Describe(true), ""), "bot") {
		t.Errorf("of one bot: %v, %v", one.Describe(true), err)
	}
}

// TestInvalidBots: errors name the hook, the field and the bots that there are.
func TestInvalidBots(t *testing.T) {
	for bot, want := range map[string]string{
		"game":  `hook 1, "a": bot: there is no bot named "game": did you mean games? The server has main, games`,
		"other": `hook 1, "a": bot: there is no bot named "other": the server has main, games`,
		"'*'":   `hook 1, "a": bot: there is no bot named "*"`,
		"''":    "line 1",
		"[]":    "line 1",
	} {
		if _, err := hooks.Parse([]byte(`hooks: [{name: a, channel: 1, bot: `+bot+`}]`), nil, bots...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", bot, err, want)
		}
	}
	if _, err := hooks.Parse([]byte(`hooks: [{name: a, channel: 1, bot: any}]`), nil); err != nil {
		t.Errorf("the server's bots are not known: %v", err)
	}
	if _, err := hooks.Parse([]byte(`hooks: [{name: a, channel: 1, bot: Any}]`), nil); err == nil || !strings.Contains(err.Error(), "bot: the name of a bot has") {
		t.Errorf("a name that no bot can have: %v", err)
	}
}

// TestHooksOfOtherBots: a client uses the hooks of its bots only. One that may not use
// hooks at all cannot tell which there are, nor can one that guesses secrets, and a secret
// works without any right.
func TestHooksOfOtherBots(t *testing.T) {
	keys, hashes := make(map[string]string), make(map[string]string)
	for _, name := range []string{"main", "games", "nohooks", "strict"} {
		keys[name], hashes[name] = access.NewKey()
	}
	rules, err := access.Parse(fmt.Appendf(nil, `clients:
  - {name: main, hashes: [%q], methods: [hooks]}
  - {name: games, hashes: [%q], methods: [hooks], bots: [games]}
  - {name: nohooks, hashes: [%q], methods: [metrics]}
  - {name: strict, hashes: [%q], methods: [hooks], bots: ["*"], channels: [7]}
`, hashes["main"], hashes["games"], hashes["nohooks"], hashes["strict"]), access.Defaults{Methods: access.Pages, Bots: bots})
	if err != nil {
		t.Fatal(err)
	}
	guard := access.New(access.Config{Rules: rules, Logger: slog.New(slog.DiscardHandler)})
	all, err := hooks.Parse([]byte(hooksOfBots), nil, bots...)
	if err != nil {
		t.Fatal(err)
	}
	handlers, passing := make(map[string]http.Handler), make(map[string]http.Handler)
	for _, bot := range bots {
		c := hooks.Config{Discord: new(recorder), Hooks: all.Of(bot), Access: guard.ForBot(bot), Logger: slog.New(slog.DiscardHandler)}
		if handlers[bot], err = hooks.New(c); err != nil {
			t.Fatal(err)
		}
		// A replica that follows passes on who sends a request, or the secret.
		c.PassOn = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers[bot].ServeHTTP(w, r.WithContext(access.WithEvidence(r.Context(), access.EvidenceOf(r))))
		})
		if passing[bot], err = hooks.New(c); err != nil {
			t.Fatal(err)
		}
	}
	for what, of := range map[string]map[string]http.Handler{"leading": handlers, "following": passing} {
		h := hooks.PathSecrets(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			bot := all.BotOf(r.URL.Path)
			if bot == "" {
				bot = bots[0]
			}
			of[bot].ServeHTTP(w, r)
		}))
		ask := func(path, key string) (int, string) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("hi"))
			if key != "" {
				r.Header.Set("Authorization", "Bearer "+key)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		for _, tt := range []struct {
			client, path string
			status       int
			text         string
		}{
			{"main", "/hooks/ops", 200, `"sent":true`},
			{"main", "/hooks/same", 200, `"sent":true`},
			{"main", "/hooks/match", 403, "client main may not use bot games"},
			{"main", "/hooks/other", 404, ""},
			{"games", "/hooks/match", 200, `"sent":true`},
			{"games", "/hooks/ops", 403, "client games may not use bot main"},
			{"games", "/hooks/other", 404, ""},
			{"strict", "/hooks/ops", 200, `"sent":true`},
			{"strict", "/hooks/match", 403, "may not use channel 8"},
			{"", "/hooks/sec/" + secret, 200, `"sent":true`},
		} {
			if status, text := ask(tt.path, keys[tt.client]); status != tt.status || !strings.Contains(text, tt.text) {
				t.Errorf("%s: %s of %s is answered %d %s", what, tt.path, tt.client, status, text)
			}
		}
		for _, client := range []string{"", "nohooks"} {
			wantStatus, wantText := ask("/hooks/other", keys[client])
			for _, path := range []string{"/hooks/ops", "/hooks/match", "/hooks/sec"} {
				if status, text := ask(path, keys[client]); status != wantStatus || text != wantText || status < 400 {
					t.Errorf("%s: %s of %q is answered %d %s, an unknown hook %d %s", what, path, client, status, text, wantStatus, wantText)
				}
			}
		}
		wantStatus, wantText := ask("/hooks/other/guess", "")
		for _, path := range []string{"/hooks/ops/guess", "/hooks/sec/guess"} {
			if status, text := ask(path, ""); status != wantStatus || text != wantText || status != http.StatusUnauthorized {
				t.Errorf("%s: %s is answered %d %s, an unknown hook %d %s", what, path, status, text, wantStatus, wantText)
			}
		}
	}
}
