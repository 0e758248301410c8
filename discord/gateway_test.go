package discord_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
)

type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(a))),
	}, nil
}

// TestGatewayBot: missing or invalid numbers do not count as 0.
func TestGatewayBot(t *testing.T) {
	for answer, want := range map[string]discord.GatewayBot{
		`{"url":"wss://g","shards":2,"session_start_limit":{"total":1000,"remaining":7,"reset_after":14400000,"max_concurrency":1}}`: {URL: "wss://g", Shards: 2, Total: 1000, Remaining: 7, ResetAfter: 4 * time.Hour},
		`{"url":"wss://g","session_start_limit":{"remaining":0}}`:                                                                    {URL: "wss://g", Remaining: 0},
		`{"url":"wss://g","session_start_limit":{"total":1000,"remaining":null}}`:                                                    {URL: "wss://g", Total: 1000, Remaining: -1},
		`{"url":"wss://g","session_start_limit":{"total":-5,"remaining":-5}}`:                                                        {URL: "wss://g", Remaining: 0},
		`{"url":"wss://g","session_start_limit":null}`:                                                                               {URL: "wss://g", Remaining: -1},
		`{"url":"wss://g"}`: {URL: "wss://g", Remaining: -1},
		`{}`:                {Remaining: -1},
	} {
		c, err := discord.New(discord.Config{Token: "t", Upstream: answers(answer), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.GatewayBot(t.Context()); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", answer, got, err, want)
		}
	}
}
