package ratelimit_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/ratelimit"
)

// FuzzComplete feeds headers and bodies of any kind. Whatever they say, no call
// may be held for longer than Discord's longest limit.
func FuzzComplete(f *testing.F) {
	f.Add(200, "5", "4", "1.000", "1682258040.904", "abcd1234", "", "", "", "1.1 google", []byte(`{}`))
	f.Add(429, "5", "0", "0.999", "1682258040.904", "abcd1234", "", "user", "1", "1.1 google", []byte(`{"message":"You are being rate limited.","retry_after":0.661,"global":false}`))
	f.Add(429, "10", "9", "64.57", "", "abcd1234", "", "shared", "1337", "1.1 google", []byte(`{"message":"The resource is being rate limited.","retry_after":1336.57,"global":false,"code":20028}`))
	f.Add(429, "", "", "", "", "", "true", "global", "65", "1.1 google", []byte(`{"retry_after":64.57,"global":true}`))
	f.Add(429, "", "", "", "", "", "", "", "", "", []byte("error code: 1015"))
	f.Add(403, "", "", "", "", "", "", "", "", "", []byte(`{"message":"You are opening direct messages too fast","code":40003}`))
	f.Add(401, "NaN", "-1", "Inf", "1e308", strings.Repeat("x", 200), "TRUE", "\x00", "1e400", ",", []byte(`{"retry_after":1e999,"global":1,"code":"x"}`))
	f.Add(500, "99999999999999999999", "0x1p-2", "1_0", "-0", "", "", "", "604800", "", []byte("<html>"))
	route := ratelimit.RouteOf("POST", "/channels/1/messages", "", time.Now())
	const longest = 7 * 24 * time.Hour
	f.Fuzz(func(t *testing.T, status int, limit, remaining, after, reset, bucket, global, scope, retryAfter, via string, body []byte) {
		limiter, err := ratelimit.New(ratelimit.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer limiter.Close()
		held := ratelimit.Request{Route: route, Token: "bot"}
		permit, err := limiter.Acquire(t.Context(), held)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		for name, value := range map[string]string{
			"X-Ratelimit-Limit": limit, "X-Ratelimit-Remaining": remaining, "X-Ratelimit-Reset-After": after, "X-Ratelimit-Reset": reset,
			"X-Ratelimit-Bucket": bucket, "X-Ratelimit-Global": global, "X-Ratelimit-Scope": scope, "Retry-After": retryAfter, "Via": via,
		} {
			if value != "" {
				header.Set(name, value)
			}
		}
		verdict := permit.Complete(ratelimit.Response{Status: status, Header: header, Body: ratelimit.ParseBody(body)})
		if verdict.Wait < 0 || verdict.Wait > longest+time.Hour || verdict.Limit == ratelimit.NotLimited && verdict.Wait != 0 {
			t.Errorf("%v for %v", verdict.Limit, verdict.Wait)
		}
		if verdict.Limit != ratelimit.NotLimited && status != http.StatusTooManyRequests && status != http.StatusForbidden {
			t.Errorf("status %d is the limit %v", status, verdict.Limit)
		}
		_ = limiter.Snapshot()

		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		permit, err = limiter.Acquire(ctx, held)
		if err == nil {
			permit.Cancel()
		} else if e, ok := errors.AsType[*ratelimit.Error](err); ok && (e.RetryAfter < 0 || e.RetryAfter > longest+time.Hour) {
			t.Errorf("the next call waits for %v", e.RetryAfter)
		}
	})
}

var (
	templateForm = regexp.MustCompile(`^(?:/|(?:/(?:[a-z@_-]{1,32}|oauth2|\{[a-z_]+\}))+)(?: \((?:under 10 s|over 14 d) old\))?$`)
	majorForm    = regexp.MustCompile(`^(?:(?:channel|guild|webhook|interaction) (?:[0-9]{1,20}|[0-9a-f]{16})(?:/[0-9a-f]{16})?)?$`)
)

// FuzzRouteOf: any path gets a route that can be shown.
func FuzzRouteOf(f *testing.F) {
	for _, path := range []string{
		"/channels/1100000000000000010/messages", "/channels/1/messages/1574513502838587392", "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me",
		"/webhooks/1/s3cret-Token", "/webhooks/1/aW50ZXJhY3Rpb246x/messages/@original", "/interactions/1/tok/callback", "/guilds/1/members/2/roles/3",
		"/api/v10/users/@me", "/api/v9/invites/abc?with_counts=true", "/oauth2/applications/@me", "", "//", "/" + strings.Repeat("a/", 40), "/channels/99999999999999999999/messages/99999999999999999999",
	} {
		f.Add("PUT", path, "", int64(0))
		f.Add("DELETE", path, "rename", time.Now().Unix())
	}
	f.Fuzz(func(t *testing.T, method, path, kind string, now int64) {
		r := ratelimit.RouteOf(method, path, kind, time.Unix(now, 0))
		if !templateForm.MatchString(r.Template) || !majorForm.MatchString(r.Major) {
			t.Errorf("%q has the route %q of %q", path, r.Template, r.Major)
		}
		if r.Method != method && r.Method != "PUT,DELETE" {
			t.Errorf("%q became %q", method, r.Method)
		}
		if r.Tokenless != (strings.HasPrefix(r.Major, "webhook ") && strings.Contains(r.Major, "/") || strings.HasPrefix(r.Major, "interaction ")) {
			t.Errorf("%q: tokenless %t of %q", path, r.Tokenless, r.Major)
		}
	})
}
