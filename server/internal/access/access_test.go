package access_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"

	"connectrpc.com/connect"
	"golang.org/x/crypto/bcrypt"
)

var defaults = access.Defaults{Methods: []string{"SendChannelMessage", "GetChannel", "GetGuild", access.MetricsPage}, MaxCalls: 3}

func parse(t *testing.T, text string) *access.Rules {
	t.Helper()
	rules, err := access.Parse([]byte(text), defaults)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// guarded asks a guard as an HTTP client with a key at an address.
type guarded struct {
	guard *access.Guard
	inner http.HandlerFunc
}

type answer struct {
	status int
	text   string
	header http.Header
}

func (g *guarded) ask(t *testing.T, from, authorization string) answer {
	t.Helper()
	h := g.guard.Page(access.Page(access.MetricsPage, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.inner != nil {
			g.inner(w, r)
		}
		_, _ = fmt.Fprintf(w, "%s %q", caller.Name(r.Context()), r.Header.Get("Authorization"))
	})))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr = from
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, strings.TrimSpace(w.Body.String()), w.Header()}
}

func newGuarded(t *testing.T, rules string) *guarded {
	t.Helper()
	return &guarded{guard: access.New(access.Config{Rules: parse(t, rules), Logger: slog.New(slog.DiscardHandler)})}
}

