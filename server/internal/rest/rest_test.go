package rest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
)

// answer is what a caller got.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request; header is pairs of names and values.
func send(t *testing.T, p *proxytest.Proxy, method, path, body string, header ...string) answer {
	t.Helper()
	a, err := try(t.Context(), p, method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// plain is a client that changes nothing.
var plain = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Minute},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func try(ctx context.Context, p *proxytest.Proxy, method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.Address+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := plain.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data)}, err
}

func messages(channel sandbox.ID) string {
	return fmt.Sprintf("/api/v10/channels/%s/messages", channel)
}

// limited is the body of a 429.
type limited struct {
	Message    string  `json:"message"`
	RetryAfter float64 `json:"retry_after"`
	Global     bool    `json:"global"`
}

// behind starts the server with a sandbox behind a handler that sees
// the requests first and says whether it has answered them.
func behind(t *testing.T, first func(w http.ResponseWriter, r *http.Request) bool, args ...string) (*proxytest.Proxy, *sandbox.Sandbox) {
	t.Helper()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !first(w, r) {
			sb.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(discord.Close)
	p := proxytest.Start(t, append([]string{"--token", sb.World().Token, "--discord-api-url", discord.URL + "/api"}, args...)...)
	p.WaitReady(t)
	return p, sb
}

func TestAnswersComeUnchanged(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	w := sb.World()
	a := send(t, p, "POST", messages(w.General), `{"content":"hi"}`)
	var m struct {
		ID, Content string
	}
	if err := json.Unmarshal([]byte(a.body), &m); err != nil || a.status != 200 || m.Content != "hi" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for name, want := range map[string]string{
		"X-Ratelimit-Limit": "5", "X-Ratelimit-Remaining": "4", "Via": "1.1 google",
		"Content-Type": "application/json", "Content-Length": strconv.Itoa(len(a.body)),
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", messages(w.General) + "?limit=1", "", 200, `[{"type":0,"content":"hi"`},
		{"GET", messages(w.General) + "?limit=1000", "", 400, "int value should be less than or equal to 100."},
		{"PUT", messages(w.General) + "/" + m.ID + "/reactions/%F0%9F%91%8D/@me", "", 204, ""},
		{"DELETE", messages(w.General) + "/" + m.ID, "", 204, ""},
		{"POST", messages(w.Forbidden), `{"content":"x"}`, 403, `{"message":"Missing Access","code":50001}`},
		{"GET", "/api/v9/users/5", "", 404, "10013"},
		{"GET", "/api/v10/nothing/here", "", 404, "404: Not Found"},
		{"GET", "/api/v9/gateway", "", 200, `{"url":"ws`},
		{"GET", "/api/gateway/bot", "", 200, "max_concurrency"},
	} {
		a := send(t, p, tt.method, tt.path, tt.body)
		if a.status != tt.status || !strings.Contains(a.body, tt.want) || tt.status == 204 && a.body != "" {
			t.Errorf("%s %s is answered %d %s", tt.method, tt.path, a.status, a.body)
		}
	}
}

// TestHeaders: end-to-end headers are passed on; headers for this server or for one
// connection are not.
func TestHeaders(t *testing.T) {
	seen := make(chan http.Header, 1)
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v9/echo" {
			return false
		}
		seen <- r.Header.Clone()
		for name, value := range map[string]string{
			"X-New": "b", "Retry-After": "7", "Content-Type": "image/png",
			"Alt-Svc": "h3", "Set-Cookie": "c=d", "Strict-Transport-Security": "max-age=1", "Keep-Alive": "x",
			"Connection": "X-Hop", "X-Hop": "x", "Access-Control-Allow-Origin": "*", "X-Request-Id": "theirs",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte{0xff, 0})
		return true
	})
	a := send(
		t, p, "POST", "/api/v9/echo", "{}", "X-Audit-Log-Reason", "because", "X-New", "a", "Content-Type", "application/json; charset=utf-8",
		"User-Agent", "DiscordBot (https://example.org, 1)", "Connection", "X-Hop", "X-Hop", "x", "Cookie", "a=b",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate", "a=b", "Baggage", "a=b",
		"X-Forwarded-For", "10.0.0.1", "X-Proxy-Timeout", "10", "Connect-Timeout-Ms", "10000", "X-Request-Id", "mine",
		"Proxy-Authorization", "secret", "Te", "trailers", "Accept-Encoding", "br",
	)
	if a.status != http.StatusTeapot || a.body != "\xff\x00" {
		t.Fatalf("the answer is %d %q", a.status, a.body)
	}
	names := slices.Sorted(maps.Keys(a.header))
	if want := []string{"Content-Length", "Content-Type", "Date", "Retry-After", "X-New", "X-Request-Id"}; !slices.Equal(names, want) {
		t.Errorf("the answer's headers are %v, want %v", names, want)
	}
	if a.header.Get("X-Request-Id") != "mine" {
		t.Errorf("the request is named %q", a.header.Get("X-Request-Id"))
	}
	sent := <-seen
	names = slices.Sorted(maps.Keys(sent))
	if want := []string{"Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Audit-Log-Reason", "X-New"}; !slices.Equal(names, want) {
		t.Errorf("the request's headers are %v, want %v", names, want)
	}
	if sent.Get("User-Agent") != "DiscordBot (https://example.org, 1)" || sent.Get("Accept-Encoding") != "gzip" {
		t.Errorf("sent was %v", sent)
	}
	send(t, p, "GET", "/api/v9/echo", "", "User-Agent", "curl/8")
	if got := (<-seen).Get("User-Agent"); !strings.HasPrefix(got, "DiscordBot (") {
		t.Errorf("Discord would block User-Agent %q", got)
	}
}

