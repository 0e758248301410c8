package sandbox

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Transport returns a RoundTripper that takes every request, whatever its
// host, to the sandbox without a network. It honours the request's context in
// every wait, so it also works within testing/synctest.
func (s *Sandbox) Transport() http.RoundTripper { return transport{s} }

// Client returns an HTTP client on [Sandbox.Transport].
func (s *Sandbox) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

type transport struct{ s *Sandbox }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.URL.Path, "/sandbox/") {
		return nil, errors.New("the sandbox is not controlled through its transport")
	}
	c, refused := t.s.receive(r)
	arrives := t.s.draw(t.s.latency.Load().Request)
	start := time.Now()
	if err := sleep(ctx, arrives); err != nil {
		// What was sent arrives, even when the caller does not wait.
		time.AfterFunc(arrives-time.Since(start), func() { t.s.carryOut(c, refused) })
		return nil, err
	}
	a := t.s.carryOut(c, refused)
	if err := t.s.deliver(ctx, a); err != nil {
		return nil, err
	}
	body, length := a.stream(ctx)
	return &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       r,
	}, nil
}