// TestParse: what an auth file must not say, and what is answered.
func TestParse(t *testing.T) {
	const hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	entry := func(more string) string {
		return "clients:\n  - name: shop\n    hashes: ['" + hash + "']\n    " + more
	}
	for _, good := range []string{
		entry(""),
		entry("methods: ['*']"),
		entry("methods: [Send*, 'POST /channels/{channel_id}/messages', '* /guilds/*', metrics]"),
		entry("channels: [1100000000000000010, '1100000000000000011', '*']"),
		entry("rate: 0.5"),
		"clients: [{name: robot, certificates: [spiffe://example.org/robot, robot.example.org, robot@example.org]}]",
	} {
		if _, err := access.Parse([]byte(good), defaults); err != nil {
			t.Errorf("%s\n%v", good, err)
		}
	}
	for text, want := range map[string]string{
		"": "no documents", "{}": "no clients",
		"clients:":                              "line 1: the value is empty",
		"clients: []":                           "line 1: the value is empty",
		entry("method: [Send*]"):                "method",
		entry("methods:"):                       "line 4: the value is empty",
		entry("methods: []"):                    "line 4: the value is empty",
		entry("channels: [~]"):                  "line 4: the value is empty",
		entry("methods: [Sendd*]"):              `"Sendd*" matches no method`,
		entry("channels: [general]"):            `channels: "general" is neither a Discord ID`,
		entry("channels: [0]"):                  `"0" is neither a Discord ID`,
		entry("guilds: [99999999999999999999]"): "neither a Discord ID",
		entry("untargeted: true"):               "requires guilds",
		entry("rate: -1"):                       "must not be negative",
		entry("rate: .nan"):                     "must not be negative",
		entry("burst: 3"):                       "requires rate",
		entry("name: other"):                    "name",

		entry("") + "\n  - {name: shop, certificates: [x]}":                                                                               `client 2, "shop": client "shop" has the same name`,
		entry("") + "\n  - {name: other, hashes: ['" + hash + "']}":                                                                       `client "shop" has the same sha256`,
		entry("") + "\n  - {name: other, hashes: ['sha256:" + strings.Repeat("aA", 32) + "', 'sha256:" + strings.Repeat("Aa", 32) + "']}": `client "other" has the same sha256`,
		"clients: [{hashes: ['" + hash + "']}]":                                                                                           "a name has",
		"clients: [{name: \"a\\nb\", hashes: ['" + hash + "']}]":                                                                          "a name has",
		"clients: [{name: shop}]":                                                                                                         "it needs hashes, certificates or addresses",
		"clients: [{name: shop, hashes: [secret]}]":                                                                                       "must begin with sha256:",
		"clients: [{name: shop, hashes: ['sha256:12']}]":                                                                                  "64 hexadecimal digits",
		"clients: [{name: shop, hashes: ['$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA']}]":                        "beyond m=262144",
		"clients: [{name: shop, hashes: ['$2b$20$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu']}]":                               "cost 20",
	} {
		if _, err := access.Parse([]byte(text), defaults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestKeys: every kind of hash matches its key and no other, and the key does not
// come through.
func TestKeys(t *testing.T) {
	key, hash := access.NewKey()
	slow, err := bcrypt.GenerateFromPassword([]byte("made up"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuarded(t, fmt.Sprintf(`
clients:
  - {name: shop, hashes: [%q]}
  - {name: human, hashes: [%q, "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$ROCBRIqWijWfpp61OFA+Bg"]}
  - {name: weak, hashes: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"]}
`, hash, slow))
	for authorization, want := range map[string]string{
		"Bearer " + key:        `shop ""`,
		"bearer  " + key:       `shop ""`,
		"Bot " + key:           `shop ""`,
		"Bearer made up":       `human ""`,
		"Bearer argon":         `human ""`,
		"":                     "a key is required",
		"Bearer " + key + "x":  "is unknown",
		"Bearer " + key[:20]:   "is unknown",
		"Bearer made up twice": "is unknown",
		"Basic " + key:         "is unknown",
		"Bearer":               "is unknown",
		"Bearer password":      "is unknown", // whose SHA-256 is that of weak
	} {
		for range 2 { // the second time a slow hash is remembered
			a := g.ask(t, "192.0.2."+fmt.Sprint(len(authorization))+":1", authorization)
			if !strings.Contains(a.text, want) {
				t.Errorf("%q is answered %d %s, not %s", authorization, a.status, a.text, want)
			}
			if refused := !strings.HasSuffix(want, `""`); refused != (a.status == http.StatusUnauthorized) || refused != (a.header.Get("WWW-Authenticate") != "") {
				t.Errorf("%q is answered %d %v", authorization, a.status, a.header)
			}
		}
	}
}

// TestAttempts: an address that tries many keys is stopped, but nobody else,
// and no key that was made here.
func TestAttempts(t *testing.T) {
	key, hash := access.NewKey()
	slow, err := bcrypt.GenerateFromPassword([]byte("made up"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}, {name: human, hashes: [%q]}]", hash, slow))
		for i := range 10 {
			if a := g.ask(t, fmt.Sprintf("[2001:db8::%d]:1", i+1), "Bearer wrong"); a.status != http.StatusUnauthorized {
				t.Fatalf("attempt %d is answered %d", i, a.status)
			}
		}
		for authorization, want := range map[string]int{"Bearer wrong": 429, "Bearer made up": 429, "Bearer " + key: 200} {
			if a := g.ask(t, "[2001:db8::ffff]:2", authorization); a.status != want {
				t.Errorf("%q of the same network is answered %d %s", authorization, a.status, a.text)
			}
			if a := g.ask(t, "[2001:db8:1::1]:2", authorization); a.status == 429 {
				t.Errorf("%q of another network is answered %d", authorization, a.status)
			}
		}
		time.Sleep(6 * time.Second)
		if a := g.ask(t, "[2001:db8::1]:1", "Bearer made up"); a.status != 200 {
			t.Errorf("later it is answered %d %s", a.status, a.text)
		}
	})
}

// TestCallsInProgress: a client has so many calls in progress, over a change of
// the rules too.
func TestCallsInProgress(t *testing.T) {
	key, hash := access.NewKey()
	rules := fmt.Sprintf("clients: [{name: shop, hashes: [%q], max_calls: 2}]", hash)
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, rules)
		held := &guarded{guard: g.guard}
		release := make(chan struct{})
		held.inner = func(http.ResponseWriter, *http.Request) { <-release }
		for range 2 {
			go held.ask(t, "192.0.2.1:1", "Bearer "+key)
		}
		synctest.Wait()
		for range 2 {
			if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != 429 || !strings.Contains(a.text, "2 calls in progress") {
				t.Errorf("a third call is answered %d %s", a.status, a.text)
			}
			g.guard.Use(parse(t, rules))
		}
		close(release)
		synctest.Wait()
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != 200 {
			t.Errorf("afterwards it is answered %d %s", a.status, a.text)
		}
		g.guard.Use(parse(t, "clients: [{name: other, certificates: [x]}]"))
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != 401 {
			t.Errorf("a key that was taken away is answered %d", a.status)
		}
	})
}