// TestCompression: the way to Discord is compressed, and the length that the
// caller hears is that of what it gets.
func TestCompression(t *testing.T) {
	text := strings.Repeat("long ", 5000)
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v10/long" {
			return false
		}
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("the way is not compressed")
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return true
	})
	for _, accepts := range []string{"gzip, deflate, br", "identity", ""} {
		a := send(t, p, "GET", "/api/v10/long", "", "Accept-Encoding", accepts)
		if a.body != text || a.header.Get("Content-Encoding") != "" || a.header.Get("Content-Length") != strconv.Itoa(len(text)) {
			t.Errorf("accepting %q: %d bytes, %v", accepts, len(a.body), a.header)
		}
	}
}

// TestRefused: requests that could lead outside the API are refused, and nothing is sent.
func TestRefused(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	before := sb.Stats().Calls
	for _, tt := range []struct {
		line   string // of the request
		status int
	}{
		{"GET /api/v10/../../sandbox/world", 400},
		{"GET /api/v10/%2e%2e/%2e%2e/sandbox/world", 400},
		{"GET /api/..%2fsandbox/world", 400},
		{"GET /api/v10/users%2f@me", 400},
		{"GET /api/v10//users/@me", 404},
		{`GET /api/v10/..\x`, 400},
		{"GET /api/v10/x%00", 400},
		{"GET /api/v10/x/./y", 400},
		{"GET /api/v10/x%zz", 400}, // net/http
		{"GET http://127.0.0.1/api/v10/gateway", 400},
		{"GET http://example.org/api/v10/gateway", 403}, // the listener
		{"GET /api/v5/gateway", 400},
		{"GET /api/v11/gateway", 400},
		{"GET /api", 404},
		{"GET /api/v10", 404},
		{"HEAD /api/v10/gateway", 405},
		{"OPTIONS /api/v10/gateway", 405},
		{"TRACE /api/v10/gateway", 405},
	} {
		if status, body := raw(t, p, tt.line); status != tt.status {
			t.Errorf("%s is answered %d %s", tt.line, status, body)
		}
	}
	for _, tt := range []struct {
		status int
		header []string
	}{
		{401, []string{"Authorization", "Basic"}},
		{401, []string{"Authorization", "sandbox-token"}},
		{400, []string{"X-Proxy-Timeout", "-1"}},
		{400, []string{"X-Proxy-Timeout", "soon"}},
		{400, []string{"X-Proxy-Timeout", "NaN"}},
		{400, []string{"X-Proxy-Timeout", "1e300"}},
		{504, []string{"Connect-Timeout-Ms", "0"}},
		{400, []string{"Connect-Timeout-Ms", "1.5"}},
		{403, []string{"Sec-Fetch-Site", "cross-site"}},
		{403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}},
	} {
		if a := send(t, p, "GET", "/api/v10/gateway", "", tt.header...); a.status != tt.status {
			t.Errorf("%v is answered %d %s", tt.header, a.status, a.body)
		}
	}
	if n := sb.Stats().Calls - before; n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// slow returns a sandbox that takes five messages for each channel in
