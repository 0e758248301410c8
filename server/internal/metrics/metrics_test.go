package metrics_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/metrics"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape returns what a scraper that accepts the type reads.
func scrape(t *testing.T, m *metrics.Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	access.Everyone(m.Handler()).ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	return string(body)
}

// TestUnguarded: without a guard in front, nobody reads anything.
func TestUnguarded(t *testing.T) {
	w := httptest.NewRecorder()
	metrics.New(metrics.Config{}).Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "discordproxy") {
		t.Errorf("answered with %d %s", w.Code, w.Body)
	}
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if t.Failed() {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(line, "discordproxy_") && !strings.Contains(line, "_bucket{") {
				t.Log(line)
			}
		}
	}
}

func TestCallsAndTries(t *testing.T) {
	m := metrics.New(metrics.Config{Limits: func() metrics.Limits { return metrics.Limits{} }, Version: "1.2.3"})
	call := calls.Call{
		Method: "SendChannelMessage", Protocol: "grpc", Code: calls.OK, RequestID: "abc",
		Took: 3 * time.Second, Waited: 2 * time.Second, AtDiscord: time.Second, Tries: 2,
	}
	m.Ended(t.Context(), &call)
	refused := call
	refused.Code, refused.Waited, refused.Tries = "invalid_argument", 0, 0
	m.Ended(t.Context(), &refused)
	m.Ended(t.Context(), &calls.Call{Method: "Watch", Protocol: "grpcweb", Code: calls.OK, Took: time.Hour, Stream: true})

	const route = "POST /channels/{channel_id}/messages"
	for _, try := range []discord.Try{
		{Route: route, Number: 1, Once: true, Outcome: discord.Lost},
		{Route: route, Number: 2, Once: true, Before: discord.Lost, Outcome: discord.Limited, Status: 429, Limit: "shared"},
		{Route: route, Number: 3, Once: true, Before: discord.Limited, Outcome: discord.Failed, Status: 502},
		{Route: route, Number: 4, Once: true, Before: discord.Failed, Outcome: discord.Settled, Status: 200},
	} {
		m.Tried(t.Context(), try)
	}

	wantLines(t, scrape(t, m, "text/plain"),
		`discordproxy_build_info{version="1.2.3"} 1`,
		`discordproxy_calls_total{client="",code="ok",method="SendChannelMessage",protocol="grpc"} 1`,
		`discordproxy_calls_total{client="",code="invalid_argument",method="SendChannelMessage",protocol="grpc"} 1`,
		`discordproxy_calls_total{client="",code="ok",method="Watch",protocol="grpcweb"} 1`,
		`discordproxy_call_duration_seconds_count{method="SendChannelMessage"} 2`,
		`discordproxy_call_waited_seconds_sum{method="SendChannelMessage"} 2`,
		`discordproxy_call_discord_seconds_sum{method="SendChannelMessage"} 1`,
		`discordproxy_discord_requests_total{outcome="lost",route="`+route+`",status="0"} 1`,
		`discordproxy_discord_requests_total{outcome="settled",route="`+route+`",status="200"} 1`,
		`discordproxy_discord_limited_total{limit="shared"} 1`,
		`discordproxy_discord_limited_total{limit="global"} 0`,
		`discordproxy_discord_repeated_total{after="lost"} 1`,
		`discordproxy_discord_repeated_total{after="limited"} 1`,
		`discordproxy_duplicates_avoided_total 1`,
	)
	if text := scrape(t, m, "text/plain"); strings.Contains(text, `call_duration_seconds_count{method="Watch"}`) {
		t.Error("a stream counts as a call that took an hour")
	}
	if text := scrape(t, m, "application/openmetrics-text; version=1.0.0"); !strings.Contains(text, `# {request_id="abc"} 2`) {
		t.Error("no exemplar leads to the slow call")
	}
}

// TestExemplars: a bucket gets at most one exemplar in a second.
func TestExemplars(t *testing.T) {
	m := metrics.New(metrics.Config{Limits: func() metrics.Limits { return metrics.Limits{} }})
	began := time.Unix(1_700_000_000, 0)
	want := func(id string, others ...string) {
		t.Helper()
		text := scrape(t, m, "application/openmetrics-text; version=1.0.0")
		for _, other := range others {
			if strings.Contains(text, `request_id="`+other+`"`) {
				t.Errorf("there is an exemplar %s", other)
			}
		}
		if !strings.Contains(text, `# {request_id="`+id+`"} 2`) {
			t.Errorf("there is no exemplar %s", id)
		}
	}
	end := func(id string, at time.Duration) {
		m.Ended(t.Context(), &calls.Call{Method: "GetChannel", Code: calls.OK, RequestID: id, Began: began.Add(at - 2*time.Second), Took: 2 * time.Second})
	}
	end("first", 0)
	end("second", 300*time.Millisecond)
	want("first", "second")
	end("third", time.Second)
	end("fourth", 1999*time.Millisecond)
	want("third", "first", "second", "fourth")
	wantLines(t, scrape(t, m, "text/plain"), `discordproxy_call_duration_seconds_count{method="GetChannel"} 4`)
}

// BenchmarkEnded counts calls of one method as they end.
func BenchmarkEnded(b *testing.B) {
	m := metrics.New(metrics.Config{})
	c := &calls.Call{Method: "SendChannelMessage", Protocol: "grpc", Code: calls.OK, RequestID: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", Took: 50 * time.Millisecond, Tries: 1, AtDiscord: 40 * time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		c.Began = time.Now()
		m.Ended(b.Context(), c)
	}
}

func TestLimits(t *testing.T) {
	now := time.Now()
	ready := errors.New("not yet")
	m := metrics.New(metrics.Config{
		Ready: func() error { return ready },
		Limits: func() metrics.Limits {
			return metrics.Limits{
				At: now, Waiting: 7, MaxWaiting: 100, WaitingBytes: 70, MaxBytes: 1000, InFlight: 3,
				Invalid: struct {
					Count int
					Limit int
					Open  bool
				}{5, 10000, false},
				Known: 4, States: ratelimit.States{Idle: 1, Busy: 1, Waiting: 1, Blocked: 1}, Drain: 9 * time.Second,
				Tokens: []discord.TokenLimits{
					{Token: "another"},
					{
						Token: discord.BotToken, Refused: true,
						Global: discord.TokenLimits{}.Global,
					},
				},
			}
		},
	})
	text := scrape(t, m, "text/plain")
	wantLines(t, text,
		"discordproxy_ready 0",
		"discordproxy_queue_calls 7",
		"discordproxy_queue_calls_max 100",
		"discordproxy_queue_bytes 70",
		"discordproxy_discord_in_flight 3",
		"discordproxy_invalid_requests 5",
		"discordproxy_invalid_requests_limit 10000",
		"discordproxy_banned_seconds 0",
		"discordproxy_token_refused 1",
		"discordproxy_drain_seconds 9",
		`discordproxy_buckets{state="idle"} 1`,
		`discordproxy_buckets{state="waiting"} 1`,
		`discordproxy_buckets{state="blocked"} 1`,
		`discordproxy_buckets{state="busy"} 1`,
	)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
