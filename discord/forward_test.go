package discord_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

// request returns a request of another program with a JSON body; header is
// pairs of names and values.
func request(t *testing.T, method, path, body string, header ...string) *discord.Request {
	t.Helper()
	parsed, err := discord.ParseAPIPath(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	r := &discord.Request{Method: method, Path: parsed, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func forward(t *testing.T, client *discord.Client, r *discord.Request) *discord.Response {
	t.Helper()
	resp, err := client.Forward(t.Context(), nil, r)
	if err != nil {
		t.Fatalf("%s: %v", r.Method, err)
	}
	return resp
}

// addBot makes another bot that may do in the guild what the first may.
func addBot(t *testing.T, sb *sandbox.Sandbox, authorization string) {
	t.Helper()
	w := sb.World()
	bot := sb.AddUser(sandbox.User{Username: "other", Bot: true})
	role, err := sb.AddRole(w.Guild, sandbox.Role{Name: "admin", Permissions: 1 << 3})
	if err := errors.Join(err, sb.AddMember(w.Guild, bot, role), sb.AddToken(authorization, bot)); err != nil {
		t.Fatal(err)
	}
}

func TestForwardedRequestsUseTheBotsTokenByDefault(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	w := sb.World()
	addBot(t, sb, "Bot other")
	var sent []string
	client := newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header.Get("Authorization"))
			return next.RoundTrip(r)
		}
	})
	who := func(r *discord.Request) string {
		var user struct {
			Username string `json:"username"`
		}
		resp := forward(t, client, r)
		_ = json.Unmarshal(resp.Body, &user)
		return fmt.Sprint(resp.Status, " ", user.Username)
	}
	const me = "/api/v10/users/@me"
	bot := who(request(t, "GET", me, ""))
	if bot == "200 " {
		t.Fatal("the bot has no name")
	}
	for _, tt := range []struct{ authorization, want string }{
		{"Bot " + w.Token, bot},
		{"bot  " + w.Token + " ", bot},
		{"Bot other", "200 other"},
		{"Bearer nonsense", "401 "},
	} {
		if got := who(request(t, "GET", me, "", "Authorization", tt.authorization)); got != tt.want {
			t.Errorf("%q is %s, want %s", tt.authorization, got, tt.want)
		}
	}
	for _, header := range []string{"nonsense", w.Token, "Bot", "Bot ", "Digest x"} {
		_, err := client.Forward(t.Context(), nil, request(t, "GET", me, "", "Authorization", header))
		if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Invalid || e.Status != 401 {
			t.Errorf("Authorization %q: %v", header, err)
		}
	}
	if len(sent) != 5 {
		t.Errorf("%d requests were sent", len(sent))
	}
	// What carries its own credentials goes without the bot's.
	sent = nil
	forward(t, client, request(t, "POST", "/api/webhooks/5/token", `{"content":"x"}`))
	forward(t, client, request(t, "POST", "/api/v9/interactions/5/token/callback", `{"type":1}`))
	forward(t, client, request(t, "GET", "/api/v9/webhooks/5", ""))
	if fmt.Sprint(sent) != fmt.Sprint([]string{"", "", "Bot " + w.Token}) {
		t.Errorf("tokens were sent as %q", sent)
	}
}

// TestForwardedTokensHaveLimitsOfTheirOwn: other tokens neither wait for the
// bot's limits nor stop it when Discord refuses them.
func TestForwardedTokensHaveLimitsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(100 * time.Millisecond)})
		w := sb.World()
		addBot(t, sb, "Bot other")
		client := newClient(t, sb, nil)
		messages := fmt.Sprintf("/api/v10/channels/%s/messages", w.General)
		began := time.Now()
		var sending sync.WaitGroup
		for _, authorization := range []string{"Bot " + w.Token, "Bot other"} {
			for range 10 {
				sending.Go(func() {
					resp, err := client.Forward(t.Context(), nil, request(t, "POST", messages, `{"content":"x"}`, "Authorization", authorization))
					if err != nil || resp.Status != 200 {
						t.Errorf("%v %v", resp, err)
					}
				})
			}
		}
		sending.Wait()
		// Five each immediately, five more each within as many seconds.
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("two bots took %v", took)
		}
		for try, want := range []int{401, 0} {
			resp, err := client.Forward(t.Context(), nil, request(t, "GET", "/api/v10/users/@me", "", "Authorization", "Bot revoked"))
			e, _ := errors.AsType[*discord.Error](err)
			if want == 401 && (err != nil || resp.Status != 401) || want == 0 && (e == nil || e.Reason != discord.TokenRefused) {
				t.Errorf("try %d of a bad token: %v, %v", try, resp, err)
			}
		}
		if resp := forward(t, client, request(t, "GET", "/api/v10/users/@me", "")); resp.Status != 200 {
			t.Errorf("the bot was answered %d after another token's 401", resp.Status)
		}
		if got := sb.Stats().Statuses[http.StatusTooManyRequests]; got > 0 {
			t.Errorf("%d calls were limited", got)
		}
	})
}

