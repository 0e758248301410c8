package rpc_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "discordproxy/gen/discord_api"
)

// received serves one procedure as the server does: content types of any
// spelling, and refusals that explain themselves.
func received(t *testing.T) http.Handler {
	t.Helper()
	options, err := rpc.HandlerOptions(rpc.Config{MaxMessageBytes: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	handler := rpc.GRPCWebText(rpc.ExplainRequests(connect.NewErrorWriter(options...), handle(t, rpc.Config{MaxMessageBytes: 10_000}, echo)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, rpc.Plain(r)) })
}

func compressed(t *testing.T, encoding, text string) string {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if encoding == "deflate" {
		w = zlib.NewWriter(&out)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func decompressed(t *testing.T, encoding, data string) string {
	t.Helper()
	var r io.Reader
	var err error
	if encoding == "deflate" {
		r, err = zlib.NewReader(strings.NewReader(data))
	} else {
		r, err = gzip.NewReader(strings.NewReader(data))
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// framed is a message in the framing of gRPC and of Connect's streams.
func framed(flags byte, message string) string {
	head := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return string(head) + message
}

func TestEncodings(t *testing.T) {
	h := received(t)
	text := strings.Repeat("x", 2000)
	for _, encoding := range []string{"gzip", "deflate"} {
		t.Run(encoding, func(t *testing.T) {
			for range 3 { // the decompressors are used again
				res := post(h, "application/json", compressed(t, encoding, `"`+text+`"`), "Content-Encoding", encoding, "Accept-Encoding", encoding)
				body := readBody(t, res)
				if res.StatusCode != 200 || res.Header.Get("Content-Encoding") != encoding || decompressed(t, encoding, body) != `"`+text+`"` {
					t.Errorf("Connect: %d %v", res.StatusCode, res.Header)
				}
			}
			// A StringValue: field 1, a length of 2000 bytes.
			res := post(h, "application/grpc+proto", framed(1, compressed(t, encoding, "\x0a\xd0\x0f"+text)), "Grpc-Encoding", encoding, "Grpc-Accept-Encoding", encoding, "Te", "trailers")
			body := readBody(t, res)
			if res.Header.Get("Grpc-Encoding") != encoding || res.Trailer.Get("Grpc-Status") != "0" || len(body) < 5 || body[0] != 1 || decompressed(t, encoding, body[5:]) != "\x0a\xd0\x0f"+text {
				t.Errorf("gRPC: %v %v %q", res.Header, res.Trailer, body)
			}
			bomb := compressed(t, encoding, `"`+strings.Repeat("0", 10<<20)+`"`)
			if res := post(h, "application/json", bomb, "Content-Encoding", encoding); res.StatusCode != 429 {
				t.Errorf("bomb: %d %s", res.StatusCode, readBody(t, res))
			}
			for _, broken := range []string{"not compressed", ""} {
				if res := post(h, "application/grpc+proto", framed(1, broken), "Grpc-Encoding", encoding); broken != "" && res.Trailer.Get("Grpc-Status") != "3" && res.Header.Get("Grpc-Status") != "3" {
					t.Errorf("broken: %v %v", res.Header, res.Trailer)
				}
			}
		})
	}
}

func TestUnknownEncodings(t *testing.T) {
	h := received(t)
	for _, tt := range []struct{ contentType, sent, accepted string }{
		{"application/grpc", "Grpc-Encoding", "Grpc-Accept-Encoding"},
		{"application/grpc-web+proto", "Grpc-Encoding", "Grpc-Accept-Encoding"},
		{"application/json", "Content-Encoding", "Accept-Encoding"},
	} {
		res := post(h, tt.contentType, framed(1, "x"), tt.sent, "snappy")
		said := fmt.Sprint(readBody(t, res), res.Header, res.Trailer)
		if !strings.Contains(said, `unknown compression "snappy": use gzip, deflate or identity`) && !strings.Contains(said, `unknown compression \"snappy\": use gzip, deflate or identity`) {
			t.Errorf("%s: %s", tt.contentType, said)
		}
		if got := res.Header.Get(tt.accepted); got != "gzip,deflate" {
			t.Errorf("%s: %s is %q", tt.contentType, tt.accepted, got)
		}
		if values, ok := res.Header["Grpc-Encoding"]; ok {
			t.Errorf("%s: Grpc-Encoding is %q", tt.contentType, values)
		}
		if strings.HasPrefix(tt.contentType, "application/grpc") {
			if !strings.Contains(strings.ToLower(said), "grpc-status:[12]") && !strings.Contains(said, "grpc-status: 12") {
				t.Errorf("%s: not UNIMPLEMENTED: %s", tt.contentType, said)
			}
		} else if res.StatusCode != http.StatusNotImplemented {
			t.Errorf("%s: %d", tt.contentType, res.StatusCode)
		}
	}
}

func TestContentTypesOfAnySpelling(t *testing.T) {
	h := received(t)
	message := framed(0, "\x0a\x01x")
	for contentType, body := range map[string]string{
		"application/json":                           `"x"`,
		"Application/JSON; Charset=UTF-8":            `"x"`,
		`application/json;charset="utf-8"; v=1`:      `"x"`,
		"application/json;":                          `"x"`,
		" application/json ;charset=utf-8;charset=x": `"x"`,
		"APPLICATION/PROTO; messageType=\"a.B\"":     "\x0a\x01x",
		"application/grpc":                           message,
		"Application/gRPC+Proto":                     message,
		"application/grpc+proto; charset=utf-8":      message,
		"application/grpc; charset=utf-8":            message,
		"application/gRPC-Web+proto;x=y":             message,
		"application/grpc-web-text; charset=utf-8":   "AAAAAAMKAXg=",
		"application/GRPC-web-text+PROTO":            "AAAAAAMKAXg=",
	} {
		res := post(h, contentType, body)
		said := readBody(t, res)
		status := res.Trailer.Get("Grpc-Status")
		if res.StatusCode != 200 || strings.Contains(contentType, "+") && status != "" && status != "0" || !strings.Contains(said, "x") && !strings.Contains(said, "AAAAAAMKAXg") {
			t.Errorf("%q: %d %q %v", contentType, res.StatusCode, said, res.Trailer)
		}
	}
	for _, contentType := range []string{
		"", "text/plain", "application/x-www-form-urlencoded; charset=UTF-8", "application/xml",
		"application/jsonp", "application/json charset=utf-8", "application/json, application/json", "application/protobuf", "application/connect+xml",
		"application/grpc+thrift", "application/grpcs", "application/grpc-web+xml", "application/grpc-web-text+xml",
	} {
		res := post(h, contentType, `"x"`)
		said := readBody(t, res)
		if res.StatusCode != http.StatusUnsupportedMediaType || !strings.HasPrefix(said, "Content-Type ") || !strings.Contains(said, " is not supported: send ") {
			t.Errorf("%q: %d %s", contentType, res.StatusCode, said)
		}
	}
}

func TestEncodingsOfAnySpelling(t *testing.T) {
	h := received(t)
	if res := post(h, "application/json", "\ufeff\"x\""); res.StatusCode != 200 {
		t.Errorf("with a byte order mark: %d %s", res.StatusCode, readBody(t, res))
	}
	for encoding, format := range map[string]string{"GZIP": "gzip", "x-gzip": "gzip", "X-GZip": "gzip", "Deflate": "deflate", "Identity": ""} {
		body := `"x"`
		if format != "" {
			body = compressed(t, format, body)
		}
		if res := post(h, "application/json", body, "Content-Encoding", encoding); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", encoding, res.StatusCode, readBody(t, res))
		}
	}
}

// TestOtherHTTPMethods: only POST reaches a method, and GET those that Connect
// lets clients call that way.
func TestOtherHTTPMethods(t *testing.T) {
	for _, tt := range []struct {
		verb, method string
		reached      bool
	}{
		{"POST", "SendDirectMessage", true},
		{"GET", "SendDirectMessage", false},
		{"PUT", "SendDirectMessage", false},
		{"GET", "SubscribeEvents", false},
		{"GET", "GetGuildChannels?encoding=json&message=%7B%7D", true},
		{"GET", "GetGuildChannels", false},
		{"DELETE", "GetGuildChannels", false},
		{"GET", "Nothing", false},
	} {
		reached := false
		h := rpc.ExplainRequests(connect.NewErrorWriter(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		req := httptest.NewRequestWithContext(t.Context(), tt.verb, "/discord_api.DiscordApi/"+tt.method, strings.NewReader("{}"))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if reached != tt.reached || !reached && (w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" ||
			!strings.Contains(w.Body.String(), `HTTP method "`+tt.verb+`" is not supported here: send a JSON object by POST`)) {
			t.Errorf("%s %s: reached %t, %d %v %s", tt.verb, tt.method, reached, w.Code, w.Header(), w.Body)
		}
	}
}

// TestStreamsAndOthers: the type of a stream for a method that is none, and the
// other way round, is refused with what to send instead.
func TestStreamsAndOthers(t *testing.T) {
	reached := false
	h := rpc.ExplainRequests(connect.NewErrorWriter(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	for _, tt := range []struct{ path, contentType, want string }{
		{"/discord_api.DiscordApi/SubscribeEvents", "application/json", "SubscribeEvents streams: send Content-Type application/connect+json"},
		{"/discord_api.DiscordApi/SubscribeEvents", "application/proto", "SubscribeEvents streams: send"},
		{"/discord_api.DiscordApi/SendDirectMessage", "application/connect+json", "SendDirectMessage does not stream: send Content-Type application/json"},
		{"/discord_api.DiscordApi/SubscribeEvents", "application/connect+json", ""},
		{"/discord_api.DiscordApi/SubscribeEvents", "application/grpc", ""},
		{"/discord_api.DiscordApi/SendDirectMessage", "application/json", ""},
		{"/discord_api.DiscordApi/SendDirectMessage", "application/grpc-web+proto", ""},
		{"/discord_api.DiscordApi/Nothing", "application/json", ""},
		{"/nothing", "application/json", ""},
	} {
		reached = false
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, tt.path, strings.NewReader("{}"))
		req.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if reached != (tt.want == "") || !reached && (w.Code != http.StatusUnsupportedMediaType || !strings.HasPrefix(w.Body.String(), tt.want)) {
			t.Errorf("%s as %s: %d %s", tt.path, tt.contentType, w.Code, w.Body)
		}
	}
}

func TestJSONErrorsHelp(t *testing.T) {
	h := handle(t, rpc.Config{}, func(context.Context, *pb.SendDirectMessageRequest) (*wrapperspb.StringValue, error) {
		return nil, nil
	})
	for body, want := range map[string]string{
		`{"contnet":"x"}`:                         `unknown field \"contnet\" (line 1:2): did you mean \"content\"?`,
		`{"userId":"1","somebody":"2"}`:           `unknown field \"somebody\" (line 1:15): SendDirectMessageRequest has userId, content, embed`,
		`{"embed":{"titel":"x"}}`:                 `unknown field \"titel\" (line 1:11): did you mean \"title\" of Embed?`,
		`{"content":"a\ud83d"}`:                   `\\ud83d is half of a surrogate pair`,
		`{"content":"\\\ude00 x"}`:                `\\ude00 is half of a surrogate pair`,
		`{"content":"\ud83d\u0041"}`:              `\\ud83d is half of a surrogate pair`,
		`{"content":"\ud83d\\ude00"}`:             `\\ud83d is half of a surrogate pair`,
		"{\"content\":\"\xff\"}":                  `the JSON is not encoded in UTF-8`,
		`[{"content":"x"}]`:                       `the JSON begins with \"[{\\\"content\\\":\\\"x\\\"}]\": an object such as {} is needed`,
		" null":                                   `the JSON begins with \"null\": an object`,
		"\ufeff7":                                 `the JSON begins with \"7\": an object`,
		"\ufeff":                                  `empty body: send a JSON object`,
		`{"content":5}`:                           `invalid value for string field content: 5`,
		`{"\ud83d\ude00":1,"content":"\\ud8"}`:    `unknown field \"😀\"`,
		`{"` + strings.Repeat("z", 5000) + `":1}`: `unknown field`,
	} {
		res := post(h, "application/json", body)
		if said := readBody(t, res); res.StatusCode != 400 || !strings.Contains(said, want) || len(said) > 1000 {
			t.Errorf("%.100s: %d %s", body, res.StatusCode, said)
		}
	}
}
