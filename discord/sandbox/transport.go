package sandbox

import (
	"bytes"
	"io"
	"net/http"
)

// Transport returns a RoundTripper that takes every request, whatever its
// host, to the sandbox without a network. It honours the request's context in
// every wait, so it also works within testing/synctest.
func (s *Sandbox) Transport() http.RoundTripper { return transport{s} }

// Client returns an HTTP client on [Sandbox.Transport].
func (s *Sandbox) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

type transport struct{ s *Sandbox }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer drain(r.Body)
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	a, err := t.s.serve(r.Context(), r)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:        http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        a.header,
		Body:          io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)),
		Request:       r,
	}, nil
}
