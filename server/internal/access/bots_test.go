package access_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"discordproxy/server/internal/access"

	"connectrpc.com/connect"
)

// names are those of a server with several bots.
var names = []string{"main", "games", "shop-2"}

func parseBots(t *testing.T, text string, bots ...string) *access.Rules {
	t.Helper()
	d := defaults
	d.Bots = bots
	rules, err := access.Parse([]byte(text), d)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// protocols are ways in which handlers ask a guard, which call inside for a client that is
// let in, and return the refusal of any other.
var protocols = map[string]func(*testing.T, *access.Guard, *http.Request, func(context.Context)) error{
	"handler": func(_ *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) (refused error) {
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }),
			func(_ http.ResponseWriter, _ *http.Request, err error) { refused = err })
		h.ServeHTTP(httptest.NewRecorder(), r)
		return refused
	},
	"page": func(t *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) error {
		w := httptest.NewRecorder()
		g.Page(access.Page(access.MetricsPage, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }))).ServeHTTP(w, r)
		return pageError(t, w)
	},
	"forwarded": func(_ *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) (refused error) {
		refuse := func(_ http.ResponseWriter, _ *http.Request, err error) { refused = err }
		leader := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }), refuse)
		g.ForAnyBot().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			there := httptest.NewRequestWithContext(access.WithEvidence(context.Background(), access.EvidenceOf(r)), r.Method, "/", nil)
			leader.ServeHTTP(w, there)
		}), refuse).ServeHTTP(httptest.NewRecorder(), r)
		return refused
	},
	"leads meanwhile": func(_ *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) (refused error) {
		refuse := func(_ http.ResponseWriter, _ *http.Request, err error) { refused = err }
		leader := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }), refuse)
		g.ForAnyBot().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			leader.ServeHTTP(w, r.WithContext(access.Admitted(r.Context())))
		}), refuse).ServeHTTP(httptest.NewRecorder(), r)
		return refused
	},
	"hook": func(_ *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) (refused error) {
		refuse := func(_ http.ResponseWriter, _ *http.Request, err error) { refused = err }
		g.ForAnyBot().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := g.MayUse(r.Context()); err != nil {
				refuse(w, r, err)
				return
			}
			inside(r.Context())
		}), refuse).ServeHTTP(httptest.NewRecorder(), r)
		return refused
	},
	"outbox": func(_ *testing.T, g *access.Guard, r *http.Request, inside func(context.Context)) error {
		ctx, end, err := g.Act(context.Background(), r.Header.Get("Client"), true)
		if err != nil {
			return err
		}
		defer end()
		inside(ctx)
		return nil
	},
}

func pageError(t *testing.T, w *httptest.ResponseRecorder) error {
	t.Helper()
	text := errors.New(strings.TrimSpace(w.Body.String()))
	switch w.Code {
	case http.StatusOK:
		return nil
	case http.StatusForbidden:
		return connect.NewError(connect.CodePermissionDenied, text)
	}
	t.Fatalf("the page is answered %d %v", w.Code, text)
	return nil
}

// TestBots: each client may use its bots, in each way to call, and no other bot.
func TestBots(t *testing.T) {
	clients := map[string]struct {
		bots string
		may  []string
	}{
		"absent":  {"", []string{"main"}},
		"default": {"bots: [main]", []string{"main"}},
		"other":   {"bots: [games]", []string{"games"}},
		"two":     {"bots: [shop-2, games]", []string{"games", "shop-2"}},
		"every":   {"bots: ['*']", names},
		"listed":  {"bots: [games, main, shop-2]", names},
		"both":    {"bots: [games, '*']", names},
	}
	var file strings.Builder
	file.WriteString("clients:\n")
	keys := make(map[string]string)
	for name, c := range clients {
		key, hash := access.NewKey()
		keys[name] = key
		fmt.Fprintf(&file, "  - {name: %s, hashes: [%q], %s}\n", name, hash, c.bots)
	}
	guard := access.New(access.Config{Rules: parseBots(t, file.String(), names...), Logger: slog.New(slog.DiscardHandler)})
	guards := map[string]*access.Guard{"": guard.ForAllBots()}
	for _, bot := range names {
		guards[bot] = guard.ForBot(bot)
	}
	for name, c := range clients {
		for bot, guard := range guards {
			want := slices.Contains(c.may, bot) || bot == "" && len(c.may) == len(names)
			for protocol, ask := range protocols {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				r.Header.Set("Authorization", "Bearer "+keys[name])
				r.Header.Set("Client", name)
				entered := false
				err := ask(t, guard, r, func(ctx context.Context) {
					entered = true
					if got := access.Bots(ctx, names); !slices.Equal(got, c.may) {
						t.Errorf("%s, %s: may use %v, want %v", name, protocol, got, c.may)
					}
				})
				if entered != want || (err == nil) != want {
					t.Errorf("%s, bot %q, %s: let in %v, %v", name, bot, protocol, entered, err)
				}
				if want {
					continue
				}
				if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "client "+name) || !strings.Contains(err.Error(), "auth file") {
					t.Errorf("%s, bot %q, %s: %v", name, bot, protocol, err)
				}
				for _, other := range names {
					if strings.Contains(err.Error(), "bot "+other) != (other == bot) {
						t.Errorf("%s, bot %q, %s: the error is about another bot: %v", name, bot, protocol, err)
					}
				}
			}
		}
	}
}