// TestRate: calls beyond a client's rate wait, or are refused if they cannot
// wait as long.
func TestRate(t *testing.T) {
	key, hash := access.NewKey()
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], rate: 2, burst: 3}]", hash))
		var errs []error
		var stats discord.Stats
		hold := func(timeout time.Duration) {
			g.inner = func(_ http.ResponseWriter, r *http.Request) {
				counted := caller.With(r.Context(), func(by *discord.Caller) { by.Stats = &stats })
				ctx, cancel := context.WithTimeout(counted, timeout)
				defer cancel()
				errs = append(errs, access.From(ctx).Hold(ctx))
			}
			g.ask(t, "192.0.2.1:1", "Bearer "+key)
		}
		began := time.Now()
		for range 5 {
			hold(time.Minute)
		}
		if took := time.Since(began); took != time.Second || errors.Join(errs...) != nil || stats.Waited() != time.Second {
			t.Errorf("5 calls took %v, waited %v: %v", took, stats.Waited(), errs)
		}
		errs = nil
		hold(400 * time.Millisecond)
		if took := time.Since(began); took != time.Second || connect.CodeOf(errs[0]) != connect.CodeDeadlineExceeded {
			t.Errorf("one without time was refused after %v: %v", took, errs)
		}
		if status, after := access.Describe(errs[0]); status != 429 || after != 500*time.Millisecond {
			t.Errorf("the answer is %d %v", status, after)
		}
		// The refused one has left its place.
		hold(600 * time.Millisecond)
		if took := time.Since(began); took != 1500*time.Millisecond || errs[1] != nil {
			t.Errorf("the next was let through after %v: %v", took, errs[1])
		}
	})
}

// TestRateThatIsRemoved: a call that still has its client by the old rules, when the new
// ones remove the client's rate, does not wait forever.
func TestRateThatIsRemoved(t *testing.T) {
	key, hash := access.NewKey()
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], rate: 2}]", hash))
		began := time.Now()
		g.inner = func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
			defer cancel()
			client := access.From(ctx)
			if err := client.Hold(ctx); err != nil {
				t.Error(err)
			}
			g.guard.Use(parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash)))
			if err := client.Hold(ctx); err != nil || time.Since(began) != 0 {
				t.Errorf("let through after %v: %v", time.Since(began), err)
			}
			g.guard.Use(parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], rate: 2}]", hash)))
			if err := client.Hold(ctx); err != nil || time.Since(began) != 500*time.Millisecond {
				t.Errorf("with the rate again, let through after %v: %v", time.Since(began), err)
			}
		}
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != 200 {
			t.Errorf("answered %d %s", a.status, a.text)
		}
	})
}

// TestClientIsRemovedWhileItWaits: a call that waits for its client's rate ends when the
// client is removed.
func TestClientIsRemovedWhileItWaits(t *testing.T) {
	key, hash := access.NewKey()
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], rate: 0.001}]", hash))
		var err error
		g.inner = func(_ http.ResponseWriter, r *http.Request) { err = access.From(r.Context()).Hold(r.Context()) }
		g.ask(t, "192.0.2.1:1", "Bearer "+key)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() { g.ask(t, "192.0.2.1:1", "Bearer "+key) })
		synctest.Wait()
		g.guard.Use(parse(t, "clients: [{name: other, certificates: [x]}]"))
		waiting.Wait()
		if took := time.Since(began); took != 0 || connect.CodeOf(err) != connect.CodeUnauthenticated || !errors.Is(err, access.ErrDenied) {
			t.Errorf("the call ended after %v: %v", took, err)
		}
	})
}

// TestChangesAtTheSameTime: whatever the order of changes of the rules, all calls in
// progress are under the newest afterwards.
func TestChangesAtTheSameTime(t *testing.T) {
	_, hash := access.NewKey()
	rules := func(channel int) *access.Rules {
		return parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], channels: [%d]}]", hash, channel))
	}
	g := access.New(access.Config{Rules: rules(1), Logger: slog.New(slog.DiscardHandler)})
	act := func() context.Context {
		ctx, end, err := g.Act(t.Context(), "shop", true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		return ctx
	}
	var inProgress []context.Context
	for range 1000 {
		inProgress = append(inProgress, act())
	}
	for range 50 {
		var changes sync.WaitGroup
		for channel := range 4 {
			next := rules(channel + 2)
			changes.Go(func() { g.Use(next) })
		}
		changes.Wait()
		newest := access.From(act())
		for _, ctx := range inProgress {
			if access.From(ctx) != newest {
				t.Fatal("a call in progress is under older rules than a new one")
			}
		}
	}
}

