package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// acquireOther acquires a permit for another token than the process's own.
func acquireOther(t *testing.T, l *ratelimit.Limiter, token string) (*ratelimit.Permit, error) {
	t.Helper()
	return l.Acquire(t.Context(), ratelimit.Request{Route: ratelimit.RouteOf("GET", "/users/@me", "", time.Now()), Token: token, OtherToken: true})
}

// end gives a permit Discord's answer.
func end(p *ratelimit.Permit, status int, body string) {
	p.Complete(ratelimit.Response{Status: status, Header: http.Header{"Via": {"1.1 google"}}, Body: ratelimit.ParseBody([]byte(body))})
}

const unauthorized = `{"message":"401: Unauthorized","code":0}`

func otherTokens(l *ratelimit.Limiter) (n int) {
	for _, token := range l.Snapshot().Tokens {
		if token.Token != "bot" {
			n++
		}
	}
	return n
}

func bot(t *testing.T, l *ratelimit.Limiter, method, path string) *ratelimit.Permit {
	t.Helper()
	p, err := l.Acquire(t.Context(), ratelimit.Request{Route: ratelimit.RouteOf(method, path, "", time.Now()), Token: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOtherTokensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{MaxOtherTokens: 3})
		end(bot(t, l, "GET", "/users/@me"), 200, "")
		for i := range 100 {
			p, err := acquireOther(t, l, fmt.Sprint("token ", i))
			if err != nil {
				t.Fatal(err)
			}
			end(p, []int{200, 401, 403}[i%3], unauthorized)
			time.Sleep(time.Second)
		}
		if n := otherTokens(l); n != 3 || len(l.Snapshot().Tokens) != 4 {
			t.Errorf("the limits of %d other tokens are tracked: %+v", n, l.Snapshot().Tokens)
		}
		// Tokens whose calls are in flight stay.
		var busy []*ratelimit.Permit
		for i := range 3 {
			p, err := acquireOther(t, l, fmt.Sprint("busy ", i))
			if err != nil {
				t.Fatal(err)
			}
			busy = append(busy, p)
		}
		if _, err := acquireOther(t, l, "one more"); reasonOf(err) != ratelimit.TooManyTokens {
			t.Errorf("one token more: %v", err)
		}
		end(bot(t, l, "GET", "/users/@me"), 200, "")
		for _, p := range busy {
			end(p, 200, "")
		}
		if p, err := acquireOther(t, l, "one more"); err != nil {
			t.Errorf("one token more when another is idle: %v", err)
		} else {
			end(p, 401, unauthorized)
		}
		time.Sleep(time.Hour)
		if n := otherTokens(l); n > 0 {
			t.Errorf("the limits of %d other tokens are tracked after an hour", n)
		}
	})
}

// TestOtherTokensShareNothing: each other token has the ordinary limit, whatever the
// bot's limit is.
func TestOtherTokensShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{GlobalLimit: 500})
		for _, token := range []string{"one", "two"} {
			for i := range 51 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				p, err := l.Acquire(ctx, ratelimit.Request{Route: ratelimit.RouteOf("POST", messages(i), "", time.Now()), Token: token, OtherToken: true})
				cancel()
				if i < 50 && err != nil || i == 50 && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("call %d of %s: %v", i, token, err)
				}
				if err == nil {
					defer end(p, 200, "")
				}
			}
		}
	})
}

// TestBadTokensSpareTheBudget: invalid tokens cannot spend what the
// bot's calls need.
func TestBadTokensSpareTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{InvalidRequestLimit: 100})
		known, err := acquireOther(t, l, "known")
		if err != nil {
			t.Fatal(err)
		}
		end(known, 200, "")
		sent := 0
		for i := range 200 {
			p, err := acquireOther(t, l, fmt.Sprint("token ", i))
			if err == nil {
				sent++
				end(p, 401, unauthorized)
			} else if reasonOf(err) != ratelimit.BudgetSpent {
				t.Errorf("token %d: %v", i, err)
			}
		}
		if sent != 90 {
			t.Errorf("%d calls of bad tokens were sent of a budget of 100", sent)
		}
		end(bot(t, l, "GET", "/users/@me"), 200, "")
		if p, err := acquireOther(t, l, "known"); err != nil {
			t.Errorf("a token that Discord accepts: %v", err)
		} else {
			end(p, 200, "")
		}
	})
}

// TestUnauthorizedRoutes: a 401 about credentials other than the call's token does not
// stop the token.
func TestUnauthorizedRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		end(bot(t, l, "GET", "/oauth2/@me"), 401, unauthorized)
		end(bot(t, l, "PUT", "/guilds/1/members/2"), 401, `{"message":"Invalid OAuth2 access token","code":50025}`)
		end(bot(t, l, "GET", "/users/@me"), 401, unauthorized)
		_, err := l.Acquire(t.Context(), ratelimit.Request{Route: ratelimit.RouteOf("GET", "/gateway", "", time.Now()), Token: "bot"})
		if reasonOf(err) != ratelimit.TokenRefused {
			t.Errorf("after a 401 to the token: %v", err)
		}
	})
}

// TestGlobalWaitsAreReported: the error of a refused call says whether all routes wait.
func TestGlobalWaitsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, ratelimit.Config{})
		early := func(path string) *ratelimit.Error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := l.Acquire(ctx, ratelimit.Request{Route: ratelimit.RouteOf("GET", path, "", time.Now()), Token: "bot"})
			e, _ := errors.AsType[*ratelimit.Error](err)
			return e
		}
		answer := func(path string, h http.Header, body string) {
			h.Set("Via", "1.1 google")
			bot(t, l, "GET", path).Complete(ratelimit.Response{Status: 429, Header: h, Body: ratelimit.ParseBody([]byte(body))})
		}
		answer("/channels/1", header("X-RateLimit-Scope", "user", "Retry-After", "60"), `{"retry_after":60,"global":false}`)
		if e := early("/channels/1"); e == nil || e.Global {
			t.Errorf("held by its own limit: %+v", e)
		}
		answer("/channels/2", header("X-RateLimit-Scope", "global", "X-RateLimit-Global", "true", "Retry-After", "30"), `{"retry_after":30,"global":true}`)
		if e := early("/channels/3"); e == nil || !e.Global {
			t.Errorf("held by the limit over all routes: %+v", e)
		}
		if e := early("/channels/1"); e == nil || e.Global {
			t.Errorf("held by its own limit for longer: %+v", e)
		}
	})
}
