package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"discordproxy/server/internal/health"

	"connectrpc.com/connect"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

type watcher = connect.ServerStreamForClient[healthpb.HealthCheckResponse]

// watchers returns a function that opens streams of a health service.
func watchers(t *testing.T, checks health.Checks, ending <-chan struct{}) func(ctx context.Context, service string) *watcher {
	t.Helper()
	path, handler := health.GRPC(checks, ending, "a.Service").Handler()
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	client := connect.NewClient[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse](srv.Client(), srv.URL+path+"Watch")
	return func(ctx context.Context, service string) *watcher {
		stream, err := client.CallServerStream(ctx, connect.NewRequest(&healthpb.HealthCheckRequest{Service: service}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stream.Close() })
		return stream
	}
}

func next(t *testing.T, stream *watcher, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	if !stream.Receive() {
		t.Fatalf("the stream ended: %v", stream.Err())
	}
	if got := stream.Msg().GetStatus(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWatch(t *testing.T) {
	var failing atomic.Bool
	ending := make(chan struct{})
	watch := watchers(t, health.Checks{func() error {
		if failing.Load() {
			return errors.New("a reason")
		}
		return nil
	}}, ending)
	whole, service, unknown := watch(t.Context(), ""), watch(t.Context(), "a.Service"), watch(t.Context(), "another")
	next(t, whole, healthpb.HealthCheckResponse_SERVING)
	next(t, service, healthpb.HealthCheckResponse_SERVING)
	next(t, unknown, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
	failing.Store(true)
	next(t, whole, healthpb.HealthCheckResponse_NOT_SERVING)
	next(t, service, healthpb.HealthCheckResponse_NOT_SERVING)
	failing.Store(false)
	next(t, whole, healthpb.HealthCheckResponse_SERVING)
	close(ending)
	next(t, whole, healthpb.HealthCheckResponse_NOT_SERVING)
	for _, stream := range []*watcher{whole, unknown} {
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable {
			t.Errorf("after the end: %v %v", stream.Msg(), stream.Err())
		}
	}
}

// TestWatchersAreBounded: one network can use only a part of the limit, and a watcher
// that disconnects frees its place.
func TestWatchersAreBounded(t *testing.T) {
	watch := watchers(t, nil, nil)
	ctx, leave := context.WithCancel(t.Context())
	for range 100 {
		next(t, watch(ctx, ""), healthpb.HealthCheckResponse_SERVING)
	}
	if refused := watch(t.Context(), ""); refused.Receive() || connect.CodeOf(refused.Err()) != connect.CodeResourceExhausted {
		t.Errorf("watcher 101: %v %v", refused.Msg(), refused.Err())
	}
	leave()
	for stream := watch(t.Context(), ""); !stream.Receive(); stream = watch(t.Context(), "") {
		if connect.CodeOf(stream.Err()) != connect.CodeResourceExhausted {
			t.Fatal(stream.Err())
		}
	}
}
