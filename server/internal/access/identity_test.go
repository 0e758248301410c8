package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"golang.org/x/crypto/bcrypt"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// askPath asks with a path, behind PathKeys as the server does.
func (g *guarded) askPath(t *testing.T, from, path, authorization string) (answer, *http.Request) {
	t.Helper()
	var seen *http.Request
	h := access.PathKeys(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r
		g.guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "%s %q", access.From(r.Context()).Name(), r.Header.Get("Authorization"))
		}), func(w http.ResponseWriter, _ *http.Request, err error) {
			status, _ := access.Describe(err)
			http.Error(w, rpc.Text(err), status)
		}).ServeHTTP(w, r)
	}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	r.RemoteAddr = from
	r.Header.Set("Referer", "http://proxy"+path)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, strings.TrimSpace(w.Body.String()), w.Header()}, seen
}

// TestCertificateOfSeveralClients: a certificate whose names are those of several
// clients is that of the one that the file names first.
func TestCertificateOfSeveralClients(t *testing.T) {
	rules := parse(t, "clients: [{name: b, certificates: [b.test]}, {name: a, certificates: [a.test]}, {name: c, certificates: [c.test]}]")
	guard := access.New(access.Config{Rules: rules, Certificates: true, Logger: slog.New(slog.DiscardHandler)})
	for want, names := range map[string][]string{"a": {"a.test", "c.test"}, "b": {"c.test", "a.test", "b.test"}, "": {"d.test"}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{DNSNames: names}}}}
		got := ""
		guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = access.From(r.Context()).Name() }),
			func(http.ResponseWriter, *http.Request, error) {}).ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("the certificate of %v is that of %q, want %q", names, got, want)
		}
	}
}

// TestTokenInCommand: refusals of a token in a command of the gateway name the command, and no
// header.
func TestTokenInCommand(t *testing.T) {
	_, hash := access.NewKey()
	rules := fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash)
	guard := access.New(access.Config{Rules: parse(t, rules), Certificates: true, Logger: slog.New(slog.DiscardHandler)})
	for _, tt := range []struct{ command, authorization, certificate, want string }{
		{"IDENTIFY", "Bot wrong", "", "the token in IDENTIFY is unknown: use a client key or the bot's own token"},
		{"RESUME", "Bot wrong", "a.test", "the token in RESUME is unknown: use a client key or the bot's own token"},
		{"IDENTIFY", "", "", "a key is required: use it as the token in IDENTIFY"},
		{"IDENTIFY", "", "a.test", `no client has the certificate of "a.test", and the token in IDENTIFY is no key`},
	} {
		r := httptest.NewRequestWithContext(access.WithCommand(t.Context(), tt.command), http.MethodGet, "/gateway", nil)
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		if tt.certificate != "" {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{DNSNames: []string{tt.certificate}}}}}
		}
		var got string
		guard.Handler(http.NotFoundHandler(), func(_ http.ResponseWriter, _ *http.Request, err error) { got = rpc.Text(err) }).
			ServeHTTP(httptest.NewRecorder(), r)
		if got != tt.want {
			t.Errorf("%+v is refused with %q", tt, got)
		}
	}
}

