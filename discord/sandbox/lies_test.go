package sandbox_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
)

// TestLyingLimits: a limit can be stricter than the announced one, and its 429s can name
// either limit or none.
func TestLyingLimits(t *testing.T) {
	for _, tt := range []struct {
		refusal          sandbox.RefusalHeaders
		hidden           bool
		limit, remaining string // in the headers of the 429
		bucket           string
		scope            string
	}{
		{sandbox.RefusalOfRoute, false, "1000", "998", "announced", "user"},
		{sandbox.RefusalOwn, false, "2", "0", "true", "user"},
		{sandbox.RefusalSame, false, "2", "0", "announced", "user"},
		{sandbox.RefusalBare, false, "", "", "", ""},
		{sandbox.RefusalOwn, true, "2", "0", "true", "user"},
		{sandbox.RefusalBare, true, "", "", "", ""},
	} {
		for name, set := range map[string]func([]sandbox.Limit) *rig{
			"Config": func(limits []sandbox.Limit) *rig { return newRig(t, sandbox.Config{Unlimited: true, Limits: limits}) },
			"control": func(limits []sandbox.Limit) *rig {
				r := newRig(t, sandbox.Config{Unlimited: true})
				for _, l := range limits {
					body, _ := json.Marshal(obj{
						"name": l.Name, "routes": l.Routes, "limit": l.Limit, "window": l.Window.Seconds(), "hash": l.Hash,
						"hidden": l.Hidden, "sub": l.Sub, "per_token": l.PerToken, "refusal": l.Refusal,
					})
					req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://localhost/sandbox/limits", bytes.NewReader(body))
					req.RemoteAddr = "127.0.0.1:1"
					w := httptest.NewRecorder()
					if r.ServeHTTP(w, req); w.Code/100 != 2 {
						t.Fatal(w.Code, w.Body)
					}
				}
				return r
			},
		} {
			t.Run(name+" "+string(tt.refusal), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := set([]sandbox.Limit{
						{Name: "announced", Routes: []string{sendRoute}, Limit: 1000, Window: 1000 * time.Hour, Hash: "announced", Hidden: tt.hidden},
						{Name: "true", Routes: []string{sendRoute}, Limit: 2, Window: 10 * time.Second, Hash: "true", Sub: true, PerToken: true, Refusal: tt.refusal},
					})
					r.t = t
					r.sendTo(r.w.General, obj{"content": "x"}).is(200)
					a := r.sendTo(r.w.Announcement, obj{"content": "x"}).is(200)
					want := "1000"
					if tt.hidden {
						want = ""
					}
					equal(t, "limit of a success", a.header.Get("X-RateLimit-Limit"), want)
					a = r.sendTo(r.w.General, obj{"content": "x"}).is(429)
					equal(t, "limit", a.header.Get("X-RateLimit-Limit"), tt.limit)
					equal(t, "remaining", a.header.Get("X-RateLimit-Remaining"), tt.remaining)
					equal(t, "bucket", a.header.Get("X-RateLimit-Bucket"), tt.bucket)
					equal(t, "scope", a.header.Get("X-RateLimit-Scope"), tt.scope)
					equal(t, "Retry-After", a.header.Get("Retry-After"), "5")
				})
			})
		}
	}
}

// TestWebhooksOfAChannel: in addition to its own limit, a webhook shares one with the
// others of its channel.
func TestWebhooksOfAChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		hook := func(channel sandbox.ID) string {
			h := r.do("POST", path("/channels/%d/webhooks", channel), obj{"name": "Hook"}).is(200).object()
			return path("/webhooks/%s/%s", h["id"], h["token"])
		}
		one, two, other := hook(r.w.General), hook(r.w.General), hook(r.w.Announcement)
		for i := range 30 {
			r.do("POST", []string{one, two}[i%2], obj{"content": "x"}).is(204)
			time.Sleep(time.Millisecond * 210)
		}
		r.do("POST", other, obj{"content": "x"}).is(204)
		for range 3 { // what has come back in the meantime
			r.do("POST", one, obj{"content": "x"}).is(204)
		}
		a := r.do("POST", two, obj{"content": "x"}).is(429)
		equal(t, "remaining", a.header.Get("X-RateLimit-Remaining"), "3")
	})
}