// form is a body with files, as libraries write it.
func form(payload string) (body, contentType string) {
	return "--b\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a.txt\"\r\n\r\nhello\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n" + payload + "\r\n--b--\r\n", `multipart/form-data; boundary=b`
}

// TestForwardRepeats: after a failure with an unknown outcome, only safe requests are repeated.
func TestForwardRepeats(t *testing.T) {
	channel := sandbox.New(sandbox.Config{}).World().General
	messages := fmt.Sprintf("/api/v10/channels/%s/messages", channel)
	const old = 1 << 22
	files, multipart := form(`{"content":"x","nonce":"7","enforce_nonce":true}`)
	for _, tt := range []struct {
		name, method, path, body, contentType string
		tries, status                         int
	}{
		{"plain message", "POST", messages, `{"content":"x"}`, "", 1, 502},
		{"nonce not enforced", "POST", messages, `{"content":"x","nonce":"7"}`, "", 1, 502},
		{"no nonce to enforce", "POST", messages, `{"content":"x","enforce_nonce":true,"nonce":""}`, "", 1, 502},
		{"other spelling", "POST", messages, `{"content":"x","Enforce_Nonce":true,"Nonce":"7"}`, "", 1, 502},
		{"message with a nonce", "POST", messages, `{"content":"x","nonce":7,"enforce_nonce":true}`, "", 2, 200},
		{"files with a nonce", "POST", messages, files, multipart, 2, 200},
		{"nonce where none is looked at", "POST", fmt.Sprintf("/api/v10/channels/%s/threads", channel), `{"name":"x","type":11,"nonce":7,"enforce_nonce":true}`, "", 1, 502},
		{"read", "GET", messages, "", "", 2, 200},
		{"delete", "DELETE", fmt.Sprintf("%s/%d", messages, old), "", "", 2, 204},
		{"edit", "PATCH", fmt.Sprintf("/api/v9/channels/%s", channel), `{"nsfw":true}`, "", 2, 200},
	} {
		for _, after := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, " after=", after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sb := sandbox.New(sandbox.Config{Unlimited: true})
					if _, err := sb.AddMessage(sandbox.Message{ID: old, ChannelID: channel, Content: "old"}); err != nil {
						t.Fatal(err)
					}
					tries := 0
					client := newClient(t, sb, func(next http.RoundTripper) upstream {
						return func(r *http.Request) (*http.Response, error) {
							tries++
							return next.RoundTrip(r)
						}
					})
					sb.InjectFault(sandbox.Fault{Count: 1, Status: 502, After: after})
					r := request(t, tt.method, tt.path, tt.body)
					if tt.contentType != "" {
						r.Header.Set("Content-Type", tt.contentType)
					}
					resp := forward(t, client, r)
					if tries != tt.tries || resp.Status != tt.status {
						t.Errorf("%d tries ended with %d, want %d with %d: %s", tries, resp.Status, tt.tries, tt.status, resp.Body)
					}
					if n := len(sb.Messages(channel)); n > 2 {
						t.Errorf("%d messages were stored", n)
					}
				})
			})
		}
	}
}

// TestForwardDelaysRenamesSeparately: a channel that was renamed too often can still
// be changed otherwise.
func TestForwardDelaysRenamesSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Config{})
		client := newClient(t, sb, nil)
		address := fmt.Sprintf("/api/v10/channels/%s", sb.World().General)
		for i := range 2 {
			forward(t, client, request(t, "PATCH", address, fmt.Sprintf(`{"name":"n%d"}`, i)))
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := client.Forward(ctx, nil, request(t, "PATCH", address, `{"topic":"t"}`))
		e, ok := errors.AsType[*discord.Error](err)
		if !ok || e.RetryAfter < 4*time.Minute || e.Limit != discord.ScopeUser {
			t.Errorf("the third change of name or topic within ten minutes: %v", err)
		}
		if resp := forward(t, client, request(t, "PATCH", address, `{"nsfw":true}`)); resp.Status != 200 || time.Since(began) > 10*time.Second {
			t.Errorf("another change was answered %d after %v", resp.Status, time.Since(began))
		}
	})
}