// TestOtherWaysToSendAKey: a key as the password of Basic, at the beginning of
// the path, and none at all from a known address; what else is in the header
// then is for Discord.
func TestOtherWaysToSendAKey(t *testing.T) {
	key, hash := access.NewKey()
	other, otherHash := access.NewKey()
	wrong, _ := access.NewKey()
	g := newGuarded(t, fmt.Sprintf(`
clients:
  - {name: shop, hashes: [%q]}
  - {name: other, hashes: [%q]}
  - {name: office, addresses: [192.0.2.0/24, "2001:db8::/32"]}
  - {name: desk, addresses: [192.0.2.7]}
`, hash, otherHash))
	const stranger, office, desk = "198.51.100.1:1", "192.0.2.1:1", "192.0.2.7:1"
	for _, tt := range []struct{ from, path, authorization, want string }{
		{stranger, "/api/v10/users/@me", basic("anybody", key), `shop ""`},
		{stranger, "/api/v10/users/@me", basic("", key), `shop ""`},
		{stranger, "/api/v10/users/@me", basic(key, ""), "is unknown"},
		{stranger, "/k/" + key + "/api/v10/users/@me", "", `shop ""`},
		{stranger, "/k/" + key + "/api/v10/users/@me", "Bearer users-token", `shop "Bearer users-token"`},
		{stranger, "/k/" + key + "/api/v10/users/@me", basic("client", "secret"), `shop "` + basic("client", "secret") + `"`},
		{stranger, "/k/" + key + "/api/v10/users/@me", "Bearer " + key, `shop ""`},
		{stranger, "/k/" + key + "/api/v10/users/@me", "Bearer " + other, `shop ""`},
		{stranger, "/k/" + key + "/api/v10/users/@me", "Bearer " + wrong, "is unknown"},
		{stranger, "/k/" + wrong + "/api/v10/users/@me", "Bearer " + key, "the key in the path is unknown"},
		{stranger, "/api/v10/users/@me", "Bearer users-token", "is unknown"},
		{stranger, "/api/v10/users/@me", "", "a key is required"},
		{office, "/api/v10/users/@me", "", `office ""`},
		{office, "/api/v10/users/@me", "Bearer users-token", `office "Bearer users-token"`},
		{office, "/api/v10/users/@me", "Bearer " + wrong, "is unknown"},
		{office, "/api/v10/users/@me", "Bearer " + key, `shop ""`},
		{desk, "/", "", `desk ""`},
		{"[2001:db8::1]:1", "/", "", `office ""`},
		{"[::ffff:192.0.2.7]:1", "/", "", `desk ""`},
		{"[2001:db9::1]:1", "/", "", "a key is required"},
	} {
		a, seen := g.askPath(t, tt.from, tt.path, tt.authorization)
		if !strings.Contains(a.text, tt.want) {
			t.Errorf("%s %s %q is answered %d %s, not %s", tt.from, tt.path, tt.authorization, a.status, a.text, tt.want)
		}
		if shown := seen.URL.String() + seen.RequestURI + seen.Referer(); strings.Contains(shown, "dpkey_") {
			t.Errorf("%s: the handler behind it sees %s", tt.path, shown)
		}
	}
}

// TestKeysInPaths: no spelling of a path or query brings a key to what logs it.
func TestKeysInPaths(t *testing.T) {
	key, hash := access.NewKey()
	g := newGuarded(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	escaped := "%64%70" + key[2:]
	twice := "%2564%2570" + key[2:]
	for path, want := range map[string]string{
		"/k/" + key + "/a":              "/a",
		"/%6b/" + key + "/a":            "/a",
		"/K/" + key + "/a":              "/a",
		"/k/" + escaped + "/a":          "/a",
		"/k/" + key:                     "/",
		"/k/" + key + "/":               "/",
		"/k/" + key + "/a%2Fb?c=d":      "/a%2Fb?c=d",
		"/k/" + key + "/k/" + key + "/": "",
		"/k/made%20up/x/../k/other":     "",
		"//k/" + key + "/a":             "",
		"/./k/" + key + "/a":            "",
		"/x/../k/made-up/a":             "",
		"/x/%2e%2e/k/made-up/a":         "",
		"/%2fk/made-up/a":               "",
		"/api/" + key:                   "",
		"/api/" + escaped:               "",
		"/api/" + twice:                 "",
		"/api/v10/users?key=" + key:     "",
		"/api/v10/users?key=" + twice:   "",
		"/k":                            "",
	} {
		a, seen := g.askPath(t, "198.51.100.1:1", path, "")
		got := ""
		if seen != nil {
			got = seen.RequestURI
		}
		if got != want || seen == nil && a.status != http.StatusNotFound || strings.Contains(a.text, key) {
			t.Errorf("%s arrives as %q, not %q; answered %d %s", path, got, want, a.status, a.text)
		}
	}
}

// TestKeysInLoggedHeaders: a request with a key in a header that logs show gets
// no further, in whichever case the key is.
func TestKeysInLoggedHeaders(t *testing.T) {
	key, _ := access.NewKey()
	for name, set := range map[string]func(*http.Request, string){
		"host":         func(r *http.Request, text string) { r.Host = text },
		"origin":       func(r *http.Request, text string) { r.Header.Set("Origin", "https://"+text) },
		"X-Request-Id": func(r *http.Request, text string) { r.Header.Set("X-Request-Id", text) },
	} {
		for text, arrives := range map[string]bool{"example.org": true, key: false, strings.ToUpper(key): false} {
			arrived := false
			h := access.PathKeys(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived = true }))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v10/users/@me", nil)
			set(r, text)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if arrived != arrives || strings.Contains(w.Body.String(), text) {
				t.Errorf("%s %s arrives: %t, answered %d %s", name, text, arrived, w.Code, w.Body)
			}
		}
	}
}