// the given time.
func slow(window time.Duration) *sandbox.Sandbox {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	sb.SetLimit(sandbox.Limit{Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 5, Window: window})
	return sb
}

// raw sends a request line as it is.
func raw(t *testing.T, p *proxytest.Proxy, line string) (status int, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", line)
	method, _, _ := strings.Cut(line, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", line, err)
	}
	return resp.StatusCode, string(data)
}

// TestTooEarly: a caller who would not wait as long as the limits demand gets
// Discord's own answer, from which libraries know when to come back.
func TestTooEarly(t *testing.T) {
	sb := slow(50 * time.Second)
	p := proxytest.Against(t, sb)
	path := messages(sb.World().General)
	for range 5 {
		send(t, p, "POST", path, `{"content":"x"}`)
	}
	for _, header := range [][]string{
		{"X-Proxy-Timeout", "0.1"},
		{"X-Proxy-Timeout", "100ms"},
		{"Connect-Timeout-Ms", "100"},
		{"Connect-Timeout-Ms", "100", "X-Proxy-Timeout", "1h"},
	} {
		a := send(t, p, "POST", path, `{"content":"x"}`, header...)
		var body limited
		err := json.Unmarshal([]byte(a.body), &body)
		if a.status != 429 || err != nil || body.RetryAfter < 5 || body.RetryAfter > 10.1 || body.Global || body.Message == "" {
			t.Errorf("%v is answered %d %s", header, a.status, a.body)
		}
		if a.header.Get("Retry-After") != fmt.Sprint(math.Ceil(body.RetryAfter)) || a.header.Get("X-Ratelimit-Scope") != "user" || a.header.Get("Via") == "" {
			t.Errorf("%v: the headers are %v", header, a.header)
		}
	}
	if got := sb.Stats().Statuses[429]; got > 0 {
		t.Errorf("Discord was asked %d times too early", got)
	}
	if got := len(sb.Messages(sb.World().General)); got != 5 {
		t.Errorf("%d messages were stored", got)
	}
}

// TestLimitsOfDiscordAreWaitedOut: callers do not see Discord's 429s.
func TestLimitsOfDiscordAreWaitedOut(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	w := sb.World()
	for _, f := range []struct{ scope, global string }{{"user", "false"}, {"shared", "false"}, {"global", "true"}} {
		sb.InjectFault(sandbox.Fault{
			Count: 1, Route: "POST /channels/{channel_id}/messages", Status: 429,
			Body:   `{"message":"You are being rate limited.","retry_after":0.2,"global":` + f.global + `}`,
			Header: map[string]string{"X-RateLimit-Scope": f.scope, "Retry-After": "1", "Via": "1.1 google", "Content-Type": "application/json"},
		})
		if a := send(t, p, "POST", messages(w.General), `{"content":"x"}`); a.status != 200 {
			t.Errorf("a limit of scope %s is answered %d %s", f.scope, a.status, a.body)
		}
	}
	sb.InjectFault(sandbox.Fault{
		Count: 1, Route: "POST /channels/{channel_id}/messages", Status: 429,
		Body:   `{"message":"The write action you are performing on the channel has hit the write rate limit.","code":20028,"retry_after":60.5,"global":false}`,
		Header: map[string]string{"X-RateLimit-Scope": "shared", "Retry-After": "61", "Via": "1.1 google", "Content-Type": "application/json"},
	})
	a := send(t, p, "POST", messages(w.General), `{"content":"x"}`, "X-Proxy-Timeout", "5")
	var body limited
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || a.status != 429 || a.header.Get("X-Ratelimit-Scope") != "shared" ||
		body.RetryAfter < 59 || body.RetryAfter > 60.6 || !strings.Contains(a.body, `"code":20028`) || !strings.HasPrefix(body.Message, "The write action") {
		t.Errorf("a limit beyond the deadline is answered %d %s %v", a.status, a.body, a.header)
	}
	sb.InjectFault(sandbox.Fault{
		Count: 1, Route: "GET /channels/{channel_id}", Status: 429,
		Body:   `{"message":"You are being rate limited.","retry_after":60,"global":true}`,
		Header: map[string]string{"X-RateLimit-Scope": "global", "X-RateLimit-Global": "true", "Retry-After": "60", "Via": "1.1 google", "Content-Type": "application/json"},
	})
	for range 2 { // Discord's, then the proxy's own
		a := send(t, p, "GET", fmt.Sprintf("/api/v10/channels/%s", w.Random), "", "X-Proxy-Timeout", "5")
		if a.status != 429 || a.header.Get("X-Ratelimit-Global") != "true" || a.header.Get("X-Ratelimit-Scope") != "global" || !strings.Contains(a.body, `"global":true`) {
			t.Errorf("the limit over all routes is answered %d %s %v", a.status, a.body, a.header)
		}
	}
	if got := len(sb.Messages(w.General)); got != 3 {
		t.Errorf("%d messages were stored", got)
	}
}

