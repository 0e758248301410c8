package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/store"
)

type apiFunc func(*http.Request) (*http.Response, error)

func (f apiFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestLoginNeedsAUser: as long as the API answers with something other than a
// user the server is not ready, and says why.
func TestLoginNeedsAUser(t *testing.T) {
	body := "[]"
	client, err := discord.New(discord.Config{Token: "t", Logger: slog.New(slog.DiscardHandler), Upstream: apiFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	l := newLogin(client, func() error { return nil }, slog.New(slog.DiscardHandler))
	for _, body = range []string{"[]", "{}", "null", `{"id":"no"}`} {
		if err := l.check(t.Context()); err == nil {
			t.Errorf("%s was taken for a user", body)
		}
		if reason := l.ready(); reason == nil || !strings.Contains(reason.Error(), "other than a user") {
			t.Errorf("%s: the reason is %v", body, reason)
		}
	}
	body = `{"id":"1","username":"bot"}`
	if err := l.check(t.Context()); err != nil || l.ready() != nil || l.botName() != "bot" {
		t.Errorf("%v, %v, %q", err, l.ready(), l.botName())
	}
}

// TestSavedToken: only a token that was found good, and not refused since, is
// trusted before it is checked.
func TestSavedToken(t *testing.T) {
	status, body := http.StatusOK, `{"id":"1","username":"bot"}`
	client, err := discord.New(discord.Config{Token: "t", Logger: slog.New(slog.DiscardHandler), Upstream: apiFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	state := savedState{parts: make(map[string]store.Saved)}
	run := func(token string, trusted, checked bool) {
		t.Helper()
		l := newLogin(client, func() error { return nil }, slog.New(slog.DiscardHandler))
		s := newSavedToken(l, token)
		s.restore(state)
		if got := l.ready() == nil; got != trusted {
			t.Errorf("trust in %s is %v", token, got)
		}
		if checked {
			_ = l.check(t.Context())
		}
		parts, done := s.save()
		for name, data := range parts {
			state.parts[name] = store.Saved{Data: data}
			if strings.Contains(string(data), token) {
				t.Errorf("the token was saved")
			}
		}
		done()
		if parts, _ := s.save(); len(parts) > 0 {
			t.Errorf("saved again: %v", parts)
		}
	}
	run("long-token", false, false)
	run("long-token", false, true)
	run("long-token", true, false)
	run("other-token", false, false)
	run("long-token", true, false)
	status = http.StatusUnauthorized
	run("long-token", true, true)
	run("long-token", false, false)
}

// TestSettleLogin: who waits for the check of a token goes on when the token is good, and
// in time if it is not.
func TestSettleLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := func() *login { return newLogin(nil, func() error { return nil }, slog.New(slog.DiscardHandler)) }
		l := fresh()
		began := time.Now()
		if l.settle(t.Context(), time.Minute); time.Since(began) != time.Minute {
			t.Errorf("it waited for %s", time.Since(began))
		}
		l.trust()
		if l.settle(t.Context(), time.Minute); time.Since(began) != time.Minute {
			t.Error("it waited although the token is trusted")
		}
		l.refuse(errTokenRefused)
		go func() {
			time.Sleep(time.Second)
			close(l.good)
		}()
		if l.settle(t.Context(), time.Minute); time.Since(began) != time.Minute+time.Second {
			t.Errorf("it waited until %s", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l = fresh()
		if l.settle(ctx, time.Minute); time.Since(began) != time.Minute+2*time.Second {
			t.Errorf("it waited until %s after the end of the context", time.Since(began))
		}
	})
}