// TestMissingMethodIsReportedFirst: a client that lacks both the method and
// untargeted is not sent after the latter alone.
func TestMissingMethodIsReportedFirst(t *testing.T) {
	key, hash := access.NewKey()
	for methods, want := range map[string]string{
		"[GetChannel]": "client shop may not call metrics",
		"[metrics]":    "client shop is restricted to certain guilds, channels or users",
	} {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], methods: %s, channels: [7]}]", hash, methods))
		if a := g.ask(t, "192.0.2.1:1", "Bearer "+key); a.status != http.StatusForbidden || !strings.HasPrefix(a.text, want) {
			t.Errorf("%s: answered %d %s", methods, a.status, a.text)
		}
	}
}

// TestNoGuard: without keys and certificates there is nothing to ask.
func TestNoGuard(t *testing.T) {
	if g := access.New(access.Config{}); g != nil {
		t.Fatalf("got %v", g)
	}
	g := new(guarded)
	if a := g.ask(t, "192.0.2.1:1", "Bearer x"); a.text != `"Bearer x"` {
		t.Errorf("answered %s", a.text)
	}
}

// TestUnguarded: a context that no guard has let in may do nothing, and one that is
// open may do everything.
func TestUnguarded(t *testing.T) {
	for name, tt := range map[string]struct {
		ctx     context.Context
		refused bool
	}{"no guard": {t.Context(), true}, "everyone": {access.WithEveryone(t.Context()), false}} {
		nobody := access.From(tt.ctx)
		_, visible := nobody.Visible([]byte("[]"))
		_, admitted := access.Interceptor().WrapUnary(func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) {
			return nil, nil
		})(tt.ctx, connect.NewRequest(new(int)))
		for what, err := range map[string]error{
			"call": access.MayCall(tt.ctx, "GetChannel"), "page": access.MayCall(tt.ctx, access.MetricsPage),
			"touch": access.MayTouch(tt.ctx, access.Reading{}), "hold": nobody.Hold(tt.ctx), "see": visible, "unknown message": admitted,
		} {
			if errors.Is(err, access.ErrDenied) != tt.refused {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if nobody.SeesChannel(1, 2) == tt.refused || nobody.FiltersChannels() != tt.refused || nobody.Ruled() != tt.refused {
			t.Errorf("%s: the client is %v", name, nobody)
		}
	}
}

// TestBotToken: a request with the bot's own token may do everything, whatever
// becomes of the clients, unless its client is known otherwise.
func TestBotToken(t *testing.T) {
	_, hash := access.NewKey()
	rules := fmt.Sprintf("clients: [{name: shop, hashes: [%q]}, {name: auth, addresses: [192.0.2.9], methods: [GetGuild]}]", hash)
	g := access.New(access.Config{Rules: parse(t, rules), Logger: slog.New(slog.DiscardHandler)})
	ask := func(from string, during func(context.Context)) (status int) {
		h := g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { during(r.Context()) }), func(_ http.ResponseWriter, _ *http.Request, err error) {
			status, _ = access.Describe(err)
		})
		r := httptest.NewRequestWithContext(access.WithBotToken(t.Context()), http.MethodGet, "/", nil)
		r.RemoteAddr = from
		r.Header.Set("Authorization", "Bot token")
		h.ServeHTTP(httptest.NewRecorder(), r)
		return status
	}
	client, err := discord.New(discord.Config{Token: "token", Logger: slog.New(slog.DiscardHandler), Upstream: noContent{}})
	if err != nil {
		t.Fatal(err)
	}
	path, err := discord.ParseAPIPath("/api/gateway")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // none of them is a guess of a key
		status := ask("192.0.2.1:1", func(ctx context.Context) {
			g.Use(parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}, {name: auth, addresses: [192.0.2.9], methods: [GetGuild]}]", hash)))
			if err := access.MayCall(ctx, "POST /channels/{channel_id}/messages"); err != nil || access.From(ctx).Ruled() || access.From(ctx).Name() != "bot token" {
				t.Errorf("client %q: %v", access.From(ctx).Name(), err)
			}
			if _, err := client.Forward(ctx, caller.Of(ctx), &discord.Request{Method: http.MethodGet, Path: path}); err != nil {
				t.Errorf("after a change of the clients: %v", err)
			}
		})
		if status != 0 {
			t.Fatalf("refused with %d", status)
		}
	}
	if status := ask("192.0.2.9:1", func(ctx context.Context) {
		if err := access.MayCall(ctx, "GetChannel"); err == nil || access.From(ctx).Name() != "auth" {
			t.Errorf("client %q may do everything", access.From(ctx).Name())
		}
	}); status != 0 {
		t.Errorf("refused with %d", status)
	}
}

// noContent is a Discord that has nothing to say.
type noContent struct{}

func (noContent) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
}