// TestOpeningsAreWaitedOut: the opening of direct messages has a limit whose
// answer is no 429.
func TestOpeningsAreWaitedOut(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb)
	for _, tt := range []struct {
		retryAfter string
		status     int
		want       string
	}{{"0.2", 200, `"recipients":`}, {"300", 403, `"code":40003`}} {
		sb.InjectFault(sandbox.Fault{
			Count: 1, Route: "POST /users/@me/channels", Status: 403,
			Body:   `{"message":"You are opening direct messages too fast","code":40003,"retry_after":` + tt.retryAfter + `}`,
			Header: map[string]string{"Content-Type": "application/json"},
		})
		a := send(t, p, "POST", "/api/v10/users/@me/channels", fmt.Sprintf(`{"recipient_id":"%s"}`, sb.World().Alice), "X-Proxy-Timeout", "60")
		if a.status != tt.status || !strings.Contains(a.body, tt.want) {
			t.Errorf("to be opened after %s s: %d %s", tt.retryAfter, a.status, a.body)
		}
	}
}

// TestCallerLeaves: a request is not sent once its caller has disconnected.
func TestCallerLeaves(t *testing.T) {
	sb := slow(10 * time.Second)
	p := proxytest.Against(t, sb)
	channel := sb.World().General
	for range 5 {
		send(t, p, "POST", messages(channel), `{"content":"x"}`)
	}
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if _, err := try(ctx, p, "POST", messages(channel), `{"content":"ghost"}`); !errors.Is(err, context.Canceled) {
				// One of them may have had its turn.
				t.Log(err)
			}
		})
	}
	waitFor(t, p, "many wait", func(waiting int) bool { return waiting >= 15 })
	leave()
	waiting.Wait()
	waitFor(t, p, "none waits", func(waiting int) bool { return waiting == 0 })
	ghosts := len(sb.Messages(channel))
	// The next one goes as soon as Discord has a unit for it.
	if a := send(t, p, "POST", messages(channel), `{"content":"last"}`); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	stored := sb.Messages(channel)
	if len(stored) != ghosts+1 || ghosts > 10 {
		t.Errorf("%d messages of callers who left, %d of them later", ghosts-5, len(stored)-ghosts-1)
	}
}

