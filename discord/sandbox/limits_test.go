package sandbox_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/sandbox"
)

const sendRoute = "POST /channels/{channel_id}/messages"

func (a *answer) seconds(name string) float64 {
	a.t.Helper()
	f, err := strconv.ParseFloat(a.header.Get(name), 64)
	if err != nil {
		a.t.Fatalf("%s: %v", name, err)
	}
	return f
}

// limited checks the headers and the body of a 429.
func (a *answer) limited(scope string, retryAfter float64) {
	a.t.Helper()
	a.is(http.StatusTooManyRequests)
	var body struct {
		RetryAfter float64 `json:"retry_after"`
		Global     *bool
		Message    string
	}
	a.into(&body)
	equal(a.t, "scope", a.header.Get("X-RateLimit-Scope"), scope)
	equal(a.t, "retry_after", body.RetryAfter, retryAfter)
	equal(a.t, "global", *body.Global, scope == "global")
	whole := int(retryAfter)
	if float64(whole) < retryAfter {
		whole++
	}
	equal(a.t, "Retry-After", a.header.Get("Retry-After"), strconv.Itoa(whole))
	equal(a.t, "Via", a.header.Get("Via"), "1.1 google")
}

// The bubbles' clocks stand still, so waits come out exact.
func TestSlidingLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		hi := obj{"content": "hi"}
		first := r.sendTo(r.w.General, hi).is(200)
		equal(t, "limit", first.header.Get("X-RateLimit-Limit"), "5")
		equal(t, "remaining", first.header.Get("X-RateLimit-Remaining"), "4")
		equal(t, "reset after", first.header.Get("X-RateLimit-Reset-After"), "1.000")
		equal(t, "reset", first.header.Get("X-RateLimit-Reset"), strconv.FormatInt(time.Now().Unix()+1, 10)+".000")
		equal(t, "bucket", len(first.header.Get("X-RateLimit-Bucket")), 32)
		for i := 2; i <= 5; i++ {
			a := r.sendTo(r.w.General, hi).is(200)
			equal(t, "remaining", a.header.Get("X-RateLimit-Remaining"), strconv.Itoa(5-i))
			equal(t, "reset after", a.seconds("X-RateLimit-Reset-After"), float64(i))
		}
		a := r.sendTo(r.w.General, hi)
		a.limited("user", 1)
		equal(t, "remaining", a.header.Get("X-RateLimit-Remaining"), "0")
		equal(t, "reset after", a.seconds("X-RateLimit-Reset-After"), 5.0)
		equal(t, "the same bucket", a.header.Get("X-RateLimit-Bucket"), first.header.Get("X-RateLimit-Bucket"))

		r.sendTo(r.w.Random, hi).is(200) // another channel
		time.Sleep(339 * time.Millisecond)
		r.sendTo(r.w.General, hi).limited("user", 0.661)
		time.Sleep(661 * time.Millisecond)
		r.sendTo(r.w.General, hi).is(200)
		r.sendTo(r.w.General, hi).limited("user", 1)
		r.Advance(5 * time.Second)
		equal(t, "all back", r.sendTo(r.w.General, hi).is(200).header.Get("X-RateLimit-Remaining"), "4")
		equal(t, "429s", r.Stats().Limited[sandbox.LimitedUser], 3)
	})
}

func TestFixedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		r.SetLimit(sandbox.Limit{Name: "send", Routes: []string{sendRoute}, Limit: 2, Window: 4 * time.Second, Kind: sandbox.Fixed, Hash: "abcd"})
		a := r.sendTo(r.w.General, obj{"content": "hi"}).is(200)
		equal(t, "reset after", a.header.Get("X-RateLimit-Reset-After"), "4.000")
		equal(t, "bucket", a.header.Get("X-RateLimit-Bucket"), "abcd")
		time.Sleep(time.Second)
		a = r.sendTo(r.w.General, obj{"content": "hi"}).is(200)
		equal(t, "reset after", a.header.Get("X-RateLimit-Reset-After"), "3.000")
		r.sendTo(r.w.General, obj{"content": "hi"}).limited("user", 3)
		time.Sleep(3 * time.Second)
		for range 2 {
			r.sendTo(r.w.General, obj{"content": "hi"}).is(200)
		}
		r.sendTo(r.w.General, obj{"content": "hi"}).limited("user", 4)
	})
}

func TestBucketsOfDefaultLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		seed := func(age time.Duration) string {
			id, err := r.AddMessage(sandbox.Message{ID: r.OldID(age), ChannelID: r.w.General, Content: "old"})
			if err != nil {
				t.Fatal(err)
			}
			return path("/channels/%d/messages/%d", r.w.General, id)
		}
		bucket := func(method, path string, body any) string {
			a := r.do(method, path, body)
			return a.header.Get("X-RateLimit-Limit") + "/" + a.header.Get("X-RateLimit-Reset-After")
		}
		equal(t, "young", bucket("DELETE", seed(time.Second), nil), "5/1.000")
		equal(t, "middle", bucket("DELETE", seed(time.Hour), nil), "3/0.334")
		equal(t, "old", bucket("DELETE", seed(15*24*time.Hour), nil), "30/4.000")
		equal(t, "unknown", bucket("DELETE", path("/channels/%d/messages/5", r.w.General), nil), "5/2.000")

		// Editing a message of more than an hour has a hidden limit.
		old := seed(2 * time.Hour)
		for range 3 {
			r.do("PATCH", old, obj{"content": "x"}).is(200)
		}
		a := r.do("PATCH", old, obj{"content": "x"}).is(429, 30046)
		a.limited("user", 2)
		equal(t, "of the bucket is left", a.header.Get("X-RateLimit-Remaining"), "1")
		r.do("PATCH", seed(time.Minute), obj{"content": "x"}).is(200)

		// So has renaming a channel.
		channel := path("/channels/%d", r.w.Random)
		for range 2 {
			r.do("PATCH", channel, obj{"name": "n"}).is(200)
		}
		r.do("PATCH", channel, obj{"name": "n"}).limited("user", 300)
		r.do("PATCH", channel, obj{"position": 2}).is(200)

		// Giving and taking roles share a fixed bucket.
		role := path("/guilds/%d/members/%d/roles/%d", r.w.Guild, r.w.Bob, r.w.ModeratorRole)
		for range 5 {
			r.do("PUT", role, nil).is(204)
			r.do("DELETE", role, nil).is(204)
		}
		r.do("PUT", role, nil).limited("user", 10)
		if r.do("GET", "/gateway", nil).is(200).header.Get("X-RateLimit-Limit") != "" {
			t.Error("GET /gateway has headers")
		}
	})
}

func TestSharedHiddenAndOddLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{Unlimited: true})
		if err := r.AddToken("Bot other", r.w.OtherBot); err != nil {
			t.Fatal(err)
		}
		other := r.as("Bot other")
		r.SetLimit(sandbox.Limit{Name: "own", Routes: []string{sendRoute}, Limit: 10, Window: 10 * time.Second})
		r.SetLimit(sandbox.Limit{Name: "all", Routes: []string{sendRoute}, Limit: 1, Window: 20 * time.Second, Sub: true, Shared: true, Code: 20028})
		r.sendTo(r.w.General, obj{"content": "mine"}).is(200)
		a := other.sendTo(r.w.General, obj{"content": "also"}).is(429, 20028)
		a.limited("shared", 20)
		equal(t, "of the own bucket is left", a.header.Get("X-RateLimit-Remaining"), "9")
		equal(t, "shared ones are not invalid", r.Stats().Invalid, 0)

		r.RemoveLimit("all")
		r.SetLimit(sandbox.Limit{Name: "own", Routes: []string{sendRoute}, Limit: 1, Window: time.Second, Hidden: true})
		equal(t, "hidden", r.sendTo(r.w.General, obj{"content": "x"}).is(200).header.Get("X-RateLimit-Limit"), "")
		r.sendTo(r.w.General, obj{"content": "x"}).limited("user", 1)

		r.SetLimit(sandbox.Limit{Name: "own", Routes: []string{sendRoute}, Limit: 1, Window: time.Second, Extra: http.Header{
			"X-RateLimit-Limit": {"-5"}, "X-RateLimit-Reset": {"NaN"}, "X-RateLimit-Bucket": nil,
		}})
		a = r.sendTo(r.w.General, obj{"content": "x"}).is(200)
		equal(t, "limit", a.header.Get("X-RateLimit-Limit"), "-5")
		equal(t, "reset", a.header.Get("X-RateLimit-Reset"), "NaN")
		equal(t, "bucket", a.header.Get("X-RateLimit-Bucket"), "")
	})
}

func TestOpeningDirectMessagesTooFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{Unlimited: true})
		r.SetLimit(sandbox.Limit{
			Name: "open", Routes: []string{"POST /users/@me/channels"}, When: sandbox.WhenOpeningDM, Limit: 1, Window: time.Minute,
			Sub: true, Status: 403, Code: 40003, Text: "You are opening direct messages too fast",
		})
		open := func(u sandbox.ID) *answer { return r.do("POST", "/users/@me/channels", obj{"recipient_id": u}) }
		open(r.w.Alice).is(200)
		a := open(r.w.Bob).is(403, 40003)
		equal(t, "Retry-After", a.header.Get("Retry-After"), "")
		open(r.w.Alice).is(200) // is open already
		time.Sleep(time.Minute)
		open(r.w.Bob).is(200)
	})
}

func TestGlobalLimit(t *testing.T) {
	for _, kind := range []sandbox.WindowKind{sandbox.Fixed, sandbox.Sliding} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, sandbox.Config{Unlimited: true})
				r.SetGlobalLimit(sandbox.GlobalLimit{Limit: 3, Kind: kind})
				me := func() *answer { return r.do("GET", "/users/@me", nil) }
				me().is(200)
				time.Sleep(600 * time.Millisecond)
				me().is(200)
				me().is(200)
				a := me()
				a.limited("global", 0.4)
				equal(t, "global header", a.header.Get("X-RateLimit-Global"), "true")
				for name := range a.header {
					switch strings.ToLower(name) {
					case "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after", "x-ratelimit-bucket":
						t.Errorf("a global 429 has %s", name)
					}
				}
				in := r.AddInteraction(r.w.General)
				r.as("").do("POST", path("/interactions/%d/%s/callback", in.ID, in.Token), obj{"type": 5}).is(204)

				time.Sleep(400 * time.Millisecond)
				me().is(200)
				second := me()
				if kind == sandbox.Sliding {
					second.limited("global", 0.6)
				} else {
					second.is(200)
				}
				equal(t, "busiest second", r.Stats().MaxPerSecond, map[sandbox.WindowKind]int{sandbox.Fixed: 5, sandbox.Sliding: 5}[kind])

				time.Sleep(time.Second)
				r.BanGlobally(5 * time.Second)
				me().limited("global", 5)
				time.Sleep(5 * time.Second)
				me().is(200)
			})
		})
	}
}

func TestBans(t *testing.T) {
	shapes := map[sandbox.BanShape]string{sandbox.BanText: "text/plain", sandbox.BanHTML: "text/html", sandbox.BanJSON: "application/json"}
	for shape, kind := range shapes {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, sandbox.Config{})
			r.client = r.Client() // Discord's description does not include Cloudflare
			r.Ban(sandbox.Ban{For: time.Minute, Shape: shape, RetryAfter: shape == sandbox.BanText})
			a := r.do("GET", "/users/@me", nil).is(429)
			equal(t, "Via", a.header.Get("Via"), "")
			equal(t, "content type", strings.Split(a.header.Get("Content-Type"), ";")[0], kind)
			if strings.Contains(string(a.body), "retry_after") {
				t.Errorf("a ban that says retry_after: %s", a.body)
			}
			if shape == sandbox.BanText {
				equal(t, "body", string(a.body), "error code: 1015")
				equal(t, "Retry-After", a.header.Get("Retry-After"), "60")
			}
			time.Sleep(time.Minute)
			r.do("GET", "/users/@me", nil).is(200)
		})
	}
}

func TestInvalidCallsBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Config{})
		r.client = r.Client()
		r.SetInvalidLimit(sandbox.InvalidLimit{Limit: 3, Window: time.Minute, Ban: sandbox.Ban{For: time.Hour}})
		wrong := r.as("Bot wrong")
		wrong.do("GET", "/users/@me", nil).is(401)
		r.do("GET", path("/channels/%d", r.w.Forbidden), nil).is(403)
		r.do("GET", "/channels/5", nil).is(404) // does not count
		time.Sleep(2 * time.Minute)             // both are forgotten
		for range 3 {
			r.do("GET", "/users/@me", nil).is(200)
			wrong.do("GET", "/users/@me", nil).is(401)
		}
		equal(t, "banned", string(r.do("GET", "/users/@me", nil).is(429).body), "error code: 1015")
		equal(t, "counted", r.Stats().Limited[sandbox.LimitedCloudflare], 1)
		time.Sleep(time.Hour)
		r.do("GET", "/users/@me", nil).is(200)
	})
}

func TestUnlimited(t *testing.T) {
	r := newRig(t, sandbox.Config{Unlimited: true})
	for range 100 {
		a := r.sendTo(r.w.General, obj{"content": "hi"}).is(200)
		if a.header.Get("X-RateLimit-Limit") != "" {
			t.Fatal("unlimited, but there are headers")
		}
	}
}