// TestEveryBotWithoutRules: where no rules say which bots clients may use, they may use
// all.
func TestEveryBotWithoutRules(t *testing.T) {
	certified := access.New(access.Config{Certificates: true, Logger: slog.New(slog.DiscardHandler)})
	for name, guard := range map[string]*access.Guard{"no guard": nil, "certificates": certified} {
		for _, of := range []*access.Guard{guard.ForBot("games"), guard.ForAllBots(), guard.ForAnyBot()} {
			if (of == nil) != (guard == nil) {
				t.Fatalf("%s: the guard of a bot is %v", name, of)
			}
			r := httptest.NewRequestWithContext(access.WithEvidence(t.Context(), access.Evidence{Certificates: []string{"robot"}}), http.MethodGet, "/", nil)
			entered := false
			of.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				entered = true
				if got := access.Bots(r.Context(), names); !slices.Equal(got, names) {
					t.Errorf("%s: may use %v", name, got)
				}
				if err := of.MayUse(r.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}), func(_ http.ResponseWriter, _ *http.Request, err error) { t.Errorf("%s: %v", name, err) }).ServeHTTP(httptest.NewRecorder(), r)
			if !entered {
				t.Errorf("%s: not let in", name)
			}
			ctx, end, err := of.Act(t.Context(), "robot", true)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := access.Bots(ctx, names); !slices.Equal(got, names) {
				t.Errorf("%s, later: may use %v", name, got)
			}
			end()
		}
	}
	if got := access.Bots(t.Context(), names); got != nil {
		t.Errorf("a request that no guard let in may use %v", got)
	}
	if err := certified.ForBot("games").MayUse(t.Context()); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a request that no guard let in: %v", err)
	}
}

// TestTokenOfABot: who has a bot's token may use this bot, whatever the rules say, and
// that does not show the other bots.
func TestTokenOfABot(t *testing.T) {
	_, hash := access.NewKey()
	guard := access.New(access.Config{
		Rules: parseBots(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash), names...), Logger: slog.New(slog.DiscardHandler),
	})
	ask := func(g *access.Guard) (seen []string, refused error) {
		r := httptest.NewRequestWithContext(access.WithBotToken(t.Context()), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bot token")
		g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = access.Bots(r.Context(), names) }),
			func(_ http.ResponseWriter, _ *http.Request, err error) { refused = err }).ServeHTTP(httptest.NewRecorder(), r)
		return seen, refused
	}
	if seen, err := ask(guard.ForBot("games")); err != nil || !slices.Equal(seen, []string{"games"}) {
		t.Errorf("its own bot: %v, %v", seen, err)
	}
	if _, err := ask(guard.ForAllBots()); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("all bots: %v", err)
	}
}

// TestInvalidBots: errors name the client, the field and the bots that there are.
func TestInvalidBots(t *testing.T) {
	for bots, want := range map[string]string{
		"[game]":         `client 1, "shop": bots: there is no bot named "game": did you mean games? The server has main, games, shop-2`,
		"[Main]":         `client 1, "shop": bots: there is no bot named "Main": did you mean main?`,
		"[other]":        `client 1, "shop": bots: there is no bot named "other": the server has main, games, shop-2`,
		"[games, games]": `client 1, "shop": bots: "games" is listed twice`,
		"['*', '*']":     `client 1, "shop": bots: "*" is listed twice`,
		"['gam*']":       `client 1, "shop": bots: there is no bot named "gam*"`,
		"[]":             "line 1",
		"['']":           "line 1",
		"games":          "line 1: bots: expected a list",
	} {
		d := defaults
		d.Bots = names
		text := "clients: [{name: shop, certificates: [shop], bots: " + bots + "}]"
		if _, err := access.Parse([]byte(text), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", bots, err, want)
		}
	}
	unknown := func(bots string) error {
		_, err := access.Parse([]byte("clients: [{name: shop, certificates: [shop], bots: "+bots+"}]"), defaults)
		return err
	}
	if err := unknown("[any, '*']"); err != nil {
		t.Errorf("a name, and the server's bots are not known: %v", err)
	}
	if err := unknown("[any thing]"); err == nil || !strings.Contains(err.Error(), "bots: the name of a bot has") {
		t.Errorf("a name that no bot can have: %v", err)
	}
}

// TestOneBot: with one bot, its name may be given and changes nothing.
func TestOneBot(t *testing.T) {
	rules := parseBots(t, `clients:
  - {name: a, addresses: [192.0.2.1]}
  - {name: b, addresses: [192.0.2.2], bots: [default]}
  - {name: c, addresses: [192.0.2.3], bots: ["*"]}`, "default")
	guard := access.New(access.Config{Rules: rules, Logger: slog.New(slog.DiscardHandler)})
	for i, line := range rules.Describe() {
		if want := string(rune('a'+i)) + ": may call every method, for all guilds, channels and users"; line != want {
			t.Errorf("%s, want %s", line, want)
		}
		for _, of := range []*access.Guard{guard.ForBot("default"), guard.ForAllBots()} {
			g := guarded{guard: of}
			if a := g.ask(t, fmt.Sprintf("192.0.2.%d:1", i+1), ""); a.status != http.StatusOK {
				t.Errorf("%s is answered %d %s", line, a.status, a.text)
			}
		}
	}
}