// TestWaitsOfOldVersions: versions 6 and 7 say in milliseconds how long to wait,
// the network before Discord always in seconds.
func TestWaitsOfOldVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		path, body string
		header     http.Header
		wait       time.Duration
	}{
		"no version":          {"/api/guilds/1", `{"message":"You are being rate limited.","retry_after":1500,"global":false}`, nil, 1500 * time.Millisecond},
		"v6":                  {"/api/v6/guilds/1", `{"message":"You are being rate limited.","retry_after":1500,"global":false}`, nil, 1500 * time.Millisecond},
		"v7, as text":         {"/api/v7/guilds/1", `{"message":"You are being rate limited.","retry_after":"1500","global":true}`, nil, 1500 * time.Millisecond},
		"two days":            {"/api/v6/guilds/1", `{"message":"You are being rate limited.","retry_after":172800000,"global":false}`, nil, 48 * time.Hour},
		"v8":                  {"/api/v8/guilds/1", `{"message":"You are being rate limited.","retry_after":1.5,"global":false}`, nil, 1500 * time.Millisecond},
		"header alone, v6":    {"/api/v6/guilds/1", `{"message":"You are being rate limited."}`, http.Header{"X-Ratelimit-Scope": {"user"}, "Retry-After": {"2500"}}, 2500 * time.Millisecond},
		"header alone, v8":    {"/api/v8/guilds/1", `{"message":"You are being rate limited."}`, http.Header{"X-Ratelimit-Scope": {"user"}, "Retry-After": {"3"}}, 3 * time.Second},
		"the edge, v6":        {"/api/v6/guilds/1", "error code: 1015", http.Header{"Retry-After": {"90"}}, 90 * time.Second},
		"the edge's JSON, v6": {"/api/v6/guilds/1", `{"error_code":1015,"retry_after":90}`, http.Header{"Retry-After": {"90"}}, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var sent []time.Duration
				client, err := discord.New(discord.Config{
					Token: "token", Logger: slog.New(slog.DiscardHandler),
					Upstream: upstream(func(*http.Request) (*http.Response, error) {
						sent = append(sent, time.Since(began))
						if len(sent) > 1 {
							return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
						}
						header := tt.header.Clone()
						if header == nil {
							header = http.Header{"Via": {"1.1 google"}}
						}
						return &http.Response{StatusCode: http.StatusTooManyRequests, Header: header, Body: io.NopCloser(strings.NewReader(tt.body))}, nil
					}),
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = client.Forward(t.Context(), nil, request(t, "GET", tt.path, ""))
				var wait time.Duration
				if refused, ok := errors.AsType[*discord.Error](err); ok { // of a ban
					wait = refused.RetryAfter
				} else if err != nil || len(sent) != 2 {
					t.Fatalf("%v after %d tries", err, len(sent))
				} else {
					wait = sent[1]
				}
				// The limiter adds a little for clocks that differ.
				if wait < tt.wait || wait > tt.wait+time.Second {
					t.Errorf("waited %v, want %v", wait, tt.wait)
				}
			})
		})
	}
}

func TestForwardedVersions(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	var paths []string
	client := newClient(t, sb, func(next http.RoundTripper) upstream {
		return func(r *http.Request) (*http.Response, error) {
			paths = append(paths, r.URL.RequestURI())
			return next.RoundTrip(r)
		}
	})
	for _, p := range []string{"/api/v9/gateway", "/api/v10/gateway/bot", "/api/v8/gateway", "/api/v7/gateway", "/api/v6/gateway", "/api/gateway"} {
		r := request(t, "GET", p, "")
		r.Query = "a=%20&a=1"
		if resp := forward(t, client, r); resp.Status != 200 {
			t.Errorf("%s was answered %d", p, resp.Status)
		}
	}
	want := "[/api/v9/gateway?a=%20&a=1 /api/v10/gateway/bot?a=%20&a=1 /api/v8/gateway?a=%20&a=1 /api/v7/gateway?a=%20&a=1 /api/v6/gateway?a=%20&a=1 /api/gateway?a=%20&a=1]"
	if got := fmt.Sprint(paths); got != want {
		t.Errorf("sent to %s\nwant %s", got, want)
	}
}

