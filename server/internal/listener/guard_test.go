package listener_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// request describes what a browser or another client sends.
type request struct {
	method, path, body string
	host               string
	header             map[string]string
}

// send returns the status, the header and the body of the answer.
func send(t *testing.T, client *http.Client, server *running, r request) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, server.url(r.path), strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = r.host
	for key, value := range r.header {
		req.Header.Set(key, value)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

var httpVersions = map[string]func(testing.TB) *http.Client{"HTTP/1.1": newHTTP1Client, "HTTP/2": newHTTP2Client}

func TestHostCheckOnLoopback(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{}), AllowedHosts: []string{"proxy.example"}})
	_, port, _ := net.SplitHostPort(server.addr)
	for version, client := range httpVersions {
		t.Run(version, func(t *testing.T) {
			for host, want := range map[string]int{
				"":                       http.StatusOK,
				"localhost:" + port:      http.StatusOK,
				"[::1]:" + port:          http.StatusOK,
				"proxy.example":          http.StatusOK,
				"evil.example:" + port:   http.StatusForbidden,
				"evil.example":           http.StatusForbidden,
				"127.0.0.1.evil.example": http.StatusForbidden,
			} {
				code, _, body := send(t, client(t), server, request{
					method: http.MethodPost, path: procedureEcho, body: `"x"`, host: host,
					header: map[string]string{"Content-Type": "application/json"},
				})
				if code != want {
					t.Errorf("host %q: %d %s, want %d", host, code, body, want)
				}
				if code == http.StatusForbidden {
					if code, _ := errorOf(jsonError(body)); code != connect.CodePermissionDenied {
						t.Errorf("host %q: body %s", host, body)
					}
				}
			}
			if code, _, body := send(t, client(t), server, request{method: http.MethodGet, path: "/", host: "evil.example"}); code != http.StatusForbidden {
				t.Errorf("page: %d %s", code, body)
			}
		})
	}
}

func TestHostCheckSpeaksGRPC(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	conn, err := grpc.NewClient(server.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("evil.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Invoke(t.Context(), procedureEmpty, &emptypb.Empty{}, &emptypb.Empty{})
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "host not allowed") {
		t.Errorf("got %v", err)
	}
}

func TestHostCheckBeyondLoopback(t *testing.T) {
	for name, test := range map[string]struct {
		allowed []string
		host    string
		want    int
	}{
		"any host":        {nil, "container.example", http.StatusOK},
		"allowed host":    {[]string{"proxy.example"}, "proxy.example:1", http.StatusOK},
		"localhost":       {[]string{"proxy.example"}, "localhost", http.StatusOK},
		"not among these": {[]string{"proxy.example"}, "container.example", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			s := newService()
			server := serveOn(t, ln, listener.Config{Handler: s.handler(t, rpc.Config{}), AllowedHosts: test.allowed})
			code, _, body := send(t, newHTTP1Client(t), server, request{
				method: http.MethodPost, path: procedureEcho, body: `"x"`, host: test.host,
				header: map[string]string{"Content-Type": "application/json"},
			})
			if code != test.want {
				t.Errorf("%d %s, want %d", code, body, test.want)
			}
		})
	}
}

// reached is a handler that records whether a request reached it.
func reached(next http.Handler, called *bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*called = true
		next.ServeHTTP(w, r)
	})
}

