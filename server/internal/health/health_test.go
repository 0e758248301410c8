package health_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/health"

	"connectrpc.com/connect"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func get(t *testing.T, url, accept string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func TestReasons(t *testing.T) {
	var first, second error
	checks := health.Checks{func() error { return first }, func() error { return second }}
	var warnings []string
	srv := httptest.NewServer(health.Handler(checks, func() []string { return warnings }))
	defer srv.Close()
	path, handler := health.GRPC(checks, nil, "a.Service").Handler()
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	grpc := httptest.NewServer(mux)
	defer grpc.Close()

	check := func(path, accept string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(t, srv.URL+path, accept); gotStatus != status || got != body {
			t.Errorf("%s: %d %q", path, gotStatus, got)
		}
	}
	ask := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](http.DefaultClient, grpc.URL+path+"Check")
	list := connect.NewClient[healthpb.HealthListRequest, healthpb.HealthListResponse](http.DefaultClient, grpc.URL+path+"List")
	serving := func(service string, want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		resp, err := ask.CallUnary(t.Context(), connect.NewRequest(&healthpb.HealthCheckRequest{Service: service}))
		if err != nil || resp.Msg.GetStatus() != want {
			t.Errorf("service %q: %v, %v", service, resp, err)
		}
		all, err := list.CallUnary(t.Context(), connect.NewRequest(new(healthpb.HealthListRequest)))
		if err != nil || len(all.Msg.GetStatuses()) != 2 || all.Msg.GetStatuses()[service].GetStatus() != want {
			t.Errorf("list of services: %v, %v", all, err)
		}
	}
	check("/readyz", "*/*", 200, "ready")
	check("/readyz", "application/json", 200, `{"ok":true,"reasons":[]}`)
	serving("", healthpb.HealthCheckResponse_SERVING)
	serving("a.Service", healthpb.HealthCheckResponse_SERVING)
	warnings = []string{"take care"}
	check("/readyz", "*/*", 200, "ready\nwarning: take care")
	check("/readyz", "application/json", 200, `{"ok":true,"reasons":[],"warnings":["take care"]}`)
	check("/healthz", "*/*", 200, "alive")
	serving("", healthpb.HealthCheckResponse_SERVING)
	warnings = nil
	if _, err := ask.CallUnary(t.Context(), connect.NewRequest(&healthpb.HealthCheckRequest{Service: "another"})); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("an unknown service: %v", err)
	}

	first, second = errors.New("one reason"), errors.New("another")
	check("/readyz", "*/*", 503, "one reason\nanother")
	check("/readyz", "application/json", 503, `{"ok":false,"reasons":["one reason","another"]}`)
	check("/healthz", "*/*", 200, "alive")
	serving("a.Service", healthpb.HealthCheckResponse_NOT_SERVING)
}

func TestReachability(t *testing.T) {
	var r health.Reachability
	gone, leave := context.WithCancel(t.Context())
	leave()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, step := range []struct {
		ctx     context.Context
		outcome discord.Outcome
		want    string
	}{
		{t.Context(), discord.Settled, ""},
		{t.Context(), discord.Refused, ""},
		{gone, discord.Lost, ""},
		{t.Context(), discord.Unsent, "since 2026-01-02T03:08:05Z"},
		{t.Context(), discord.Failed, "since 2026-01-02T03:08:05Z"},
		{t.Context(), discord.Limited, ""},
		{t.Context(), discord.Lost, "since 2026-01-02T03:11:05Z"},
	} {
		r.Tried(step.ctx, discord.Try{Outcome: step.outcome, Sent: began.Add(time.Duration(i+1) * time.Minute)})
		err := r.Check()
		if (err == nil) != (step.want == "") || err != nil && !strings.HasSuffix(err.Error(), step.want) {
			t.Errorf("after step %d: %v, want %q", i, err, step.want)
		}
	}
}
