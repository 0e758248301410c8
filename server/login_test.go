package server

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"discordproxy/discord"
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