func TestOtherSites(t *testing.T) {
	const friend, enemy = "https://friend.example", "https://enemy.example"
	jsonType := "application/json"
	get := procedureEcho + "?" + url.Values{"encoding": {"json"}, "message": {`"x"`}, "connect": {"v1"}}.Encode()
	header := func(pairs ...string) map[string]string {
		h := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			h[pairs[i]] = pairs[i+1]
		}
		return h
	}
	post := func(contentType string, pairs ...string) request {
		return request{
			method: http.MethodPost, path: procedureEcho, body: `"x"`,
			header: header(append(pairs, "Content-Type", contentType)...),
		}
	}
	read := func(path string, pairs ...string) request {
		return request{method: http.MethodGet, path: path, header: header(pairs...)}
	}
	for name, test := range map[string]struct {
		request request
		reaches bool
		want    int
	}{
		"no browser":                   {post(jsonType), true, 200},
		"own page":                     {post(jsonType, "Origin", "http://localhost", "Sec-Fetch-Site", "same-origin"), true, 200},
		"own page, old browser":        {post(jsonType, "Origin", "http://SERVER"), true, 200},
		"address bar":                  {read(get, "Sec-Fetch-Site", "none"), true, 200},
		"friend":                       {post(jsonType, "Origin", friend, "Sec-Fetch-Site", "cross-site"), true, 200},
		"friend reads":                 {read(get, "Origin", friend, "Sec-Fetch-Site", "cross-site"), true, 200},
		"friend by another scheme":     {post(jsonType, "Origin", "http://friend.example", "Sec-Fetch-Site", "cross-site"), false, 403},
		"friend on another port":       {post(jsonType, "Origin", friend+":444", "Sec-Fetch-Site", "cross-site"), false, 403},
		"enemy":                        {post(jsonType, "Origin", enemy, "Sec-Fetch-Site", "cross-site"), false, 403},
		"enemy, old browser":           {post(jsonType, "Origin", enemy), false, 403},
		"another service on localhost": {post(jsonType, "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"), false, 403},
		"sandboxed frame":              {post(jsonType, "Origin", "null", "Sec-Fetch-Site", "cross-site"), false, 403},
		"sandboxed frame, old browser": {post(jsonType, "Origin", "null"), false, 403},
		"form":                         {post("application/x-www-form-urlencoded", "Origin", enemy, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), false, 403},
		"form as text":                 {post("text/plain", "Origin", enemy, "Sec-Fetch-Site", "cross-site"), false, 403},
		"form with files":              {post("multipart/form-data; boundary=x", "Origin", enemy), false, 403},
		"image":                        {read(get, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), false, 403},
		"link to a procedure":          {read(get, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), false, 403},
		"link to a page":               {read("/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), true, 404},
		"link to a bare procedure":     {read(procedureEcho, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), true, 415},
		"page in a frame":              {read("/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), false, 403},
		"enemy's preflight":            {request{method: http.MethodOptions, path: procedureEcho, header: header("Origin", enemy, "Access-Control-Request-Method", "POST")}, false, 204},
		// Old browsers send forms without any of the headers. Their content
		// types are those that no procedure takes.
		"form without headers":           {post("application/x-www-form-urlencoded"), true, 415},
		"text form without headers":      {post("text/plain"), true, 415},
		"multipart form without headers": {post("multipart/form-data; boundary=x"), true, 415},
	} {
		for version, client := range httpVersions {
			t.Run(name+"/"+version, func(t *testing.T) {
				called := false
				s := newService()
				server := serve(t, listener.Config{
					Handler: reached(s.handler(t, rpc.Config{}), &called), CORSOrigins: []string{friend},
				})
				r := test.request
				r.header = maps.Clone(r.header)
				if origin, ok := r.header["Origin"]; ok {
					r.header["Origin"] = strings.ReplaceAll(origin, "SERVER", server.addr)
				}
				code, answer, body := send(t, client(t), server, r)
				if code != test.want || called != test.reaches {
					t.Errorf("%d %s, reached %t; want %d, %t", code, body, called, test.want, test.reaches)
				}
				allowed := answer.Get("Access-Control-Allow-Origin")
				if want := r.header["Origin"]; want != friend && allowed != "" || want == friend && allowed != friend {
					t.Errorf("Access-Control-Allow-Origin: %q", allowed)
				}
			})
		}
	}
}

func TestPreflight(t *testing.T) {
	const friend = "https://friend.example"
	preflight := request{method: http.MethodOptions, path: procedureEcho, header: map[string]string{
		"Origin": friend, "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": "authorization,baggage,connect-protocol-version,content-type,traceparent,tracestate",
		"Sec-Fetch-Site":                 "cross-site",
	}}
	s := newService()
	handler := s.handler(t, rpc.Config{})
	open := serve(t, listener.Config{Handler: handler, CORSOrigins: []string{friend}})
	if code, header, _ := send(t, newHTTP1Client(t), open, preflight); code != http.StatusNoContent ||
		header.Get("Access-Control-Allow-Origin") != friend ||
		!strings.Contains(header.Get("Access-Control-Allow-Headers"), "connect-protocol-version") ||
		!strings.Contains(header.Get("Access-Control-Allow-Headers"), "baggage") {
		t.Errorf("%d %v", code, header)
	}
	closed := serve(t, listener.Config{Handler: handler})
	if code, header, _ := send(t, newHTTP1Client(t), closed, preflight); code != http.StatusForbidden ||
		header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without CORS: %d %v", code, header)
	}
}

func TestConfigIsValidated(t *testing.T) {
	handler := http.NotFoundHandler()
	for name, cfg := range map[string]listener.Config{
		"no handler":          {},
		"any origin":          {Handler: handler, CORSOrigins: []string{"*"}},
		"origin pattern":      {Handler: handler, CORSOrigins: []string{"https://*.example.org"}},
		"origin with path":    {Handler: handler, CORSOrigins: []string{"https://example.org/"}},
		"origin without host": {Handler: handler, CORSOrigins: []string{"null"}},
		"origin in capitals":  {Handler: handler, CORSOrigins: []string{"HTTPS://example.org"}},
		"host with port":      {Handler: handler, AllowedHosts: []string{"example.org:1"}},
		"negative grace":      {Handler: handler, Grace: -1},
		"negative body size":  {Handler: handler, MaxBodyBytes: -1},
	} {
		if _, err := listener.New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := listener.New(listener.Config{Handler: handler}); err != nil {
		t.Error(err)
	}
}

// Every protocol reaches the handler, and every panic and error comes back.
func TestProtocols(t *testing.T) {
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	for name, newCaller := range protocols {
		t.Run(name, func(t *testing.T) {
			call := newCaller(t, server.addr)
			for _, text := range []string{"", "hello", "ä€😀", repeated("0123456789", 100_000)} {
				if got, err := call(t.Context(), procedureEcho, text); err != nil || got != text {
					t.Errorf("echo of %d bytes: %d bytes, %v", len(text), len(got), err)
				}
			}
			if _, err := call(context.Background(), "/test.Service/Unknown", ""); err == nil {
				t.Error("an unknown procedure answered")
			}
		})
	}
}
