package sandbox_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"discordproxy/test/description"
)

// checked has every answer to a test compared with the description.
type checked struct {
	t    testing.TB
	next http.RoundTripper
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	d, loadErr := description.Load()
	if loadErr != nil {
		c.t.Fatal(loadErr)
	}
	_, path, v10 := strings.Cut(r.URL.EscapedPath(), "/api/v10")
	if d == nil || !v10 {
		return resp, nil
	}
	if err := d.Check(r.Method, path, resp.StatusCode, resp.Header, body); err != nil {
		c.t.Errorf("%s %s: %d is not as Discord describes it: %v\n%s", r.Method, path, resp.StatusCode, err, body)
	}
	return resp, nil
}