// TestInvalidAddresses: what addresses must not say.
func TestInvalidAddresses(t *testing.T) {
	for list, want := range map[string]string{
		"[localhost]":               `"localhost" is not an IP address`,
		"[192.0.2.1/24]":            "did you mean 192.0.2.0/24?",
		"[fe80::1%eth0]":            "is not an IP address",
		"['::ffff:192.0.2.0/120']":  "is not an IP address",
		"[192.0.2.1, 192.0.2.1/32]": `client "a" has the same address 192.0.2.1/32`,
	} {
		if _, err := access.Parse([]byte("clients: [{name: a, addresses: "+list+"}]"), defaults); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// TestGuessesCountBeforeTheyAreComputed: of many guesses together an address has
// ten, the right key among them or not, and two run for different addresses.
func TestGuessesCountBeforeTheyAreComputed(t *testing.T) {
	slow, err := bcrypt.GenerateFromPassword([]byte("made up"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGuarded(t, fmt.Sprintf("clients: [{name: human, hashes: [%q]}]", slow))
		for i := range 10 {
			if a := g.ask(t, "192.0.2.1:1", fmt.Sprintf("Bearer wrong %d", i)); a.status != 401 {
				t.Fatalf("guess %d is answered %d", i, a.status)
			}
		}
		var others atomic.Int32
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				guess := fmt.Sprintf("Bearer later %d", i)
				if i == 90 {
					guess = "Bearer made up"
				}
				if a := g.ask(t, "192.0.2.1:1", guess); a.status != http.StatusTooManyRequests {
					others.Add(1)
				}
			})
		}
		all.Wait()
		if n := others.Load(); n != 0 {
			t.Errorf("%d guesses beyond the limit were let through", n)
		}
		// Right keys are given back.
		for i := range 30 {
			if a := g.ask(t, "192.0.2.2:1", "Bearer made up"); a.status != 200 {
				t.Fatalf("use %d of the right key is answered %d %s", i, a.status, a.text)
			}
		}
	})
}

