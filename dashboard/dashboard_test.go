package dashboard_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/dashboard"
	proxy "discordproxy/server"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestPage: the page loads nothing from other sites, and browsers download it again only
// after it has changed.
func TestPage(t *testing.T) {
	total, zipped := 0, 0
	for _, c := range []struct{ path, contentType, holds string }{
		{"/", "text/html; charset=utf-8", "<title>Discord Proxy</title>"},
		{"/dashboard/app.js", "text/javascript; charset=utf-8", "discord_api"},
		{"/dashboard/chart.js", "text/javascript; charset=utf-8", "u-legend"},
		{"/dashboard/style.css", "text/css; charset=utf-8", "light-dark("},
		{"/dashboard/icon.svg", "image/svg+xml", "<svg"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		dashboard.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.holds) {
			t.Errorf("%s is answered with %d %s", c.path, w.Code, w.Header())
		}
		total += w.Body.Len()
		r.Header.Set("Accept-Encoding", "br, gzip")
		small := httptest.NewRecorder()
		dashboard.Handler().ServeHTTP(small, r)
		plain, err := gzip.NewReader(bytes.NewReader(small.Body.Bytes()))
		if err != nil || small.Header().Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s has the encoding %q: %v", c.path, small.Header().Get("Content-Encoding"), err)
		}
		if text, err := io.ReadAll(plain); err != nil || string(text) != w.Body.String() {
			t.Errorf("%s is another one compressed: %v", c.path, err)
		}
		if c.path == "/dashboard/chart.js" { // comes with the first chart
			if n := small.Body.Len(); n > 26<<10 {
				t.Errorf("%s has %d bytes compressed", c.path, n)
			}
		} else {
			zipped += small.Body.Len()
		}
		for _, refuses := range []string{"", "gzip;q=0", "gzip; q=0.0", "br", "*"} {
			r.Header.Set("Accept-Encoding", refuses)
			plain := httptest.NewRecorder()
			dashboard.Handler().ServeHTTP(plain, r)
			if plain.Header().Get("Content-Encoding") != "" || plain.Body.Len() != w.Body.Len() {
				t.Errorf("%s is compressed for %q", c.path, refuses)
			}
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s has the headers %s", c.path, w.Header())
		}
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		dashboard.Handler().ServeHTTP(again, r)
		if again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s is answered again with %d", c.path, again.Code)
		}
	}
	if total > 400<<10 || zipped > 90_000 {
		t.Errorf("the page has %d bytes, and %d compressed", total, zipped)
	}
	w := httptest.NewRecorder()
	dashboard.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dashboard/index.html", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("a file that is not there is answered with %d", w.Code)
	}
}

// server is a discordproxyserver with a sandbox that can be started
// again on the same port.
type server struct {
	t    *testing.T
	port string

	mu sync.Mutex
	p  *proxytest.Proxy
}

func (s *server) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p = proxytest.Start(s.t, "--sandbox", "--port", s.port, "--shutdown-grace", "1s")
	s.p.WaitReady(s.t)
	_, s.port, _ = net.SplitHostPort(s.p.Address)
}

func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.Stop()
}

// keyed is a discordproxyserver whose clients need a key.
type keyed struct {
	t        *testing.T
	authFile string
	// keys of the clients, by name, and the hashes of them.
	keys, hashes map[string]string
	p            *proxytest.Proxy
}

func newKeyed(t *testing.T) *keyed {
	k := &keyed{t: t, authFile: filepath.Join(t.TempDir(), "auth.yaml"), keys: map[string]string{}, hashes: map[string]string{}}
	for _, name := range []string{"admin", "sender", "watcher", "fired"} {
		k.keys[name], k.hashes[name] = proxy.NewKey()
	}
	k.write(`
  - {name: fired, hashes: ["` + k.hashes["fired"] + `"]}`)
	k.p = proxytest.Start(t, "--sandbox", "--auth-file", k.authFile, "--shutdown-grace", "1s")
	k.p.WaitReady(t)
	return k
}

func (k *keyed) write(more string) {
	text := `clients:
  - {name: admin, hashes: ["` + k.hashes["admin"] + `"]}
  - {name: sender, methods: ["Send*"], hashes: ["` + k.hashes["sender"] + `"]}
  - {name: watcher, methods: [dashboard], hashes: ["` + k.hashes["watcher"] + `"]}` + more
	if err := os.WriteFile(k.authFile, []byte(text), 0o600); err != nil {
		k.t.Error(err)
	}
}

// fire takes the key of fired away, and returns when the server knows.
func (k *keyed) fire() {
	k.write("")
	client := k.p.ClientsAs(k.t, proxytest.Identity{Key: k.keys["fired"]})["gRPC"]
	for k.t.Context().Err() == nil {
		_, err := client.GetCurrentUser(k.t.Context(), new(pb.GetCurrentUserRequest))
		if connect.CodeOf(err) == connect.CodeUnauthenticated {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// control serves the scenarios what a browser cannot do.
func (s *server) control(python string, k *keyed) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fire", func(http.ResponseWriter, *http.Request) { k.fire() })
	mux.HandleFunc("POST /start", func(http.ResponseWriter, *http.Request) { s.start() })
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { s.stop() })
	run := func(command ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			lines, _ := io.ReadAll(r.Body)
			out, err := exec.CommandContext(r.Context(), command[0], append(command[1:], string(lines))...).CombinedOutput()
			if err != nil {
				http.Error(w, err.Error()+"\n"+string(out), http.StatusInternalServerError)
			}
		}
	}
	mux.HandleFunc("POST /run/curl", run("sh", "-c"))
	mux.HandleFunc("POST /run/Python", run(python, "-c"))
	return mux
}

// belowPath is a reverse proxy that has a server below /discord/ and nothing at
// other paths.
func belowPath(t *testing.T, server string) http.Handler {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/discord/", http.StripPrefix("/discord", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which browsers compare with the origin
		},
		FlushInterval: -1,
	}))
	return mux
}

func TestBrowser(t *testing.T) {
	require.Command(t, "curl", "apt-get install curl")
	s := &server{t: t, port: "0"}
	k := newKeyed(t)
	control := httptest.NewServer(s.control(require.Python(t), k))
	defer control.Close()
	keys, err := json.Marshal(k.keys)
	if err != nil {
		t.Fatal(err)
	}
	s.start()

	contents := proxytest.Start(t, "--sandbox", "--dashboard-show-content", "--shutdown-grace", "1s")
	contents.WaitReady(t)

	below := httptest.NewServer(belowPath(t, "http://"+net.JoinHostPort("127.0.0.1", s.port)))
	defer below.Close()

	proxytest.Browse(t, ".", "PROXY=http://"+net.JoinHostPort("127.0.0.1", s.port), "BELOW="+below.URL+"/discord", "KEYED="+k.p.URL(), "CONTENTS="+contents.URL(),
		"KEYS="+string(keys), "CONTROL="+control.URL)
}