// waitFor asks until the number of waiting calls is as wished.
func waitFor(t *testing.T, p *proxytest.Proxy, what string, ok func(waiting int) bool) {
	t.Helper()
	for {
		var status struct{ Waiting int }
		a := send(t, p, "POST", "/discord_api.DiscordApi/GetRateLimitStatus", "{}")
		if err := json.Unmarshal([]byte(a.body), &status); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		if ok(status.Waiting) {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("timed out waiting until %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestBodies: up to the limit they are sent, and sent again, as they came.
func TestBodies(t *testing.T) {
	const limit = 12 << 20 // more than the listener takes by itself
	var mu sync.Mutex
	var seen []string
	p, sb := behind(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			data, _ := io.ReadAll(r.Body)
			mu.Lock()
			seen = append(seen, string(data))
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(data))
		}
		return false
	}, "--max-upload", strconv.Itoa(limit))
	sb.InjectFault(sandbox.Fault{Route: "PUT /channels/{channel_id}/thread-members/@me", Count: 2, Status: 502})
	body := strings.Repeat("0123456789abcdef", limit/16)
	path := fmt.Sprintf("/api/v10/channels/%s/thread-members/@me", sb.World().General)
	send(t, p, "PUT", path, body)
	if len(seen) != 3 || seen[0] != body || seen[2] != body {
		t.Errorf("the body was sent %d times", len(seen))
	}
	for _, chunked := range []bool{false, true} {
		var reader io.Reader = strings.NewReader(body + "x")
		if chunked {
			reader = io.MultiReader(reader)
		}
		req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+p.Address+path, reader)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 413 || !strings.Contains(string(data), `"code":40005`) {
			t.Errorf("chunked %t: a body that is too large is answered %s %s", chunked, resp.Status, data)
		}
	}
	if len(seen) != 3 {
		t.Error("a body that is too large was sent")
	}
}

// TestWhereItIsOn: by default, only where nobody else can connect.
func TestWhereItIsOn(t *testing.T) {
	for _, tt := range []struct {
		args []string
		env  string
		on   bool
	}{
		{[]string{}, "", true},
		{[]string{"--rest-proxy=false"}, "", false},
		{[]string{}, "false", false},
		{[]string{"--host", "0.0.0.0"}, "", false},
		{[]string{"--host", "0.0.0.0", "--rest-proxy"}, "", true},
		{[]string{"--host", "0.0.0.0"}, "true", true},
	} {
		if tt.env != "" {
			t.Setenv("DISCORDPROXY_REST_PROXY", tt.env)
		}
		p := proxytest.Against(t, sandbox.New(sandbox.Config{}), tt.args...)
		a := send(t, p, "GET", "/api/v10/gateway", "")
		if tt.on && a.status != 200 || !tt.on && (a.status != 403 || !strings.Contains(a.body, "--rest-proxy")) {
			t.Errorf("%v %s: answered %d %s", tt.args, tt.env, a.status, a.body)
		}
		p.Stop()
		if tt.env != "" {
			t.Setenv("DISCORDPROXY_REST_PROXY", "")
		}
	}
}

// TestRefusalsOfTheServer: the server's own errors have the format of Discord's.
func TestRefusalsOfTheServer(t *testing.T) {
	unreachable := proxytest.Start(t, "--token", "t", "--discord-api-url", "http://127.0.0.1:1/api")
	if a := send(t, unreachable, "GET", "/api/v10/gateway", ""); a.status != 503 || !strings.HasPrefix(a.body, `{"message":"503: `) {
		t.Errorf("before the token was checked: %d %s", a.status, a.body)
	}

	sb := slow(time.Hour)
	p := proxytest.Against(t, sb, "--max-queue", "1", "--shutdown-grace", "0s", "--try-timeout", "100ms")
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/typing", Kind: sandbox.FaultHang})
	if a := send(t, p, "POST", fmt.Sprintf("/api/v10/channels/%s/typing", sb.World().Random), ""); a.status != 502 || !strings.Contains(a.body, "outcome unknown") {
		t.Errorf("without an answer: %d %s", a.status, a.body)
	}
	if a := send(t, p, "POST", fmt.Sprintf("/api/v10/channels/%s/typing", sb.World().Random), "", "X-Proxy-Timeout", "0.05"); a.status != 504 {
		t.Errorf("without an answer before the deadline: %d %s", a.status, a.body)
	}
	path := messages(sb.World().General)
	for range 5 {
		send(t, p, "POST", path, `{"content":"x"}`)
	}
	sb.SetLatency(sandbox.Latency{Response: sandbox.Delay{Min: time.Hour}})
	held := make(chan answer, 1)
	go func() {
		a, err := try(context.WithoutCancel(t.Context()), p, "GET", "/api/v10/users/@me", "", "Authorization", "Bot other")
		if err != nil {
			t.Error(err)
		}
		held <- a
	}()
	waiting := make(chan answer, 1)
	go func() {
		a, err := try(context.WithoutCancel(t.Context()), p, "POST", path, `{"content":"x"}`)
		if err != nil {
			t.Error(err)
		}
		waiting <- a
	}()
	waitFor(t, p, "one waits", func(waiting int) bool { return waiting == 1 })
	if a := send(t, p, "POST", path, `{"content":"x"}`); a.status != 503 || !strings.Contains(a.body, "too many calls are waiting") {
		t.Errorf("with a full queue: %d %s", a.status, a.body)
	}
	p.Stop()
	if a := <-waiting; a.status != 503 || !strings.Contains(a.body, "shutting down") {
		t.Errorf("at the end: %d %s", a.status, a.body)
	}
	<-held
}