var pathSeeds = []struct {
	path   string
	status int // of the refusal; 0 for none
}{
	{"/api/v10/users/@me", 0},
	{"/api/v9/channels/1/messages/2/reactions/%F0%9F%91%8D/@me", 0},
	{"/api/v10/channels/1/messages/2/reactions/name:3/@me", 0},
	{"/api/webhooks/1/token", 0},
	{"/api/v10/invites/...", 0},
	{"/api/vanity", 0},
	{"/api/v10/..", 400},
	{"/api/v10/../../oauth", 400},
	{"/api/v10/%2e%2e/x", 400},
	{"/api/v10/%2E./x", 400},
	{"/api/v10/%252e%252e/x", 400},
	{"/api/v10/%25252525252e%2e/x", 400},
	{"/api/v10/./x", 400},
	{"/api/v10//x", 404},
	{"/api/v10/x/", 404},
	{"/api/v10/x%2fy", 400},
	{"/api/v10/x%2F..%2Fy", 400},
	{"/api/v10/x%5cy", 400},
	{`/api/v10/x\..\y`, 400},
	{"/api/v10/x%00", 400},
	{"/api/v10/x%0d%0aHost:%20y", 400},
	{"/api/v10/x%zz", 400},
	{"/api/v10/100%25", 400},
	{"/api/v10/x?y", 400},
	{"/api/v10/x#y", 400},
	{"/api/v10/x%3Fy", 0},
	{"/api/v8/users/@me", 0},
	{"/api/v6/users/@me", 0},
	{"/api/v5/users/@me", 400},
	{"/api/v06/users/@me", 400},
	{"/api/v11/users/@me", 400},
	{"/api/%7610/users/@me", 400},
	{"/api/v10/", 404},
	{"/api/v10", 404},
	{"/api/", 404},
	{"/api", 404},
	{"//api/v10/x", 404},
	{"http://example.org/api/v10/x", 404},
	{"/other", 404},
	{"", 404},
}

func TestParseAPIPath(t *testing.T) {
	for _, tt := range pathSeeds {
		_, err := discord.ParseAPIPath(tt.path)
		e, _ := errors.AsType[*discord.Error](err)
		if tt.status == 0 && err != nil || tt.status != 0 && (e == nil || e.Status != tt.status) {
			t.Errorf("%s: %v, want status %d", tt.path, err, tt.status)
		}
	}
}

// FuzzForward: whatever path is accepted is sent to the API, and to the same
// place as it was written for.
func FuzzForward(f *testing.F) {
	for _, seed := range pathSeeds {
		f.Add(seed.path, "a=b")
	}
	var sent *url.URL
	client, err := discord.New(discord.Config{
		Token: "token", BaseURL: "https://discord.example/below/api",
		Upstream: upstream(func(r *http.Request) (*http.Response, error) {
			sent = r.URL
			return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
		}),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, written, query string) {
		parsed, err := discord.ParseAPIPath(written)
		if err != nil {
			return
		}
		sent = nil
		// A token for each, so that no limit delays them.
		r := &discord.Request{Method: "GET", Path: parsed, Query: query, Header: http.Header{"Authorization": {"Bot " + url.PathEscape(written) + "x"}}}
		name, _, _ := r.Route()
		if strings.ContainsAny(name, "\r\n\x00\\%") {
			t.Errorf("the route of %q is %q", written, name)
		}
		if _, err := client.Forward(t.Context(), nil, r); err != nil || sent == nil {
			return
		}
		if sent.Scheme != "https" || sent.Host != "discord.example" || sent.User != nil || sent.Fragment != "" {
			t.Errorf("%q was sent to %s", written, sent)
		}
		for decoded := sent.EscapedPath(); ; {
			if !strings.HasPrefix(path.Clean(strings.ReplaceAll(decoded, `\`, "/")), "/below/api/") {
				t.Errorf("%q leads to %q", written, decoded)
			}
			next, err := url.PathUnescape(decoded)
			if err != nil || next == decoded {
				break
			}
			decoded = next
		}
		if _, below, _ := strings.Cut(strings.TrimPrefix(written, "/api/"), "/"); !strings.HasSuffix(sent.Path, "/"+mustUnescape(below)) && !strings.HasSuffix(sent.Path, mustUnescape(written[len("/api"):])) {
			t.Errorf("%q was sent as %q", written, sent.Path)
		}
	})
}

func mustUnescape(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		panic(err)
	}
	return decoded
}

// TestTooManyOtherTokens: a request with one token too many gets its own error, not that
// of a full queue.
func TestTooManyOtherTokens(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	limiter, err := ratelimit.New(ratelimit.Config{MaxOtherTokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: sb.Transport(), Limiter: limiter, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	other, err := limiter.Acquire(t.Context(), ratelimit.Request{Route: ratelimit.RouteOf("GET", "/users/@me", "", time.Now()), Token: "another", OtherToken: true})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Cancel()
	_, err = client.Forward(t.Context(), nil, request(t, "GET", "/api/v10/users/@me", "", "Authorization", "Bot one-more"))
	if e, ok := errors.AsType[*discord.Error](err); !ok || e.Reason != discord.Overloaded || !strings.Contains(err.Error(), "other tokens") {
		t.Errorf("the error is %v", err)
	}
}
