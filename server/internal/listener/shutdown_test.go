package listener_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"golang.org/x/net/http2"
)

// callsInFlight is how many calls a shutdown meets.
const callsInFlight = 20

type answer struct {
	text string
	err  error
}

// holdCalls starts calls of Hold and waits until the server holds them all.
func holdCalls(t *testing.T, s *service, call caller, n int) <-chan answer {
	t.Helper()
	answers := make(chan answer, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			text, err := call(ctx, procedureHold, "")
			answers <- answer{text, err}
		})
	}
	t.Cleanup(func() {
		s.letGo()
		wg.Wait()
	})
	waitFor(t, "calls in flight", func() bool { return s.holding.Load() == int64(n) })
	go func() {
		wg.Wait()
		close(answers)
	}()
	return answers
}

// refusesConnections reports whether nobody listens at addr.
func refusesConnections(t *testing.T, addr string) func() bool {
	return func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return true
		}
		_ = conn.Close()
		return false
	}
}

// Every protocol is tested alone, since one HTTP/1.1 call in flight would keep
// the server waiting for all others too.
func TestShutdownLetsCallsEnd(t *testing.T) {
	for name, newCaller := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letsCallsEnd(t, listener.Config{}, newCaller)
		})
	}
}

func letsCallsEnd(t *testing.T, cfg listener.Config, newCaller func(testing.TB, string) caller) {
	t.Helper()
	s := newService()
	cfg.Handler = s.handler(t, rpc.Config{})
	server := serve(t, cfg)
	answers := holdCalls(t, s, newCaller(t, server.addr), callsInFlight)

	server.stop()
	waitFor(t, "closed port", refusesConnections(t, server.addr))
	select {
	case err := <-server.done:
		t.Fatalf("Serve returned with calls in flight: %v", err)
	case <-time.After(400 * time.Millisecond):
	}
	s.letGo()

	got := 0
	for a := range answers {
		got++
		if a.err != nil || a.text != "held" {
			t.Errorf("lost call: %q, %v", a.text, a.err)
		}
	}
	if got != callsInFlight {
		t.Errorf("%d answers, want %d", got, callsInFlight)
	}
	if err := server.ended(t); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestShutdownEndsCallsAfterTheGrace(t *testing.T) {
	for name, newCaller := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tellsCalls(t, listener.Config{}, newCaller)
		})
	}
}

func tellsCalls(t *testing.T, cfg listener.Config, newCaller func(testing.TB, string) caller) {
	t.Helper()
	s := newService()
	cfg.Handler, cfg.Grace = s.handler(t, rpc.Config{}), 300*time.Millisecond
	server := serve(t, cfg)
	answers := holdCalls(t, s, newCaller(t, server.addr), callsInFlight)

	server.stop()
	got := 0
	for a := range answers {
		got++
		if code, message := errorOf(a.err); code != connect.CodeUnavailable || message != "the proxy is shutting down" {
			t.Errorf("answer %q, %v; want unavailable: the proxy is shutting down", a.text, a.err)
		}
	}
	if got != callsInFlight {
		t.Errorf("%d answers, want %d", got, callsInFlight)
	}
	if err := server.ended(t); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// stubborn ignores its context until the test ends.
func stubborn(t *testing.T) (http.Handler, <-chan struct{}) {
	started, end := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(end) })
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(started)
		<-end
	}), started
}

func TestShutdownDoesNotWaitForStubbornHandlers(t *testing.T) {
	for name, client := range map[string]func(testing.TB) *http.Client{"HTTP/1.1": newHTTP1Client, "HTTP/2": newHTTP2Client} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler, started := stubborn(t)
			server := serve(t, listener.Config{Handler: handler, Grace: time.Millisecond})
			failed := make(chan error, 1)
			go func() { failed <- get(client(t), server.url("/")) }()
			<-started
			server.stop()
			if err := server.ended(t); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if err := <-failed; err == nil {
				t.Error("the call got an answer")
			}
		})
	}
}

func TestCloseEndsAShutdownImmediately(t *testing.T) {
	handler, started := stubborn(t)
	server := serve(t, listener.Config{Handler: handler, Grace: time.Hour})
	failed := make(chan error, 1)
	go func() { failed <- get(newHTTP2Client(t), server.url("/")) }()
	<-started
	server.stop()
	waitFor(t, "closed port", refusesConnections(t, server.addr))
	server.Close()
	if err := server.ended(t); err != nil {
		t.Errorf("Serve: %v", err)
	}
	<-failed
}

// A connection may be on its way from HTTP/1.1 to HTTP/2 when the shutdown
// begins. It must be served and get GOAWAY too. Otherwise it keeps the server waiting.
func TestShutdownDuringAnUpgrade(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	const body = `"hello"`
	if _, err := fmt.Fprintf(conn, upgradeHead+"Expect: 100-continue\r\n\r\n", procedureEcho, server.addr, len(body)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	// That the server asks for the body shows that the request is in progress.
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v; want 100 Continue", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	server.stop()
	waitFor(t, "closed port", refusesConnections(t, server.addr))
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	framer, err := finishUpgrade(conn, reader)
	if err != nil {
		t.Fatal(err)
	}
	// The GOAWAY may come before or after the answer.
	notified := false
	see := func(frame http2.Frame) {
		_, goAway := frame.(*http2.GoAwayFrame)
		notified = notified || goAway
	}
	if text, err := readJSONAnswer(framer, see); err != nil || text != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	for !notified {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("no GOAWAY: %v", err)
		}
		see(frame)
	}
	if err := server.ended(t); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeOnlyOnce(t *testing.T) {
	server := serve(t, listener.Config{Handler: http.NotFoundHandler()})
	if err := get(newHTTP1Client(t), server.url("/")); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(t.Context(), nil); err == nil {
		t.Error("second Serve was accepted")
	}
}

func TestServeReportsABrokenListener(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	server := serveOn(t, ln, listener.Config{Handler: http.NotFoundHandler()})
	if err := server.ended(t); err == nil {
		t.Error("Serve returned nil")
	}
}

// get fetches url and fails only when there is no answer.
func get(client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