// TestLogLines: one for each request, and no secret in it.
func TestLogLines(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--log-console-level", "DEBUG")
	const secret = "s3cr3t-of-a-webhook"
	send(t, p, "POST", "/api/v10/webhooks/5/"+secret+"?wait=true", `{"content":"`+secret+`"}`, "Authorization", "Bot "+secret)
	send(t, p, "PATCH", "/api/webhooks/5/"+secret+"/messages/@original", `{"content":"x"}`)
	send(t, p, "POST", "/api/v9/interactions/5/"+secret+"/callback", `{"type":1}`)
	send(t, p, "GET", "/api/v9/"+secret+"/../x", "")
	send(t, p, "GET", "/api/v10/users/@me", "", "Authorization", "Bot "+secret)
	send(t, p, "GET", "/api/v10/some/unknown/route", "")
	out := p.Output()
	if strings.Contains(out, secret) {
		t.Errorf("a secret was logged:\n%s", out)
	}
	for _, want := range []string{
		`method="POST /webhooks/{webhook_id}/{webhook_token}" webhook_id=5 code=not_found`,
		`method="PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original" webhook_id=5 code=not_found`,
		`method="POST /interactions/{interaction_id}/{interaction_token}/callback" interaction_id=5`,
		`method="GET /users/@me" code=unauthenticated`,
		`method="GET /{other}" code=not_found`,
	} {
		if strings.Count(out, want) != 1 {
			t.Errorf("no line with %s in\n%s", want, out)
		}
	}
}

// TestPages: a page of an allowed origin can use every method.
func TestPages(t *testing.T) {
	const origin = "https://dashboard.example.org"
	p := proxytest.Against(t, sandbox.New(sandbox.Config{}), "--cors-origin", origin)
	a := send(t, p, "OPTIONS", "/api/v10/channels/1", "", "Origin", origin,
		"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,content-type,x-audit-log-reason")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Methods") != "PATCH" {
		t.Errorf("the preflight is answered %d %v", a.status, a.header)
	}
	a = send(t, p, "GET", "/api/v10/gateway", "", "Origin", origin, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "X-Ratelimit-Scope") {
		t.Errorf("the page is answered %d %v", a.status, a.header)
	}
}

// TestMetricsStayBounded: routes that Discord does not know have one name, also while it
// fails.
func TestMetricsStayBounded(t *testing.T) {
	p, _ := behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		w.WriteHeader(http.StatusBadGateway)
		return true
	}, "--no-gateway")
	for _, path := range []string{"/api/v10/aa/bb", "/api/v10/cc", "/api/v9/guilds/1/dd", "/api/v9/../ee", "/api/v10/users/@me"} {
		send(t, p, "GET", path, "")
	}
	for _, path := range []string{"/api/v10/ff", "/api/v10/gg"} {
		send(t, p, "POST", path, "{}")
	}
	metrics := send(t, p, "GET", "/metrics", "").body
	for _, want := range []string{
		`discordproxy_calls_total{client="",code="not_found",method="GET /{other}",protocol="rest"} 3`,
		`discordproxy_calls_total{client="",code="ok",method="GET /users/@me",protocol="rest"} 1`,
		`discordproxy_discord_requests_total{outcome="settled",route="GET /{other}",status="404"} 3`,
		`discordproxy_calls_total{client="",code="unavailable",method="POST /{other}",protocol="rest"} 2`,
		`discordproxy_discord_requests_total{outcome="failed",route="POST /{other}",status="502"} 2`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, word := range []string{"aa", "bb", "cc", "dd", "ee", "ff", "gg"} {
		if strings.Contains(metrics, "/"+word) {
			t.Errorf("the metrics name /%s", word)
		}
	}
}
