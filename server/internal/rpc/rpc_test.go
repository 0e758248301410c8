package rpc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "discordproxy/gen/discord_api"
)

const procedure = "/test.Service/Call"

// handle serves one procedure with the shared options.
func handle[Req, Res any](t testing.TB, cfg rpc.Config, call func(context.Context, *Req) (*Res, error), interceptors ...connect.Interceptor) http.Handler {
	t.Helper()
	options, err := rpc.HandlerOptions(cfg, interceptors...)
	if err != nil {
		t.Fatal(err)
	}
	return rpc.WithRequestID(connect.NewUnaryHandlerSimple(procedure, call, connect.WithHandlerOptions(options...)))
}

func echo(_ context.Context, m *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return m, nil
}

// post sends one Connect request and returns status and body.
func post(h http.Handler, contentType, body string, header ...string) *http.Response {
	req := httptest.NewRequestWithContext(context.Background(), http.MethodPost, procedure, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func readBody(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// sameJSON compares JSON texts regardless of white space.
func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var a, b bytes.Buffer
	if err := errors.Join(json.Compact(&a, []byte(got)), json.Compact(&b, []byte(want))); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if a.String() != b.String() {
		t.Errorf("got  %s\nwant %s", a.String(), b.String())
	}
}

func TestJSONAnswers(t *testing.T) {
	answer := &pb.SendChannelMessageRequest{ChannelId: 1234567890123456789}
	h := handle(t, rpc.Config{}, func(context.Context, *wrapperspb.StringValue) (*pb.SendChannelMessageRequest, error) {
		return answer, nil
	})
	// Ids are strings, default values are there, an absent message and an
	// optional field that was not set are not, names are lowerCamelCase.
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8"} {
		res := post(h, contentType, `"x"`)
		sameJSON(t, readBody(t, res), `{
			"channelId":"1234567890123456789","content":"","embeds":[],"nonce":"","suppressMentions":false,"attachments":[],"components":[],
			"stickerIds":[],"suppressEmbeds":false,"suppressNotifications":false,"tts":false,"componentsV2":false}`)
	}
	answer.EnforceNonce = proto.Bool(false)
	answer.Embed = &pb.Embed{}
	if body := readBody(t, post(h, "application/json", `"x"`)); !strings.Contains(body, `"enforceNonce"`) || !strings.Contains(body, `"embed"`) {
		t.Errorf("fields that are set are missing: %s", body)
	}
}

func TestJSONEnumsAreNames(t *testing.T) {
	h := handle(t, rpc.Config{}, func(context.Context, *wrapperspb.StringValue) (*typepb.Field, error) {
		return &typepb.Field{Kind: typepb.Field_TYPE_BOOL}, nil
	})
	body := readBody(t, post(h, "application/json", `"x"`))
	for _, part := range []string{`"TYPE_BOOL"`, `"CARDINALITY_UNKNOWN"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
}

func TestJSONRequests(t *testing.T) {
	h := handle(t, rpc.Config{}, func(_ context.Context, m *pb.SendChannelMessageRequest) (*wrapperspb.UInt64Value, error) {
		return wrapperspb.UInt64(m.GetChannelId()), nil
	})
	for name, test := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"id as string":       {`{"channelId":"1234567890123456789"}`, 200, `"1234567890123456789"`},
		"id as number":       {`{"channelId":1234567890123456789}`, 200, `"1234567890123456789"`},
		"proto's field name": {`{"channel_id":"5"}`, 200, `"5"`},
		"unknown field":      {`{"channelId":"5","later":{"a":[1]}}`, 400, ""},
		"null":               {`{"channelId":null}`, 200, `"0"`},
		"empty object":       {`{}`, 200, `"0"`},
		"empty body":         {``, 400, ""},
		"no JSON":            {`{"channelId":`, 400, ""},
		"no id":              {`{"channelId":"x"}`, 400, ""},
		"negative id":        {`{"channelId":"-1"}`, 400, ""},
		"above 64 bits":      {`{"channelId":"18446744073709551616"}`, 400, ""},
		"invalid UTF-8":      {"{\"content\":\"\xff\"}", 400, ""},
		"array":              {`[]`, 400, ""},
		"deeply nested":      {strings.Repeat(`{"x":`, 20_000) + "1" + strings.Repeat("}", 20_000), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := post(h, "application/json", test.body)
			body := readBody(t, res)
			if res.StatusCode != test.status || test.want != "" && body != test.want {
				t.Errorf("%d %s; want %d %s", res.StatusCode, body, test.status, test.want)
			}
		})
	}
}

// A value that cannot be used is quoted in the error, but not at any length.
func TestJSONErrorsAreShort(t *testing.T) {
	h := handle(t, rpc.Config{}, echo)
	res := post(h, "application/json", "["+strings.Repeat("z", 1<<20)+"]")
	if body := readBody(t, res); res.StatusCode != 400 || len(body) > 1000 {
		t.Errorf("%d with %d bytes", res.StatusCode, len(body))
	}
}

func TestMessageLimit(t *testing.T) {
	t.Run("all methods", func(t *testing.T) { testMessageLimit(t, rpc.Config{MaxMessageBytes: 1000}) })
	t.Run("one method", func(t *testing.T) {
		testMessageLimit(t, rpc.Config{MaxMessageBytes: 100, LargeMessages: func(connect.Spec) int { return 1000 }})
	})
	t.Run("no less for others", func(t *testing.T) {
		testMessageLimit(t, rpc.Config{MaxMessageBytes: 1000, LargeMessages: func(connect.Spec) int { return 0 }})
	})
}

// testMessageLimit expects a limit of 1000 bytes.
func testMessageLimit(t *testing.T, cfg rpc.Config) {
	h := handle(t, cfg, echo)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = fmt.Fprintf(w, "%q", strings.Repeat("0", 10<<20))
	_ = w.Close()
	for name, test := range map[string]struct {
		body, encoding string
		status         int
	}{
		"fits":     {`"` + strings.Repeat("x", 900) + `"`, "identity", 200},
		"too long": {`"` + strings.Repeat("x", 1000) + `"`, "identity", 429},
		"bomb":     {bomb.String(), "gzip", 429},
		"no gzip":  {"not gzip", "gzip", 400},
	} {
		t.Run(name, func(t *testing.T) {
			res := post(h, "application/json", test.body, "Content-Encoding", test.encoding)
			if body := readBody(t, res); res.StatusCode != test.status {
				t.Errorf("%d %s, want %d", res.StatusCode, body, test.status)
			}
		})
	}
}

// A message that is too large is not decompressed further.
func TestBombsCostLittle(t *testing.T) {
	h := handle(t, rpc.Config{MaxMessageBytes: 1000}, echo)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = fmt.Fprintf(w, "%q", strings.Repeat("0", 500_000))
	_ = w.Close()
	// The checksum is at the end, and reading up to it finds it wrong.
	bomb.Bytes()[bomb.Len()-8] ^= 1
	res := post(h, "application/json", bomb.String(), "Content-Encoding", "gzip")
	if body := readBody(t, res); res.StatusCode != 429 || strings.Contains(body, "checksum") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestSmallAnswersAreNotCompressed(t *testing.T) {
	h := handle(t, rpc.Config{}, echo)
	for _, test := range []struct {
		size int
		want string
	}{{100, ""}, {2000, "gzip"}} {
		res := post(h, "application/json", `"`+strings.Repeat("x", test.size)+`"`, "Accept-Encoding", "gzip")
		readBody(t, res)
		if got := res.Header.Get("Content-Encoding"); got != test.want {
			t.Errorf("answer of %d bytes has encoding %q, want %q", test.size, got, test.want)
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	for _, cfg := range []rpc.Config{{MaxMessageBytes: -1}, {CompressMinBytes: -1}} {
		if _, err := rpc.HandlerOptions(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// watcher is an interceptor that notes the error that it sees.
type watcher struct{ seen error }

func (w *watcher) intercept(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		w.seen = err
		return res, err
	}
}

func TestPanicIsOneAnswerAndOneLogLine(t *testing.T) {
	var logged bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&logged, nil))
	w := new(watcher)
	h := handle(t, rpc.Config{Logger: logger}, func(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		panic("internal secret")
	}, connect.UnaryInterceptorFunc(w.intercept))

	res := post(h, "application/json", `"x"`, "X-Request-Id", "name-of-the-call")
	sameJSON(t, readBody(t, res), `{"code":"internal","message":"internal error"}`)
	if connect.CodeOf(w.seen) != connect.CodeInternal {
		t.Errorf("the interceptor saw %v", w.seen)
	}
	var line struct{ Msg, Method, Panic, Stack, Request_id string } //nolint:revive // the log's name
	decoder := json.NewDecoder(&logged)
	if err := decoder.Decode(&line); err != nil {
		t.Fatal(err)
	}
	if line.Panic != "internal secret" || line.Method != procedure || line.Request_id != "name-of-the-call" ||
		!strings.Contains(line.Stack, "rpc_test.go") {
		t.Errorf("log line %+v", line)
	}
	if decoder.More() {
		t.Error("more than one log line")
	}
}

func TestPanicInAnInterceptor(t *testing.T) {
	h := handle(t, rpc.Config{Logger: slog.New(slog.DiscardHandler)}, echo,
		connect.UnaryInterceptorFunc(func(connect.UnaryFunc) connect.UnaryFunc {
			return func(context.Context, connect.AnyRequest) (connect.AnyResponse, error) { panic("secret") }
		}))
	sameJSON(t, readBody(t, post(h, "application/json", `"x"`)), `{"code":"internal","message":"internal error"}`)
}

func TestLongErrorsAreBounded(t *testing.T) {
	h := handle(t, rpc.Config{}, func(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		return nil, connect.NewError(connect.CodeNotFound, errors.New(strings.Repeat("x", 10_000)))
	})
	res := post(h, "application/grpc", "\x00\x00\x00\x00\x00")
	readBody(t, res)
	if n := len(res.Trailer.Get("Grpc-Message")); n != rpc.MaxErrorMessage {
		t.Errorf("grpc-message has %d bytes", n)
	}
}

func TestInterruptedCallsAnswerTheCause(t *testing.T) {
	shuttingDown := connect.NewError(connect.CodeUnavailable, errors.New("the proxy is shutting down"))
	for name, test := range map[string]struct {
		err   func(context.Context) error
		cause error
		want  string
	}{
		"context's error":   {func(ctx context.Context) error { return ctx.Err() }, shuttingDown, `{"code":"unavailable","message":"the proxy is shutting down"}`},
		"cause":             {context.Cause, shuttingDown, `{"code":"unavailable","message":"the proxy is shutting down"}`},
		"wrapped, canceled": {func(ctx context.Context) error { return connect.NewError(connect.CodeCanceled, ctx.Err()) }, shuttingDown, `{"code":"unavailable","message":"the proxy is shutting down"}`},
		"unknown":           {func(context.Context) error { return errors.New("broken off") }, shuttingDown, `{"code":"unavailable","message":"the proxy is shutting down"}`},
		"details": {func(context.Context) error {
			return connect.NewError(connect.CodeUnavailable, errors.New("outcome unknown"))
		}, shuttingDown, `{"code":"unavailable","message":"outcome unknown"}`},
		"cause is no answer": {func(ctx context.Context) error { return ctx.Err() }, errors.New("inner"), `{"code":"canceled","message":"context canceled"}`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			h := handle(t, rpc.Config{}, func(ctx context.Context, _ *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
				cancel(test.cause)
				return nil, test.err(ctx)
			})
			req := httptest.NewRequestWithContext(ctx, http.MethodPost, procedure, strings.NewReader(`"x"`))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			sameJSON(t, w.Body.String(), test.want)
		})
	}
}

func TestRequestID(t *testing.T) {
	var seen, peer string
	h := rpc.WithRequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen, peer = rpc.RequestID(r.Context()), rpc.Peer(r.Context())
	}))
	for name, test := range map[string]struct {
		sent string
		kept bool
	}{
		"none":      {"", false},
		"sane":      {"abc-123/~!", true},
		"longest":   {strings.Repeat("x", 64), true},
		"too long":  {strings.Repeat("x", 65), false},
		"space":     {"a b", false},
		"newline":   {"a\nb", false},
		"non-ASCII": {"ä", false},
		"delete":    {"a\x7f", false},
	} {
		t.Run(name, func(t *testing.T) {
			res := post(h, "application/json", "", rpc.RequestIDHeader, test.sent)
			if (seen == test.sent) != test.kept || seen == "" {
				t.Errorf("sent %q, got %q", test.sent, seen)
			}
			if got := res.Header.Get(rpc.RequestIDHeader); got != seen {
				t.Errorf("answered %q, handler saw %q", got, seen)
			}
			if peer == "" {
				t.Error("no peer")
			}
		})
	}
	if rpc.RequestID(t.Context()) != "" || rpc.Peer(t.Context()) != "" {
		t.Error("a context without request has an id")
	}
}

// TestContextCode: expired deadlines and cancelled calls have their own codes, however
// they are wrapped, and no other error has these codes.
func TestContextCode(t *testing.T) {
	for err, want := range map[error]connect.Code{
		context.DeadlineExceeded: connect.CodeDeadlineExceeded, os.ErrDeadlineExceeded: connect.CodeDeadlineExceeded,
		fmt.Errorf("read: %w", context.DeadlineExceeded):        connect.CodeDeadlineExceeded,
		errors.Join(context.Canceled, context.DeadlineExceeded): connect.CodeDeadlineExceeded,
		context.Canceled: connect.CodeCanceled, fmt.Errorf("read: %w", context.Canceled): connect.CodeCanceled,
		nil: connect.CodeUnknown, io.EOF: connect.CodeUnknown,
	} {
		if code, ended := rpc.ContextCode(err); code != want || ended != (want != connect.CodeUnknown) {
			t.Errorf("%v: %v, %v", err, code, ended)
		}
	}
}

// TestInterrupted: each caller gets an error of its own, and only where the server
// ended the call.
func TestInterrupted(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	if err := rpc.Interrupted(ctx); err != nil {
		t.Errorf("before the end: %v", err)
	}
	end(rpc.ErrShuttingDown)
	one, other := rpc.Interrupted(ctx), rpc.Interrupted(ctx)
	if one == other || one.Error() != "unavailable: the proxy is shutting down" {
		t.Errorf("got %v", one)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	if err := rpc.Interrupted(left); err != nil {
		t.Errorf("a caller who left: %v", err)
	}
}