// TestStreamsFollowTheRules: a stream continues, or ends, as the new rules say.
func TestStreamsFollowTheRules(t *testing.T) {
	key, hash := access.NewKey()
	entry := func(more string) string {
		return fmt.Sprintf("clients: [{name: shop, hashes: [%q], %s}, {name: office, addresses: [192.0.2.1]}]", hash, more)
	}
	for _, tt := range []struct {
		name, authorization, rules string
		want                       connect.Code // 0 continues
	}{
		{"unchanged", "Bearer " + key, entry("methods: [metrics]"), 0},
		{"widened", "Bearer " + key, entry("rate: 3"), 0},
		{"renamed", "Bearer " + key, strings.Replace(entry("rate: 3"), "shop", "store", 1), 0},
		{"removed", "Bearer " + key, "clients: [{name: shop, certificates: [x]}]", connect.CodeUnauthenticated},
		{"without the method", "Bearer " + key, entry("methods: [GetGuild]"), connect.CodePermissionDenied},
		{"without untargeted", "Bearer " + key, entry("channels: [7]"), connect.CodePermissionDenied},
		{"address kept", "", entry("rate: 3"), 0},
		{"address removed", "", "clients: [{name: office, certificates: [x]}]", connect.CodeUnauthenticated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuarded(t, entry("methods: ['*']"))
				leave := errors.New("left by itself")
				done := make(chan struct{})
				var got error
				g.inner = func(_ http.ResponseWriter, r *http.Request) {
					stream := access.Guarded().WrapStreamingHandler(func(ctx context.Context, _ connect.StreamingHandlerConn) error {
						select {
						case <-ctx.Done():
							return ctx.Err()
						case <-done:
							return leave
						}
					})
					got = stream(r.Context(), nil)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					g.ask(t, "192.0.2.1:1", tt.authorization)
				}()
				synctest.Wait()
				g.guard.Use(parse(t, tt.rules))
				synctest.Wait()
				close(done)
				<-ended
				if tt.want == 0 && !errors.Is(got, leave) || tt.want != 0 && connect.CodeOf(got) != tt.want {
					t.Errorf("the stream ended with %v", got)
				}
			})
		})
	}
}

// TestRevokedWhileItIsRead: rules that change between the answer to who calls
// and the call hold for it.
func TestRevokedWhileItIsRead(t *testing.T) {
	key, hash := access.NewKey()
	guard := access.New(access.Config{Rules: parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash)), Logger: slog.New(slog.DiscardHandler)})
	var err error
	h := guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		guard.Use(parse(t, fmt.Sprintf("clients: [{name: shop, hashes: [%q], methods: [GetGuild]}]", hash)))
		err = access.MayCall(r.Context(), "GetChannel")
	}), func(http.ResponseWriter, *http.Request, error) { t.Error("refused") })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", io.NopCloser(strings.NewReader("")))
	r.Header.Set("Authorization", "Bearer "+key)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("got %v", err)
	}
}

// TestConnectionAfterAnEndedStream: over HTTP/1.1, a connection whose stream
// ended with its client's key carries the requests of others as before.
func TestConnectionAfterAnEndedStream(t *testing.T) {
	gone, goneHash := access.NewKey()
	kept, keptHash := access.NewKey()
	all := fmt.Sprintf("clients: [{name: gone, hashes: [%q]}, {name: kept, hashes: [%q]}]", goneHash, keptHash)
	guard := access.New(access.Config{Rules: parse(t, all), Logger: slog.New(slog.DiscardHandler)})
	reading := make(chan struct{})
	server := httptest.NewServer(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		if caller.Name(r.Context()) == "kept" {
			select {
			case <-r.Context().Done():
				_, _ = io.WriteString(w, "left")
			case <-time.After(20 * time.Millisecond): // in which a broken connection would show
				_, _ = io.WriteString(w, "there")
			}
			return
		}
		stream := access.Guarded().WrapStreamingHandler(func(ctx context.Context, _ connect.StreamingHandlerConn) error {
			reading <- struct{}{}
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond) // while the handler ends, the connection is watched
			return ctx.Err()
		})
		_, _ = fmt.Fprint(w, stream(r.Context(), nil))
	}), func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusUnauthorized)
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	ask := func(key string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("body"))
		if err != nil {
			t.Error(err)
			return ""
		}
		req.Header.Set("Authorization", "Bearer "+key)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return ""
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	for range 5 {
		guard.Use(parse(t, all))
		ended := make(chan string)
		go func() { ended <- ask(gone) }()
		<-reading
		guard.Use(parse(t, fmt.Sprintf("clients: [{name: kept, hashes: [%q]}]", keptHash)))
		if text := <-ended; !strings.Contains(text, "unauthenticated") {
			t.Errorf("the stream ended with %q", text)
		}
		if text := ask(kept); text != "there" {
			t.Errorf("the next request found its caller %q", text)
		}
	}
}
