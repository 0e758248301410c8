//go:build unix

package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/test/proxytest"
)

// BenchmarkPlainREST sends plain requests over 16 connections through a real
// listener to an API behind another one. The floor is the ReverseProxy of
// net/http/httputil behind the same listener.
func BenchmarkPlainREST(b *testing.B) {
	api := httptest.NewServer(http.HandlerFunc(cannedAPI))
	defer api.Close()
	base, err := url.Parse(api.URL)
	if err != nil {
		b.Fatal(err)
	}
	limiter, err := ratelimit.New(ratelimit.Config{GlobalLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	client, err := discord.New(discord.Config{Token: "token", BaseURL: api.URL + "/api", Limiter: limiter, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	reverse := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(base) },
		Transport: discord.NewUpstream(0),
	}
	floor, proxy := "http://"+serveHandler(b, reverse), "http://"+serveHandler(b, handlerOf(b, client))
	for _, request := range []struct{ name, method, path, body string }{
		{"GET", http.MethodGet, "/api/v10/channels/1", ""},
		{"PATCH", http.MethodPatch, "/api/v10/channels/1/messages/2", `{"content":"hello"}`},
	} {
		b.Run(request.name, func(b *testing.B) {
			const connections = 16
			pool := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
			defer pool.CloseIdleConnections()
			to := func(address string) func() error {
				return func() error { return plain(b, pool, request.method, address+request.path, request.body) }
			}
			proxytest.Compare(b, connections, to(floor), to(proxy))
		})
	}
}

// cannedAPI answers every request with the same object, and the headers that
// Discord's answers have.
func cannedAPI(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Via": "1.1 google", "Cf-Cache-Status": "DYNAMIC", "Server": "cloudflare",
		"X-Ratelimit-Bucket": "b", "X-Ratelimit-Limit": "1000000", "X-Ratelimit-Remaining": "999999",
		"X-Ratelimit-Reset": "2000000000.000", "X-Ratelimit-Reset-After": "1.000",
	} {
		h.Set(name, value)
	}
	_, _ = io.WriteString(w, `{"id":"1","type":0,"content":"`+strings.Repeat("x", 500)+`"}`)
}

func plain(tb testing.TB, client *http.Client, method, address, body string) error {
	req, err := http.NewRequestWithContext(tb.Context(), method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "DiscordBot (https://example.com, 1)")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Errorf("%s is answered %s", address, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
