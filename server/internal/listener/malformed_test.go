package listener_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"discordproxy/server/internal/listener"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

// What is not a proper call gets an error and does not reach the procedure.
func TestMalformedCalls(t *testing.T) {
	const (
		hello = "\x00\x00\x00\x00\x07\x0a\x05hello" // a frame with a StringValue
		json  = "application/json"
		proto = "application/proto"
		grpc  = "application/grpc"
		web   = "application/grpc-web+proto"
	)
	s := newService()
	server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
	for name, test := range map[string]struct {
		method, path, contentType, body string
		header                          map[string]string
		http                            int
		grpc                            connect.Code // for gRPC and gRPC-Web, whose HTTP status is 200
	}{
		"proper JSON":        {"POST", procedureEcho, json, `"x"`, nil, 200, 0},
		"proper proto":       {"POST", procedureEcho, proto, "\x0a\x05hello", nil, 200, 0},
		"proper gRPC":        {"POST", procedureEcho, grpc, hello, nil, 200, 0},
		"proper gRPC-Web":    {"POST", procedureEcho, web, hello, nil, 200, 0},
		"unknown procedure":  {"POST", "/test.Service/Nothing", json, `"x"`, nil, 404, 0},
		"unknown service":    {"POST", "/nothing.Service/Echo", grpc, hello, nil, 404, 0},
		"method":             {"PUT", procedureEcho, json, `"x"`, nil, 405, 0},
		"GET for an effect":  {"GET", procedureHold + "?encoding=json&message=%22x%22", "", "", nil, 405, 0},
		"no content type":    {"POST", procedureEcho, "", `"x"`, nil, 415, 0},
		"XML":                {"POST", procedureEcho, "application/xml", `"x"`, nil, 415, 0},
		"unknown codec":      {"POST", procedureEcho, "application/grpc+thrift", hello, nil, 415, 0},
		"bad content type":   {"POST", procedureEcho, "application/json; charset", `"x"`, nil, 415, 0},
		"other charset":      {"POST", procedureEcho, "application/json; charset=latin-1", `"x"`, nil, 415, 0},
		"unknown encoding":   {"POST", procedureEcho, json, `"x"`, map[string]string{"Content-Encoding": "br"}, 501, 0},
		"unknown version":    {"POST", procedureEcho, json, `"x"`, map[string]string{"Connect-Protocol-Version": "2"}, 400, 0},
		"bad timeout":        {"POST", procedureEcho, json, `"x"`, map[string]string{"Connect-Timeout-Ms": "soon"}, 400, 0},
		"cut-off JSON":       {"POST", procedureEcho, json, `"x`, nil, 400, 0},
		"invalid UTF-8":      {"POST", procedureEcho, json, "\"\xff\"", nil, 400, 0},
		"cut-off proto":      {"POST", procedureEcho, proto, "\x0a\x05hel", nil, 400, 0},
		"UTF-8 in proto":     {"POST", procedureEcho, proto, "\x0a\x01\xff", nil, 400, 0},
		"no frame":           {"POST", procedureEcho, grpc, "", nil, 200, connect.CodeUnimplemented},
		"half a prefix":      {"POST", procedureEcho, grpc, "\x00\x00", nil, 200, connect.CodeInternal},
		"cut-off frame":      {"POST", procedureEcho, grpc, hello[:9], nil, 200, connect.CodeInternal},
		"length too large":   {"POST", procedureEcho, grpc, "\x00\x00\x00\x00\xff\x0a\x05hello", nil, 200, connect.CodeInternal},
		"length too small":   {"POST", procedureEcho, grpc, "\x00\x00\x00\x00\x03\x0a\x05hello", nil, 200, connect.CodeInvalidArgument},
		"4 GB announced":     {"POST", procedureEcho, grpc, "\x00\xff\xff\xff\xffhello", nil, 200, connect.CodeResourceExhausted},
		"two frames":         {"POST", procedureEcho, grpc, hello + hello, nil, 200, connect.CodeUnimplemented},
		"invalid in a frame": {"POST", procedureEcho, grpc, "\x00\x00\x00\x00\x03\x0a\x01\xff", nil, 200, connect.CodeInvalidArgument},
		"not compressed":     {"POST", procedureEcho, grpc, "\x01" + hello[1:], map[string]string{"Grpc-Encoding": "gzip"}, 200, connect.CodeInvalidArgument},
		"compressed, how":    {"POST", procedureEcho, grpc, "\x01" + hello[1:], nil, 200, connect.CodeInternal},
		"unknown flag":       {"POST", procedureEcho, grpc, "\x40" + hello[1:], nil, 200, connect.CodeInternal},
		"gRPC timeout":       {"POST", procedureEcho, grpc, hello, map[string]string{"Grpc-Timeout": "1 century"}, 200, connect.CodeInvalidArgument},
		"gRPC encoding":      {"POST", procedureEcho, grpc, hello, map[string]string{"Grpc-Encoding": "br"}, 200, connect.CodeUnimplemented},
		"cut-off web frame":  {"POST", procedureEcho, web, hello[:9], nil, 200, connect.CodeInternal},
		"web text":           {"POST", procedureEcho, "application/grpc-web-text", hello, nil, 415, 0},
	} {
		for version, client := range httpVersions {
			t.Run(name+"/"+version, func(t *testing.T) {
				req, err := http.NewRequestWithContext(t.Context(), test.method, server.url(test.path), strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				if test.contentType != "" {
					req.Header.Set("Content-Type", test.contentType)
				}
				for key, value := range test.header {
					req.Header.Set(key, value)
				}
				res, err := client(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != test.http {
					t.Fatalf("%d %q, want %d", res.StatusCode, body, test.http)
				}
				if got := grpcStatus(res, body); got != "" && got != strconv.Itoa(int(test.grpc)) {
					t.Errorf("grpc-status %s, want %d (%s)", got, test.grpc, res.Trailer.Get("Grpc-Message"))
				}
			})
		}
	}
}

// grpcStatus finds the status in trailers, header or gRPC-Web's last frame.
func grpcStatus(res *http.Response, body []byte) string {
	for _, header := range []http.Header{res.Trailer, res.Header} {
		if status := header.Get("Grpc-Status"); status != "" {
			return status
		}
	}
	_, rest, found := bytes.Cut(body, []byte("grpc-status: "))
	if !found {
		return ""
	}
	status, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(status)
}

// A request whose end never comes because the client is gone does not keep
// anything.
func TestClientsThatLeave(t *testing.T) {
	for name, newCaller := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService()
			server := serve(t, listener.Config{Handler: s.handler(t, rpc.Config{})})
			call := newCaller(t, server.addr)
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 1)
			go func() {
				_, err := call(ctx, procedureHold, "")
				left <- err
			}()
			waitFor(t, "held call", func() bool { return s.holding.Load() == 1 })
			cancel()
			if err := <-left; err == nil {
				t.Error("the call succeeded")
			}
			waitFor(t, "no call", func() bool { return s.holding.Load() == 0 })
		})
	}
}
