package calls_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

type recorder []calls.Call

func (r *recorder) Ended(_ context.Context, c *calls.Call) { *r = append(*r, *c) }

// do runs a call as the server does: below the handler that names requests.
func do(t *testing.T, ctx context.Context, observers calls.Observers, c *calls.Call, err error) {
	t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	req.RemoteAddr = "192.0.2.7:1234"
	req.Header.Set(rpc.RequestIDHeader, "r1")
	rpc.WithRequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx, end := observers.Begin(r.Context(), c)
		if got := caller.Name(ctx); got != c.Caller {
			t.Errorf("the limiter shares by %q, the observers hear of %q", got, c.Caller)
		}
		end(err)
	})).ServeHTTP(httptest.NewRecorder(), req)
}

func TestObserversGetTheSame(t *testing.T) {
	var first, second recorder
	observers := calls.Observers{&first, &second}
	do(t, t.Context(), observers, &calls.Call{Method: "SendChannelMessage", Target: "channel_id", ID: 7}, nil)
	do(t, caller.Named(t.Context(), "shop"), observers, &calls.Call{Method: "X"}, connect.NewError(connect.CodeNotFound, errors.New("no")))
	do(t, t.Context(), observers, &calls.Call{Method: "GET /users/{user_id}", Code: "not_found"}, errors.New("404"))

	if len(first) != 3 || len(second) != 3 {
		t.Fatalf("the observers heard of %d and %d calls", len(first), len(second))
	}
	for i, want := range []struct {
		caller, code string
		key          bool
	}{{"192.0.2.7", "ok", false}, {"shop", "not_found", true}, {"192.0.2.7", "not_found", false}} {
		c := first[i]
		if c.Caller != want.caller || c.Key != want.key || c.Code != want.code || c.RequestID != "r1" || c.Peer != "192.0.2.7:1234" || c.Took <= 0 {
			t.Errorf("call %d is %+v, want %+v", i, c, want)
		}
	}
	if first[0].Target != "channel_id" || first[0].ID != 7 {
		t.Errorf("the target is %s %d", first[0].Target, first[0].ID)
	}
}

func TestLogLevels(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		level string
	}{
		{"success", nil, "INFO"},
		{"the caller left", connect.NewError(connect.CodeCanceled, errors.New("x")), "INFO"},
		{"Discord refused", connect.NewError(connect.CodePermissionDenied, errors.New("x")), "WARN"},
		{"Discord failed", connect.NewError(connect.CodeInternal, &discord.Error{Status: 500}), "WARN"},
		{"a defect", connect.NewError(connect.CodeInternal, errors.New("x")), "ERROR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&out, nil))
			do(t, t.Context(), calls.Observers{calls.Log(logger)}, &calls.Call{Method: "M", Request: "contents"}, tt.err)
			line := out.String()
			if !strings.Contains(line, "level="+tt.level) || strings.Count(line, "\n") != 1 || strings.Contains(line, "contents") {
				t.Errorf("logged %s", line)
			}
		})
	}
}

// TestLogTarget: a line names the ID that a call is about, and no other.
func TestLogTarget(t *testing.T) {
	for _, tt := range []struct {
		call calls.Call
		want string
	}{
		{calls.Call{Method: "GetChannel", Target: "channel_id", ID: 7}, "method=GetChannel channel_id=7 code=ok"},
		{calls.Call{Method: "GetCurrentUser"}, "method=GetCurrentUser code=ok"},
	} {
		var out bytes.Buffer
		do(t, t.Context(), calls.Observers{calls.Log(slog.New(slog.NewTextHandler(&out, nil)))}, &tt.call, nil)
		if !strings.Contains(out.String(), tt.want) {
			t.Errorf("logged %s, want %s", &out, tt.want)
		}
	}
}

// TestLogInjection: no text from a client can begin a line or a field.
func TestLogInjection(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	evil := "x\nlevel=ERROR msg=forged \x1b[31m"
	do(t, caller.Named(t.Context(), evil), calls.Observers{calls.Log(logger)},
		&calls.Call{Method: evil, Request: evil}, errors.New(evil))
	if text := out.String(); strings.Count(text, "\n") != 1 || strings.Contains(text, "\x1b") {
		t.Errorf("logged %q", text)
	}
}

// TestWithdrawn: libraries do not automatically retry a call that an operator cancelled.
func TestWithdrawn(t *testing.T) {
	e := &discord.Error{Reason: discord.Withdrawn}
	if code, status := calls.CodeOf(e), calls.HTTPStatusOf(e); code != connect.CodeAborted || status != http.StatusConflict {
		t.Errorf("it has the code %v and the status %d", code, status)
	}
}
