package listener_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaks()
	}
	os.Exit(code)
}

// leaks returns 1 when goroutines remain. It has more patience than goleak: a
// connection that HTTP/2 has given up sees a second later that it is closed.
func leaks() int {
	deadline := time.Now().Add(10 * time.Second)
	err := goleak.Find()
	for err != nil && time.Now().Before(deadline) {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const (
	procedureEcho  = "/test.Service/Echo"  // answers what it was sent
	procedureHold  = "/test.Service/Hold"  // answers "held" once released
	procedureEmpty = "/test.Service/Empty" // takes and answers nothing
	procedurePanic = "/test.Service/Panic"
)

// service is a small Connect service on well-known types.
type service struct {
	holding atomic.Int64  // calls of Hold in progress
	release chan struct{} // closed to let Hold answer
	once    sync.Once
}

func newService() *service { return &service{release: make(chan struct{})} }

func (s *service) letGo() { s.once.Do(func() { close(s.release) }) }

func (s *service) handler(t testing.TB, cfg rpc.Config) http.Handler {
	t.Helper()
	options, err := rpc.HandlerOptions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all := connect.WithHandlerOptions(options...)
	readOnly := connect.WithIdempotency(connect.IdempotencyNoSideEffects)
	mux := http.NewServeMux()
	mux.Handle(procedureEcho, connect.NewUnaryHandlerSimple(procedureEcho,
		func(_ context.Context, req *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
			return req, nil
		}, all, readOnly))
	mux.Handle(procedureHold, connect.NewUnaryHandlerSimple(procedureHold,
		func(ctx context.Context, _ *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
			s.holding.Add(1)
			defer s.holding.Add(-1)
			select {
			case <-s.release:
				return wrapperspb.String("held"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, all))
	mux.Handle(procedureEmpty, connect.NewUnaryHandlerSimple(procedureEmpty,
		func(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
			return &emptypb.Empty{}, nil
		}, all))
	mux.Handle(procedurePanic, connect.NewUnaryHandlerSimple(procedurePanic,
		func(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
			panic("a secret")
		}, all))
	return rpc.WithRequestID(listener.Known(mux))
}

// running is a Server that serves.
type running struct {
	*listener.Server
	addr string // host:port
	stop context.CancelFunc
	done chan error // receives what Serve returned, once
}

// serve runs a Server with cfg on a free port of 127.0.0.1 until the test ends.
func serve(t testing.TB, cfg listener.Config) *running {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, ln, cfg)
}

func serveOn(t testing.TB, ln net.Listener, cfg listener.Config) *running {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	server, err := listener.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: server, addr: ln.Addr().String(), stop: stop, done: make(chan error, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.done <- server.Serve(ctx, ln)
	}()
	t.Cleanup(func() {
		stop()
		server.Close()
		<-finished
	})
	return r
}

func (r *running) url(path string) string { return "http://" + r.addr + path }

// ended returns what Serve returned.
func (r *running) ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("Serve did not return")
		return nil
	}
}

// waitFor waits until the condition holds.
func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// errorOf takes an error apart. Of no error the code is 0.
func errorOf(err error) (connect.Code, string) {
	if err == nil {
		return 0, ""
	}
	if connectErr, ok := errors.AsType[*connect.Error](err); ok {
		return connectErr.Code(), connectErr.Message()
	}
	return connect.CodeUnknown, err.Error()
}

func repeated(s string, bytes int) string { return strings.Repeat(s, bytes/len(s)) }
