package listener

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzOrigin: whatever a browser says of where a request comes from, only the
// server's own pages, those of an allowed origin, and programs that are no
// browsers get through, and no other page may read the answer.
func FuzzOrigin(f *testing.F) {
	const dashboard = "https://dashboard.example.org"
	for _, origin := range []string{
		"", dashboard, "null", "http://localhost:50051", "https://evil.example", dashboard + ".evil.example", "HTTPS://DASHBOARD.EXAMPLE.ORG",
		dashboard + ":443", "http://localhost:50051@evil.example", "https://evil.example#localhost:50051", "http://[::1", " " + dashboard, dashboard + ", " + dashboard,
	} {
		f.Add(dashboard, origin, "", "localhost:50051", http.MethodPost)
		f.Add(dashboard, origin, "cross-site", "localhost:50051", http.MethodOptions)
	}
	f.Add("http://*", "http://evil.example", "same-site", "127.0.0.1", http.MethodGet)
	f.Add("http://[::1]:80", "http://[::1]:80", "none", "evil.example", http.MethodGet)
	f.Fuzz(func(t *testing.T, allowed, origin, site, host, method string) {
		reached := false
		s, err := New(Config{CORSOrigins: []string{allowed}, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })})
		if err != nil {
			return
		}
		s.loopbackOnly = true
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/discord_api.DiscordApi/SendChannelMessage", nil)
		r.Method, r.Host = method, host
		for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		s.check(s.cfg.Handler).ServeHTTP(w, r)

		if readable := w.Header().Get("Access-Control-Allow-Origin"); readable != "" && (readable != origin || !strings.EqualFold(origin, allowed)) {
			t.Errorf("the page %q may read, allowed is %q: %q", origin, allowed, readable)
		}
		if !reached {
			return
		}
		if name, ok := parseHost(host); !ok || name != "localhost" && !net.ParseIP(name).IsLoopback() {
			t.Errorf("a request to %q got through", host)
		}
		ownPage := site == "same-origin" || site == "none"
		if u, err := url.Parse(origin); site == "" && (origin == "" || err == nil && u.Host == host) {
			ownPage = true
		}
		if !ownPage && origin != allowed {
			t.Errorf("the page %q (%q) got through to %q, allowed is %q", origin, site, host, allowed)
		}
	})
}