// TestDescribeBots: what describes a client names its bots.
func TestDescribeBots(t *testing.T) {
	const file = `clients:
  - {name: a, certificates: [a]}
  - {name: b, certificates: [b], bots: [shop-2, games]}
  - {name: c, certificates: [c], bots: ["*"]}`
	for _, tt := range []struct{ bots, want []string }{
		{names, []string{"; may use bot main", "; may use bots shop-2, games", "; may use every bot"}},
		{nil, []string{"", "; may use bots shop-2, games", "; may use every bot"}},
	} {
		for i, line := range parseBots(t, file, tt.bots...).Describe() {
			if want := string(rune('a'+i)) + ": may call every method, for all guilds, channels and users" + tt.want[i]; line != want {
				t.Errorf("%s, want %s", line, want)
			}
		}
	}
}

// TestLimitsOfAllBots: a client's calls in progress count for all bots together.
func TestLimitsOfAllBots(t *testing.T) {
	key, hash := access.NewKey()
	rules := fmt.Sprintf("clients: [{name: shop, hashes: [%q], max_calls: 2, bots: [main, games]}]", hash)
	synctest.Test(t, func(t *testing.T) {
		guard := access.New(access.Config{Rules: parseBots(t, rules, names...), Logger: slog.New(slog.DiscardHandler)})
		release := make(chan struct{})
		first := &guarded{guard: guard.ForBot("main"), inner: func(http.ResponseWriter, *http.Request) { <-release }}
		second := &guarded{guard: guard.ForBot("games"), inner: first.inner}
		go first.ask(t, "192.0.2.1:1", "Bearer "+key)
		go second.ask(t, "192.0.2.1:1", "Bearer "+key)
		synctest.Wait()
		for _, bot := range names[:2] {
			g := guarded{guard: guard.ForBot(bot)}
			if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != http.StatusTooManyRequests {
				t.Errorf("a third call is answered %d %s", a.status, a.text)
			}
		}
		// A refusal because of the bot takes no place.
		g := guarded{guard: guard.ForBot("shop-2")}
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != http.StatusForbidden {
			t.Errorf("another bot is answered %d %s", a.status, a.text)
		}
		close(release)
		synctest.Wait()
		g = guarded{guard: guard.ForBot("games")}
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != http.StatusOK {
			t.Errorf("afterwards it is answered %d %s", a.status, a.text)
		}
	})
}

// TestStreamsFollowTheBots: a stream of a bot ends when its client may no longer use the
// bot, and then new ones are refused.
func TestStreamsFollowTheBots(t *testing.T) {
	key, hash := access.NewKey()
	entry := func(bots string) string { return fmt.Sprintf("clients: [{name: shop, hashes: [%q], %s}]", hash, bots) }
	for _, tt := range []struct {
		name, bots string
		stays      []string
	}{
		{"unchanged", "bots: [games, main]", []string{"main", "games"}},
		{"widened", "bots: ['*']", []string{"main", "games"}},
		{"without one", "bots: [games]", []string{"games"}},
		{"default only", "", []string{"main"}},
		{"another", "bots: [shop-2]", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard := access.New(access.Config{Rules: parseBots(t, entry("bots: [main, games]"), names...), Logger: slog.New(slog.DiscardHandler)})
				left := errors.New("left by itself")
				done := make(chan struct{})
				got := make([]error, 2)
				ended := make(chan struct{})
				for i, bot := range names[:2] {
					g := guarded{guard: guard.ForBot(bot)}
					g.inner = func(_ http.ResponseWriter, r *http.Request) {
						got[i] = access.Guarded().WrapStreamingHandler(func(ctx context.Context, _ connect.StreamingHandlerConn) error {
							select {
							case <-ctx.Done():
								return ctx.Err()
							case <-done:
								return left
							}
						})(r.Context(), nil)
					}
					go func() {
						defer func() { ended <- struct{}{} }()
						g.ask(t, "192.0.2.1:1", "Bearer "+key)
					}()
				}
				synctest.Wait()
				guard.ForBot("shop-2").Use(parseBots(t, entry(tt.bots), names...)) // any guard has them all
				synctest.Wait()
				close(done)
				<-ended
				<-ended
				for i, bot := range names[:2] {
					stays := slices.Contains(tt.stays, bot)
					if stays && !errors.Is(got[i], left) || !stays && connect.CodeOf(got[i]) != connect.CodePermissionDenied {
						t.Errorf("the stream of %s ended with %v", bot, got[i])
					}
					g := guarded{guard: guard.ForBot(bot)}
					if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); (a.status == http.StatusOK) != stays {
						t.Errorf("a new one of %s is answered %d %s", bot, a.status, a.text)
					}
				}
			})
		})
	}
}
